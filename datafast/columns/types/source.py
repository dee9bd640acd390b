"""Columns of a dataset that there is already. Columns of one source with the same way of going through it stay together, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import PrivateAttr, field_serializer, field_validator

from datafast._util.kinds import common_kind, kind_of
from datafast._util.notify import did_you_mean
from datafast.columns.base import Cell, CellError, Column, NonBlank, Setup
from datafast.columns.walk import Walk, Walks
from datafast.errors import ConfigError
from datafast.sources import SourceRows, open_source
from datafast.sources.fields import READING, SourceFields
from datafast.sources.source import written_source
from datafast.templates.values import as_plain

__all__ = ["SourceColumn"]


class SourceColumn(Column, SourceFields):
    """A column of a source dataset."""

    type: Literal["source"] = "source"
    """A column of a dataset that there is already."""
    seeds = True

    source: Any
    """A JSONL, JSON, CSV, TSV or Parquet file; a dataset on the Hugging Face Hub by its name; in Python also a list of mappings, a
    DataFrame, a Dataset, an IterableDataset or a DatasetDict."""

    column: NonBlank | None = None
    """The column of the source; without it the cell is the whole row, an object."""

    mode: Literal["once", "cycle", "random"] = "cycle"
    """once: each row at most once. cycle: again from the beginning when all were there. random: any row each time."""

    shuffle: bool = True
    """once and cycle: in an order that the seed decides, anew in each cycle; false for the source's own order."""

    default: Any = None
    """What stands for a null of the source; in Python also a column that draws it."""

    key: NonBlank | None = None
    """once and cycle: a column of the source whose values tell its rows apart. Replies follow a row by its key, whatever else of it
    changes; without a key by all that it holds."""

    _walk: Walk = PrivateAttr()
    _walks: Walks = PrivateAttr()
    _names: frozenset[str] | None = PrivateAttr(default=None)
    _type: Any = PrivateAttr(default=Any)

    @field_validator("default")
    @classmethod
    def _plain_or_drawn(cls, given: Any) -> Any:
        if isinstance(given, Column) and given.waits:
            raise ValueError(f"expected a value, or a column that is drawn, got a column of the type {given.type!r}.")
        return given if isinstance(given, Column) else as_plain(given)

    @field_serializer("source")
    def _written(self, source: Any) -> Any:
        return written_source(source)

    def prepare(self, setup: Setup) -> None:
        rows = self._opened(setup)
        for field in ("column", "key"):
            name = getattr(self, field)
            if name is not None and name not in rows.columns:
                raise ConfigError(f"{field}: {rows.name} has no column {name!r}. {did_you_mean(name, rows.columns)}")
        rows.check(rows.columns if self.column is None else [self.column], field="source")
        if self.key is not None and self.mode == "random":
            raise ConfigError("key: With mode: random, a key has no effect. Leave key out, or write mode: cycle.")
        if self.mode == "once" and setup.num_rows > len(rows):
            raise ConfigError(
                f"mode: {setup.num_rows:,} rows are asked for and {rows.name} has {len(rows):,}, too few to use each once. "
                f"Ask for fewer rows, or write mode: cycle."
            )
        if isinstance(self.default, Column):
            self.default.prepare(setup)
        self._walk = setup.walks.through(rows, mode=self.mode, shuffle=self.shuffle, key=self.key)
        self._walks = setup.walks
        self._names = frozenset(rows.columns)
        self._type = Any if self.column is None else self._type_in(rows, self.column)

    def _opened(self, setup: Setup) -> SourceRows:
        given = self.source
        name = str(given) if isinstance(given, str | Path) else id(given)
        key = (name, *(repr(value) for value in self.reading.values()))
        if key not in setup.sources:
            setup.sources[key] = open_source(
                given, field="source", folder=setup.folder, spool=setup.spool, **self.reading
            )
        return setup.sources[key]

    def _type_in(self, rows: SourceRows, column: str) -> Any:
        """The type of a column's cells, `Any` where they have none in common."""
        if isinstance(self.default, Column):
            return Any
        return common_kind({*rows.kinds.get(column, ()), kind_of(self.default)}) or Any

    def make(self, cell: Cell) -> Any:
        row = cell.memo.get(self._walk)
        if row is None:
            row = cell.memo[self._walk] = self._row(cell)
        value = row if self.column is None else row.get(self.column)
        if value is None:
            return self.default.make(cell) if isinstance(self.default, Column) else self.default
        return value

    def _row(self, cell: Cell) -> Mapping[str, Any]:
        walk = self._walk
        place = walk.index(cell.row, seed=cell.seed, rng=cell.rng, formerly=cell.edition == 1)
        try:
            return walk.rows[place]
        except (ConfigError, OSError) as error:
            raise CellError(str(error)) from error

    def row_type(self) -> Any:
        return self._type if self._type is Any else self._type | None

    def parts(self) -> frozenset[str] | None:
        return None if self.column is not None else self._names

    def identity(self) -> Any:
        # The rows themselves, wherever they lie: a source that has moved is the same. Those that tell the dataset's rows apart are in the
        # keys one by one, so that a change of one moves no other.
        told = self.model_dump(mode="json", exclude={"source", *READING})
        return told if self._walks.leading is self._walk else {**told, "digest": self._walk.digest.hex()}

    def former_identity(self) -> Any:
        told = self.model_dump(mode="json", exclude={"source", *READING})
        return {**told, "digest": self._walk.rows.former_digest.hex()}
