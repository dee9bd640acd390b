"""Sets that resemble each other, found by MinHash and bands (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4).

Of each set the least value under each of some hundred hash functions is taken: two sets with the Jaccard similarity s have the same one
with the probability s. The values make `count` bands of `width`, and sets with the same values in one band are candidates: a pair is
found with the probability 1 - (1 - s**width)**count. Bands are as wide as 256 values allow, and as many as find 0.95 of the pairs that
are exactly at the threshold. More similar pairs are found more surely: at the threshold 0.8, with 21 bands of 9, 99.6 % of those at 0.85
and all but one in 30,000 of those at 0.9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from datafast._util.mixed import mixed
from datafast.quality.shingles import Shingles

__all__ = ["Bands", "bands_for"]

LEAST_RECALL = 0.95
_MOST_VALUES = 256
_WIDEST = 16
_SEED = 0x64_61_74_61_66_61_73_74


@dataclass(frozen=True)
class Bands:
    """How many groups of how many values."""

    count: int
    width: int

    def keys(self, sets: Sequence[Shingles]) -> NDArray[np.uint32]:
        """For each set, which must not be empty, a hash of the values of each band."""
        numbers = np.concatenate(sets)
        starts = np.cumsum([0, *map(len, sets[:-1])])
        factors, masks = _functions(self.count, self.width)
        hashed = np.empty((self.width, len(numbers)), np.uint32)
        least = np.empty((self.count, self.width, len(sets)), np.uint32)
        for band in range(self.count):
            np.multiply(numbers, factors[band], out=hashed)
            np.bitwise_xor(hashed, masks[band], out=hashed)
            np.minimum.reduceat(hashed, starts, axis=1, out=least[band])
        key = np.zeros((self.count, len(sets)), np.uint64)
        for number in range(self.width):
            key = mixed(key ^ least[:, number])
        return np.ascontiguousarray((key >> np.uint64(32)).astype(np.uint32).T)


@lru_cache(maxsize=8)
def bands_for(threshold: float) -> Bands:
    """The bands that find 95 % of the pairs with this similarity, as wide as the number of values allows."""
    for width in range(_WIDEST, 0, -1):
        chance = threshold**width
        count = 1 if chance >= LEAST_RECALL else math.ceil(math.log(1 - LEAST_RECALL) / math.log(1 - chance))
        if count * width <= _MOST_VALUES:
            break
    return Bands(count, width)


@lru_cache(maxsize=8)
def _functions(count: int, width: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Odd factors and masks. The order of `x * factor ^ mask` is as good as a random one, since the x are hashes already."""
    drawn = mixed(np.arange(2 * count * width, dtype=np.uint64) + np.uint64(_SEED)).astype(np.uint32)
    factors, masks = drawn.reshape(2, count, width, 1)
    return factors | np.uint32(1), masks
