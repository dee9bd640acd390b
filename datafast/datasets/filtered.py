"""Rows of any source, as they are, of which stages that ask models keep some: what `datafast filter` makes with such stages.

Nobody is asked for a row; what is asked about it is recorded, so that a run goes on where one has ended, as that of any other kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializationInfo,
    model_serializer,
    model_validator,
)

from datafast._util.columns_model import columns_model
from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.datasets.base import RoleDataset
from datafast.datasets.config import DatasetConfig
from datafast.datasets.documents import opened
from datafast.plan.dimensions import Computed
from datafast.plan.grid import Dimension, GridPlan
from datafast.sources.field import RowInput, spool_beside
from datafast.store.paths import UsedFile

if TYPE_CHECKING:
    from datafast.engine.generate import Generate
    from datafast.plan.items import WorkItem
    from datafast.sources import SourceRows

__all__ = ["FilteredDataset", "FilteredDatasetConfig"]


class FilteredDatasetConfig(DatasetConfig):
    """The rows of a source, of which stages keep some."""

    input_fields = ("source",)

    source: RowInput
    """The rows, as judgements take them."""

    output_file: Accepts[UserPath, str | Path] = default_of(Path("kept.jsonl"))
    """The file for the rows that are kept."""

    _rows: SourceRows = PrivateAttr()

    @model_validator(mode="after")
    def _opened(self) -> FilteredDatasetConfig:
        self._rows = opened(self.source, "SOURCE", None, spool_beside(self.paths.rows, self.run))
        self._rows.check(self._rows.columns, field="SOURCE")  # all of a row is written
        return self

    @property
    def rows(self) -> SourceRows:
        """The rows."""
        return self._rows

    @property
    def roles(self) -> list[str]:
        """Nobody is asked but by stages."""
        return []

    def used_files(self) -> Iterator[UsedFile]:
        for file in self._rows.files:
            yield UsedFile("SOURCE", file, written=False)
        yield from super().used_files()


class FilteredDataset(RoleDataset[FilteredDatasetConfig, BaseModel]):
    """The rows of a source that stages keep: `generate({})`."""

    kind = "filter"
    config_model = FilteredDatasetConfig
    row_model: type[BaseModel] = BaseModel
    in_plan_order = True

    def __init__(self, config: FilteredDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self.row_model = _row_model(config.rows.columns)

    def plan(self, routes: Sequence[str]) -> GridPlan:
        rows = self.config.rows
        dimension = Dimension("row", rows, digests=Computed(len(rows), rows.id_of), fingerprint=rows.digest)
        return self.grid([dimension], routes=routes)

    async def produce(self, item: WorkItem, generate: Generate) -> list[BaseModel]:
        return [self.row_model.model_validate(dict(item.values["row"]))]


class _AsGiven(BaseModel):
    """A row that is written just as it was given, whatever its fields and their order."""

    model_config = ConfigDict(protected_namespaces=(), extra="allow")

    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, data: Any, handler: ModelWrapValidatorHandler[_AsGiven]) -> _AsGiven:
        made = handler(data)
        if isinstance(data, Mapping):
            made._given = dict(data)
        return made

    @model_serializer(mode="plain")
    def _written(self, info: SerializationInfo) -> dict[str, Any]:
        chosen: Any = info.include
        left_out: Any = info.exclude
        return {
            name: value
            for name, value in self._given.items()
            if (chosen is None or name in chosen) and (left_out is None or name not in left_out)
        }


def _row_model(columns: Iterable[str]) -> type[BaseModel]:
    """A model of rows with these columns."""
    return columns_model("Row", dict.fromkeys(columns, (Any, None)), base=_AsGiven)
