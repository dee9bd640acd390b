"""Formats: how rows are written into a file. Built-in ones and those of other packages enter by the same door.

    parquet    the columns and types of the row model; objects of free form are JSON text, as on the Hub
    csv        one line a row, null is empty, lists and objects are JSON text
    json       a list of objects
    jsonl      an object a line

A format is a function that takes rows, a path and the row model; a package offers one by an entry point:

    [project.entry-points."datafast.formats"]
    tsv = "my_package.formats:write_tsv"

It writes the whole file at the path it is given, which is not the final one: the file gets its name when it is complete.
Cost: of the built-in ones, a batch of rows in memory.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import orjson
from pydantic import BaseModel

from datafast._util.plugins import Door
from datafast.errors import ConfigError
from datafast.export.features import row_schema
from datafast.registry import BUILT_IN

__all__ = [
    "FORMATS",
    "Format",
    "Row",
    "arrow_tables",
    "misfit",
    "write_csv",
    "write_json",
    "write_jsonl",
    "write_parquet",
]

Row = Mapping[str, Any]

_BATCH = 10_000


class Format(Protocol):
    """Writes rows into one file."""

    def __call__(self, rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
        """`rows` are plain JSON and can be gone through once. Raises OSError where the file cannot be written."""
        ...


def _check(name: str, thing: Any) -> str | None:
    return None if callable(thing) else "a function of rows, path and row model is expected"


FORMATS: Door[Format] = Door(
    "datafast.formats", noun="format", built_in=BUILT_IN["datafast.formats"], check=_check, key="format"
)


def write_parquet(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    """Writes a Parquet file, typed by the row model."""
    from pyarrow import parquet

    schema = row_schema(row_model).features.arrow_schema
    with parquet.ParquetWriter(path, schema) as writer:
        for table in arrow_tables(rows, row_model):
            writer.write_table(table)


def arrow_tables(rows: Iterable[Row], row_model: type[BaseModel]) -> Iterator[Any]:
    """The rows as Arrow tables with the row model's types, a batch at a time."""
    import pyarrow

    schema = row_schema(row_model)
    source = iter(rows)
    arrow_schema, first = schema.features.arrow_schema, 1
    while batch := list(islice(source, _BATCH)):
        values = [schema.encode(row) for row in batch]
        try:
            yield pyarrow.Table.from_pylist(values, schema=arrow_schema)
        except (pyarrow.ArrowException, OverflowError) as error:
            raise misfit(values, arrow_schema, first=first, why=error) from error
        first += len(batch)


def misfit(values: Sequence[Row], schema: Any, *, first: int, why: Exception) -> ConfigError:
    """What says which of these rows, from number `first` on, has a value that its column cannot hold."""
    import pyarrow

    for number, row in enumerate(values, first):
        for field in schema:
            try:
                pyarrow.array([row[field.name]], type=field.type)
            except (pyarrow.ArrowException, OverflowError) as error:
                return ConfigError(
                    f"Row {number}: The column {field.name!r} is {field.type} and cannot hold {row[field.name]!r:.60}: {error}. "
                    f"Whole numbers have at most 64 bits there; save as jsonl or csv, or make the value a text."
                )
    return ConfigError(f"The rows from {first} on do not fit their columns: {why}. Save them as jsonl.")


def write_csv(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    """Writes a table of comma-separated values with a header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row_model.model_fields))
        writer.writeheader()
        writer.writerows({name: _flat(value) for name, value in row.items()} for row in rows)


def _flat(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict | list | bool) else value


def write_json(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    """Writes one JSON list."""
    with path.open("wb") as file:
        file.write(b"[")
        for number, row in enumerate(rows):
            file.write((b",\n" if number else b"\n") + orjson.dumps(row))
        file.write(b"\n]\n")


def write_jsonl(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    """Writes JSON lines."""
    with path.open("wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)
