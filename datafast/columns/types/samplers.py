"""Columns whose values are drawn, or given. Every draw depends on the seed, the row and the column, never on what ran before."""

from __future__ import annotations

import bisect
import itertools
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from datafast._util.permutation import Permutation
from datafast.columns.base import Cell, CellError, Column, NonBlank, Setup
from datafast.columns.templates.parse import Expression, RenderError
from datafast.columns.values import as_plain, plain, to_text
from datafast.errors import ConfigError
from datafast.plan.items import digest

__all__ = ["ChoiceColumn", "ConstantColumn", "RangeColumn", "UuidColumn", "evaluated"]

_LARGEST_BLOCK = 1_000
_BLOCK = 100

Number = int | float


def evaluated(expression: Expression, cell: Cell, field: str) -> Any:
    """The value of an expression in a row. Raises CellError."""
    try:
        return expression.evaluate(cell.values)
    except RenderError as error:
        raise CellError(f"{field}: {error}") from None


class ConstantColumn(Column):
    """The same value in every row."""

    type: Literal["constant"] = "constant"
    """One value for all rows."""

    value: Any
    """The value: a text, a number, a list, an object or null."""

    _plain_value = field_validator("value")(as_plain)

    def make(self, cell: Cell) -> Any:
        return self.value

    def row_type(self) -> Any:
        return _type_of([self.value])


class UuidColumn(Column):
    """A UUID (version 4 in form) that the seed decides."""

    type: Literal["uuid"] = "uuid"
    """A unique id; the same seed gives the same ones."""

    def make(self, cell: Cell) -> str:
        return str(uuid.UUID(int=cell.rng().getrandbits(128), version=4))

    def row_type(self) -> Any:
        return str


class _Options:
    """Values to choose from, with their weights."""

    def __init__(self, given: Sequence[Any] | Mapping[Any, Any]) -> None:
        self.values = list(given)
        weights = list(given.values()) if isinstance(given, Mapping) else [1] * len(self.values)
        if not self.values:
            raise ValueError("the list is empty; give at least one value")
        for value, weight in zip(self.values, weights, strict=True):
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
                raise ValueError(f"the weight of {value!r} is {weight!r}; expected a number, 0 or more")
        self.sums = list(itertools.accumulate(weights))
        if self.sums[-1] <= 0:
            raise ValueError("every weight is 0; give at least one that is not")
        # Whole weights come out exactly in a block of as many rows as they add up to.
        whole = all(isinstance(weight, int) for weight in weights)
        self.block = self.sums[-1] if whole and self.sums[-1] <= _LARGEST_BLOCK else _BLOCK

    def at(self, share: float) -> Any:
        """The value at a share from 0 to below 1 of all weights."""
        return self.values[bisect.bisect_right(self.sums, share * self.sums[-1], hi=len(self.values) - 1)]


@lru_cache(maxsize=256)
def _block_order(size: int, key: bytes) -> Permutation:
    return Permutation(size, key)


class ChoiceColumn(Column):
    """One of several values."""

    type: Literal["choice"] = "choice"
    """One of several values."""
    seeds = True

    values: list[Any] | dict[Any, Any] | NonBlank
    """The values; a mapping of values to weights; or an expression that gives either. With `by`, a mapping of the other column's
    values to one of these."""

    by: str | None = None
    """Another column whose value decides which values there are."""

    mode: Literal["random", "balanced", "round_robin"] = "random"
    """random: each row by itself. balanced: at random, and in every block of rows each value as often as its weight says.
    round_robin: in turn."""

    _options: dict[str, _Options] = PrivateAttr(default_factory=dict)
    _expression: Expression | None = PrivateAttr(default=None)

    def prepare(self, setup: Setup) -> None:
        if self.mode != "random" and (self.by is not None or isinstance(self.values, str)):
            raise ConfigError(f"mode: {self.mode} goes over all rows, so the values cannot depend on other columns")
        if isinstance(self.values, str):
            if self.by is not None:
                raise ConfigError("by: the values are an expression, which can name the other column itself")
            self._expression = setup.expression(self.values, "values")
        elif self.by is None:
            self._options = {"": _options(self.values, "values")}
            if self.mode == "round_robin" and isinstance(self.values, dict):
                raise ConfigError("mode: round_robin takes a list; weights would have no effect")
        else:
            self._prepare_by(setup.require(self.by, "by"), self.by)

    def _prepare_by(self, other: Column, by: str) -> None:
        if not isinstance(self.values, dict):
            raise ConfigError(f"values: with by, expected a mapping of the values of {by!r} to values to choose from")
        self._options = {to_text(key): _options(given, f"values.{key}") for key, given in self.values.items()}
        if isinstance(other, ChoiceColumn) and other.by is None and not isinstance(other.values, str):
            for value in other.values:
                if to_text(value) not in self._options:
                    raise ConfigError(f"values: there is nothing for {value!r}, which {by!r} can be")

    def make(self, cell: Cell) -> Any:
        if self.mode == "random":
            return self._given(cell).at(cell.rng().random())
        options = self._options[""]
        if self.mode == "round_robin":
            return options.values[cell.row % len(options.values)]
        number, place = divmod(cell.row, options.block)
        order = _block_order(options.block, digest(str(cell.seed), "balanced", cell.name, str(number)))
        exact = options.block == options.sums[-1]
        return options.at((order[place] + (0.5 if exact else cell.rng().random())) / options.block)

    def _given(self, cell: Cell) -> _Options:
        if self._expression is not None:
            found = evaluated(self._expression, cell, "values")
            if not isinstance(found, list | dict):
                raise CellError(f"values: expected a list or a mapping, the expression gave {to_text(found)[:80]!r}")
            try:
                return _Options(found)
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

    def row_type(self) -> Any:
        return _type_of([value for options in self._options.values() for value in options.values])


def _in_order(given: Any) -> Any:
    return [[key, _in_order(value)] for key, value in given.items()] if isinstance(given, dict) else given


def _options(given: Any, field: str) -> _Options:
    if not isinstance(given, list | dict):
        raise ConfigError(f"{field}: expected a list of values, or a mapping of values to weights")
    try:
        return _Options(plain(given) if isinstance(given, list) else given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{field}: {error}") from None


def _type_of(values: Sequence[Any]) -> Any:
    """The type of plain values, where they have one in common."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        kinds = {float}
    if len(kinds) != 1 or not kinds <= {str, int, float, bool}:
        return Any
    (kind,) = kinds
    return kind | None if any(value is None for value in values) else kind


class RangeColumn(Column):
    """A number between two others, both included."""

    type: Literal["range"] = "range"
    """A number between two others."""
    seeds = True

    start: Number | NonBlank
    """The smallest number, or an expression over other columns."""
    end: Number | NonBlank
    """The largest number, or an expression. With whole numbers for all three, the values are whole numbers."""
    step: Number | NonBlank | None = None
    """The distance between two values; 1 for whole numbers, any number between for others."""
    decimals: int | None = Field(default=None, ge=0, le=15)
    """Round to so many decimals."""

    _bounds: dict[str, Number | Expression] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _in_order(self) -> RangeColumn:
        if not isinstance(self.start, str) and not isinstance(self.end, str) and self.start > self.end:
            raise ValueError(f"start: {self.start} is larger than end, {self.end}; exchange them")
        if not isinstance(self.step, str | None) and self.step <= 0:
            raise ValueError(f"step: expected a number above 0, got {self.step}")
        return self

    def prepare(self, setup: Setup) -> None:
        self._bounds = {
            field: setup.expression(given, field) if isinstance(given, str) else given
            for field, given in (("start", self.start), ("end", self.end), ("step", self.step))
            if given is not None
        }

    def make(self, cell: Cell) -> Number:
        start, end = self._bound("start", cell), self._bound("end", cell)
        step = self._bound("step", cell) if "step" in self._bounds else None
        if start > end:
            raise CellError(f"start: {start} is larger than end, {end}")
        value = _drawn(start, end, step, cell)
        return round(value, self.decimals) if self.decimals is not None else value

    def _bound(self, field: str, cell: Cell) -> Number:
        given = self._bounds[field]
        if isinstance(given, int | float):
            return given
        value = evaluated(given, cell, field)
        if isinstance(value, bool) or not isinstance(value, int | float) or (field == "step" and value <= 0):
            raise CellError(f"{field}: expected a number, the expression gave {to_text(value)[:80]!r}")
        return value

    def row_type(self) -> Any:
        bounds = (self.start, self.end, self.step)
        if any(isinstance(given, float) for given in bounds):
            return float
        return int | float if any(isinstance(given, str) for given in bounds) else int


def _drawn(start: Number, end: Number, step: Number | None, cell: Cell) -> Number:
    rng = cell.rng()
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int | None):
        every = step or 1
        return start + every * rng.randrange((end - start) // every + 1)
    if step is None:
        return start + (end - start) * rng.random()
    # As decimals: 0.1 added up would give 0.30000000000000004.
    first, distance = Decimal(str(start)), Decimal(str(step))
    return float(first + distance * rng.randrange(int((Decimal(str(end)) - first) / distance) + 1))
