"""Finds the JSON in a reply, and repairs it if that cannot change its content.

Guarantee: a repaired value has every character of the reply that is not whitespace, quote, comma, colon, bracket or
escape, in the same order, and nothing else; and its brackets were closed. Other replies are not repaired, and the model
is asked again. Cost: one pass; `json_repair`, imported when first needed, takes about 1 s per MB, so texts longer than
200,000 characters are not repaired. Limits: JSON after prose with unbalanced brackets is not found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from datafast._util.foreign_warnings import foreign_warnings_ignored

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["after_reasoning", "json_values"]

MAX_REPAIR_CHARS = 200_000

_OPENED = re.compile(r"\s*<(think|thinking|thought|reasoning)>", re.IGNORECASE)
_CLOSING = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_TOKEN = re.compile(r'\\.|["{}\[\]]', re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}
_PUNCTUATION = re.compile(r"""[\s"'“”„‘’{}\[\]:,]+""")
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')


def after_reasoning(text: str, *, is_json: bool) -> str | None:
    """The answer after a leading reasoning block; the text itself if there is none.

    A block without an opening tag counts too: for JSON, if its closing tag is outside of every value; for free text, if
    the tag begins or ends a line outside of code, because a text may be about such tags.

    Returns:
        The answer, which may be empty; None if the reasoning never ends.
    """
    opened = _OPENED.match(text)
    if opened:
        closing = re.compile(f"</{opened[1]}>", re.IGNORECASE).search(text, opened.end())
        if closing is None:
            return None
        text = text[closing.end() :]
    values = [span for span, whole in _spans(text) if whole] if is_json else []
    for closing in reversed(list(_CLOSING.finditer(text))):
        if is_json and not any(start <= closing.start() < end for start, end in values):
            return text[closing.end() :]
        if not is_json and not opened and _stands_alone(text, closing):
            return text[closing.end() :]
    return text


def json_values(text: str) -> tuple[list[Any], str]:
    """The values of all objects and arrays at the top level of a text, and why there are no more.

    Returns:
        The values as Python objects, and a reason in words; '' if all of them could be read.
    """
    values: list[Any] = []
    problem = ""
    for (start, end), whole in _spans(text):
        if not whole:
            return values, "its JSON is not complete: a bracket or a quote is never closed"
        region = text[start:end]
        try:
            values.append(orjson.loads(region))
        except orjson.JSONDecodeError as error:
            repaired = _repaired(region)
            if repaired is not None:
                values.append(repaired)
            elif any(mark in region for mark in "\"':"):
                # Brackets without quotes or colons belong to the prose.
                problem = f"its JSON cannot be read: {error}"
    return values, problem


def _spans(text: str) -> Iterator[tuple[tuple[int, int], bool]]:
    """Start and end of each bracketed region at the top level, and whether it is closed. Stops at an unclosed one.

    Quotes count only within brackets, because the prose around them has apostrophes.
    """
    stack: list[str] = []
    start, quoted = 0, False
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if quoted or not stack:
            quoted = quoted and mark != '"'
            if not stack and mark in _CLOSERS:
                start, stack = token.start(), [_CLOSERS[mark]]
        elif mark == '"':
            quoted = True
        elif mark in _CLOSERS:
            stack.append(_CLOSERS[mark])
        elif mark in "}]":
            if stack.pop() != mark:
                yield (start, len(text)), False
                return
            if not stack:
                yield (start, token.end()), True
    if stack:
        yield (start, len(text)), False


@foreign_warnings_ignored()
def _repaired(region: str) -> Any | None:
    if len(region) > MAX_REPAIR_CHARS:
        return None
    import json_repair

    # The only escape of JSON that json_repair reads as two characters.
    readable = re.sub(r"\\(.)", lambda escape: "/" if escape[1] == "/" else escape[0], region, flags=re.DOTALL)
    try:
        value = json_repair.loads(readable, skip_json_loads=True, strict=True)
    except (ValueError, RecursionError):
        # Strict mode refuses what would have to be guessed: several values, missing colons, empty keys.
        return None
    return value if isinstance(value, (dict, list)) and _says_the_same(region, value) else None


def _says_the_same(region: str, value: object) -> bool:
    said = _essence(_ESCAPE.sub(_unescaped, region))
    return any(_essence("".join(_leaves(value, names))) == said for names in _LITERALS)


def _essence(text: str) -> bytes:
    # In UTF-16, a pair of escaped surrogates equals its character.
    return _PUNCTUATION.sub("", text).encode("utf-16-le", "surrogatepass")


_LITERALS: tuple[dict[object, str], ...] = (
    {True: "true", False: "false", None: "null"},
    {True: "True", False: "False", None: "None"},
)


def _leaves(value: object, names: dict[object, str]) -> Iterator[str]:
    """Every key and scalar, in order, as JSON writes it."""
    if isinstance(value, dict):
        for key, sub in value.items():
            yield str(key)
            yield from _leaves(sub, names)
    elif isinstance(value, list):
        for sub in value:
            yield from _leaves(sub, names)
    else:
        yield names[value] if value is None or isinstance(value, bool) else str(value)


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _ESCAPED[match[2]]


def _stands_alone(text: str, tag: re.Match[str]) -> bool:
    begins = not text[: tag.start()].rpartition("\n")[2].strip()
    ends = not text[tag.end() :].partition("\n")[0].strip()
    return (begins or ends) and text.count("`", 0, tag.start()) % 2 == 0
