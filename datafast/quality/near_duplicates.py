"""Drops rows that are nearly the same as an earlier row, or as one of another file.

quality:
  - {stage: near_duplicates}
  - {stage: near_duplicates, field: question, threshold: 0.7, against: [earlier.jsonl, tests.parquet]}

Method: of the texts of a row the set of their runs of `ngram` words counts (see `shingles`). Rows are duplicates if the Jaccard
similarity of their sets, which is what they have in common as a share of what they have together, is at least `threshold`. Candidates are
found by MinHash and bands, and confirmed by their exact similarity (see `minhash` and `similar_sets`). So no row is dropped by chance.
One at the very threshold is overlooked in 5 of 100 cases, and more similar ones hardly ever. The score of a dropped row is its similarity
to the most similar one.

Limits: a row without letters and digits is kept. Of texts with only a few words, one word changes much: "the red door" and "the blue
door" are different ones. Where nearly all rows share a frame and are just under the threshold, each has to be compared with most others:
about 1 ms a row for 20,000 of these. Memory: some 0.7 kB for each row of 100 words that is kept, and for each row of `against`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field, PrivateAttr

from datafast.quality.against import AgainstStage
from datafast.quality.base import KEEP, Verdict, Walk, drop
from datafast.quality.minhash import bands_for
from datafast.quality.shingles import shingles
from datafast.quality.similar_sets import SetIndex, SetKeys

__all__ = ["NearDuplicatesStage"]


class NearDuplicatesStage(AgainstStage[SetKeys | None]):
    """Drops rows that are nearly the same as an earlier row, or as one of another file."""

    stage: Literal["near_duplicates"] = "near_duplicates"
    """Drops rows that are nearly the same as an earlier row."""

    threshold: float = Field(default=0.8, ge=0.3, le=1)
    """The share of runs of words that two rows have in common (Jaccard similarity) from which on the later one is dropped."""
    ngram: int = Field(default=2, ge=1, le=20)
    """The number of words in a run."""

    _earlier: _Earlier | None = PrivateAttr(default=None)

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        self._earlier = None

    def features(self, rows: Sequence[BaseModel]) -> list[SetKeys | None]:
        return self._features(self.texts(row) for row in rows)

    def walk(self) -> Walk[SetKeys | None]:
        if self._earlier is None:
            self._earlier = self._indexed()
        return _Kept(self._earlier, self._index())

    def _index(self) -> SetIndex:
        return SetIndex(bands_for(self.threshold), self.threshold)

    def _features(self, rows: Iterable[Sequence[str]]) -> list[SetKeys | None]:
        """Of the texts of each row; None where there is no word."""
        sets = shingles(rows, self.ngram)
        keyed = iter(SetKeys.of([found for found in sets if len(found)], bands_for(self.threshold)))
        return [next(keyed) if len(found) else None for found in sets]

    def _indexed(self) -> _Earlier:
        found = _Earlier(self._index(), [], [])
        for name, batches in self.earlier():
            for rows in batches:
                for features in self._features(rows):
                    if features is not None:
                        found.sets.add(features)
            found.names.append(name)
            found.ends.append(len(found.sets))
        return found


class _Earlier(NamedTuple):
    """The rows of `against`, and up to which one they are of which source."""

    sets: SetIndex
    names: list[str]
    ends: list[int]


class _Kept:
    """The rows that were kept so far, beside those that were there before."""

    def __init__(self, earlier: _Earlier, index: SetIndex) -> None:
        self._earlier = earlier
        self._index = index

    def decide(self, features: SetKeys | None) -> Verdict:
        if features is None:
            return KEEP
        before, number = self._earlier.sets.nearest(features)
        similarity, _ = self._index.nearest(features)
        if not (before or similarity):
            return KEEP
        reason = "near-duplicate of an earlier row"
        if before > similarity:
            reason = f"near-duplicate of a row of {self._earlier.names[bisect_right(self._earlier.ends, number)]}"
        return drop(reason, round(max(before, similarity), 4))

    def keep(self, features: SetKeys | None) -> None:
        if features is not None:
            self._index.add(features)
