"""One pass over the rows of a file: rows to show, scores, and what duplicates are looked for in.

Memory: the rows that are shown, and some bytes for each different score. Cost: some 8 microseconds a row of 100 words.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from datafast.judging.scores import main_score
from datafast.report.scores import ScoresFound
from datafast.statistics.fields import Fields
from datafast.statistics.rows import ReadRow

__all__ = ["MOST_COMPARED", "Looked", "SeenRow"]

MOST_COMPARED = 50_000
"""Rows in which duplicates are looked for: the first ones."""
_MOST_LETTERS = 20_000_000


class SeenRow(NamedTuple):
    """A row, its number in the file from 0, its item in the ledger, and the letters of its texts."""

    number: int
    row: Mapping[str, Any]
    item: int
    letters: int


class Looked:
    """Goes through rows once, and keeps what a report shows.

    Args:
        fields: of the rows.
        shown: how many rows are drawn at random.
        seed: draws them.

    Attributes:
        compared: how many rows `go_through` has given; all, if there are not more than it gives.
        letters: of the texts of the rows that were given.
    """

    def __init__(self, fields: Fields, *, shown: int, seed: int) -> None:
        self._fields = fields
        self._shown = shown
        self._rng = random.Random(f"{seed} shown")
        self._drawn: list[SeenRow] = []
        self._extremes: dict[str, tuple[float, SeenRow]] = {}
        self.scores = ScoresFound(fields.groups)
        self.rows = 0
        self.compared = 0
        self.letters = 0

    def go_through(self, rows: Iterable[ReadRow]) -> Iterator[list[str]]:
        """Looks at all rows, and gives the texts of the first ones."""
        for row, item in rows:
            texts = self._fields.texts(row)
            seen = SeenRow(self.rows, row, item, sum(map(len, texts)))
            self._look_at(seen)
            self.rows += 1
            if seen.number == self.compared < MOST_COMPARED and self.letters < _MOST_LETTERS:
                self.compared += 1
                self.letters += seen.letters
                yield texts

    def _look_at(self, seen: SeenRow) -> None:
        if len(self._drawn) < self._shown:
            self._drawn.append(seen)
        elif (place := int(self._rng.random() * (seen.number + 1))) < self._shown:
            self._drawn[place] = seen
        if seen.letters:
            self._keep("shortest", seen.letters, seen)
        self._keep("longest", -seen.letters, seen)
        found = self.scores.add(seen.row)
        if found and (score := main_score(found)) is not None:
            self._keep("lowest score", score, seen)
            self._keep("highest score", -score, seen)

    def _keep(self, why: str, worth: float, seen: SeenRow) -> None:
        """Keeps a row if it is worth less than the one before."""
        before = self._extremes.get(why)
        if before is None or worth < before[0]:
            self._extremes[why] = worth, seen

    def shown(self) -> Sequence[tuple[str, SeenRow]]:
        """The rows to show, each once: those drawn, in the order of the file, and those from the extremes."""
        drawn = [("drawn at random", seen) for seen in sorted(self._drawn, key=lambda seen: seen.number)]
        reasons: dict[int, list[str]] = {}
        rows: dict[int, SeenRow] = {}
        for why, seen in [*((why, seen) for why, (_, seen) in self._extremes.items()), *drawn]:
            reasons.setdefault(seen.number, []).append(why)
            rows[seen.number] = seen
        found = [(", ".join(whys), rows[number]) for number, whys in reasons.items()]
        return sorted(found, key=lambda one: (one[0] != "drawn at random", one[1].number))
