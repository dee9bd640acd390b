"""Statistics for a card, of a bounded number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datafast.datasets.card.subject import Subject
from datafast.statistics import Statistics, measure
from datafast.statistics.rows import as_row
from datafast.store.paths import OutputPaths

__all__ = ["MOST_ROWS", "Measured", "measured"]

MOST_ROWS = 50_000
"""More are not looked at, which takes some seconds."""
_TEXTS = 2_000
_CHUNK = 1 << 20


class Measured(NamedTuple):
    """Statistics of `looked_at` of `rows` rows: all of them, or some that are spread evenly over the file."""

    statistics: Statistics
    looked_at: int
    rows: int

    @property
    def is_sample(self) -> bool:
        return self.looked_at < self.rows


def measured(
    paths: OutputPaths,
    dataset: Subject | None,
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    most: int = MOST_ROWS,
) -> Measured | None:
    """The statistics of an output or of other rows; None if there are none.

    Args:
        rows: those of the file, if it is not JSON Lines.

    Raises:
        OutputError: the ledger cannot be read.
    """
    known: dict[str, Any] = {}
    if dataset is not None:
        known = {"row_model": dataset.written_model, "placeholders": dataset.placeholders}
    number = _num_lines(paths.rows) if rows is None else len(rows)
    if not number:
        return None
    step = -(-number // most)
    some: Iterable[Mapping[str, Any]] | None = rows
    if step > 1:
        some = _some(paths.rows, step) if rows is None else (rows[place] for place in range(0, number, step))
    found = measure(paths, rows=some, sample=_TEXTS, effect_texts=0, **known)
    return Measured(found, found.total.rows, number if step > 1 else found.total.rows)


def _num_lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))


def _some(path: Path, step: int) -> Iterator[Mapping[str, Any]]:
    """Each row whose number is a multiple of `step`; what is not a row is left out."""
    with path.open("rb", buffering=_CHUNK) as file:
        for number, line in enumerate(file):
            if number % step == 0 and (row := as_row(line)) is not None:
                yield row
