"""The types and styles of conversations of all versions of DeepFabric, as settings of our conversations.

2.x, 3.x   cot_freetext, cot_structured, cot_hybrid, agent_cot_tools ..., with reasoning mathematical, logical or general
4.x        cot or chain_of_thought, with reasoning freetext or agent (before: structured, hybrid)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from datafast._util.notify import did_you_mean, warn_user
from datafast.datasets.conversation.replies import DEFAULT_STEPS
from datafast.errors import ConfigError
from datafast.facades.deepfabric.tools import chosen_tools

__all__ = ["style_fields"]


class _Style(NamedTuple):
    reasoning: str | None
    has_tools: bool = False
    many_turns: bool = False


_STYLES = {
    "basic": _Style(None),
    "tools": _Style("tools", has_tools=True),
    "structured": _Style(None),
    "tool_calling": _Style("agent", has_tools=True),
    "cot_freetext": _Style("freetext"),
    "cot_structured": _Style("agent"),
    "cot_hybrid": _Style("agent"),
    "agent_cot_tools": _Style("agent", has_tools=True),
    "agent_cot_hybrid": _Style("agent", has_tools=True),
    "agent_cot_multi_turn": _Style("agent", has_tools=True, many_turns=True),
    "xlam_multi_turn": _Style("agent", has_tools=True, many_turns=True),
}
_CHAIN = ("chain_of_thought", "cot")
_SUBJECTS = {"mathematical": "The reasoning is mathematical.", "logical": "The reasoning is logical.", "general": ""}
_OTHER_WORDS = {"structured": "agent", "hybrid": "agent"}
_TURNS = (2, 4)


def style_fields(
    conversation_type: str,
    reasoning_style: str | None,
    *,
    instructions: str = "",
    agent_mode: str | None = None,
    min_turns: int | None = None,
    max_turns: int | None = None,
    min_tool_calls: int | None = None,
    max_steps: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    available_tools: Sequence[str] = (),
    tools_field: str = "available_tools",
) -> dict[str, Any]:
    """The fields of a `ConversationDatasetConfig` about type, style, turns, tools and wishes.

    Args:
        tools: their definitions. available_tools: the names of those to use, `tools_field` where they stand.

    Raises:
        ConfigError: there is no such type, mode or tool; begins with the field.
    """
    if agent_mode not in (None, "single_turn", "multi_turn"):
        raise ConfigError(f"agent_mode: There is no mode {agent_mode!r}. Known: single_turn, multi_turn.")
    style = _style(conversation_type, reasoning_style, agent_mode)
    agent = style.reasoning in ("agent", "tools")
    if available_tools and not agent:
        warn_user(
            f"{tools_field}: Only an agent calls tools, so conversations of the type {conversation_type} go without."
        )
    fewest, most = _TURNS if style.many_turns else (1, 1)
    most = max_turns or max(most, min_turns or 1)
    wishes = [instructions.strip()]
    if style.reasoning not in (None, "tools"):
        wishes.append(_SUBJECTS.get(reasoning_style or "", ""))
    if min_tool_calls and agent:
        wishes.append(f"In each conversation the assistant calls tools {min_tool_calls} times or more.")
    if agent and (tools is not None or available_tools or style.has_tools):
        tools = chosen_tools(available_tools, tools, tools_field)
    return {
        "conversation_type": {None: "basic", "tools": "tools"}.get(style.reasoning, "chain_of_thought"),
        "reasoning_style": None if style.reasoning == "tools" else style.reasoning,
        "min_turns": min_turns or min(fewest, most),
        "max_turns": most,
        "max_steps": (max_steps or DEFAULT_STEPS) if agent else DEFAULT_STEPS,
        "tools": tools,
        "instructions": "\n\n".join(filter(None, wishes)),
    }


def _style(conversation_type: str, reasoning_style: str | None, agent_mode: str | None) -> _Style:
    many = agent_mode == "multi_turn"
    by_subject = reasoning_style in _SUBJECTS
    reasoning = _OTHER_WORDS.get(reasoning_style or "", reasoning_style)
    if conversation_type in _CHAIN:
        if agent_mode is not None and (by_subject or reasoning is None):
            return _Style("agent", has_tools=True, many_turns=many)
        if by_subject:
            return _Style("freetext")
        _check(reasoning)
        return _Style(reasoning, has_tools=agent_mode is not None, many_turns=many)
    known = _STYLES.get(conversation_type)
    if known is None:
        raise ConfigError(
            f"conversation_type: There is no type {conversation_type!r}. {did_you_mean(conversation_type, [*_STYLES, *_CHAIN])}"
        )
    if known.reasoning == "tools" and reasoning_style is not None:
        raise ConfigError("reasoning_style: Conversations with tools have none. Leave it out.")
    if known.reasoning is None and reasoning is not None and not by_subject:
        raise ConfigError(
            f"reasoning_style: Basic conversations have no {reasoning} reasoning. Set conversation_type: chain_of_thought."
        )
    return known._replace(many_turns=known.many_turns or many)


def _check(reasoning: str | None) -> None:
    if reasoning is None:
        raise ConfigError("reasoning_style: chain_of_thought needs one. Set freetext or agent.")
    if reasoning not in ("freetext", "agent"):
        known = ["freetext", "agent", *_SUBJECTS, *_OTHER_WORDS]
        raise ConfigError(f"reasoning_style: There is no style {reasoning!r}. {did_you_mean(reasoning, known)}")
