"""Groups of rows that are nearly the same: what has to stay together where rows are divided, and what a report shows as one.

    groups = near_duplicate_groups(rows)
    groups.first            of each row the number of the first row of its group
    groups.largest(10)      the groups of two rows and more, each with the numbers and uuids of its rows

    finder = GroupFinder()  the same where rows come one after the other: finder.add(texts) for each, and finder.found()

Method: pairs of rows are found as the stage `near_duplicates` finds them (MinHash, then the exact Jaccard similarity), and pairs with a row
in common make one group. So where A is like B and B like C, all three are in a group, also if A is not like C; and no two rows of
different groups are like each other, but for pairs that MinHash overlooks: 5 of 100 at the very threshold, hardly any above it. The
groups do not depend on the order of the rows.

Cost: some 50 microseconds a row of 100 words, and half a millisecond for each of 20,000 that are all alike. Memory: 0.7 kB for each such
row, once for rows that have the same words, and some 100 bytes for the uuid.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datafast.quality.base import texts_in
from datafast.quality.minhash import bands_for
from datafast.quality.near_duplicates import NearDuplicatesStage
from datafast.quality.shingles import shingles
from datafast.quality.similar_sets import SetIndex, SetKeys

__all__ = ["GroupFinder", "NearDuplicateGroup", "NearDuplicateGroups", "near_duplicate_groups"]

_ROWS_AT_ONCE = 512
_CANDIDATES_AT_ONCE = 64
_NO_WORDS = -1
_THRESHOLD: float = NearDuplicatesStage.model_fields["threshold"].default
_NGRAM: int = NearDuplicatesStage.model_fields["ngram"].default


class NearDuplicateGroup(NamedTuple):
    """Rows that are nearly the same.

    Attributes:
        rows: their numbers, from 0, rising.
        uuids: of each the `uuid`; None where it has none.
    """

    rows: list[int]
    uuids: list[str | None]


@dataclass(frozen=True, eq=False)
class NearDuplicateGroups:
    """All rows, in groups.

    Attributes:
        first: of each row the number of the first row of its group, which is its own number where no earlier row is like it.
        uuids: of each row.
    """

    first: NDArray[np.int64]
    uuids: Sequence[str | None]

    def largest(self, most: int | None = None) -> list[NearDuplicateGroup]:
        """The groups of two rows and more, the largest first, and of equally large ones the earlier; at most so many."""
        order = np.argsort(self.first, kind="stable")
        firsts, starts, sizes = np.unique(self.first[order], return_index=True, return_counts=True)
        ranked = np.lexsort((firsts, -sizes))
        ranked = ranked[: np.count_nonzero(sizes > 1)][:most]
        return [self._group(order[starts[place] : starts[place] + sizes[place]].tolist()) for place in ranked]

    def _group(self, rows: list[int]) -> NearDuplicateGroup:
        return NearDuplicateGroup(rows, [self.uuids[row] for row in rows])


def near_duplicate_groups(
    rows: Iterable[Mapping[str, Any]],
    *,
    field: str | None = None,
    about: Collection[str] = (),
    threshold: float = _THRESHOLD,
    ngram: int = _NGRAM,
) -> NearDuplicateGroups:
    """Puts rows that are nearly the same into groups.

    Args:
        rows: as they stand in a file; they are gone through once.
        field: the field whose texts are compared; all that hold text where none is given.
        about: fields that are about a row and no texts of it, beside those that all rows have (uuid, language, metadata, ...).
        threshold: the share of runs of words that two rows have in common (Jaccard similarity) from which on they are alike, from 0.3 to 1.
        ngram: the number of words in a run.

    Returns:
        The groups. A row without words is in a group of its own.
    """
    finder = GroupFinder(threshold, ngram)
    for row in rows:
        texts = list(texts_in(row, about) if field is None else texts_in({"": row.get(field)}))
        finder.add(texts, None if row.get("uuid") is None else str(row["uuid"]))
    return finder.found()


class GroupFinder:
    """Takes rows one after the other, and puts those that are nearly the same into groups. `threshold`, `ngram`: as for
    `near_duplicate_groups`."""

    def __init__(self, threshold: float = _THRESHOLD, ngram: int = _NGRAM) -> None:
        self._ngram = ngram
        self._bands = bands_for(threshold)
        self._sets = _Sets(threshold)
        self._uuids: list[str | None] = []
        self._waiting: list[Sequence[str]] = []

    def add(self, texts: Sequence[str], uuid: str | None = None) -> None:
        """Takes the texts of the next row."""
        self._uuids.append(uuid)
        self._waiting.append(texts)
        if len(self._waiting) == _ROWS_AT_ONCE:
            self._take()

    def found(self) -> NearDuplicateGroups:
        """The groups of the rows so far."""
        self._take()
        return NearDuplicateGroups(self._sets.first(), self._uuids)

    def _take(self) -> None:
        sets = shingles(self._waiting, self._ngram)
        keyed = iter(SetKeys.of([one for one in sets if len(one)], self._bands))
        for one in sets:
            self._sets.add(next(keyed) if len(one) else None)
        self._waiting = []


class _Sets:
    """The sets of rows, of which those that are alike are joined: a forest in which each set has an earlier one above it, or itself."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._index = SetIndex(bands_for(threshold), threshold)
        self._set_of_row = array("q")
        self._above = array("q")

    def add(self, keys: SetKeys | None) -> None:
        """Takes the next row; None if it has no words."""
        self._set_of_row.append(_NO_WORDS if keys is None else self._set(keys))

    def first(self) -> NDArray[np.int64]:
        """Of each row the number of the first one that is joined with it."""
        sets = np.array(self._set_of_row, np.int64)
        numbers = np.arange(len(sets))
        with_words = np.flatnonzero(sets != _NO_WORDS)
        _, firsts, groups = np.unique(self._tops(sets[with_words]), return_index=True, return_inverse=True)
        numbers[with_words] = with_words[firsts][groups]
        return numbers

    def _set(self, keys: SetKeys) -> int:
        """The number of a set, which is added to the index if it is not there, and joined with those that are like it."""
        candidates = self._index.candidates(keys)
        joined = np.empty(0, np.int64)
        while len(candidates):
            near, similarities = self._index.similarities(keys, candidates[:_CANDIDATES_AT_ONCE])
            if (same := near[similarities == 1]).size:
                return int(same[0])  # it was joined with the others when it came
            joined = np.union1d(joined, self._tops(near[similarities >= self._threshold]))
            rest = candidates[_CANDIDATES_AT_ONCE:]
            # Where many are alike, nearly all of them are joined already.
            candidates = rest[~np.isin(self._tops(rest), joined)] if len(rest) else rest
        number = len(self._index)
        self._index.add(keys)
        top = int(joined[0]) if len(joined) else number
        self._above.append(top)
        np.frombuffer(self._above, np.int64)[joined] = top
        return number

    def _tops(self, sets: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The sets at the top of these, which are put right under them."""
        above = np.frombuffer(self._above, np.int64) if self._above else np.empty(0, np.int64)
        tops: NDArray[np.int64] = above[sets]
        while not np.array_equal(higher := above[tops], tops):
            tops = higher
        above[sets] = tops
        return tops
