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


def shown_text(text: str, letters: int = LETTERS) -> ShownText:
    """A text, or as much of its beginning as is shown."""
    return ShownText(text=text[:letters], letters=len(text))


def row_fields(row: Mapping[str, Any]) -> Iterator[RowField]:
    """The fields of a row that say something: at most 40, and one more that says how many there are besides."""
    listed = [(str(name), value) for name, value in row.items() if value not in (None, "", {}, [])]
    for name, value in listed[:_FIELDS]:
        text = value if isinstance(value, str) else _as_json(value)
        yield RowField(name=name[:200], text=text[:LETTERS], letters=len(text))
    if (left := len(listed) - _FIELDS) > 0:
        told = f"and {left:,} more fields"
        yield RowField(name="…", text=told, letters=len(told))


def _as_json(value: object) -> str:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
