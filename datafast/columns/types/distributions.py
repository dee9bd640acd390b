"""Numbers from distributions.

Guarantee: a value depends on the seed, the row, the name of the column and the parameters alone. It is the inverse of the distribution
function at one uniform number of the column's own stream (Python's `random.random`, whose sequence Python promises to keep), never a
draw of a generator that others share. `min` and `max` cut the distribution off: what lies between keeps its proportions, and nothing
gathers at the edges. `poisson` and `binomial` use additions, multiplications and divisions only, so that every platform gives equal
values; `normal`, `lognormal` and `exponential` use the machine's logarithm and are rounded to 12 digits, which hides its last bits.
scipy may better its methods in a new release, and then give other last digits.

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
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field, PrivateAttr

from datafast._util.config_model import NonBlank
from datafast._util.notify import did_you_mean
from datafast.columns.base import Cell, CellError, Setup
from datafast.columns.drawn import Amount, DrawnColumn, Number
from datafast.errors import ConfigError, MissingExtraError

__all__ = [
    "BinomialColumn",
    "DistributionColumn",
    "ExponentialColumn",
    "LognormalColumn",
    "NormalColumn",
    "PoissonColumn",
]

Law = Callable[[float], Number]
"""Gives the number for a share above 0 and below 1."""

_DIGITS = 12
_LARGEST = 10**7  # a table of some 60,000 numbers
_TINIEST, _LARGEST_SHARE = 2.0**-1074, 1 - 2.0**-53  # where inverses exist
_SMALLEST_SHARE = 2.0**-54  # half of the smallest step of `random.random`, in the place of 0


class NumberColumn(DrawnColumn):
    """What columns of numbers from a distribution have in common."""

    same_in_cases: ClassVar[tuple[str, ...]] = ("decimals",)

    min: Amount | None = None
    """No value is smaller: the distribution is cut off, and what is left keeps its proportions. A number or an expression."""
    max: Amount | None = None
    """No value is larger."""

    _law: Law | None = PrivateAttr(default=None)

    def law(self, given: Mapping[str, Number]) -> Law:
        """What gives the numbers, for these parameters. Raises ValueError, beginning with the field."""
        raise NotImplementedError

    def parameters(self) -> Mapping[str, Number | str | None]:
        """Its parameters by field."""
        names = type(self).model_fields.keys() - NumberColumn.model_fields.keys() - {"decimals"}
        return {name: getattr(self, name) for name in type(self).model_fields if name in names}

    def prepare_draw(self, setup: Setup) -> None:
        self.prepare_amounts(setup, {**self.parameters(), "min": self.min, "max": self.max})
        self._law, fixed = None, self.fixed_amounts
        if fixed is not None:
            try:
                self._law = self.law(fixed)
            except ValueError as error:
                raise ConfigError(str(error)) from None

    def draw(self, cell: Cell) -> Number:
        try:
            law = self._law or self.law(self.amounts(cell))
            return law(cell.rng().random() or _SMALLEST_SHARE)
        except (ValueError, OverflowError) as error:
            raise CellError(str(error).rstrip(".")) from None


class ContinuousColumn(NumberColumn):
    """What columns of fractional numbers have in common."""

    decimals: int | None = Field(default=None, ge=0, le=12)
    """Round to so many decimals; 0 gives whole numbers. 12 digits in all where nothing is set."""

    def drawn_type(self) -> Any:
        return int if self.decimals == 0 else float


class NormalColumn(ContinuousColumn):
    """A number from a normal distribution."""

    type: Literal["normal"] = "normal"
    """A number from a normal distribution."""

    mean: Amount
    """The mean of the distribution before it is cut off: a number, or an expression over other columns."""
    std: Amount
    """The standard deviation, likewise."""

    def law(self, given: Mapping[str, Number]) -> Law:
        mean, std = given["mean"], _above_0(given, "std")
        return _within(_scaled(lambda z: mean + std * z, lambda x: (x - mean) / std), given, self.decimals)


class LognormalColumn(ContinuousColumn):
    """A number whose logarithm is from a normal distribution."""

    type: Literal["lognormal"] = "lognormal"
    """A number above 0 whose logarithm is from a normal distribution, like incomes and lengths of texts."""

    median: Amount
    """The median: half of the numbers are smaller. A number, or an expression over other columns."""
    sigma: Amount
    """The standard deviation of the natural logarithm, likewise: about two of three numbers lie between median / e^sigma and
    median * e^sigma."""

    def law(self, given: Mapping[str, Number]) -> Law:
        median, sigma = _above_0(given, "median"), _above_0(given, "sigma")
        curve = _scaled(
            lambda z: median * math.exp(sigma * z),
            lambda x: math.log(x / median) / sigma if x > 0 else -math.inf,
        )
        return _within(curve, given, self.decimals)


class ExponentialColumn(ContinuousColumn):
    """A number from an exponential distribution."""

    type: Literal["exponential"] = "exponential"
    """A number from 0 from an exponential distribution, like times between events."""

    mean: Amount
    """The mean: a number, or an expression over other columns."""

    def law(self, given: Mapping[str, Number]) -> Law:
        mean = _above_0(given, "mean")
        curve = _Curve(
            below=lambda x: -math.expm1(-max(x, 0.0) / mean),
            above=lambda x: math.exp(-max(x, 0.0) / mean),
            at=lambda share: -mean * math.log1p(-share),
            at_above=lambda share: -mean * math.log(share),
        )
        return _within(curve, given, self.decimals)


class PoissonColumn(NumberColumn):
    """A whole number from a Poisson distribution."""

    type: Literal["poisson"] = "poisson"
    """A whole number from 0 from a Poisson distribution: how often something happens that happens `mean` times on average."""

    mean: Amount
    """The mean, 0 to 10,000,000: a number, or an expression over other columns."""

    def law(self, given: Mapping[str, Number]) -> Law:
        mean = _between(given, "mean", 0, _LARGEST)
        low, high = _whole_bounds(given, 0, None if mean else 0)
        return _counts("poisson", mean, 0.0, low, high).at

    def drawn_type(self) -> Any:
        return int


class BinomialColumn(NumberColumn):
    """A whole number from a binomial distribution."""

    type: Literal["binomial"] = "binomial"
    """A whole number from 0 to n from a binomial distribution: how many of n attempts succeed."""

    n: Amount
    """The number of attempts, 0 to 10,000,000: a whole number, or an expression over other columns."""
    p: Amount
    """The probability that an attempt succeeds, 0 to 1, likewise."""

    def law(self, given: Mapping[str, Number]) -> Law:
        n, p = _between(given, "n", 0, _LARGEST), _between(given, "p", 0, 1)
        if n != int(n):
            raise ValueError(f"n: expected a whole number, got {n}.")
        low, high = _whole_bounds(given, int(n) if p == 1 else 0, int(n) if p else 0)
        return _counts("binomial", n, p, low, high).at

    def drawn_type(self) -> Any:
        return int


class DistributionColumn(NumberColumn):
    """A number from any distribution of scipy's. Needs the extra `scipy`."""

    type: Literal["distribution"] = "distribution"
    """A number from any distribution of scipy's."""
    same_in_cases = ("name", "decimals")

    name: NonBlank
    """Its name in scipy.stats, like gamma, beta, t, zipf or truncweibull_min."""
    params: dict[str, Amount] = Field(default_factory=dict)
    """Its parameters by scipy's names, with loc and scale: numbers, or expressions over other columns."""
    decimals: int | None = Field(default=None, ge=0, le=12)
    """Round to so many decimals; 0 gives whole numbers. 12 digits in all where nothing is set."""

    _distribution: Any = PrivateAttr(default=None)

    def parameters(self) -> Mapping[str, Number | str | None]:
        return {f"params.{name}": amount for name, amount in self.params.items()}

    def prepare_draw(self, setup: Setup) -> None:
        self._distribution = _of_scipy(self.name)
        shapes = [name.strip() for name in (self._distribution.shapes or "").split(",") if name.strip()]
        known = [*shapes, "loc", *(["scale"] if self._is_continuous else [])]
        for name in self.params:
            if name not in known:
                raise ConfigError(
                    f"params.{name}: The distribution {self.name!r} has no such parameter. {did_you_mean(name, known)}"
                )
        if missing := [name for name in shapes if name not in self.params]:
            raise ConfigError(
                f"params: The distribution {self.name!r} needs {', '.join(missing)}. Add what is missing."
            )
        if self.decimals is not None and not self._is_continuous:
            raise ConfigError(f"decimals: The numbers of {self.name!r} are whole. Leave decimals out.")
        super().prepare_draw(setup)

    @property
    def _is_continuous(self) -> bool:
        return hasattr(self._distribution, "pdf")

    def law(self, given: Mapping[str, Number]) -> Law:
        params = {name: given[f"params.{name}"] for name in self.params}
        frozen = self._distribution(**params)
        if math.isnan(frozen.ppf(0.5)):
            shown = ", ".join(f"{name}={value}" for name, value in params.items())
            raise ValueError(f"params: The distribution {self.name!r} does not exist for {shown}. Give others.")
        curve = _Curve(below=frozen.cdf, above=frozen.sf, at=frozen.ppf, at_above=frozen.isf)
        return _within(curve, given, self.decimals if self._is_continuous else 0)

    def drawn_type(self) -> Any:
        return int if self.decimals == 0 or not self._is_continuous else float


class _Curve(NamedTuple):
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


def _scaled(number: Callable[[float], float], z: Callable[[float], float]) -> _Curve:
    """The normal distribution with another scale: the number at `z` standard deviations, and back."""
    return _Curve(
        below=lambda x: math.erfc(-z(x) / math.sqrt(2)) / 2,
        above=lambda x: math.erfc(z(x) / math.sqrt(2)) / 2,
        at=lambda share: number(_NORMAL.inv_cdf(share)),
        at_above=lambda share: number(-_NORMAL.inv_cdf(share)),
    )


def _within(curve: _Curve, given: Mapping[str, Number], decimals: int | None) -> Law:
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
            raise ValueError(f"the number that was drawn, {value}, has more than 64 bits")
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


def _whole_bounds(given: Mapping[str, Number], least: int, most: int | None) -> tuple[int, int | None]:
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
def _counts(name: Literal["poisson", "binomial"], size: float, p: float, low: int, high: int | None) -> _Table:
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


def _above_0(given: Mapping[str, Number], field: str) -> Number:
    if not given[field] > 0:
        raise ValueError(f"{field}: expected a number above 0, got {given[field]}.")
    return given[field]


def _between(given: Mapping[str, Number], field: str, low: int, high: int) -> Number:
    if not low <= given[field] <= high:
        raise ValueError(f"{field}: expected a number from {low:,} to {high:,}, got {given[field]:,}.")
    return given[field]


def _of_scipy(name: str) -> Any:
    """A distribution of scipy's. Raises ConfigError."""
    try:
        from scipy import stats
    except ImportError:
        raise MissingExtraError(
            "name: Distributions by name come from scipy, which is not installed. Run: pip install 'datafast[scipy]'. Without "
            "it there are the types normal, lognormal, exponential, poisson and binomial."
        ) from None
    found = getattr(stats, name, None)
    if not isinstance(found, stats.rv_continuous | stats.rv_discrete):
        known = [one for one in dir(stats) if isinstance(getattr(stats, one), stats.rv_continuous | stats.rv_discrete)]
        raise ConfigError(f"name: scipy.stats has no distribution {name!r}. {did_you_mean(name, known)}")
    return found
