"""What the reason means that a server gives for the end of a reply.

Guarantee: only endings that are known to be good let a reply pass. A name that nobody has seen yet counts as broken off: a row less,
and a message that quotes it, are better than half a text that passes for a whole one. The names are compared without regard to case,
hyphens, spaces and inner capitals, and by what stands before a colon (`content_filter: RECITATION`).
Limits: a server that gives no reason at all is believed to have finished.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

__all__ = ["ENDINGS", "Ending", "chat_reason", "ending_of", "is_fault"]


class Ending(StrEnum):
    """How a reply ended."""

    WHOLE = "whole"
    TOOL_CALL = "tool call"
    """The model calls a tool: whole where a structure was asked for, no answer where a text was."""
    TRUNCATED = "truncated"
    REFUSED = "refused"
    BROKEN_OFF = "broken off"


_NAMES: dict[Ending, str] = {
    Ending.WHOLE: """
        stop end_turn stop_sequence stopped eos eos_token eos_token_id eos_found end end_of_text end_of_turn complete completed
        completion done finish finished finish_reason_stop success succeeded normal natural endoftext end_id stop_token stop_words
        stop_string_found stop_sequence_reached stop_criteria_met word""",
    Ending.TOOL_CALL: "tool_calls tool_call tool_use function_call",
    Ending.TRUNCATED: """
        length max_tokens max_output_tokens max_completion_tokens max_new_tokens max_length model_length token_limit limit incomplete
        error_limit max_output max_len maximum_tokens max_predicted_tokens_reached context_length_reached
        context_length context_length_exceeded context_window_exceeded model_context_window_exceeded
        finish_reason_max_tokens finish_reason_length continuation""",
    Ending.REFUSED: """
        content_filter content_filtered contentfilter content_policy content_policy_violation refusal refused safety sensitive
        recitation blocklist prohibited_content spii language image_safety image_prohibited_content image_recitation image_other
        moderation flagged guardrail guardrails guardrail_intervened guardrail_blocked error_toxic toxic model_armor blocked block
        escalation jailbreak
        finish_reason_safety finish_reason_recitation finish_reason_blocklist finish_reason_prohibited_content finish_reason_spii""",
    Ending.BROKEN_OFF: """
        error abort aborted cancel cancelled canceled insufficient_system_resource network_error server_error internal_error
        model_error timeout timed_out time_limit overloaded interrupted disconnect disconnected connection_error repetition
        repetition_truncation load unload preempted pause_turn malformed_function_call malformed_tool_call malformed_model_output
        malformed_response missing_thought_signature unexpected_tool_call too_many_tool_calls invalid_tool_call user_cancel failed
        other unknown no_image pup_limited_disabled finish_reason_unspecified finish_reason_other malformed_tool_use
        rag_query_when_rag_disabled not_finished user_stopped model_unloaded preempt""",
}
_SERVERS_OWN = """
    error abort aborted insufficient_system_resource network_error server_error internal_error model_error timeout timed_out overloaded
    interrupted disconnect disconnected connection_error load unload model_unloaded preempt preempted failed"""
_OF_THE_SERVER = frozenset(_SERVERS_OWN.split())
_INNER_CAPITAL = re.compile("(?<=[a-z])(?=[A-Z])")  # stopStringFound
ENDINGS: dict[str, Ending] = {name: ending for ending, names in _NAMES.items() for name in names.split()}
"""What each known reason becomes."""


@lru_cache(maxsize=1024)
def ending_of(reason: str, native: str = "") -> Ending:
    """How a reply ended.

    Args:
        reason: as the server gives it; '' where it gives none.
        native: the reason of the model's own server, where a gateway that calls the ending good hands it on. Names that are not known
            say nothing here: the gateway has read them.
    """
    ending = ENDINGS.get(_plain(reason), Ending.BROKEN_OFF) if reason else Ending.WHOLE
    if ending is Ending.WHOLE:
        return ENDINGS.get(_plain(native), ending)
    return ending


def is_fault(reason: str, native: str = "") -> bool:
    """Whether the server, and not the model, ended the reply."""
    return not _OF_THE_SERVER.isdisjoint(map(_plain, (reason, native)))


_CHAT_REASONS = {
    Ending.WHOLE: "stop",
    Ending.TOOL_CALL: "tool_calls",
    Ending.TRUNCATED: "length",
    Ending.REFUSED: "content_filter",
}


@lru_cache(maxsize=1024)
def chat_reason(native: str) -> tuple[str, str]:
    """A vendor's own reason in the words of chat completions, and beside it the reason itself where it says more than `stop`."""
    ending = ending_of(native)
    if ending is Ending.WHOLE:
        return ("stop" if native else ""), ""
    return _CHAT_REASONS.get(ending, native), native


def _plain(reason: str) -> str:
    name = _INNER_CAPITAL.sub("_", reason.partition(":")[0].strip())
    return name.casefold().replace("-", "_").replace(" ", "_")
