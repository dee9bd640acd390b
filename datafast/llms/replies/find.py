"""Finds the JSON in a reply, between whatever else a model wrote around it.

Guarantee: only whole values are found: their brackets and quotes close, and none is a part of another that could not be read.
Cost: linear; what is longer than 500,000 characters and not JSON as it stands is not searched. Limits: prose with unbalanced brackets
before the JSON hides it.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from datafast.llms.replies.repair import Unreadable, repaired, whole_characters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "MAX_CHARS",
    "begins_with_json",
    "has_repeated_name",
    "has_stray_closer",
    "json_spans",
    "json_values",
    "lenient_json",
    "strict_json",
    "whole_value",
]

MAX_CHARS = 500_000
_MAX_VALUES = 1_000
_OPENING = re.compile(r"[{\[]")
# A whole text is one token: quotes count within brackets only, for the prose around them is full of apostrophes.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?P<end>"?)|\\.|[{}\[\]]', re.DOTALL)
_CLOSING = re.compile(r"[}\]]")
_BEGINNING = re.compile(r"\s*+(?:```\w*+\s*+)?[{\[]")
_ONLY_CLOSING = re.compile(r"[\s}\]`]*+")
_CLOSERS = {"{": "}", "[": "]"}


def strict_json(text: str) -> tuple[bool, Any]:
    """Whether a text is JSON as it stands, and its value. Half a surrogate pair, which UTF-8 cannot hold, is read as U+FFFD; whole
    numbers keep all their digits. An object that names a member twice, with different values, is none: one of them would be lost."""
    try:
        orjson.loads(text)  # what it takes is JSON; Python's own takes more
    except orjson.JSONDecodeError:
        if "\\u" not in text:
            return False, None
    try:
        return True, whole_value(_decoder.decode(text))
    except (ValueError, RecursionError):
        return False, None


def has_repeated_name(text: str) -> bool:
    """Whether an object in this JSON names a member twice, with different values; also where that cannot be told."""
    try:
        _decoder.decode(text)
    except (ValueError, RecursionError):
        return True
    return False


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs) and any(found[name] != value for name, value in pairs):
        raise ValueError("an object names a member twice, with different values")
    return found


_decoder = json.JSONDecoder(object_pairs_hook=_without_repeats)


def lenient_json(raw: bytes) -> Any | None:
    """The value of JSON that only Python's own reader takes: with a byte order mark, NaN, Infinity, or half a surrogate pair (read as
    U+FFFD); None for what is not JSON."""
    try:
        return whole_value(json.loads(raw.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError):
        return None


def json_values(text: str) -> tuple[list[Any], str]:
    """The values of all objects and arrays at the top level of a text, and why there are none more.

    Returns:
        The values, as Python objects, and a reason in words, or '' where all of them could be read.
    """
    if len(text) > MAX_CHARS:
        return [], f"it is not JSON as it stands, and longer than {MAX_CHARS:,} characters"
    spans = list(islice(json_spans(text), _MAX_VALUES + 1))
    if len(spans) > _MAX_VALUES:
        return [], f"it holds more than {_MAX_VALUES:,} values"
    if _stray_closer(text, spans):
        return [], "a bracket in it closes that was never opened"
    values: list[Any] = []
    for (start, end), whole in spans:
        if not whole:
            return values, "its JSON is not complete: a bracket or a quote is never closed"
        region = text[start:end]
        parsed, value = strict_json(region)
        if not parsed:
            try:
                value = repaired(region)
            except Unreadable as error:
                if any(mark in region for mark in "\"':\u201c"):
                    return values, f"its JSON cannot be read: {error}"
                continue  # brackets without quotes or colons belong to the prose
        values.append(value)
    return values, ""


def begins_with_json(text: str) -> bool:
    return _BEGINNING.match(text) is not None


def has_stray_closer(text: str) -> bool:
    """Whether a bracket closes outside of all values: what is found may be a part of something that has lost its beginning, or the
    beginning of something that a quote has cut. Brackets too many behind what is all of the text otherwise do no harm."""
    return _stray_closer(text, json_spans(text))


def _stray_closer(text: str, spans: Iterable[tuple[tuple[int, int], bool]]) -> bool:
    at = 0
    for (start, end), _ in spans:
        if _CLOSING.search(text, at, start):
            return True
        if at == 0 and _BEGINNING.match(text) and _ONLY_CLOSING.fullmatch(text, end):
            return False
        at = end
    return _CLOSING.search(text, at) is not None


def json_spans(text: str) -> Iterator[tuple[tuple[int, int], bool]]:
    """Start and end of each bracketed region at the top level, and whether it is closed; after an unclosed one nothing is known."""
    opening = _OPENING.search(text)
    while opening is not None:
        end = _end(text, opening.start())
        if end is None:
            yield (opening.start(), len(text)), False
            return
        yield (opening.start(), end), True
        opening = _OPENING.search(text, end)


def _end(text: str, start: int) -> int | None:
    """Where the region that begins at `start` ends; None where it does not."""
    stack: list[str] = []
    for token in _TOKEN.finditer(text, start):
        mark = token[0]
        if mark in _CLOSERS:
            stack.append(_CLOSERS[mark])
        elif mark in {"}", "]"}:
            if stack.pop() != mark:
                return None
            if not stack:
                return token.end()
        elif token["end"] == "":
            return None
    return None


def whole_value(value: Any) -> Any:
    """The value with `whole_characters` in all its texts."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, list):
        return [whole_value(item) for item in value]
    if isinstance(value, dict):
        return {whole_characters(key): whole_value(item) for key, item in value.items()}
    return value
