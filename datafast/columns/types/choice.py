"""One of several values: at random, balanced over the rows, or in turn."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol

from pydantic import PrivateAttr, field_validator

from datafast._util.permutation import Permutation
from datafast.columns.base import Cell, CellError, Column, NonBlank, Setup
from datafast.columns.drawn import DrawnColumn
from datafast.errors import ConfigError
from datafast.plan.items import digest
from datafast.templates.base import Expression
from datafast.templates.values import plain, to_text, type_of

__all__ = ["ChoiceColumn", "Options"]

_LARGEST_BLOCK = 1_000
_BLOCK = 100


class Options:
    """Values to choose from, with their weights.

    Raises:
        ValueError: there are none, or a weight is none.
    """

    def __init__(self, values: Sequence[Any], weights: Sequence[Any] | None = None) -> None:
        self.values = list(values)
        self.weights = [1] * len(self.values) if weights is None else list(weights)
        if not self.values:
            raise ValueError("The list is empty. Give at least one value.")
        for value, weight in zip(self.values, self.weights, strict=True):
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
                raise ValueError(f"The weight of {value!r} is {weight!r}. Give a number, 0 or more.")
        self.sums = list(itertools.accumulate(self.weights))
        if self.sums[-1] <= 0:
            raise ValueError("Every weight is 0. Give at least one that is not.")
        # Whole weights come out exactly in a block of as many rows as they add up to.
        whole = all(isinstance(weight, int) for weight in self.weights)
        self.block = self.sums[-1] if whole and self.sums[-1] <= _LARGEST_BLOCK else _BLOCK

    @classmethod
    def of(cls, given: Sequence[Any] | Mapping[Any, Any]) -> Options:
        """Those of a list, or of a mapping of values to weights."""
        return cls(list(given), list(given.values()) if isinstance(given, Mapping) else None)

    def at(self, share: float) -> Any:
        """The value at a share from 0 to below 1 of all weights."""
        return self.values[bisect.bisect_right(self.sums, share * self.sums[-1], hi=len(self.values) - 1)]

    def drawn(self, cell: Cell, stream: str) -> Any:
        """One of them at random, by the row's random numbers of a stream."""
        return self.at(cell.rng(stream).random())

    def balanced(self, cell: Cell, stream: str) -> Any:
        """One of them, so that in every block of rows each comes as often as its weight says."""
        number, place = divmod(cell.row, self.block)
        order = _block_order(self.block, digest(str(cell.seed), "balanced", stream, str(number)))
        exact = self.block == self.sums[-1]
        return self.at((order[place] + (0.5 if exact else cell.rng(stream).random())) / self.block)


@lru_cache(maxsize=256)
def _block_order(size: int, key: bytes) -> Permutation:
    return Permutation(size, key)


def _as_python(value: Any) -> Any:
    """A value with Python's own numbers and texts in the place of numpy's, which no ledger could hold."""
    if isinstance(value, dict):
        return {_as_python(key): _as_python(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_as_python(part) for part in value]
    return value.tolist() if type(value).__module__ == "numpy" else value


class Joint(Protocol):
    """What draws values for several columns at once."""

    def value(self, cell: Cell) -> Any:
        """The value of the cell's column in its row."""
        ...


class ChoiceColumn(DrawnColumn):
    """One of several values."""

    type: Literal["choice"] = "choice"
    """One of several values."""
    same_in_cases = ("mode",)

    values: list[Any] | dict[Any, Any] | NonBlank
    """The values; a mapping of values to weights; or an expression that gives either. With `by`, a mapping of the other column's
    values to one of these."""

    by: str | None = None
    """Another column whose value decides which values there are."""

    mode: Literal["random", "balanced", "round_robin"] = "random"
    """random: each row by itself. balanced: at random, and in every block of rows each value as often as its weight says.
    round_robin: in turn."""

    _options: dict[str, Options] = PrivateAttr(default_factory=dict)
    _expression: Expression | None = PrivateAttr(default=None)
    _joint: Joint | None = PrivateAttr(default=None)

    @field_validator("values", mode="before")
    @classmethod
    def _without_arrays(cls, given: Any) -> Any:
        return _as_python(given)

    def prepare_draw(self, setup: Setup) -> None:
        self._joint, self._expression, self._options = None, None, {}
        if self.mode != "random" and (self.by is not None or isinstance(self.values, str) or self.cases):
            raise ConfigError(
                f"mode: {self.mode} goes over all rows, so the values cannot depend on other columns. Write mode: random."
            )
        if isinstance(self.values, str):
            if self.by is not None:
                raise ConfigError(
                    "by: The values are an expression, which can name the other column itself. Leave by out."
                )
            self._expression = setup.expression(self.values, "values")
        elif self.by is None:
            self._options = {"": _options(self.values, "values")}
            if self.mode == "round_robin" and isinstance(self.values, dict):
                raise ConfigError(
                    "mode: round_robin takes a list, since weights would have no effect. Give a list, or write mode: balanced."
                )
        else:
            self._prepare_by(setup.require(self.by, "by"), self.by)

    def _prepare_by(self, other: Column, by: str) -> None:
        if not isinstance(self.values, dict):
            raise ConfigError(f"values: with by, expected a mapping of the values of {by!r} to values to choose from.")
        self._options = {to_text(key): _options(given, f"values.{key}") for key, given in self.values.items()}
        if isinstance(other, ChoiceColumn) and other.by is None:
            for value in other.listed:
                if to_text(value) not in self._options:
                    raise ConfigError(f"values: There is nothing for {value!r}, which {by!r} can be. Add it.")

    @property
    def listed(self) -> list[Any]:
        """The values that are written down, without a condition or in some case."""
        given = [self.values, *(case.get("values") for case in self.cases or ())]
        return [value for values in given if isinstance(values, list | dict) for value in values]

    @property
    def redraws(self) -> bool:
        return self.mode == "random"

    @property
    def options(self) -> Options | None:
        """The values with their weights, None where they depend on other columns."""
        return None if self.cases else self._options.get("")

    def join(self, joint: Joint) -> None:
        """Has its values drawn together with those of other columns, until it is prepared again."""
        self._joint = joint

    def draw(self, cell: Cell) -> Any:
        if self._joint is not None:
            return self._joint.value(cell)
        if self.mode == "random":
            return self._given(cell).drawn(cell, cell.name)
        options = self._options[""]
        if self.mode == "round_robin":
            return options.values[cell.row % len(options.values)]
        return options.balanced(cell, cell.name)

    def _given(self, cell: Cell) -> Options:
        if self._expression is not None:
            found = cell.evaluated(self._expression, "values")
            if not isinstance(found, list | dict):
                raise CellError(f"values: expected a list or a mapping, the expression gave {to_text(found)[:80]!r}")
            try:
                return Options.of(found)
            except ValueError as error:
                raise CellError(f"values: {error}") from None
        key = "" if self.by is None else to_text(cell.values[self.by])
        options = self._options.get(key)
        if options is None:
            raise CellError(f"values: there is nothing for {key!r}, the value of {self.by!r}")
        return options

    def identity(self) -> Any:
        # Which value a draw gives depends on the order of a mapping, and on whether a key is 1 or "1".
        return {**super().identity(), "values": _in_order(self.values)}

    def drawn_type(self) -> Any:
        return type_of([value for options in self._options.values() for value in options.values])


def _in_order(given: Any) -> Any:
    return [[key, _in_order(value)] for key, value in given.items()] if isinstance(given, dict) else given


def _options(given: Any, field: str) -> Options:
    if not isinstance(given, list | dict):
        raise ConfigError(f"{field}: expected a list of values, or a mapping of values to weights.")
    try:
        return Options.of(plain(given) if isinstance(given, list) else given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{field}: {error}") from None
