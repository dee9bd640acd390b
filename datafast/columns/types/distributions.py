"""Numbers from distributions.

Guarantee: a value depends on the seed, the row, the name of the column and the parameters alone. It is the inverse of the distribution
function (`datafast.columns.laws`) at one uniform number of the column's own stream (Python's `random.random`, whose sequence Python
promises to keep), never a draw of a generator that others share. scipy may better its methods in a new release, and then give other last
digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from datafast._util.config_model import NonBlank
from datafast._util.notify import did_you_mean
from datafast.columns.base import Cell, CellError, Setup
from datafast.columns.drawn import Amount, DrawnColumn, Number
from datafast.columns.laws import Curve, Law, above_0, between, counts, scaled_normal, whole_bounds, within
from datafast.errors import ConfigError, MissingExtraError

__all__ = [
    "BinomialColumn",
    "DistributionColumn",
    "ExponentialColumn",
    "LognormalColumn",
    "NormalColumn",
    "PoissonColumn",
]

_LARGEST = 10**7  # a table of some 60,000 numbers
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
        raise NotImplementedError(f"{type(self).__name__} does not say what gives its numbers: override law().")

    def parameters(self) -> Mapping[str, Number | str | None]:
        """Its parameters by field."""
        others = {*NumberColumn.model_fields, "decimals"}
        return {name: getattr(self, name) for name in type(self).model_fields if name not in others}

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
        except OverflowError:
            raise CellError("the number that was drawn has more than 64 bits") from None
        except ValueError as error:
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
        mean, std = given["mean"], above_0(given, "std")
        return within(scaled_normal(lambda z: mean + std * z, lambda x: (x - mean) / std), given, self.decimals)


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
        median, sigma = above_0(given, "median"), above_0(given, "sigma")
        curve = scaled_normal(
            lambda z: median * math.exp(sigma * z),
            lambda x: math.log(x / median) / sigma if x > 0 else -math.inf,
        )
        return within(curve, given, self.decimals)


class ExponentialColumn(ContinuousColumn):
    """A number from an exponential distribution."""

    type: Literal["exponential"] = "exponential"
    """A number from 0 from an exponential distribution, like times between events."""

    mean: Amount
    """The mean: a number, or an expression over other columns."""

    def law(self, given: Mapping[str, Number]) -> Law:
        mean = above_0(given, "mean")
        curve = Curve(
            below=lambda x: -math.expm1(-max(x, 0.0) / mean),
            above=lambda x: math.exp(-max(x, 0.0) / mean),
            at=lambda share: -mean * math.log1p(-share),
            at_above=lambda share: -mean * math.log(share),
        )
        return within(curve, given, self.decimals)


class PoissonColumn(NumberColumn):
    """A whole number from a Poisson distribution."""

    type: Literal["poisson"] = "poisson"
    """A whole number from 0 from a Poisson distribution: how often something happens that happens `mean` times on average."""

    mean: Amount
    """The mean, 0 to 10,000,000: a number, or an expression over other columns."""

    def law(self, given: Mapping[str, Number]) -> Law:
        mean = between(given, "mean", 0, _LARGEST)
        low, high = whole_bounds(given, 0, None if mean else 0)
        return counts("poisson", mean, 0.0, low, high).at

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
        n, p = between(given, "n", 0, _LARGEST), between(given, "p", 0, 1)
        if n != int(n):
            raise ValueError(f"n: expected a whole number, got {n}.")
        low, high = whole_bounds(given, int(n) if p == 1 else 0, int(n) if p else 0)
        return counts("binomial", n, p, low, high).at

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
        curve = Curve(below=frozen.cdf, above=frozen.sf, at=frozen.ppf, at_above=frozen.isf)
        return within(curve, given, self.decimals if self._is_continuous else 0)

    def drawn_type(self) -> Any:
        return int if self.decimals == 0 or not self._is_continuous else float


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
