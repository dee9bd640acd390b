"""How far two samples differ, and how sure that is: effect sizes with intervals, and an interval that may be looked at all the time.

    cliffs_delta      numbers: how often a value of one is larger than one of the other, less how often it is smaller (Cliff,
                      "Dominance statistics: ordinal analyses to answer ordinal questions", Psychological Bulletin 1993)
    total_variation   categories: the share of rows that would have to change their category for both to be alike
    cramers_v         the same from chi-squared, without what chance adds to it (Bergsma, "A bias-correction for Cramér's V and
                      Tschuprow's T", Journal of the Korean Statistical Society 2013)
    WinRate           a mean of values from 0 to 1 with a confidence sequence: an interval that holds at all times at once, so that one may
                      stop whenever it says enough (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
                      betting", JRSS B 2024, the hedged capital process)

The first three have bootstrap intervals (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993): each sample is drawn again by the
counts of its values, 1,000 times with a seed. Distances are never negative and are too large by chance: theirs is the basic bootstrap
interval, and it begins at 0 where samples from both together, of the same sizes, differ as much once in twenty times. Rows count as
independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

__all__ = ["Measured", "WinRate", "cliffs_delta", "cramers_v", "total_variation"]

_DRAWS = 1000
_CONFIDENCE = 0.95
_GRID = 1000


class Measured(NamedTuple):
    """A number with its interval at 95 %."""

    value: float
    low: float
    high: float


def cliffs_delta(one: Mapping[float, int], other: Mapping[float, int], *, seed: int = 0) -> Measured:
    """How much larger the numbers of `other` are than those of `one`: from -1 (all are smaller) over 0 to 1 (all are larger).

    Args:
        one, other: how often each number comes; neither is empty.
    """
    import numpy as np

    places = sorted({*one, *other})
    first, second = _counts(one, places), _counts(other, places)
    rng = np.random.default_rng(seed)
    drawn = [_delta(*pair) for pair in zip(_again(first, rng), _again(second, rng), strict=True)]
    low, high = np.quantile(drawn, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Measured(_delta(first, second), float(low), float(high))


def _delta(first: Counts, second: Counts) -> float:
    import numpy as np

    below = np.cumsum(first) - first
    larger = float(np.dot(second, below))
    equal = float(np.dot(second, first))
    pairs = float(first.sum()) * float(second.sum())
    return (larger - (pairs - larger - equal)) / pairs


def total_variation(one: Mapping[Hashable, int], other: Mapping[Hashable, int], *, seed: int = 0) -> Measured:
    """The share of rows, from 0 to 1, that have another category in one than in the other.

    Args:
        one, other: how often each category comes; neither is empty.
    """
    return _distance(one, other, _variation, seed)


def _variation(first: Counts, second: Counts) -> float:
    import numpy as np

    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def cramers_v(one: Mapping[Hashable, int], other: Mapping[Hashable, int], *, seed: int = 0) -> Measured:
    """How strongly the category of a row goes with the sample that it is of, from 0 to 1; see `total_variation`."""
    return _distance(one, other, _v, seed)


def _v(first: Counts, second: Counts) -> float:
    import numpy as np

    table = np.array([first, second], dtype=float)
    table = table[:, table.sum(axis=0) > 0]
    total, columns = table.sum(), table.shape[1]
    if columns < 2 or total < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    squared = float(((table - expected) ** 2 / expected).sum() / total)
    corrected = max(0.0, squared - (columns - 1) / (total - 1))
    return math.sqrt(min(1.0, corrected / (1 - 1 / (total - 1)))) if total > 2 else 0.0


def _distance(
    one: Mapping[Hashable, int], other: Mapping[Hashable, int], measure: Callable[[Counts, Counts], float], seed: int
) -> Measured:
    import numpy as np

    places = sorted({*one, *other}, key=repr)
    first, second = _counts(one, places), _counts(other, places)
    rng = np.random.default_rng(seed)
    drawn = [measure(*pair) for pair in zip(_again(first, rng), _again(second, rng), strict=True)]
    value = measure(first, second)
    low, high = np.quantile(drawn, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    both = first + second
    alike = zip(_again(both, rng, int(first.sum())), _again(both, rng, int(second.sum())), strict=True)
    by_chance = np.quantile([measure(*pair) for pair in alike], _CONFIDENCE)
    least = max(0.0, 2 * value - float(high)) if value > by_chance else 0.0
    return Measured(value, min(least, value), min(1.0, max(value, 2 * value - float(low))))


def _counts(given: Mapping[Any, int], places: list[Any]) -> Counts:
    import numpy as np

    return np.array([given.get(place, 0) for place in places], dtype=np.int64)


def _again(counts: Counts, rng: np.random.Generator, size: int | None = None) -> Counts:
    """Draws of as many values as there are, or of another number."""
    total = int(counts.sum())
    return rng.multinomial(total if size is None else size, counts / total, size=_DRAWS)


class WinRate:
    """The mean of values from 0 to 1 that come one after the other: 1 for a win, 0.5 for a tie, 0 for a loss.

    Guarantee: whatever the true mean is, the interval holds it at all times with a probability of 95 % in all, so it may be looked at after
    each value, and the comparison may end as soon as the interval leaves out 0.5. The values have to come in an order that does not
    depend on them. Cost: a few microseconds a value.
    """

    def __init__(self, *, confidence: float = _CONFIDENCE) -> None:
        import numpy as np

        self._alpha = 1 - confidence
        self._means = np.linspace(0, 1, _GRID + 1)
        self._up = np.zeros(_GRID + 1)  # the logarithms of what bets on a larger and on a smaller mean have won
        self._down = np.zeros(_GRID + 1)
        self._low, self._high = 0.0, 1.0
        self._sum, self._squares, self.count = 0.5, 0.25, 0

    @property
    def mean(self) -> float | None:
        """None before the first value."""
        return (self._sum - 0.5) / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float]:
        return self._low, self._high

    def add(self, value: float) -> None:
        """Takes the next value."""
        import numpy as np

        time = self.count + 1
        bet = math.sqrt(2 * math.log(2 / self._alpha) / (self._squares / time * time * math.log(time + 1)))
        with np.errstate(divide="ignore"):
            up = np.minimum(bet, 0.5 / self._means)
            down = np.minimum(bet, 0.5 / (1 - self._means))
        self._up += np.log1p(up * (value - self._means))
        self._down += np.log1p(-down * (value - self._means))
        self.count = time
        self._sum += value
        self._squares += (value - self._sum / (time + 1)) ** 2
        self._narrow()

    def _narrow(self) -> None:
        """What cannot be ruled out, and could not be at any time before. Half of the capital bets on either side."""
        import numpy as np

        held = np.flatnonzero(np.maximum(self._up, self._down) < math.log(2 / self._alpha))
        if len(held):  # the interval between two points of the grid is not ruled out by those
            self._low = max(self._low, float(self._means[max(0, held[0] - 1)]))
            self._high = min(self._high, float(self._means[min(_GRID, held[-1] + 1)]))
