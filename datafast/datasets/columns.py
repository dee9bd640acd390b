"""Columns: a schema of drawn, generated and computed values that may refer to one another. A row has exactly these columns.

{"topic": "tides", "level": "easy", "question": "Why do tides come twice a day?", "answer": "Because ...",
 "verdict": {"reason": "Correct and short.", "score": 5}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from datafast._util.config_model import Accepts, NonBlank, UserPath, default_of
from datafast.columns.base import Column
from datafast.columns.joint import JointRate
from datafast.columns.registry import AnyColumn
from datafast.columns.table import ColumnsRow, Table
from datafast.datasets.base import RoleDataset
from datafast.datasets.config import DatasetConfig
from datafast.engine.generate import Generate
from datafast.errors import CallFailed
from datafast.plan.defaults import Edition
from datafast.plan.grid import Computed, Dimension, GridPlan
from datafast.plan.items import WorkItem, digest
from datafast.sources.field import spool_beside
from datafast.store.paths import UsedFile

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["ColumnsDataset", "ColumnsDatasetConfig"]


class ColumnsDatasetConfig(DatasetConfig):
    """What a columns dataset is made of: `num_rows` rows of these columns."""

    num_rows: int = Field(ge=0, le=1_000_000_000)
    """How many rows there are. More rows later leave those that are there as they are."""

    columns: Accepts[dict[str, AnyColumn], Mapping[str, Column | Mapping[str, Any]]] = Field(min_length=1)
    """The columns by name, in the order of the rows; each has a `type`."""

    constraints: list[NonBlank] = Field(default_factory=list)
    """Expressions over drawn columns that are true in every row, like `start <= end`. Where one is not, the drawn columns that it names
    are drawn again."""

    joint: Accepts[list[JointRate], Sequence[JointRate | Mapping[str, Any]]] = default_of([])
    """How often chosen combinations of values of `choice` columns come: a list of `{values: {column: value, ...}, rate: 0.1}`."""

    output_file: Accepts[UserPath, str | Path] = default_of(Path("columns.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    _table: Table = PrivateAttr()

    @classmethod
    def editions(cls) -> list[Edition]:
        return [Edition(2), Edition(1)]

    @model_validator(mode="after")
    def _columns_fit(self, info: ValidationInfo) -> ColumnsDatasetConfig:
        if self.run.fan_out != "all":
            raise ValueError(
                f"run.fan_out is {self.run.fan_out}, but each column names the provider that it asks. Leave it out."
            )
        before = getattr(self, "_table", None)
        table = Table(
            self.columns,
            num_rows=self.num_rows,
            constraints=self.constraints,
            joint=self.joint,
            folder=(info.context or {}).get("folder"),
            spool=spool_beside(self.paths.rows, self.run),
            sources=before.sources if before else None,
            marks_cut=self.run.on_truncation == "keep",
        )
        if table.problems:
            raise ValidationError.from_exception_data(
                type(self).__name__,
                [
                    InitErrorDetails(
                        type=PydanticCustomError("column", "{why}", {"why": problem.message}),
                        loc=problem.place,
                        input=None,
                    )
                    for problem in table.problems
                ],
            )
        if before is None:
            table.remark()
        self._table = table
        return self

    @property
    def table(self) -> Table:
        """The columns, as a table."""
        return self._table

    @property
    def roles(self) -> list[str]:
        """The names of the providers that columns ask."""
        return list(self.table.providers)

    def used_files(self) -> Iterator[UsedFile]:
        for rows in self.table.sources.values():
            for path in rows.files:
                yield UsedFile("a source", path, written=False)
        yield from super().used_files()


class ColumnsDataset(RoleDataset[ColumnsDatasetConfig, ColumnsRow]):
    """A dataset of columns. `row_model` has a field for each column; the roles are the columns' names for providers."""

    kind = "columns"
    config_model = ColumnsDatasetConfig
    row_model: type[BaseModel] = ColumnsRow

    def __init__(self, config: ColumnsDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self.row_model = config.table.row_model
        self._checked: tuple[Table, str, int] | None = None

    def plan(self, routes: Sequence[str]) -> GridPlan:
        table, seed = self.config.table, str(self.config.run.seed)
        plan = self.grid(
            lambda edition: [self._rows(edition)],
            routes=routes,
            shape=lambda edition: [table.former_digest if edition.version == 1 else table.digest, seed],
        )
        checked = (table, seed, len(plan))
        if self._checked != checked:
            table.check(plan)  # before anything is paid for; each further row is, before its own first call
            self._checked = checked
        return plan

    def _rows(self, edition: Edition) -> Dimension:
        """The rows. What they are told apart by is all that their calls depend on, so replies are found again whatever else changes."""
        count, seed = self.config.num_rows, self.config.run.seed
        walk = self.config.table.leading if edition.version > 1 else None
        if walk is None:  # by their number
            made = Computed(count, lambda number: number.to_bytes(16, "big"))
            return Dimension("row", Computed(count, int), digests=made, fingerprint=str(count).encode())
        return Dimension(
            "row",
            Computed(count, int),
            digests=Computed(count, lambda number: walk.id_at(number, seed=seed)),
            fingerprint=digest(str(count), walk.digest),
            states=None if walk.ids is None else Computed(count, lambda number: walk.state_at(number, seed=seed)),
        )

    async def produce(self, item: WorkItem, generate: Generate) -> list[BaseModel | CallFailed]:
        return [await self.config.table.row(item, generate)]
