"""Reads replies of Gemini's generateContent.

Guarantee: decoding needs nothing but the recorded bytes. What the model thought is kept apart from what it answers, and its tokens count
as output. A prompt that was blocked is a refusal. Cost: one orjson parse.
Limits: of several candidates the first is read; images and audio are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datafast.llms.base import Completion
from datafast.llms.replies.body import MOST_TOKENS, answer_of, body_of, count_of, first_of, not_a_reply, text_of
from datafast.llms.replies.endings import chat_reason
from datafast.types import Usage

__all__ = ["decode_content"]

_EXPECTED = "a reply of generateContent with candidates[0]"
_BLOCKED = "content_filter"


def decode_content(raw: bytes) -> Completion:
    """Reads one recorded reply.

    Args:
        raw: a reply as JSON, as the server sent it.

    Raises:
        ReplyError: category INVALID, if `raw` is not JSON, or has neither a candidate nor a reason why its prompt was blocked.
    """
    data = body_of(raw, _EXPECTED)
    candidate = first_of(data.get("candidates"))
    usage, model_id = data.get("usageMetadata"), text_of(data.get("modelVersion"))
    if candidate is None:
        blocked = _block_reason(data.get("promptFeedback"))
        if not blocked:
            raise not_a_reply(raw, "is JSON without a candidate", _EXPECTED)
        return Completion("", _BLOCKED, _usage(usage, wrote=False), model_id, native_finish_reason=blocked)
    content = candidate.get("content")
    texts, thoughts, calls = _parts(content.get("parts") if isinstance(content, dict) else None)
    reason, native = chat_reason(text_of(candidate.get("finishReason")))
    structured = answer_of(calls, cut=reason == "length")
    text = "" if calls else "".join(texts)
    told = _usage(usage, wrote=bool(text or structured or thoughts))
    # By place: names would double what it costs.
    return Completion(text, reason, told, model_id, "\n\n".join(thoughts), "", structured, native)


def _parts(parts: object) -> tuple[list[str], list[str], list[Any]]:
    """The texts, the thoughts, and what functions are called with."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Any] = []
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, dict):
            continue
        if text := text_of(part.get("text")):
            (thoughts if part.get("thought") is True else texts).append(text)
        call = part.get("functionCall")
        if isinstance(call, dict) and call.get("args"):
            calls.append(call["args"])
    return texts, thoughts, calls


def _block_reason(feedback: object) -> str:
    return text_of(feedback.get("blockReason")) if isinstance(feedback, Mapping) else ""


def _usage(value: object, *, wrote: bool) -> Usage | None:
    """What a reply says it used; None where it does not say, or where it cannot be so."""
    if not isinstance(value, dict):
        return None
    given = count_of(value, "promptTokenCount") + count_of(value, "toolUsePromptTokenCount")
    thought = count_of(value, "thoughtsTokenCount")
    # The total is what is paid for, whatever it is called.
    output = max(count_of(value, "candidatesTokenCount") + thought, count_of(value, "totalTokenCount") - given)
    if not given or (wrote and not output) or max(given, output) > MOST_TOKENS:
        return None
    cached = min(count_of(value, "cachedContentTokenCount"), given)
    return Usage(given, output, cached_tokens=cached, reasoning_tokens=min(thought, output))
