"""Rows -> one file on this machine, or a `datasets.Dataset`. The formats are in `datafast.export.formats`.

Guarantee: a file is complete or not there: it is written under another name and then renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, create_model

from datafast._util.atomic_write import whole_file
from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.kinds import common_kind, kind_of
from datafast.errors import ConfigError, OutputWriteError
from datafast.export.features import row_schema
from datafast.export.formats import FORMATS, Row, arrow_tables
from datafast.store.paths import OutputPaths
from datafast.store.rows import RowSequence

__all__ = ["OutputRows", "narrowed", "save_output", "save_rows", "to_dataset"]

_OTHER_ENDINGS = {"ndjson": "jsonl", "pq": "parquet"}


@foreign_warnings_ignored()
def narrowed(row_model: type[BaseModel], rows: Iterable[Row]) -> type[BaseModel]:
    """The row model with a type of its own for each column of free form whose values all have one in common."""
    free = {name for name, field in row_model.model_fields.items() if field.annotation is Any}
    if not free:
        return row_model
    kinds: dict[str, set[Any]] = {name: set() for name in free}
    for row in rows:
        for name in free:
            if row[name] is not None:
                kinds[name].add(kind_of(row[name]))
    types = {name: kind | None for name in free if (kind := common_kind(kinds[name])) is not None}
    fields: dict[str, Any] = {
        name: (types.get(name) or field.annotation, Field(description=field.description))
        for name, field in row_model.model_fields.items()
    }
    return create_model(row_model.__name__, __config__=row_model.model_config, **fields)


@foreign_warnings_ignored()
def save_rows(rows: Iterable[Row], path: Path, format: str | None = None, *, row_model: type[BaseModel]) -> Path:  # noqa: A002
    """Writes rows into a file.

    Args:
        format: of `FORMATS`; by default what the path ends in.

    Raises:
        ConfigError: the format is not known.
        OutputWriteError: the file cannot be written.
    """
    write = FORMATS.load(_format(path, format))
    try:
        with whole_file(path) as part:
            write(rows, part, row_model)
    except OSError as error:
        raise OutputWriteError(f"Cannot write {path}: {error.strerror or error}. Choose another place.") from error
    return path


def save_output(paths: OutputPaths, path: Path, format: str | None = None, *, row_model: type[BaseModel]) -> Path:  # noqa: A002
    """Writes the rows of an output into a file; see `save_rows`.

    Raises:
        ConfigError: there are no rows, a line is not a row, or the format is not known.
        OutputWriteError: the file cannot be written.
    """
    rows = OutputRows.of(paths, row_model)
    return save_rows(rows, path, format, row_model=narrowed(row_model, rows))


class OutputRows(Iterable[Row]):
    """The rows of a JSONL as plain values, as often as they are gone through."""

    def __init__(self, path: Path, row_model: type[BaseModel]) -> None:
        self._path = path
        self._row_model = row_model

    @classmethod
    def of(cls, paths: OutputPaths, row_model: type[BaseModel]) -> OutputRows:
        """Those of an output.

        Raises:
            ConfigError: it has no file.
        """
        if not paths.rows.exists():
            raise ConfigError(f"There are no rows in {paths.rows}. Generate the dataset first.")
        return cls(paths.rows, row_model)

    def __iter__(self) -> Iterator[Row]:
        number = 1
        try:
            for row in RowSequence(self._path, self._row_model):
                yield row.model_dump(mode="json")
                number += 1
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the line"
            raise ConfigError(
                f"{self._path}: line {number} is not a {self._row_model.__name__} ({place}: {first['msg']}). Correct the line, "
                f"or move the file away and generate again: its rows come back from the ledger at no cost."
            ) from error


@foreign_warnings_ignored()
def to_dataset(rows: Iterable[Row], *, row_model: type[BaseModel]) -> Any:
    """The rows as a `datasets.Dataset` with the row model's types."""
    import pyarrow
    from datasets import Dataset

    tables = list(arrow_tables(rows, row_model))
    return Dataset(
        pyarrow.concat_tables(tables) if tables else row_schema(row_model).features.arrow_schema.empty_table()
    )


def _format(path: Path, given: str | None) -> str:
    name = (given or path.suffix).lower().removeprefix(".")
    if not name:
        raise ConfigError(
            f"{path} does not say its format. Give format=, one of {', '.join(FORMATS.names())}.", key="format"
        )
    return _OTHER_ENDINGS.get(name, name)
