"""Rows -> one file on this machine, or a `datasets.Dataset`.

    parquet    the columns and types of the row model; objects of free form are JSON text, as on the Hub
    csv        one line a row, null is empty, lists and objects are JSON text
    json       a list of objects
    jsonl      an object a line

Guarantee: a file is complete or not there: it is written under another name and then renamed. Cost: a batch of rows in memory.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, create_model

from datafast._util.atomic_write import whole_file
from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import nearest
from datafast.errors import ConfigError, OutputWriteError
from datafast.export.features import row_schema

__all__ = ["FORMATS", "narrowed", "save_rows", "to_dataset"]

Row = Mapping[str, Any]

_BATCH = 10_000


@foreign_warnings_ignored()
def narrowed(row_model: type[BaseModel], rows: Iterable[Row]) -> type[BaseModel]:
    """The row model with a type of its own for each column of free form whose values all have one in common."""
    free = {name for name, field in row_model.model_fields.items() if field.annotation is Any}
    if not free:
        return row_model
    kinds: dict[str, set[type]] = {name: set() for name in free}
    for row in rows:
        for name in free:
            if row[name] is not None:
                kinds[name].add(type(row[name]))
    types = {name: _common(kinds[name]) for name in free}
    fields: dict[str, Any] = {
        name: (types.get(name) or field.annotation, ...) for name, field in row_model.model_fields.items()
    }
    return create_model(row_model.__name__, __config__=row_model.model_config, **fields)


def _common(kinds: set[type]) -> Any:
    if kinds == {int, float}:
        return float | None
    return next(iter(kinds)) | None if len(kinds) == 1 and kinds <= {str, int, float, bool} else None


@foreign_warnings_ignored()
def save_rows(rows: Iterable[Row], path: Path, format: str | None = None, *, row_model: type[BaseModel]) -> Path:  # noqa: A002
    """Writes rows into a file; see the module.

    Args:
        format: of `FORMATS`; by default what the path ends in.

    Raises:
        ConfigError: the format is not known.
        OutputWriteError: the file cannot be written.
    """
    write = FORMATS[_format(path, format)]
    try:
        with whole_file(path) as part:
            write(rows, part, row_model)
    except OSError as error:
        raise OutputWriteError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
    return path


@foreign_warnings_ignored()
def to_dataset(rows: Iterable[Row], *, row_model: type[BaseModel]) -> Any:
    """The rows as a `datasets.Dataset` with the row model's types."""
    import pyarrow
    from datasets import Dataset

    schema = row_schema(row_model)
    batches = [_table(batch, schema) for batch in _batches(rows)]
    table = pyarrow.concat_tables(batches) if batches else schema.features.arrow_schema.empty_table()
    return Dataset(table)


def _format(path: Path, given: str | None) -> str:
    name = (given or path.suffix).lower().removeprefix(".")
    name = {"ndjson": "jsonl", "pq": "parquet"}.get(name, name)
    if name not in FORMATS:
        near = nearest(name, FORMATS) if name else None
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(FORMATS)}"
        what = f"there is no format {name!r}" if name else f"{path} does not say its format; give format="
        raise ConfigError(f"{what}; {hint}")
    return name


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    source = iter(rows)
    while batch := list(islice(source, _BATCH)):
        yield batch


def _table(batch: list[Row], schema: Any) -> Any:
    import pyarrow

    return pyarrow.Table.from_pylist([schema.encode(row) for row in batch], schema=schema.features.arrow_schema)


def _write_parquet(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    from pyarrow import parquet

    schema = row_schema(row_model)
    with parquet.ParquetWriter(path, schema.features.arrow_schema) as writer:
        for batch in _batches(rows):
            writer.write_table(_table(batch, schema))


def _write_csv(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row_model.model_fields))
        writer.writeheader()
        writer.writerows({name: _flat(value) for name, value in row.items()} for row in rows)


def _flat(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict | list | bool) else value


def _write_json(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    with path.open("wb") as file:
        file.write(b"[")
        for number, row in enumerate(rows):
            file.write((b",\n" if number else b"\n") + orjson.dumps(row))
        file.write(b"\n]\n")


def _write_jsonl(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    with path.open("wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)


FORMATS: Mapping[str, Callable[[Iterable[Row], Path, type[BaseModel]], None]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "json": _write_json,
    "jsonl": _write_jsonl,
}
"""What can be written, by name."""
