"""Going through a source, row by row of the dataset. Columns that do it in the same way share one walk, and so stay together.

Guarantee: which row of the source comes when depends on the seed and the size of the source alone, never on what its rows hold or where
they lie: one typo changes one row. Sources of one size are gone through in orders of their own, told apart by their order in the schema.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from datafast._util.permutation import Permutation
from datafast.plan.items import digest
from datafast.sources import SourceRows

__all__ = ["Walk", "Walks"]


_NEAR = 4096  # rows of the dataset: more than are in work at once


@lru_cache(maxsize=256)
def _order(size: int, key: bytes) -> Permutation:
    return Permutation(size, key)


class Walk:
    """One way of going through one source.

    Attributes:
        rows: the source.
        in_turn: whether each row comes once before any comes again.
        ids: of its rows by their key, where they have one.
        digest: changes when its rows do, or the way of going through them.
        place: 16 bytes that stood for it in version 0.1.0, whose order depended on the rows.
    """

    def __init__(self, rows: SourceRows, *, mode: str, shuffle: bool, key: str | None, rank: int) -> None:
        self.rows = rows
        self.in_turn = mode != "random"
        self.ids = rows.ids_by(key, field="key") if key is not None else None
        self.digest = digest(rows.digest, mode, str(shuffle), key or "", str(rank))
        self.place = digest(rows.former_digest, mode, str(shuffle))
        self._shuffle = shuffle
        self._rank = rank
        self._place_at = lru_cache(maxsize=_NEAR)(self._place_of)

    def index(self, number: int, *, seed: int, rng: Callable[[str], random.Random], formerly: bool) -> int:
        """Which row of the source stands in the row `number` of the dataset; `formerly` as in version 0.1.0."""
        size = len(self.rows)
        if not self.in_turn:
            return rng(f"source {self.place.hex()}" if formerly else f"source {size} {self._rank}").randrange(size)
        return self._place_at(number, seed, formerly)[1]

    def id_at(self, number: int, *, seed: int) -> bytes:
        """16 bytes that say which row of the source that is, and how often it was there before. Of a walk in turn alone."""
        cycle, place = self._place_at(number, seed, False)
        row = self.rows.id_of(place) if self.ids is None else self.ids[place]
        return digest("source row", row, str(cycle))

    def state_at(self, number: int, *, seed: int) -> bytes:
        """What else stands in that row, where it is told apart by its key; nothing where it is by all that it holds."""
        return b"" if self.ids is None else self.rows.id_of(self._place_at(number, seed, False)[1])

    def _place_of(self, number: int, seed: int, formerly: bool) -> tuple[int, int]:
        """The cycle of a row of the dataset, and the row of the source; see `index`."""
        size = len(self.rows)
        cycle, place = divmod(number, size)
        if not self._shuffle:
            return cycle, place
        former = (str(seed), self.place, str(cycle))
        key = digest(*former) if formerly else digest(str(seed), "source", str(size), str(self._rank), str(cycle))
        return cycle, _order(size, key)[place]


class Walks:
    """The walks of a schema, in its order."""

    def __init__(self) -> None:
        self._walks: dict[tuple[Any, ...], Walk] = {}

    def through(self, rows: SourceRows, *, mode: str, shuffle: bool, key: str | None) -> Walk:
        """The walk of all columns that go through these rows in this way. Raises ConfigError where the key is none."""
        way = (rows.digest, mode, shuffle, key)
        if way not in self._walks:
            rank = sum(len(walk.rows) == len(rows) for walk in self._walks.values())
            self._walks[way] = Walk(rows, mode=mode, shuffle=shuffle, key=key, rank=rank)
        return self._walks[way]

    @property
    def leading(self) -> Walk | None:
        """The walk whose rows tell the rows of the dataset apart: the first that has a key, else the first in turn."""
        in_turn = [walk for walk in self._walks.values() if walk.in_turn]
        return next((walk for walk in in_turn if walk.ids is not None), in_turn[0] if in_turn else None)
