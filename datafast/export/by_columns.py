"""Rows that are read by the names of their columns: of our own kinds with columns that users name, and of other people's files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import orjson

from datafast.export.talk import Unfit, message_of, parsed, system_of, talk_of, to_last_question
from datafast.types import Messages, Pair, Preference, Steps

__all__ = ["NAMES", "Reading", "Row", "ways_by_columns"]

Row = Mapping[str, Any]
Reading = Literal["row", "text", "messages", "prompt", "pair", "preference", "steps", "label"]

# Names of columns that other people give, the most telling ones first.
_MESSAGES = ("messages", "conversations", "conversation")
_PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("input", "output"),
    ("text", "label"),
)
_PROMPTS = ("prompt", "question", "instruction", "query")
_PREFERENCES = (("chosen", "rejected"), ("chosen_response", "rejected_response"))
_OPENAI_PREFERENCE = ("preferred_output", "non_preferred_output")
NAMES = tuple(
    dict.fromkeys(
        [
            *(*_MESSAGES, "system", "history"),
            *(name for pair in (*_PAIRS, *_PREFERENCES, _OPENAI_PREFERENCE) for name in pair),
            *(*_PROMPTS, "completions", "labels"),
        ]
    )
)
"""All names by which columns are read."""


def ways_by_columns(columns: Collection[str], compared: tuple[str, str] | None) -> dict[Reading, Callable[[Row], Any]]:
    """The ways in which rows with these columns can be read.

    Args:
        compared: two columns with answers, of which the column `preferred` names the better one.
    """
    names = dict.fromkeys(columns)
    ways: dict[Reading, Callable[[Row], Any]] = {}
    talk = next((name for name in _MESSAGES if name in names), None)
    asked = next((name for name in _PROMPTS if name in names), None)
    if pair := next((pair for pair in _PAIRS if names.keys() >= set(pair)), None):
        ways["pair"] = lambda row: _pair(row, *pair)
    if asked:
        ways["prompt"] = lambda row: _asked(row, asked)
    elif talk:
        ways["prompt"] = lambda row: _questions(row, talk)
    if preferred := _preference_by(names, compared, asked, talk):
        ways["preference"] = preferred
    elif talk:
        ways["messages"] = lambda row: _answered(_talk(row, talk))
    if names.keys() >= {"prompt", "completions", "labels"}:
        ways["steps"] = _steps
    if "text" in names:
        ways["text"] = lambda row: _text(row, "text")
    if names.keys() >= {"text", "label"}:
        ways["label"] = lambda row: _given(row, "label")
    return ways


def _preference_by(
    names: Mapping[str, Any], compared: tuple[str, str] | None, asked: str | None, talk: str | None
) -> Callable[[Row], Preference] | None:
    if compared:
        return (lambda row: _preferred(row, asked, compared)) if asked is not None and asked not in compared else None
    if two := next((two for two in _PREFERENCES if names.keys() >= set(two)), None):
        return lambda row: _preference(row, asked, talk, *two)
    return _openai_preference if names.keys() >= {"input", *_OPENAI_PREFERENCE} else None


def _given(row: Row, name: str) -> Any:
    value = row.get(name)
    if value is None:
        raise Unfit(f"has no {name}")
    return value


def _text(row: Row, name: str) -> str:
    value = _given(row, name)
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode() if isinstance(value, dict | list | bool) else str(value)


def _said(row: Row, name: str) -> str | Messages:
    """A text or messages, whatever a column holds; messages may be one alone, and JSON text."""
    value = _given(row, name)
    if isinstance(value, str) and value.lstrip().startswith(("[{", "{")):
        found = parsed(value)
        value = found if _is_said(found) else value
    if isinstance(value, Mapping) and _is_said(value):
        return [message_of(value)]
    return talk_of(value) if isinstance(value, list) else _text({name: value}, name)


def _is_said(value: Any) -> bool:
    turns = value if isinstance(value, list) else [value]
    return all(isinstance(turn, Mapping) and ("role" in turn or {"from", "value"} <= turn.keys()) for turn in turns)


def _asked(row: Row, name: str) -> str | Messages:
    """A prompt, after its system message and what was said before, if there is either; an instruction with its input."""
    prompt = _said(row, name)
    if not isinstance(prompt, str):
        return prompt
    before = system_of(row)
    if name == "instruction":
        if row.get("input"):
            prompt = f"{prompt}\n\n{_text(row, 'input')}"
        before += _history(row.get("history"))
    return [*before, {"role": "user", "content": prompt}] if before else prompt


def _history(given: Any) -> Messages:
    """Questions and answers that came before, as Alpaca's files have them."""
    turns = parsed(given) or []
    if not isinstance(turns, list) or not all(
        isinstance(turn, list) and len(turn) == 2 and all(isinstance(said, str) for said in turn) for turn in turns
    ):
        raise Unfit("has a history that is no list of questions and answers")
    roles = ("user", "assistant")
    return [{"role": role, "content": said} for turn in turns for role, said in zip(roles, turn, strict=True)]


def _pair(row: Row, asked: str, answered: str) -> Pair:
    if (asked, answered) == ("prompt", "completion") and row.get("label") is False:  # as TRL's KTO has them
        raise Unfit("has an answer that its label calls a bad one")
    return Pair(_asked(row, asked), _said(row, answered))


def _talk(row: Row, name: str) -> Messages:
    messages = talk_of(_given(row, name))
    return messages if messages[0]["role"] == "system" else system_of(row) + messages


def _answered(messages: Messages) -> Messages:
    if all(message["role"] != "assistant" for message in messages):
        raise Unfit("ends without an answer")
    return messages


def _questions(row: Row, name: str) -> Messages:
    messages = _talk(row, name)
    return messages[: to_last_question(messages)]


def _preferred(row: Row, asked: str, compared: tuple[str, str]) -> Preference:
    one, other = compared
    if row.get("preferred") not in compared:
        raise Unfit("prefers neither text")
    first = row["preferred"] == one
    return Preference(_asked(row, asked), _text(row, one if first else other), _text(row, other if first else one))


def _preference(row: Row, asked: str | None, talk: str | None, better: str, worse: str) -> Preference:
    chosen, rejected = _said(row, better), _said(row, worse)
    if _is_whole(chosen) and _is_whole(rejected):  # whatever stands beside them
        return _parted(chosen, rejected)
    if _is_whole(chosen) or _is_whole(rejected):
        raise Unfit("has answers that do not follow one prompt")
    if asked is not None:
        return Preference(_asked(row, asked), chosen, rejected)
    if talk is not None:
        return Preference(_questions(row, talk), chosen, rejected)
    raise Unfit("has no prompt")


def _is_whole(said: str | Messages) -> bool:
    """Whether an answer has what was asked in front of it."""
    return not isinstance(said, str) and said[0]["role"] in ("system", "developer", "user")


def _parted(chosen: str | Messages, rejected: str | Messages) -> Preference:
    """Two conversations that begin alike, as their prompt and two answers."""
    assert not isinstance(chosen, str)  # noqa: S101 - the caller has looked
    assert not isinstance(rejected, str)  # noqa: S101 - likewise
    shared = next((n for n, two in enumerate(zip(chosen, rejected, strict=False)) if two[0] != two[1]), 0)
    if not shared or shared == min(len(chosen), len(rejected)):
        raise Unfit("has answers that do not follow one prompt")
    return Preference(chosen[:shared], chosen[shared:], rejected[shared:])


def _openai_preference(row: Row) -> Preference:
    asked = parsed(_given(row, "input"))
    if not isinstance(asked, Mapping):
        raise Unfit("has an input without messages")
    if asked.get("tools"):
        raise Unfit("has tools in its input, which are read from a column of their own")
    chosen, rejected = (talk_of(_given(row, name)) for name in _OPENAI_PREFERENCE)
    return Preference(talk_of(asked.get("messages")), chosen, rejected)


def _steps(row: Row) -> Steps:
    completions, labels = _given(row, "completions"), _given(row, "labels")
    if not isinstance(completions, list) or not isinstance(labels, list) or len(completions) != len(labels):
        raise Unfit("has another number of labels than of steps")
    if not all(isinstance(step, str) for step in completions) or not all(isinstance(label, bool) for label in labels):
        raise Unfit("has steps that are not texts, or labels that are not true or false")
    return Steps(_text(row, "prompt"), completions, labels)
