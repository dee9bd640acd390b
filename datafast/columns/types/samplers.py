"""Columns whose values are drawn, or given. Every draw depends on the seed, the row and the column, never on what ran before."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from datafast.columns.base import Cell, CellError, Column, NonBlank, Setup
from datafast.templates.base import Expression
from datafast.templates.values import as_plain, to_text, type_of

__all__ = ["ConstantColumn", "RangeColumn", "UuidColumn"]

Number = int | float


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
        return type_of([self.value])


class UuidColumn(Column):
    """A UUID (version 4 in form) that the seed decides."""

    type: Literal["uuid"] = "uuid"
    """A unique id; the same seed gives the same ones."""

    def make(self, cell: Cell) -> str:
        return str(uuid.UUID(int=cell.rng().getrandbits(128), version=4))

    def row_type(self) -> Any:
        return str


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

    @field_validator("start", "end", "step")
    @classmethod
    def _fits(cls, given: Any) -> Any:
        if isinstance(given, int | float) and not abs(given) < 2**63:
            raise ValueError("expected a finite number of at most 64 bits.")
        return given

    @model_validator(mode="after")
    def _in_order(self) -> RangeColumn:
        if not isinstance(self.start, str) and not isinstance(self.end, str) and self.start > self.end:
            raise ValueError(f"start: {self.start} is larger than end, {self.end}. Exchange them.")
        if not isinstance(self.step, str | None) and self.step <= 0:
            raise ValueError(f"step: expected a number above 0, got {self.step}.")
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
        value = cell.evaluated(given, field)
        fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63
        if not fits or (field == "step" and value <= 0):
            raise CellError(f"{field}: expected a number, the expression gave {to_text(value)[:80]!r}")
        number: Number = value
        return number

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
