"""Rows and texts as a report shows them: bounded, whatever a model has written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from datafast.report.models import RowField, ShownText

__all__ = ["LETTERS", "row_fields", "shown_text"]

LETTERS = 4_000
"""Of a text that is shown."""
_FIELDS = 40
_ONE_LINE = 80


def shown_text(text: str, letters: int = LETTERS) -> ShownText:
    """A text, or as much of its beginning as is shown."""
    return ShownText(text=text[:letters], letters=len(text))


def row_fields(row: Mapping[str, Any]) -> Iterator[RowField]:
    """The fields of a row that say something, but for its `uuid`: at most 40, and one more that says how many there are besides."""
    listed = [(str(name), value) for name, value in row.items() if name != "uuid" and value not in (None, "", {}, [])]
    for name, value in listed[:_FIELDS]:
        text = value if isinstance(value, str) else _in_words(value)
        yield RowField(name=name[:200], text=text[:LETTERS], letters=len(text))
    if (left := len(listed) - _FIELDS) > 0:
        told = f"and {left:,} more fields"
        yield RowField(name="…", text=told, letters=len(told))


def _in_words(value: object) -> str:
    """A value that is no text: turns of a conversation, and fields with plain values, line by line; else JSON."""
    if isinstance(value, list) and value and all(map(_is_turn, value)):
        return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in value)
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {_plain(part)}" for name, part in value.items() if part not in (None, "", {}, []))
    return _plain(value)


def _is_turn(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"role", "content"} and isinstance(value["content"], str)


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    is_short = not isinstance(value, list | Mapping) or len(str(value)) <= _ONE_LINE
    return json.dumps(value, ensure_ascii=False, indent=None if is_short else 1, default=str)
