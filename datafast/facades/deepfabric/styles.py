"""The types and styles of conversations of all versions of DeepFabric, as settings of our conversations.

2.x, 3.x   cot_freetext, cot_structured, cot_hybrid, agent_cot_tools ..., with reasoning mathematical, logical or general
4.x        cot or chain_of_thought, with reasoning freetext or agent (before: structured, hybrid)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError

__all__ = ["STYLES", "style_fields", "takes_tools"]

_MANY_TURNS = 4


class _Style(NamedTuple):
    reasoning: str | None
    tools: bool = False
    turns: int = 1


STYLES = {
    "basic": _Style(None),
    "structured": _Style(None),
    "tool_calling": _Style("agent", tools=True),
    "cot_freetext": _Style("freetext"),
    "cot_structured": _Style("agent"),
    "cot_hybrid": _Style("agent"),
    "agent_cot_tools": _Style("agent", tools=True),
    "agent_cot_hybrid": _Style("agent", tools=True),
    "agent_cot_multi_turn": _Style("agent", tools=True, turns=_MANY_TURNS),
    "xlam_multi_turn": _Style("agent", tools=True, turns=_MANY_TURNS),
}
_SUBJECTS = {"mathematical": "The reasoning is mathematical.", "logical": "The reasoning is logical.", "general": ""}
_OTHER_WORDS = {"structured": "agent", "hybrid": "agent"}
_CHAIN = ("chain_of_thought", "cot")


def takes_tools(conversation_type: str, agent_mode: str | None) -> bool:
    """Whether this is an agent that has tools even if none are given."""
    style = STYLES.get(conversation_type)
    return agent_mode is not None or (style is not None and style.tools)


def style_fields(
    conversation_type: str, reasoning_style: str | None, *, agent_mode: str | None = None, max_turns: int | None = None
) -> tuple[dict[str, Any], str]:
    """`conversation_type`, `reasoning_style` and `max_turns` of our conversations, and a sentence for the instructions.

    Raises:
        ConfigError: there is no such type or mode.
    """
    if agent_mode not in (None, "single_turn", "multi_turn"):
        raise ConfigError(f"agent_mode: There is no mode {agent_mode!r}. Known: single_turn, multi_turn.")
    turns = _MANY_TURNS if agent_mode == "multi_turn" else 1
    subject = _SUBJECTS.get(reasoning_style or "")
    if conversation_type in _CHAIN:
        style = "freetext" if subject is not None else _OTHER_WORDS.get(reasoning_style or "", reasoning_style)
        if agent_mode is not None and style != "agent" and (subject is not None or style is None):
            style = "agent"
        return _fields("chain_of_thought", style, max_turns or turns), subject or ""
    known = STYLES.get(conversation_type)
    if known is None:
        raise ConfigError(
            f"conversation_type: There is no type {conversation_type!r}. {did_you_mean(conversation_type, [*STYLES, *_CHAIN])}"
        )
    if known.reasoning is None:
        return _fields("basic", None if subject is not None else reasoning_style, max_turns or turns), ""
    return _fields("chain_of_thought", known.reasoning, max_turns or max(turns, known.turns)), subject or ""


def _fields(kind: str, style: str | None, max_turns: int) -> dict[str, Any]:
    return {"conversation_type": kind, "reasoning_style": style, "max_turns": max_turns}
