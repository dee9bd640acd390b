"""Numbers as hashes of themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mixed"]

_U64 = np.uint64
_STEP = _U64(0x9E3779B97F4A7C15)


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number as another one in which every bit depends on all of its bits (the end of splitmix64; Steele, Lea and Flood 2014)."""
    found = numbers + _STEP
    found = (found ^ (found >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> _U64(27))) * _U64(0x94D049BB133111EB)
    return found ^ (found >> _U64(31))
