"""Distributions by the inverses of their distribution functions, cut off and rounded.

Guarantee: nothing is drawn here, and nothing is kept between calls but tables of whole numbers. Bounds are exact, also far out: what lies
between them keeps its proportions. Whole numbers come from additions, multiplications and divisions only, so that every platform gives
equal ones; fractional ones use the machine's logarithm, and are rounded to 12 digits, which hides its last bits. Cost: some microseconds
a number; a table of whole numbers takes up to 30 ms, once.

Methods: L. Devroye, "Non-Uniform Random Variate Generation", 1986, chapters II.2 (inversion) and III.2 (inversion of discrete ones, from
the mode). The inverse of the normal distribution is Python's, after M. J. Wichura, "Algorithm AS 241", Applied Statistics 37, 1988.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist
from typing import Literal, NamedTuple

from datafast.columns.drawn import Number

__all__ = ["Curve", "Law", "above_0", "between", "counts", "scaled_normal", "whole_bounds", "within"]

Law = Callable[[float], Number]
"""Gives the number for a share above 0 and below 1."""

_DIGITS = 12
_TINIEST, _LARGEST_SHARE = 2.0**-1074, 1 - 2.0**-53  # where inverses exist


class Curve(NamedTuple):
    """A distribution of fractional numbers. From both ends, because a share near 1 would lose the digits of a far tail."""

    below: Callable[[float], float]
    """The share of numbers up to one."""
    above: Callable[[float], float]
    """The share of numbers from one on."""
    at: Callable[[float], float]
    """The number up to which a share lies."""
    at_above: Callable[[float], float]
    """The number from which on a share lies."""


_NORMAL = NormalDist()


def scaled_normal(number: Callable[[float], float], z: Callable[[float], float]) -> Curve:
    """The normal distribution with another scale: the number at `z` standard deviations, and back."""
    return Curve(
        below=lambda x: math.erfc(-z(x) / math.sqrt(2)) / 2,
        above=lambda x: math.erfc(z(x) / math.sqrt(2)) / 2,
        at=lambda share: number(_NORMAL.inv_cdf(share)),
        at_above=lambda share: number(-_NORMAL.inv_cdf(share)),
    )


def within(curve: Curve, given: Mapping[str, Number], decimals: int | None) -> Law:
    """The numbers of a curve between `min` and `max`, rounded: as if they were drawn and rounded until they lie there."""
    low, high = _rounded_bounds(given, decimals)
    # What is rounded into the bounds belongs to them.
    margin = 0.0 if decimals is None else 0.5 / 10**decimals
    low_edge, high_edge = low - margin, high + margin
    from_top = low > -math.inf and float(curve.below(low_edge)) > 0.5
    share, number = (curve.above, curve.at_above) if from_top else (curve.below, curve.at)
    first = float(share(low_edge)) if low > -math.inf else 0.0
    last = float(share(high_edge)) if high < math.inf else float(not from_top)
    if not abs(last - first) > 0:
        raise ValueError(f"{_named_bounds(given)}: The distribution has no numbers there. Choose others.")

    def law(uniform: float) -> Number:
        value = float(number(min(max(first + uniform * (last - first), _TINIEST), _LARGEST_SHARE)))
        if not abs(value) < 2**63:
            raise OverflowError(f"{value} has more than 64 bits")
        value = float(f"{value:.{_DIGITS}g}") if decimals is None else round(value, decimals)
        value = min(max(value, low), high)  # the last digit alone
        return int(value) if decimals == 0 else value

    return law


def _rounded_bounds(given: Mapping[str, Number], decimals: int | None) -> tuple[float, float]:
    """`min` and `max`, inward to what has so many decimals. Raises ValueError."""
    low, high = given.get("min", -math.inf), given.get("max", math.inf)
    if low > high:
        raise ValueError(f"min: {low} is larger than max, {high}. Exchange them.")
    if decimals is None:
        return low, high
    unit = 10**decimals
    inner_low = low if low == -math.inf else _ceil(low, unit)
    inner_high = high if high == math.inf else -_ceil(-high, unit)
    if inner_low > inner_high:
        raise ValueError(f"min: There is no number with {decimals} decimals from {low} to {high}. Choose other bounds.")
    return inner_low, inner_high


def _ceil(number: float, unit: int) -> float:
    """The smallest number of so many units to 1 that is not below; what has them already stays as it is."""
    near = round(number * unit) / unit
    return near if near >= number else (math.ceil(number * unit)) / unit


def whole_bounds(given: Mapping[str, Number], least: int, most: int | None) -> tuple[int, int | None]:
    """The whole numbers that are left of `least` to `most`. Raises ValueError."""
    low, high = _rounded_bounds(given, 0)
    lowest = least if low == -math.inf else max(least, int(low))
    highest = most if high == math.inf else min(int(high), int(high) if most is None else most)
    if highest is not None and lowest > highest:
        raise ValueError(f"{_named_bounds(given)}: The distribution has no numbers there. Choose others.")
    return lowest, highest


def _named_bounds(given: Mapping[str, Number]) -> str:
    return "min" if "min" in given else "max"


class _Table(NamedTuple):
    """A distribution of whole numbers, written out where its probabilities are not negligible."""

    first: int
    sums: array[float]

    def at(self, share: float) -> int:
        return self.first + bisect_right(self.sums, share * self.sums[-1], hi=len(self.sums) - 1)


_NEGLIGIBLE = 1e-20  # of the largest probability; what is drawn has 53 bits


@lru_cache(maxsize=64)
def counts(name: Literal["poisson", "binomial"], size: float, p: float, low: int, high: int | None) -> _Table:
    """The whole numbers from `low` to `high` of a distribution, by the ratios of neighbours, from the most probable outwards."""
    if name == "poisson":
        mode = int(size)
        rise: Callable[[int], float] = lambda k: size / (k + 1)  # noqa: E731 - of k + 1 against k
    else:
        mode = min(int((size + 1) * p), int(size))
        rise = lambda k: (size - k) * p / ((k + 1) * (1 - p))  # noqa: E731
    centre = max(mode, low) if high is None else min(max(mode, low), high)
    down, up = [], [1.0]
    weight, k = 1.0, centre
    while k > low and (weight := weight / rise(k - 1)) > _NEGLIGIBLE:
        k -= 1
        down.append(weight)
    weight, k = 1.0, centre
    while (high is None or k < high) and (weight := weight * rise(k)) > _NEGLIGIBLE:
        k += 1
        up.append(weight)
    return _Table(centre - len(down), array("d", accumulate([*reversed(down), *up])))


def above_0(given: Mapping[str, Number], field: str) -> Number:
    if not given[field] > 0:
        raise ValueError(f"{field}: expected a number above 0, got {given[field]}.")
    return given[field]


def between(given: Mapping[str, Number], field: str, low: int, high: int) -> Number:
    if not low <= given[field] <= high:
        raise ValueError(f"{field}: expected a number from {low:,} to {high:,}, got {given[field]:,}.")
    return given[field]
