"""What the decoders of all wire formats need: a body as JSON, and its values where they are of the type that is expected."""

from __future__ import annotations

import math
from typing import Any

import orjson

from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.replies.find import lenient_json

__all__ = [
    "MOST_TOKENS",
    "answer_of",
    "as_json",
    "body_of",
    "count_of",
    "first_of",
    "left_open",
    "not_a_reply",
    "text_of",
]

MOST_TOKENS = 2**53  # what every reader of JSON can hold
_SHOWN_CHARS = 200
_CLOSING = '"]} \r\n\t'


def body_of(raw: bytes, expected: str) -> dict[str, Any]:
    """The JSON object that a server answered. A byte order mark, NaN, Infinity and half a surrogate pair keep none from being read.

    Args:
        expected: what should have come, in words, for the message.

    Raises:
        ReplyError: category INVALID; it is something else.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        data = lenient_json(raw)
        if data is None:
            raise not_a_reply(raw, f"is not JSON ({error})", expected) from error
    return data if isinstance(data, dict) else {}


def not_a_reply(raw: bytes, what: str, expected: str) -> ReplyError:
    """The error for a body that is no reply of its format. `what` says what is wrong with it."""
    shown = raw[:_SHOWN_CHARS].decode("utf-8", errors="replace")
    more = "..." if len(raw) > _SHOWN_CHARS else "."
    return ReplyError(
        f"The server's answer {what}. Expected {expected}. It begins with {shown!r}{more}",
        category=ReplyCategory.INVALID,
    )


def first_of(value: object) -> dict[str, Any] | None:
    """The first element of a list, where it is an object."""
    first = value[0] if isinstance(value, list) and value else None
    return first if isinstance(first, dict) else None


def text_of(value: object) -> str:
    return value if isinstance(value, str) else ""


def as_json(value: object) -> str:
    """A value as JSON; '' where it is nested deeper than can be written."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return ""


def answer_of(calls: list[Any], *, cut: bool) -> str:
    """What tools are called with, as JSON. Several calls with a list each, under the same name, are one answer with all of it; other
    several ones stand below each other.

    Args:
        cut: the model was cut off.
    """
    first, last = (calls[0], calls[-1]) if calls else (None, None)
    if len(calls) > 1 and isinstance(first, dict) and len(first) == 1:
        (name,) = first
        if all(isinstance(call, dict) and call.keys() == {name} and isinstance(call[name], list) for call in calls):
            calls = [{name: [value for call in calls for value in call[name]]}]
    answer = "\n".join(call if isinstance(call, str) else as_json(call) for call in calls)
    return answer.rstrip(_CLOSING) if cut and not isinstance(last, str) else answer


def left_open(answer: str) -> str:
    """What a tool is called with by a reply that was cut off. Where it is whole JSON, its server or a gateway has closed what was open, so
    that a text in it that was cut looks like any other; here that is open again."""
    try:
        orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer
    return answer.rstrip(_CLOSING)


def count_of(fields: object, *names: str) -> int:
    """A token count, under the first of the names that has one; 0 where none is (some servers send null or strings)."""
    if not isinstance(fields, dict):
        return 0
    for name in names:
        value = fields.get(name)
        if type(value) is int:
            return value if value > 0 else 0
        if isinstance(value, float) and math.isfinite(value):
            return max(0, int(value))
    return 0
