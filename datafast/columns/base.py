"""What every column is: a config model that says how the cells of a column come about.

A type of column is one small class:

    class LengthColumn(Column):
        type: Literal["length"] = "length"
        of: str

        def prepare(self, setup: Setup) -> None:
            setup.require(self.of, "of")                       # a column that this one needs

        def make(self, cell: Cell) -> int:
            return len(cell.values[self.of])

It is offered under its name by an entry point of the group `datafast.columns`, or made known by `register`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PrivateAttr, field_validator

from datafast._util.config_model import ConfigModel, NonBlank
from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError, DatafastError
from datafast.templates.base import Expression, RenderError, Template
from datafast.templates.condition import Condition
from datafast.templates.parse import parse_expression, parse_template

if TYPE_CHECKING:
    from datafast.columns.walk import Walks
    from datafast.engine.generate import Generate
    from datafast.plan.items import WorkItem
    from datafast.sources import SourceRows

__all__ = ["Cell", "CellError", "Column", "NonBlank", "OnError", "Setup"]

OnError = Literal["fail_row", "null", "stop"]


class CellError(DatafastError):
    """A cell cannot be made, and not because of a model: the column's `on_error` says what becomes of its row."""


class Cell:
    """One cell that is to be made.

    Attributes:
        name: its column.
        row: the number of its row, from 0.
        values: the cells of this row that its column needs, as plain JSON.
        memo: what columns keep for others of the same row.
        draw: how often it was drawn before, because constraints did not hold.
    """

    __slots__ = ("_generate", "_item", "draw", "memo", "name", "row", "values")

    def __init__(
        self,
        name: str,
        item: WorkItem,
        values: Mapping[str, Any],
        generate: Generate | None,
        memo: dict[Any, Any],
        *,
        draw: int = 0,
    ) -> None:
        self.name = name
        self.row: int = item.values["row"]
        self.values = values
        self.memo = memo
        self.draw = draw
        self._generate = generate
        self._item = item

    @property
    def generate(self) -> Generate:
        """Asks a model. Raises CellError where rows are drawn to check their constraints, as only columns that do not wait are."""
        if self._generate is None:
            raise CellError("a column that asks a model has waits = True")
        return self._generate

    @property
    def edition(self) -> int:
        """The version of keys that the row was begun with, see `datafast.plan.defaults.Edition`."""
        return self._item.edition

    @property
    def seed(self) -> int:
        """The seed of the run, for what is chosen over all rows."""
        return self._item.seed

    def rng(self, purpose: str | None = None) -> random.Random:
        """Random numbers for this row and column (or another purpose), the same in every run."""
        name = self.name if purpose is None else purpose
        # No column has such a character in its name, so that streams stay apart.
        return self._item.rng(f"{name}\0{self.draw}" if self.draw else name)

    def evaluated(self, expression: Expression, field: str) -> Any:
        """The value of an expression in this row. Raises CellError, beginning with the field."""
        try:
            return expression.evaluate(self.values)
        except RenderError as error:
            raise CellError(f"{field}: {error}") from None

    def rendered(self, template: Template, field: str) -> str:
        """The text of a template in this row. Raises CellError, beginning with the field."""
        try:
            return template.render(self.values)
        except RenderError as error:
            raise CellError(f"{field}: {error}") from None


class Setup:
    """What a column is told, and asks, when its schema is put together.

    Attributes:
        name: the column that is being prepared.
        columns: all of them by name, in the order of the schema.
        num_rows: how many rows there will be.
        folder: what relative paths are relative to; None for the working directory.
        spool: the folder beside the ledger for copies of sources that have to be copied to be read.
        sources: source datasets that other columns have opened.
        walks: the ways of going through sources that other columns take.
    """

    def __init__(
        self,
        name: str,
        columns: Mapping[str, Column],
        *,
        num_rows: int,
        folder: Path | None,
        spool: Path | None,
        sources: dict[Any, SourceRows],
        walks: Walks,
    ) -> None:
        self.name = name
        self.columns = columns
        self.num_rows = num_rows
        self.folder = folder
        self.spool = spool
        self.sources = sources
        self.walks = walks
        self.needs: dict[str, None] = {}

    def template(self, text: str, field: str, *, also: Mapping[str, Any] | None = None) -> Template:
        """Parses a template over the columns (and other names); notes what it needs."""
        extra = also or {}
        for name in extra:
            if name in self.columns:
                raise ConfigError(f"variables: {name!r} is a column as well. Give the variable another name.")
        parts = {name: known for name, column in self.columns.items() if (known := column.parts())}
        parsed = parse_template(text, names=[*self.columns, *extra], field=field, parts=parts)
        self.needs |= dict.fromkeys(sorted(parsed.names - extra.keys()))
        return parsed

    def expression(self, text: str, field: str) -> Expression:
        """Parses an expression over the columns; notes what it needs."""
        parsed = parse_expression(text, names=self.columns, field=field)
        self.needs |= dict.fromkeys(sorted(parsed.names))
        return parsed

    def condition(self, text: str, field: str) -> Condition:
        """Parses a condition over the columns; notes what it needs."""
        hint = ", or read its column as a number (types: integer, for a CSV file)"
        return Condition(text, self.expression(text, field), place=f"{self.name}.{field}", hint=hint)

    def require(self, name: str, field: str) -> Column:
        """A column that this one needs.

        Raises:
            ConfigError: there is none, with the nearest name.
        """
        if name not in self.columns:
            raise ConfigError(f"{field}: There is no column {name!r}. {did_you_mean(name, self.columns)}")
        self.needs[name] = None
        return self.columns[name]


class Column(ConfigModel):
    """A column of a dataset. Its subclasses say how its cells are made."""

    waits: ClassVar[bool] = False
    """Whether `make` is a coroutine."""
    calls: ClassVar[bool] = False
    """Whether cells ask a model."""
    seeds: ClassVar[bool] = False
    """Whether its values are there to make rows differ: one that nothing refers to was probably forgotten."""

    type: str
    """What sort of column it is."""

    when: NonBlank | None = None
    """A Jinja expression over other columns: where it is false the cell is null and costs nothing. An empty text and the text "false"
    are false, every other text is true."""

    on_error: OnError = "fail_row"
    """What a cell that cannot be made means: fail_row (the row fails, and can be retried), null (the cell is null), stop (the run
    ends)."""

    _when: Condition | None = PrivateAttr(default=None)
    _needs: tuple[str, ...] = PrivateAttr(default=())

    @field_validator("on_error", mode="before")
    @classmethod
    def _null_of_yaml(cls, value: Any) -> Any:
        return "null" if value is None else value  # in YAML, on_error: null is not a text

    # -- what a type of column says

    def prepare(self, setup: Setup) -> None:
        """Parses and checks what concerns other columns. Raises ConfigError, beginning with the field."""

    def make(self, cell: Cell) -> Any:
        """The value of a cell as plain JSON; a coroutine where `waits` says so. Raises CellError, or CallFailed of a call."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its cells are made: override make().")

    def row_type(self) -> Any:
        """The type of its values, for the row's model."""
        return Any

    def parts(self) -> frozenset[str] | None:
        """The parts of its values, where they are objects with known ones."""
        return None

    @property
    def providers(self) -> tuple[str, ...]:
        """The names of the providers that it asks."""
        return ()

    def identity(self) -> Any:
        """What decides its values, as JSON: another identity makes other rows."""
        return self.model_dump(mode="json")

    def former_identity(self) -> Any:
        """What version 0.1.0 had in its place."""
        return self.identity()

    @property
    def redraws(self) -> bool:
        """Whether another draw gives another value, by `cell.rng()`: constraints may draw it again."""
        return False

    @property
    def incomparable(self) -> str | None:
        """Why constraints cannot compare its values, and what to do; None where they can."""
        return None

    def compared(self, value: Any) -> Any:
        """What constraints compare in the place of a value that is not null."""
        return value

    # -- what the schema does with it

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that it needs; known when it was put into a schema."""
        return self._needs

    @property
    def wants_row(self) -> bool:
        """Whether it takes all other columns that do not need it."""
        return False

    def see(self, names: Sequence[str]) -> None:
        """The columns that it is given, where it takes whole rows."""
        self._needs = tuple(names)

    @property
    def may_be_null(self) -> bool:
        return self.when is not None or self.on_error == "null"

    def put_into(self, setup: Setup) -> None:
        """Prepares it for a schema."""
        self._when = None if self.when is None else setup.condition(self.when, "when")
        self.prepare(setup)
        self._needs = tuple(name for name in setup.columns if name in setup.needs)

    def is_wanted(self, values: Mapping[str, Any]) -> bool:
        """Whether a row with these values has this cell. Raises RenderError."""
        return self._when is None or self._when.holds(values)
