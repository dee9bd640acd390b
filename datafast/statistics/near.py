"""Which rows of a file are nearly the same as an earlier one: those that the stage `near_duplicates` would drop with its defaults.

Cost: some 40 microseconds a row of 100 words, for the first `MOST_ROWS` rows or `MOST_WORDS` words of the file, whatever comes first.
Memory: some 0.7 kB a row of 100 words, until all are read.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from datafast.quality.minhash import bands_for
from datafast.quality.near_duplicates import NearDuplicatesStage
from datafast.quality.shingles import shingles
from datafast.quality.similar_sets import SetIndex, SetKeys

__all__ = ["MOST_ROWS", "MOST_WORDS", "NearDuplicates"]

MOST_ROWS = 200_000
MOST_WORDS = 20_000_000
_AT_ONCE = 512
_THRESHOLD: float = NearDuplicatesStage.model_fields["threshold"].default
_NGRAM: int = NearDuplicatesStage.model_fields["ngram"].default


class NearDuplicates:
    """Takes the rows of a file one after the other.

    Attributes:
        rows: the numbers of the rows that were looked at, and in `repeats` whether each is nearly an earlier one.
        is_full: whether rows came that were not looked at any more.
    """

    def __init__(self) -> None:
        self.rows, self.repeats = array("q"), array("B")
        self.is_full = False
        self._words = 0
        self._bands = bands_for(_THRESHOLD)
        self._index = SetIndex(self._bands, _THRESHOLD)
        self._waiting: list[tuple[int, Sequence[str]]] = []

    def add(self, number: int, texts: Sequence[str], words: int) -> None:
        """Takes a row, by its number, with so many words."""
        if self.is_full or len(self.rows) + len(self._waiting) >= MOST_ROWS or self._words >= MOST_WORDS:
            self.is_full = True
            return
        self._words += words
        self._waiting.append((number, texts))
        if len(self._waiting) == _AT_ONCE:
            self._decide()

    def end(self) -> None:
        """There are no more rows."""
        self._decide()
        self._index = SetIndex(self._bands, _THRESHOLD)

    def _decide(self) -> None:
        sets = shingles((texts for _, texts in self._waiting), _NGRAM)
        numbers = [number for (number, _), found in zip(self._waiting, sets, strict=True) if len(found)]
        keyed = SetKeys.of([found for found in sets if len(found)], self._bands) if numbers else []
        for number, keys in zip(numbers, keyed, strict=True):
            similarity, _ = self._index.nearest(keys)
            if not similarity:
                self._index.add(keys)
            self.rows.append(number)
            self.repeats.append(similarity > 0)
        self._waiting = []
