"""What columns of drawn values have in common: numbers that may be expressions, and other settings under conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationError

from datafast._util.config_model import NonBlank, in_our_words
from datafast.columns.base import Cell, CellError, Column, Setup
from datafast.errors import ConfigError
from datafast.templates.base import Expression, RenderError
from datafast.templates.condition import Condition
from datafast.templates.values import to_text

__all__ = ["Amount", "DrawnColumn", "Number"]

Number = int | float


def _number_or_text(given: Any) -> Any:
    if isinstance(given, bool):
        raise ValueError("expected a number, or an expression that gives one.")  # noqa: TRY004 - pydantic's
    return given.item() if type(given).__module__ == "numpy" else given


def _fits(given: Any) -> Any:
    if isinstance(given, int | float) and not abs(given) < 2**63:
        raise ValueError("expected a finite number of at most 64 bits.")
    return given


Amount = Annotated[int | float | NonBlank, BeforeValidator(_number_or_text), AfterValidator(_fits)]
"""A number, or an expression over other columns that gives one."""


class DrawnColumn(Column):
    """A column whose values are drawn. Its subclasses say how, by `prepare_draw` and `draw`."""

    seeds = True
    same_in_cases: ClassVar[tuple[str, ...]] = ()
    """The fields that no case can set."""

    cases: list[dict[str, Any]] | None = Field(default=None, min_length=1)
    """Other settings under conditions: a list of `{when: an expression, ...}` with any fields of this type. The first whose `when` is
    true counts, and the fields that it lacks are those of the column."""

    _cases: list[tuple[Condition, DrawnColumn]] = PrivateAttr(default_factory=list)
    _amounts: dict[str, Number | Expression] = PrivateAttr(default_factory=dict)

    # -- what a type of column says

    def prepare_draw(self, setup: Setup) -> None:
        """Parses and checks what concerns other columns. Raises ConfigError, beginning with the field."""

    def draw(self, cell: Cell) -> Any:
        """The value of a cell as plain JSON. Raises CellError."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its values are drawn: override draw().")

    def drawn_type(self) -> Any:
        """The type of what `draw` gives."""
        return Any

    # -- what it does with it

    def prepare(self, setup: Setup) -> None:
        self.prepare_draw(setup)
        self._cases = [self._prepared(f"cases.{number}", given, setup) for number, given in enumerate(self.cases or ())]

    def _prepared(self, field: str, given: Mapping[str, Any], setup: Setup) -> tuple[Condition, DrawnColumn]:
        when = given.get("when")
        if not isinstance(when, str) or not when.strip():
            raise ConfigError(
                f"{field}.when: expected an expression over other columns, that says when these settings count."
            )
        for name in ("type", "on_error", "cases", *self.same_in_cases):
            if name in given:
                raise ConfigError(f"{field}.{name}: It is the same in all cases. Write it beside cases.")
        own = {name: getattr(self, name) for name in self.model_fields_set - {"when", "cases"}}
        try:
            column = type(self).model_validate(
                {**own, **{name: value for name, value in given.items() if name != "when"}}
            )
        except ValidationError as error:
            raise ConfigError(_told(field, error)) from None
        try:
            column.prepare_draw(setup)
        except ConfigError as error:
            raise ConfigError(f"{field}.{error}") from None
        return setup.condition(when, f"{field}.when"), column

    def make(self, cell: Cell) -> Any:
        for number, (when, column) in enumerate(self._cases):
            try:
                holds = when.holds(cell.values)
            except RenderError as error:
                raise CellError(f"cases.{number}.when: {error}") from None
            if holds:
                return column.draw(cell)
        return self.draw(cell)

    @property
    def redraws(self) -> bool:
        return True

    def row_type(self) -> Any:
        kinds = {self.drawn_type(), *(column.drawn_type() for _, column in self._cases)}
        if len(kinds) == 1:
            return kinds.pop()
        return int | float if kinds <= {int, float, int | float} else Any

    def identity(self) -> Any:
        told = super().identity()
        if self._cases:
            told["cases"] = [
                [given["when"], {name: value for name, value in column.identity().items() if name in given}]
                for given, (_, column) in zip(self.cases or (), self._cases, strict=True)
            ]
        return told

    # -- numbers

    def prepare_amounts(self, setup: Setup, given: Mapping[str, Number | str | None]) -> None:
        """Parses those that are expressions. Raises ConfigError."""
        self._amounts = {
            field: setup.expression(amount, field) if isinstance(amount, str) else amount
            for field, amount in given.items()
            if amount is not None
        }

    @property
    def fixed_amounts(self) -> dict[str, Number] | None:
        """All of them by field, None if one depends on other columns."""
        fixed = {field: amount for field, amount in self._amounts.items() if isinstance(amount, int | float)}
        return fixed if len(fixed) == len(self._amounts) else None

    def amounts(self, cell: Cell) -> dict[str, Number]:
        """All of them by field, in this row. Raises CellError."""
        return {field: self._amount(field, amount, cell) for field, amount in self._amounts.items()}

    @staticmethod
    def _amount(field: str, given: Number | Expression, cell: Cell) -> Number:
        if isinstance(given, int | float):
            return given
        value = cell.evaluated(given, field)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 2**63:
            raise CellError(f"{field}: expected a number, the expression gave {to_text(value)[:80]!r}")
        return value


def _told(field: str, error: ValidationError) -> str:
    """The first thing that is wrong with the settings of a case, with its place."""
    first = error.errors()[0]
    message = in_our_words(first["msg"].removeprefix("Value error, "))
    place = ".".join([field, *map(str, first["loc"])])
    return f"{place}: {message}" if first["loc"] else f"{place}.{message}"
