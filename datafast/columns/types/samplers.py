"""Columns whose values are drawn, or given. Every draw depends on the seed, the row and the column, never on what ran before."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from datafast.columns.base import Cell, CellError, Column, Setup
from datafast.columns.drawn import Amount, DrawnColumn, Number
from datafast.templates.values import as_plain, type_of

__all__ = ["ConstantColumn", "RangeColumn", "UuidColumn"]


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


class RangeColumn(DrawnColumn):
    """A number between two others, both included."""

    type: Literal["range"] = "range"
    """A number between two others."""

    start: Amount
    """The smallest number, or an expression over other columns."""
    end: Amount
    """The largest number, or an expression. With whole numbers for all three, the values are whole numbers."""
    step: Amount | None = None
    """The distance between two values; 1 for whole numbers, any number between for others."""
    decimals: int | None = Field(default=None, ge=0, le=15)
    """Round to so many decimals."""

    @model_validator(mode="after")
    def _in_order(self) -> RangeColumn:
        if not isinstance(self.start, str) and not isinstance(self.end, str) and self.start > self.end:
            raise ValueError(f"start: {self.start} is larger than end, {self.end}. Exchange them.")
        if not isinstance(self.step, str | None) and self.step <= 0:
            raise ValueError(f"step: expected a number above 0, got {self.step}.")
        return self

    def prepare_draw(self, setup: Setup) -> None:
        self.prepare_amounts(setup, {"start": self.start, "end": self.end, "step": self.step})

    def draw(self, cell: Cell) -> Number:
        given = self.amounts(cell)
        start, end, step = given["start"], given["end"], given.get("step")
        if step is not None and step <= 0:
            raise CellError(f"step: expected a number above 0, the expression gave {step}")
        if start > end:
            raise CellError(f"start: {start} is larger than end, {end}")
        value = _drawn(start, end, step, cell)
        return value if self.decimals is None else _rounded(value, self.decimals, start, end)

    def drawn_type(self) -> Any:
        bounds = (self.start, self.end, self.step)
        if any(isinstance(given, float) for given in bounds):
            return float
        return int | float if any(isinstance(given, str) for given in bounds) else int


def _rounded(value: Number, decimals: int, start: Number, end: Number) -> Number:
    """The nearest number with so many decimals that is still in the range. Raises CellError where there is none."""
    unit = Decimal(1).scaleb(-decimals)
    found = Decimal(str(round(value, decimals)))
    if found > Decimal(str(end)):
        found -= unit
    elif found < Decimal(str(start)):
        found += unit
    if not Decimal(str(start)) <= found <= Decimal(str(end)):
        raise CellError(f"decimals: there is no number with {decimals} decimals from {start} to {end}")
    return type(value)(found)


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
