"""Columns of a dataset that there is already. Columns of one source with the same way of going through it stay together, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import PrivateAttr, field_serializer, field_validator

from datafast._util.notify import did_you_mean
from datafast._util.permutation import Permutation
from datafast.columns.base import Cell, CellError, Column, NonBlank, Setup
from datafast.columns.values import as_plain
from datafast.errors import ConfigError
from datafast.plan.items import digest
from datafast.sources import SourceRows, open_source

__all__ = ["SourceColumn"]

_LOOKED_AT = 1_000


@lru_cache(maxsize=256)
def _order(size: int, key: bytes) -> Permutation:
    return Permutation(size, key)


class SourceColumn(Column):
    """A column of a source dataset."""

    type: Literal["source"] = "source"
    """A column of a dataset that there is already."""
    seeds = True

    source: Any
    """A JSONL, JSON, CSV or Parquet file; a dataset on the Hugging Face Hub by its name; in Python also a list of mappings, a
    DataFrame, a Dataset or a DatasetDict."""

    column: NonBlank | None = None
    """The column of the source; without it the cell is the whole row, an object."""

    split: NonBlank | None = None
    """Of a DatasetDict or a dataset on the Hub: which split. `train` by default, or all of them where there is none."""

    mode: Literal["once", "cycle", "random"] = "cycle"
    """once: each row at most once. cycle: again from the beginning when all were there. random: any row each time."""

    shuffle: bool = True
    """once and cycle: in an order that the seed decides, anew in each cycle; false for the source's own order."""

    default: Any = None
    """What stands for a null of the source."""

    _opened_rows: SourceRows = PrivateAttr()
    _names: frozenset[str] | None = PrivateAttr(default=None)
    _place: bytes = PrivateAttr(default=b"")
    _type: Any = PrivateAttr(default=Any)

    _plain_default = field_validator("default")(as_plain)

    @field_serializer("source")
    def _described(self, source: Any) -> Any:
        if isinstance(source, str | Path):
            return str(source)
        return f"<{type(source).__name__}>"

    def prepare(self, setup: Setup) -> None:
        rows = self._opened(setup)
        if self.column is not None and self.column not in rows.columns:
            hint = did_you_mean(self.column, rows.columns)
            raise ConfigError(f"column: {rows.name} has no column {self.column!r}. {hint}")
        if self.mode == "once" and setup.num_rows > len(rows):
            raise ConfigError(
                f"mode: {setup.num_rows:,} rows are asked for and {rows.name} has {len(rows):,}, too few to use each once. "
                f"Ask for fewer rows, or write mode: cycle."
            )
        self._opened_rows = rows
        self._names = frozenset(rows.columns)
        self._place = digest(rows.digest, self.mode, str(self.shuffle))
        self._type = Any if self.column is None else _type_in(rows, self.column)

    def _opened(self, setup: Setup) -> SourceRows:
        given = self.source
        key = (str(given) if isinstance(given, str | Path) else id(given), self.split)
        if key not in setup.sources:
            setup.sources[key] = open_source(given, field="source", folder=setup.folder, split=self.split)
        return setup.sources[key]

    def make(self, cell: Cell) -> Any:
        row = cell.memo.get(self._place)
        if row is None:
            row = cell.memo[self._place] = self._row(cell)
        value = row if self.column is None else row.get(self.column)
        if value is None:
            return self.default
        if self._type is not Any and not isinstance(value, _ACCEPTED[self._type]):
            raise CellError(
                f"the source has {type(value).__name__} here and {self._type.__name__} in its first rows; "
                f"make the source's column one type"
            )
        return value

    def _row(self, cell: Cell) -> Mapping[str, Any]:
        rows = self._opened_rows
        size = len(rows)
        if self.mode == "random":
            return rows[cell.rng(f"source {self._place.hex()}").randrange(size)]
        cycle, place = divmod(cell.row, size)
        if self.shuffle:
            place = _order(size, digest(str(cell.seed), self._place, str(cycle)))[place]
        return rows[place]

    def row_type(self) -> Any:
        return self._type if self._type is Any else self._type | None

    def parts(self) -> frozenset[str] | None:
        return None if self.column is not None else self._names

    def identity(self) -> Any:
        # The rows themselves, wherever they lie: a source that has moved is the same.
        return {**self.model_dump(mode="json", exclude={"source", "split"}), "digest": self._opened_rows.digest.hex()}


_ACCEPTED: dict[Any, Any] = {str: str, bool: bool, int: int, float: (int, float)}


def _type_in(rows: SourceRows, column: str) -> Any:
    """The type of a column in the first rows, `Any` where it has none of its own."""
    kinds = {type(rows[number].get(column)) for number in range(min(len(rows), _LOOKED_AT))} - {type(None)}
    if kinds == {int, float}:
        return float
    return kinds.pop() if len(kinds) == 1 and kinds <= {str, int, float, bool} else Any
