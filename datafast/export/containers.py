"""Containers: how records lie in files. What a record looks like is the matter of formats.

    jsonl          an object a line
    json           a list of objects
    csv            one line a record, null is empty, lists and objects are JSON text
    parquet        typed columns; objects of free form are JSON text
    arrow          the same, as a stream that `datasets` maps into memory
    save_to_disk   the folder that `Dataset.save_to_disk` writes, for `datasets.load_from_disk`

Guarantee: a typed container (parquet, arrow, save_to_disk) has the types of the record model, whatever the values are; those of the others
are guessed by whoever reads them. Cost: a batch of records in memory.
"""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar
from uuid import uuid4

import orjson
from pydantic import BaseModel

from datafast.errors import ConfigError
from datafast.export.features import RowSchema, row_schema
from datafast.export.guessing import Guesses

__all__ = ["CONTAINERS", "Container", "container_of", "table_of"]

Record = Mapping[str, Any]

_GROUP_ROWS = 10_000
_GROUP_BYTES = 16 * 2**20
# What `datasets` reads at once: of a table with commas, and of JSON.
_LOOKED_AT_ROWS = 10_000
_LOOKED_AT_BYTES = 10 * 2**20


class Container(ABC):
    """A file, or a folder, that is being written. The path is not the final one: it gets its name when all is complete.

    Args:
        path: does not exist yet.
        record_model: has a field for each column.
    """

    endings: ClassVar[Sequence[str]] = ()
    """The endings of paths that choose it."""
    typed: ClassVar[bool] = False
    """Whether it holds the types of its columns."""
    is_folder: ClassVar[bool] = False
    files: ClassVar[Sequence[str]] = ()
    """Of a folder, patterns of the names of its files; a folder with others in it is not replaced."""

    @abstractmethod
    def __init__(self, path: Path, record_model: type[BaseModel]) -> None: ...

    @abstractmethod
    def write(self, records: Sequence[Record]) -> None:
        """Raises OSError, or ConfigError where a record does not fit its columns."""

    def guesses(self, columns: Sequence[str]) -> Guesses | None:
        """What will be guessed of these columns; None where nothing is, or where a file is read as a whole."""
        del columns
        return None

    def begins(self, records: int) -> bool:
        """Whether what was written, so many records, is still the beginning from which `datasets` guesses the types of columns."""
        return records < _LOOKED_AT_ROWS

    @abstractmethod
    def close(self) -> None:
        """Completes the file; also where writing it has failed."""


class _Bytes(Container):
    """Records of which each has its own bytes."""

    def __init__(self, path: Path, record_model: type[BaseModel]) -> None:
        del record_model
        self._file: IO[bytes] = path.open("wb")

    def begins(self, records: int) -> bool:
        return self._file.tell() < _LOOKED_AT_BYTES

    def close(self) -> None:
        self._file.close()


class Jsonl(_Bytes):
    endings = (".jsonl", ".ndjson")

    def guesses(self, columns: Sequence[str]) -> Guesses:
        return Guesses(columns)

    def write(self, records: Sequence[Record]) -> None:
        self._file.writelines(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)


class Json(_Bytes):
    endings = (".json",)

    def __init__(self, path: Path, record_model: type[BaseModel]) -> None:
        super().__init__(path, record_model)
        self._file.write(b"[")
        self._before = b"\n"

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            self._file.write(self._before + orjson.dumps(record))
            self._before = b",\n"

    def close(self) -> None:
        self._file.write(b"\n]\n")
        super().close()


class Csv(Container):
    endings = (".csv",)

    def guesses(self, columns: Sequence[str]) -> Guesses:
        return Guesses(columns, cells=True)

    def __init__(self, path: Path, record_model: type[BaseModel]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, list(record_model.model_fields))
        self._writer.writeheader()

    def write(self, records: Sequence[Record]) -> None:
        self._writer.writerows({name: _flat(value) for name, value in record.items()} for record in records)

    def close(self) -> None:
        self._file.close()


def _flat(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict | list | bool) else value


class _Typed(Container):
    """Records as Arrow tables."""

    typed = True

    def __init__(self, path: Path, record_model: type[BaseModel]) -> None:
        self._path = path
        self._schema = row_schema(record_model)
        self._done = 0

    def write(self, records: Sequence[Record]) -> None:
        self._put(table_of(self._schema, records, first=self._done + 1))
        self._done += len(records)

    @abstractmethod
    def _put(self, table: Any) -> None: ...


def table_of(schema: RowSchema, records: Sequence[Record], *, first: int) -> Any:
    """Records, of which the first has this number, as an Arrow table.

    Raises:
        ConfigError: a value does not fit its column.
    """
    import pyarrow

    values = [schema.encode(record) for record in records]
    arrow_schema = schema.features.arrow_schema
    try:
        return pyarrow.Table.from_pylist(values, schema=arrow_schema)
    except (pyarrow.ArrowException, OverflowError) as error:
        raise _misfit(values, arrow_schema, first=first, why=error) from error


def _misfit(values: Sequence[Record], schema: Any, *, first: int, why: Exception) -> ConfigError:
    """What says which of these rows, from number `first` on, has a value that its column cannot hold."""
    import pyarrow

    for number, row in enumerate(values, first):
        for field in schema:
            try:
                pyarrow.array([row.get(field.name)], type=field.type)
            except (pyarrow.ArrowException, OverflowError) as error:
                too_large = isinstance(error, OverflowError) or isinstance(row[field.name], int)
                return ConfigError(
                    f"Row {number}: The column {field.name!r} is {field.type} and cannot hold {row[field.name]!r:.60}: "
                    f"{str(error).rstrip('.')}. "
                    + ("Whole numbers have at most 64 bits there; save" if too_large else "Save")
                    + " as jsonl or csv, or make the value a text."
                )
    return ConfigError(f"The rows from {first} on do not fit their columns: {why}. Save them as jsonl.")


class Parquet(_Typed):
    endings = (".parquet", ".pq")

    def __init__(self, path: Path, record_model: type[BaseModel]) -> None:
        from pyarrow import parquet

        super().__init__(path, record_model)
        self._writer = parquet.ParquetWriter(path, self._schema.features.arrow_schema)
        self._waiting: list[Any] = []

    def _put(self, table: Any) -> None:
        self._waiting.append(table)
        waiting = self._waiting
        if sum(map(len, waiting)) >= _GROUP_ROWS or sum(one.nbytes for one in waiting) >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if self._waiting:
            self._writer.write_table(pyarrow.concat_tables(self._waiting))
            self._waiting = []

    def close(self) -> None:
        self._flush()
        self._writer.close()


class Arrow(_Typed):
    endings = (".arrow",)

    def __init__(self, path: Path, record_model: type[BaseModel]) -> None:
        import pyarrow

        super().__init__(path, record_model)
        self._file = path.open("wb")
        self._writer = pyarrow.ipc.new_stream(self._file, self._schema.features.arrow_schema)

    def _put(self, table: Any) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()
        self._file.close()


class SaveToDisk(Container):
    typed = True
    is_folder = True
    files = ("state.json", "dataset_info.json", "data-*.arrow", "cache-*.arrow")  # the last are those of `datasets`
    _FILE = "data-00000-of-00001.arrow"

    def __init__(self, path: Path, record_model: type[BaseModel]) -> None:
        from datasets import DatasetInfo

        path.mkdir()
        DatasetInfo(features=row_schema(record_model).features).write_to_directory(str(path))
        (path / "state.json").write_bytes(orjson.dumps(self._state(), option=orjson.OPT_INDENT_2))
        self._rows = Arrow(path / self._FILE, record_model)

    def _state(self) -> dict[str, Any]:
        """What `Dataset.save_to_disk` says of a dataset beside its columns. It shows its progress, so it is not called for this."""
        return {
            "_data_files": [{"filename": self._FILE}],
            "_fingerprint": uuid4().hex[:16],  # by which `datasets` tells apart what it keeps of two of them
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }

    def write(self, records: Sequence[Record]) -> None:
        self._rows.write(records)

    def close(self) -> None:
        self._rows.close()


CONTAINERS: Mapping[str, type[Container]] = {
    "jsonl": Jsonl,
    "json": Json,
    "csv": Csv,
    "parquet": Parquet,
    "arrow": Arrow,
    "save_to_disk": SaveToDisk,
}


def container_of(path: Path) -> str | None:
    """The container that a path's ending chooses; None where it chooses none."""
    ending = path.suffix.lower()
    return next((name for name, container in CONTAINERS.items() if ending in container.endings), None)
