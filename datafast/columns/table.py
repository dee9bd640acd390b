"""Columns that have been put together: who needs whom, what a row looks like, and how one comes about."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache, partial
from graphlib import CycleError, TopologicalSorter
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import warn_user
from datafast._util.permutation import Permutation
from datafast._util.plugins import blaming
from datafast.columns.base import Cell, CellError, Column, Setup
from datafast.columns.constraints import Drawing, Group, Unsettled, groups_of, settle
from datafast.columns.joint import JointRate, joint_draws
from datafast.columns.walk import Walk, Walks
from datafast.engine.generate import Generate
from datafast.engine.reasoning import KEY, METADATA
from datafast.engine.task_graph import TaskGraph, Work, run_graph
from datafast.errors import CallFailed, ConfigError, ReplyError
from datafast.logger_config import logger
from datafast.plan.items import Plan, WorkItem
from datafast.sources import SourceRows
from datafast.templates.base import RenderError

__all__ = ["CUT", "ColumnsRow", "Problem", "Table"]

FAILED_CELL = "column_error"
"""The category of cells that fail without a model being to blame."""


_MOST_CHECKED = 1_000  # rows, which take some milliseconds
_MOST_DRAWS_CHECKED = 20_000  # which take a second or two

CUT = "truncated"
"""The field of a row with the names of its columns whose texts were cut and are kept."""


class ColumnsRow(BaseModel):
    """The row of a columns dataset: a model with one field for each column is derived from it."""

    model_config = ConfigDict(protected_namespaces=(), extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_mark(cls, row: Any) -> Any:
        """Rows that were made while cut texts or reasoning were kept have fields that those of now may lack."""
        if not isinstance(row, dict):
            return row
        past = [name for name in (CUT, KEY, METADATA) if name in row and name not in cls.model_fields]
        return {name: value for name, value in row.items() if name not in past} if past else row


class Problem(NamedTuple):
    """What is wrong with a schema: the place in the config, and why."""

    place: tuple[str, ...]
    message: str


class Table:
    """The columns of a dataset.

    Args:
        columns: by name, in the order of the schema; they are prepared in place.
        num_rows: how many rows there will be.
        folder: what the paths of sources are relative to.
        spool: the folder for copies of sources that have to be copied to be read.
        constraints: expressions over drawn columns that are true in every row.
        joint: how often combinations of values come.
        sources: source datasets that are open already.
        marks_cut: whether rows say which of their texts were cut at the token limit and are kept (`run.on_truncation: keep`).

    Attributes:
        problems: what is wrong; the table can be used where there is nothing.
        providers: the names of the providers that columns ask, in the order of the columns.
        digest: 16 bytes that change when what any column gives does. Fields that have their defaults are left out, so that a new
            field with a default changes nothing.
        former_digest: what it was in keys of version 1, which had all fields in it that there were.
        row_model: a row.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        num_rows: int,
        constraints: Sequence[str] = (),
        joint: Sequence[JointRate] = (),
        folder: Path | None = None,
        spool: Path | None = None,
        sources: dict[Any, SourceRows] | None = None,
        marks_cut: bool = False,
    ) -> None:
        self.marks_cut = marks_cut
        self.sources = {} if sources is None else sources
        self.walks = Walks()
        self._columns = dict(columns)
        self._constraints = list(constraints)
        self._joint = list(joint)
        self._groups: list[Group] = []
        self.problems: list[Problem] = []
        self.providers = tuple(dict.fromkeys(name for column in columns.values() for name in column.providers))
        # Columns without prompts first: what their values look like is known when prompts are checked.
        for name, column in sorted(self._columns.items(), key=lambda entry: entry[1].calls):
            why = _bad_name(name)
            if marks_cut and name == CUT:
                why = f"With run.on_truncation: keep, every row has a {CUT} already. Give the column another name."
            if why:
                self.problems.append(Problem(("columns", name), why))
                continue
            setup = Setup(
                name,
                self._columns,
                num_rows=num_rows,
                folder=folder,
                spool=spool,
                sources=self.sources,
                walks=self.walks,
            )
            try:
                with blaming(column, "prepare()"):
                    column.put_into(setup)
            except ConfigError as error:
                self.problems.append(_problem(error, "columns", name))
        if not self.problems:
            self._put_together()

    def _widen(self) -> None:
        """Lets columns that take whole rows see all others but those that need them; of several such, the later sees the earlier."""
        names = list(self._columns)
        needs = {name: set(column.needs) for name, column in self._columns.items()}

        def reached(name: str) -> set[str]:
            found, waiting = {name}, [name]
            while waiting:
                new = needs[waiting.pop()] - found
                found |= new
                waiting += new
            return found

        for place, name in enumerate(names):
            if not self._columns[name].wants_row:
                continue
            needs[name] -= {earlier for earlier in names[:place] if name in reached(earlier)}
            behind = {later for later in names[place + 1 :] if self._columns[later].wants_row}
            for later in names[place + 1 :]:
                if not reached(later) & {name, *behind}:
                    needs[name].add(later)
            self._columns[name].see([other for other in names if other in needs[name]])

    def _put_together(self) -> None:
        self._widen()
        needs = {name: column.needs for name, column in self._columns.items()}
        try:
            order = list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            self.problems.append(
                Problem(
                    ("columns", circle[0]),
                    f"The columns need one another in a circle: {' -> '.join(circle)}. Take one of these references out.",
                )
            )
            return
        self._graph = TaskGraph(needs)
        try:
            draws = joint_draws(self._joint, self._columns)
            together = {name: draw.names for draw in draws for name in draw.names}
            self._groups = groups_of(self._constraints, self._columns, order=order, together=together)
        except ConfigError as error:
            self.problems.append(_problem(error))
        identities = {name: column.identity() for name, column in self._columns.items()}
        self.problems += [
            Problem(("columns", name), _TOO_LARGE) for name, told in identities.items() if not _can_be_told(told)
        ]
        if self.problems:
            return
        former = {name: column.former_identity() for name, column in self._columns.items()}
        between = self._identity_between()
        self.digest = _digest(
            [*([name, _set(self._columns[name], told)] for name, told in identities.items()), *between]
        )
        self.former_digest = _digest(
            [*([name, _set(self._columns[name], told, but=_FORMER_FIELDS)] for name, told in former.items()), *between]
        )
        self.row_model = _row_model(
            tuple(
                (name, column.row_type(), column.may_be_null, f"A column of the type {column.type}.")
                for name, column in self._columns.items()
            ),
            marks_cut=self.marks_cut,
        )

    def _identity_between(self) -> list[Any]:
        """What decides values beside the columns themselves; nothing where nothing does, as before there was such a thing."""
        rates = [rate.model_dump(mode="json") for rate in self._joint]
        told = {"constraints": self._constraints, "joint": rates}
        return [{name: value for name, value in told.items() if value}] if any(told.values()) else []

    @property
    def leading(self) -> Walk | None:
        """The way through a source that tells rows apart, None where they are told apart by their number."""
        return self.walks.leading

    def remark(self) -> None:
        """Warns of values that nothing refers to although a prompt is the same in every row."""
        needed = {name for column in self._columns.values() for name in column.needs}
        alike = [name for name, column in self._columns.items() if column.calls and not column.needs]
        seeds = [name for name, column in self._columns.items() if column.seeds]
        # Drawn values may be there for the reader; rows of a corpus, or the only values that there are, hardly are.
        unused = [
            name
            for name in seeds
            if name not in needed and (self._columns[name].type == "source" or not needed & {*seeds})
        ]
        if alike and unused:
            warn_user(
                f"No column refers to {', '.join(unused)}, and {', '.join(alike)} asks the same in every row. If it was meant to "
                f"depend on {unused[0]!r}, write {{{unused[0]}}} into its prompt.",
            )

    async def row(self, item: WorkItem, generate: Generate) -> BaseModel | CallFailed:
        """The row of an item, or what kept it from coming."""
        making = _Row(self._columns, item, generate)
        making.settle(self._groups)
        await run_graph(self._graph, making.step)
        for name in ("", *self._columns):
            if name in making.failed:
                return making.failed[name]
        # By way of JSON: what is written is what is read back, and a column's plain value becomes its type.
        values = {name: making.values[name] for name in self._columns}
        if self.marks_cut:
            values[CUT] = [name for name in self._columns if generate.was_cut(name)]
        return self.row_model.model_validate_json(orjson.dumps(values))

    def check(self, plan: Plan) -> None:
        """Draws what constraints are about in some of the rows, spread over all of them.

        Raises:
            ConfigError: they do not hold in one.
        """
        left, spread = _MOST_DRAWS_CHECKED, Permutation(max(1, len(plan)), b"check")
        for number in range(min(_MOST_CHECKED, len(plan)) if self._groups else 0):
            drawing = Drawing(self._columns, plan[spread[number]])
            try:
                settle(self._groups, drawing)
            except Unsettled as error:
                if error.column is None:  # else a cell that fails its row, as without constraints
                    raise ConfigError(
                        f"{error}. Widen what these columns are drawn from, draw one in dependence on another (start: a, of a range), or "
                        f"name what it depends on in the constraint too, so that it is drawn again."
                    ) from None
            left -= drawing.num_draws
            if left <= 0:
                return


class _Row:
    """One row on its way.

    Attributes:
        values: its cells so far.
        failed: why cells cannot be made, by their columns; under "" why the row as a whole cannot.
    """

    def __init__(self, columns: Mapping[str, Column], item: WorkItem, generate: Generate) -> None:
        self._columns = columns
        self._item = item
        self._generate = generate
        self._memo: dict[Any, Any] = {}
        self.values: dict[str, Any] = {}
        self.failed: dict[str, CallFailed] = {}

    def settle(self, groups: Sequence[Group]) -> None:
        """Draws the columns that constraints are about."""
        if not groups:
            return
        drawing = Drawing(self._columns, self._item)
        try:
            settle(groups, drawing)
        except Unsettled as error:
            if error.column is None:
                self.failed[""] = self._generate.failure(str(error), category=FAILED_CELL)
            else:
                self._fail(error.column, error.reason)
        for name, reason in drawing.nulls.items():
            self._fail(name, reason)
        self.values |= drawing.values
        self._memo |= drawing.memo

    def step(self, name: str) -> Work | None:
        """Begins a cell. Nothing is begun, or bought, for a row that has failed."""
        if self.failed or name in self.values:
            return None
        column = self._columns[name]
        try:
            if not column.is_wanted(self.values):
                self.values[name] = None
                return None
            cell = Cell(name, self._item, self.values, self._generate, self._memo)
            if column.waits:
                return partial(self._land, column, cell)
            self.values[name] = column.make(cell)
        except (CellError, RenderError) as error:
            self._fail(name, error)
        return None

    async def _land(self, column: Column, cell: Cell) -> None:
        name = cell.name
        try:
            self.values[name] = await column.make(cell)
        except (CellError, CallFailed) as error:
            self._fail(name, error)
        except ReplyError as error:  # in a dry run
            raise ReplyError(f"{name}: {error}") from error

    def _fail(self, name: str, error: CellError | CallFailed | RenderError) -> None:
        on_error = self._columns[name].on_error
        if on_error == "null":
            logger.warning(f"row {self._item.values['row']}: {name} is null: {error}")
            self.values[name] = None
            return
        stops = on_error == "stop"
        message = f"{name}: {error}{' (its on_error is stop)' if stops else ''}"
        if not isinstance(error, CallFailed):
            self.failed[name] = self._generate.failure(message, category=FAILED_CELL, ends_run=stops)
            return
        self.failed[name] = error.told_as(message, ends_run=stops)


# The fields that types of column had in version 0.1.0, whose keys hold them whether they were set or not.
_COMMON = frozenset({"type", "when", "on_error"})
_ASKING = _COMMON | {"prompt", "system", "provider", "variables"}
_FORMER_FIELDS: Mapping[str, frozenset[str]] = {
    "choice": _COMMON | {"values", "by", "mode"},
    "constant": _COMMON | {"value"},
    "datetime": _COMMON | {"start", "end", "unit", "format"},
    "expression": _COMMON | {"expression", "template", "returns"},
    "function": _COMMON | {"inputs", "version"},
    "judge": _ASKING | {"rubric", "scale", "min", "max"},
    "person": _COMMON | {"locale", "field", "fields", "sex", "min_age", "max_age"},
    "range": _COMMON | {"start", "end", "step", "decimals"},
    "source": _COMMON | {"column", "mode", "shuffle", "default"},
    "structured": _ASKING,
    "text": _ASKING,
    "uuid": _COMMON,
}


def _set(column: Column, told: Any, *, but: Mapping[str, Collection[str]] | None = None) -> Any:
    """The part of an identity that is not the default of its field; those of `but` by type stay in either case.

    Types of column that `but` does not know stay as they are.
    """
    if not isinstance(told, dict) or (but is not None and column.type not in but):
        return told
    kept = {"type"} if but is None else but[column.type]
    fields = type(column).model_fields
    return {
        name: value
        for name, value in told.items()
        if name in kept or name not in fields or fields[name].is_required() or not _same(value, _default(fields[name]))
    }


def _default(field: FieldInfo) -> Any:
    return to_jsonable_python(field.get_default(call_default_factory=True), fallback=repr)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where 1, 1.0 and true are not."""
    return _digest(one) == _digest(other)


def _digest(identity: Any) -> bytes:
    written = orjson.dumps(identity, default=repr, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return blake2b(written, digest_size=16).digest()


def _can_be_told(identity: Any) -> bool:
    try:
        _digest(identity)
    except TypeError:  # what orjson says of them; everything else is told by its `repr`
        return False
    return True


_TOO_LARGE = "There is a whole number of more than 64 bits. Write it as text, or a smaller one."
_UNNAMEABLE = re.compile(r"[{}\[\]'\"\x00-\x1f\x7f]")


def _bad_name(name: str) -> str | None:
    """Why a column cannot have this name, None where it can."""
    if (
        not isinstance(name, str)
        or name != name.strip()
        or not name
        or name.startswith("_")
        or _UNNAMEABLE.search(name)
    ):
        return (
            "The name of a column has no braces, brackets, quotes or line breaks, and no underscore or space in front. "
            "Choose such a name."
        )
    if name.startswith("model_") and hasattr(BaseModel, name):
        return f"{name!r} is what every row has already. Give the column another name."
    return None


def _problem(error: ConfigError, *place: str) -> Problem:
    field, colon, message = str(error).partition(": ")
    if colon and " " not in field:
        return Problem((*place, *field.split(".")), message)
    return Problem(place, str(error))


@lru_cache(maxsize=256)
def _row_model(fields: tuple[tuple[str, Any, bool, str], ...], *, marks_cut: bool) -> type[BaseModel]:
    """A row with these columns; the same class for the same columns."""
    typed: dict[str, Any] = {
        name: (kind | None if null and kind is not Any else kind, Field(description=told))
        for name, kind, null, told in fields
    }
    if marks_cut:
        # Rows that were made before that was asked for have none.
        typed[CUT] = (list[str], Field([], description="The columns whose texts were cut at the limit of tokens."))
    # A column may have the name of an old method of pydantic's models, like `copy` or `json`: the row's value is what counts.
    with foreign_warnings_ignored():
        return create_model("Row", __base__=ColumnsRow, **typed)
