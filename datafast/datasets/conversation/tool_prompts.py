"""The default texts of conversations with tools, and what is made of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from datafast.plan.defaults import DefaultPrompts, editions

__all__ = ["TOOL_DEFAULTS", "assistant_told", "follow_up", "openings_form", "results_asked", "results_told"]

TOOL_DEFAULTS = DefaultPrompts(
    "conversation with tools",
    version=1,
    texts={
        "prompts": [
            "Write what users say to an AI assistant, in {language_name}: exactly {num_samples} first messages of conversations. "
            "What they are about: {topic}"
        ],
        "opening": ["Each message is what the user would type, and nothing else."],
        "with calls": [
            "The user wants something for which the assistant needs its tools, and says what has to be known to call them. The user "
            "does not name the tools, and may want several things at once."
        ],
        "without calls": [
            "The user wants something that the assistant answers without calling a tool: because none of them is of use for it, "
            "because the assistant knows it, or because it has to ask back first."
        ],
        "listed": ["These are the tools:"],
        "known": ["About these, among others, the tools have something to tell:"],
        "follow_up": [
            "Here is a conversation of a user with an AI assistant:\n\n{conversation}\n\nWrite in {language_name} what the user says next, "
            "taking up what was said: what the user would type, and nothing else."
        ],
        "assistant": [
            "You can call tools. Each of your replies is one JSON object, and one step.\n"
            '{"next": {"calls": [{"name": "...", "arguments": {...}}]}} calls tools, {max_calls} at most in one step; you are then '
            "given the results. Call several at once where none needs the result of another.\n"
            '{"next": {"answer": "..."}} answers the user, in the language of the user. Answer as soon as you know enough. Never make up '
            "what a tool would have to tell you.\n"
            "These are the tools:"
        ],
        "results": ["The results of your calls, one JSON object a line:"],
        "simulate": [
            "Play the tools of an AI assistant. These are the tools:\n{tools}\n\nThe conversation so far, one JSON object a line:\n"
            "{conversation}\n\nWrite what each of these calls gives back, as the tool would: exact and plausible, in agreement with all "
            "earlier results, as JSON where the tool gives data. Where a call cannot succeed, give back an error.\n{calls}"
        ],
    },
)
_TEXTS: Mapping[str, str] = {
    field: text for field in TOOL_DEFAULTS.texts for text, _ in editions(TOOL_DEFAULTS)[0].texts(field)
}


def openings_form(without: Collection[int], count: int, *, listing: str, known: Sequence[str]) -> str:
    """What is said about the form of first messages.

    Args:
        without: the numbers, from 0, of those that need no call.
        listing: the tools.
        known: arguments that tools have a result for.
    """
    if len(without) in (0, count):
        wanted = _TEXTS["without calls" if without else "with calls"]
    else:
        wanted = "\n".join(
            f"Number {number + 1}: {_TEXTS['without calls' if number in without else 'with calls']}"
            for number in range(count)
        )
    return "\n\n".join([_TEXTS["opening"], wanted, *_about_tools(listing, known)])


def follow_up(
    conversation: str, *, language_name: str, without: bool, listing: str, known: Sequence[str], wish: str
) -> str:
    """The prompt for what the user says next."""
    parts = [
        _filled("follow_up", language_name=language_name, conversation=conversation),
        _TEXTS["without calls" if without else "with calls"],
        *_about_tools(listing, known),
    ]
    return "\n\n".join([*parts, *([f"What it should be like:\n{wish}"] if wish else [])])


def _about_tools(listing: str, known: Sequence[str]) -> list[str]:
    told = [f"{_TEXTS['listed']}\n{listing}"]
    return [*told, "\n".join([_TEXTS["known"], *known])] if known else told


def assistant_told(system: str | None, *, listing: str, max_calls: int) -> str:
    """The system message of the assistant's steps."""
    told = _filled("assistant", max_calls=str(max_calls))
    return "\n\n".join(filter(None, [system, f"{told}\n{listing}"]))


def results_told(results: Sequence[Mapping[str, Any]]) -> str:
    """The message with the results of calls, which the assistant sees next."""
    return "\n".join([_TEXTS["results"], *(orjson.dumps(result).decode() for result in results)])


def results_asked(
    calls: Sequence[Mapping[str, Any]], *, listing: str, conversation: Sequence[Mapping[str, Any]]
) -> str:
    """The prompt to a model that plays the tools."""
    return _filled(
        "simulate",
        tools=listing,
        conversation="\n".join(orjson.dumps(message).decode() for message in conversation),
        calls="\n".join(
            f"{number}. {call['name']} {orjson.dumps(call['arguments']).decode()}"
            for number, call in enumerate(calls, start=1)
        ),
    )


def _filled(field: str, **values: str) -> str:
    """A text with these values, in one pass: what is inserted is not looked at again."""
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], _TEXTS[field])
