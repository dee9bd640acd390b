"""The scores that stand in rows: numbers called score, of the rows themselves or of what judges have said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["SCORE", "is_number", "main_score", "numbers_in"]

SCORE = "score"
"""What a score is called."""


def numbers_in(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The scores in a row, each with the names of the fields that lead to it, joined with a point."""
    metadata = row.get("metadata")
    if isinstance(metadata, Mapping):
        yield from _named(metadata, "metadata.")
    yield from _named(row, "")


def _named(values: Mapping[str, Any], before: str) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, str) or not isinstance(name, str) or name == "metadata":  # most are texts
            continue
        if (name == SCORE or name.endswith(f"_{SCORE}")) and is_number(value):
            yield f"{before}{name}", float(value)
        elif isinstance(value, Mapping) and is_number(value.get(SCORE)):
            yield f"{before}{name}.{SCORE}", float(value[SCORE])


def is_number(value: object) -> bool:
    """Whether a value can be a score."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 1e15


def main_score(found: Mapping[str, float]) -> float | None:
    """The score by which rows are the best and the worst: the one that is called just so, or the first."""
    return found.get(SCORE, next(iter(found.values()), None))
