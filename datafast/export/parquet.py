"""Rows of a JSONL file -> Parquet files, one set per split.

Guarantee: every row is checked against the row model; a row that does not fit stops the export with its number. Which
rows are in which split is said in `datafast.export.splits`.

Cost: two passes over the file, and what its division into splits costs, plus one batch of rows (at most 10,000 rows or
about 16 MiB of text). A shuffled export reads the file in random order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from datafast.errors import ConfigError
from datafast.export.features import RowSchema, row_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from datafast.export.splits import Splitting
    from datafast.export.splits.rows import Line

__all__ = ["DataFile", "Export", "Split", "export_parquet"]

_BATCH_ROWS = 10_000
_BATCH_BYTES = 16 * 2**20
_SHARD_BYTES = 500_000_000
_COUNTED = ("language", "model_id")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file on this machine, and where it goes in the repository."""

    path: Path
    path_in_repo: str
    size: int


@dataclass(frozen=True, slots=True)
class Split:
    """One split. `num_bytes` is the size of its rows in Arrow's memory format, as `datasets` counts it."""

    name: str
    num_rows: int
    num_bytes: int
    files: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """A finished export; `counts` has, per value of `language` and of `model_id`, the number of rows. `notes` say in sentences what of the
    splits is not quite as it was asked for."""

    schema: RowSchema
    splits: tuple[Split, ...]
    counts: Mapping[str, Counter[str]]
    notes: Sequence[str]

    @property
    def num_rows(self) -> int:
        return sum(split.num_rows for split in self.splits)

    @property
    def files(self) -> list[DataFile]:
        return [file for split in self.splits for file in split.files]


def export_parquet(
    source: Path,
    folder: Path,
    *,
    row_model: type[BaseModel],
    splitting: Splitting,
    max_shard_bytes: int = _SHARD_BYTES,
) -> Export:
    """Writes the rows of `source` as Parquet files into `folder`.

    Args:
        source: JSONL in UTF-8, one row of `row_model` per line.
        folder: an existing, empty folder.
        row_model: gives the columns and checks the rows.
        splitting: the splits, and the order of the rows in them.
        max_shard_bytes: a new file is begun when the one being written has this size.

    Raises:
        ConfigError: the file is missing, has no or too few rows, or a row does not fit the model.
        OSError: `folder` cannot be written.
    """
    from datafast.export.splits.rows import SplitRows

    schema = row_schema(row_model)
    rows = SplitRows.of(source, splitting, row_model)
    counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED if name in row_model.model_fields}
    splits: list[Split] = []
    for name in rows.assignment.rows:
        writer = _SplitWriter(name, folder, schema, max_shard_bytes)
        splits.append(writer.write(_counted(_rows(rows.lines(name), row_model, source), counts)))
    rows.keep()
    return Export(schema, tuple(splits), counts, rows.assignment.notes)


def _rows(lines: Iterable[Line], row_model: type[BaseModel], source: Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The number (from 1), size in bytes and checked values of each row."""
    known = row_model.model_fields.keys()
    for line in lines:
        if unknown := line.row.keys() - known:
            raise ConfigError(
                f"Line {line.number} of {source} has the field {min(unknown)!r}, which {row_model.__name__} does not have. "
                f"Its fields are: {', '.join(known)}."
            )
        yield line.number, line.size, _checked(line.row, line.number, row_model, source)


def _checked(raw: dict[str, Any], number: int, row_model: type[BaseModel], source: Path) -> dict[str, Any]:
    try:
        return row_model.model_validate(raw).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the row"
        raise ConfigError(
            f"Line {number} of {source} is not a {row_model.__name__}: {field}: {first['msg']}. "
            "Correct the line, or push the file with the dataset kind that wrote it."
        ) from error


def _counted(
    rows: Iterable[tuple[int, int, dict[str, Any]]], counts: Mapping[str, Counter[str]]
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    for row in rows:
        for name, counter in counts.items():
            if row[2][name] is not None:
                counter[str(row[2][name])] += 1
        yield row


class _SplitWriter:
    """Writes one split, a row group per batch, into as many files as its size asks for."""

    def __init__(self, name: str, folder: Path, schema: RowSchema, max_shard_bytes: int) -> None:
        self._name = name
        self._folder = folder
        self._schema = schema
        self._arrow_schema = schema.features.arrow_schema
        self._max_shard_bytes = max_shard_bytes
        self._paths: list[Path] = []
        self._writer: Any = None

    def write(self, rows: Iterable[tuple[int, int, dict[str, Any]]]) -> Split:
        num_rows = num_bytes = 0
        try:
            for batch in self._batches(rows):
                self._open().write_batch(batch)
                num_rows += batch.num_rows
                num_bytes += batch.nbytes
                if self._paths[-1].stat().st_size >= self._max_shard_bytes:
                    self._close()
        finally:
            self._close()
        return Split(self._name, num_rows, num_bytes, self._files())

    def _batches(self, rows: Iterable[tuple[int, int, dict[str, Any]]]) -> Iterator[Any]:
        values: dict[int, dict[str, Any]] = {}
        size = 0
        for number, row_size, row in rows:
            values[number] = self._schema.encode(row)
            size += row_size
            if len(values) >= _BATCH_ROWS or size >= _BATCH_BYTES:
                yield self._batch(values)
                values, size = {}, 0
        if values:
            yield self._batch(values)

    def _batch(self, values: Mapping[int, dict[str, Any]]) -> Any:
        """A batch of rows by their lines."""
        import pyarrow as pa

        try:
            return pa.RecordBatch.from_pylist(list(values.values()), schema=self._arrow_schema)
        except (pa.ArrowException, OverflowError) as error:
            for number, row in values.items() if len(values) > 1 else ():  # one of them raises by itself
                self._batch({number: row})
            raise ConfigError(
                f"Line {next(iter(values))} does not fit the columns: {error}. Integers must fit into 64 bits."
            ) from error

    def _open(self) -> Any:
        import pyarrow.parquet as pq

        if self._writer is None:
            self._paths.append(self._folder / f"{self._name}-{len(self._paths):05d}.parquet")
            self._writer = pq.ParquetWriter(self._paths[-1], self._arrow_schema, compression="zstd")
        return self._writer

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _files(self) -> tuple[DataFile, ...]:
        total = len(self._paths)
        return tuple(
            DataFile(path, f"data/{self._name}-{number:05d}-of-{total:05d}.parquet", path.stat().st_size)
            for number, path in enumerate(self._paths)
        )
