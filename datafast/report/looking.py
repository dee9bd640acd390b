"""What a report looks at while the statistics are made of the same rows: rows to show, scores, and groups of duplicates.

Memory: the rows that are shown, some bytes for each different score, and 0.7 kB for each row in which duplicates are looked for, until the
last of them has come. Cost: some 2 microseconds a row, and 30 for each of these.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from datafast.judging.scores import main_score
from datafast.quality.near_groups import GroupFinder, NearDuplicateGroups
from datafast.report.scores import ScoresFound
from datafast.statistics.entries import MadeRow
from datafast.statistics.fields import Fields

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
    """Is shown rows one after the other, and keeps what a report shows. `measure` takes its `watch`.

    Args:
        shown: how many rows are drawn at random.
        seed: draws them.

    Attributes:
        fields: of the rows.
        rows: how many there were.
        compared: in how many of them, the first ones, duplicates are looked for.
    """

    fields: Fields
    scores: ScoresFound

    def __init__(self, *, shown: int, seed: int) -> None:
        self._shown = shown
        self._rng = random.Random(f"{seed} shown")
        self._drawn: list[SeenRow] = []
        self._extremes: dict[str, tuple[float, SeenRow]] = {}
        self._letters = 0
        self.rows = 0
        self.compared = 0
        self._finder = GroupFinder()
        self._groups: NearDuplicateGroups | None = None

    def watch(self, fields: Fields) -> Callable[[MadeRow, Sequence[str], int], None]:
        """What rows with these fields are shown to."""
        self.fields = fields
        self.scores = ScoresFound(fields.groups)
        return self._look_at

    def _look_at(self, made: MadeRow, texts: Sequence[str], letters: int) -> None:
        number = self.rows
        self.rows += 1
        if number == self.compared < MOST_COMPARED and self._letters < _MOST_LETTERS:
            self.compared += 1
            self._letters += letters
            self._finder.add(texts)
        elif self._groups is None:  # what it has taken is needed no more
            self._groups, self._finder = self._finder.found(), GroupFinder()
        seen = SeenRow(number, made.row, made.item, letters)
        if number < self._shown:
            self._drawn.append(seen)
        elif (place := int(self._rng.random() * self.rows)) < self._shown:
            self._drawn[place] = seen
        if letters:
            self._keep("shortest", letters, seen)
        self._keep("longest", -letters, seen)
        found = self.scores.add(made.row)
        if found and (score := main_score(found)) is not None:
            self._keep("lowest score", score, seen)
            self._keep("highest score", -score, seen)

    def _keep(self, why: str, worth: float, seen: SeenRow) -> None:
        """Keeps a row if it is worth less than the one before."""
        before = self._extremes.get(why)
        if before is None or worth < before[0]:
            self._extremes[why] = worth, seen

    def groups(self) -> NearDuplicateGroups:
        """The groups of duplicates."""
        return self._finder.found() if self._groups is None else self._groups

    def shown(self, pair: Sequence[SeenRow] = ()) -> Sequence[tuple[str, SeenRow]]:
        """The rows to show, each once: those drawn, in the order of the file, those from the extremes, and the most similar `pair`."""
        drawn = [("drawn at random", seen) for seen in sorted(self._drawn, key=lambda seen: seen.number)]
        reasons: dict[int, list[str]] = {}
        rows: dict[int, SeenRow] = {}
        extremes = [(why, seen) for why, (_, seen) in self._extremes.items()]
        for why, seen in [*extremes, *(("of the most similar pair", seen) for seen in pair), *drawn]:
            reasons.setdefault(seen.number, []).append(why)
            rows[seen.number] = seen
        found = [(", ".join(whys), rows[number]) for number, whys in reasons.items()]
        return sorted(found, key=lambda one: (one[0] != "drawn at random", one[1].number))
