"""Rows by split -> Parquet files, one set per split, as they are or in a format.

Guarantee: every row is checked against the row model; a row that does not fit stops the export with its number. Which
rows are in which split is said in `datafast.export.splits`. The schema is that of the model; a column that may hold
anything has the type that all its values have in common.

Cost: one pass over the file, one more where a column may hold anything, and what its division into splits costs, plus one batch
of rows (at most 10,000 rows or about 16 MiB of text). A shuffled export reads the file in random order.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from datafast.errors import ConfigError
from datafast.export.features import RowSchema, row_schema
from datafast.export.files import narrowed
from datafast.export.formats import Opened, Options, opened_format
from datafast.export.reading import Unfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from datafast.export.splits.rows import Line, SplitRows

__all__ = ["DataFile", "Export", "Split", "export_parquet"]

_BATCH_ROWS = 10_000
_BATCH_BYTES = 16 * 2**20
_SHARD_BYTES = 500_000_000
_COUNTED = ("language", "model_id")
_Numbered = tuple[int, int, dict[str, Any]]


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
    """A finished export.

    Attributes:
        counts: per value of `language` and of `model_id`, the number of rows.
        notes: in sentences, what is not quite as it was asked for.
    """

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
    rows: SplitRows,
    folder: Path,
    *,
    row_model: type[BaseModel],
    format: str | None = None,  # noqa: A002 - as everywhere
    max_shard_bytes: int = _SHARD_BYTES,
) -> Export:
    """Writes rows as Parquet files into `folder`.

    Args:
        rows: the rows, by split.
        folder: an existing, empty folder.
        row_model: gives the columns and checks the rows.
        format: what rows become, like "openai"; None for the rows as they are.
        max_shard_bytes: a new file is begun when the one being written has this size.

    Raises:
        ConfigError: a row does not fit the model, or the format is not for such rows or makes files of its own.
        OSError: `folder` cannot be written.
    """
    made = _Made(row_model, format)
    schema = row_schema(narrowed(made.model, made.all(rows)))
    counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED if name in row_model.model_fields}
    splits: list[Split] = []
    for name in rows.names:
        writer = _SplitWriter(name, folder, schema, max_shard_bytes)
        checked = _counted(_rows(rows.lines(name), row_model, rows.origin), counts)
        splits.append(writer.write(made.records(checked)))
        if not splits[-1].num_rows:
            raise ConfigError(
                f"None of the rows in the split {name} can be written as {format}, because {made.in_words()}."
            )
    return Export(schema, tuple(splits), counts, [*rows.assignment.notes, *made.notes()])


class _Made:
    """What rows become in a format, and which of them become nothing."""

    def __init__(self, row_model: type[BaseModel], name: str | None) -> None:
        self._opened = None if name is None else _opened(name, row_model)
        self.model = row_model if self._opened is None else self._opened.record_model
        self._name = name
        self._left_out: Counter[str] = Counter()

    def all(self, rows: SplitRows) -> Iterator[Mapping[str, Any]]:
        """The records of all splits, for what their values have in common."""
        for row in rows.rows(*rows.names):
            if self._opened is None:
                yield row
            else:
                with suppress(Unfit):
                    yield from self._opened.records(row)

    def records(self, rows: Iterable[_Numbered]) -> Iterator[_Numbered]:
        for number, size, row in rows:
            if self._opened is None:
                yield number, size, row
                continue
            try:
                for record in self._opened.records(row):
                    yield number, size, record
            except Unfit as error:
                self._left_out[str(error)] += 1

    def in_words(self) -> str:
        return ", ".join(f"a row {why} ({rows:,})" for why, rows in self._left_out.items())

    def notes(self) -> list[str]:
        return [f"Left out of {self._name}, because {self.in_words()}."] if self._left_out else []


def _opened(name: str, row_model: type[BaseModel]) -> Opened:
    opened = opened_format(name, row_model, Options())
    if not isinstance(opened, Opened) or (opened.containers and "parquet" not in opened.containers):
        raise ConfigError(
            f"format: {name} is about files, and a push is made of Parquet files. Choose one of records, like openai, or leave it out.",
            key="format",
        )
    return opened


def _rows(lines: Iterable[Line], row_model: type[BaseModel], source: Path) -> Iterator[_Numbered]:
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


def _counted(rows: Iterable[_Numbered], counts: Mapping[str, Counter[str]]) -> Iterator[_Numbered]:
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

    def write(self, rows: Iterable[_Numbered]) -> Split:
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

    def _batches(self, rows: Iterable[_Numbered]) -> Iterator[Any]:
        values: list[tuple[int, dict[str, Any]]] = []
        size = 0
        for number, row_size, row in rows:
            values.append((number, self._schema.encode(row)))
            size += row_size
            if len(values) >= _BATCH_ROWS or size >= _BATCH_BYTES:
                yield self._batch(values)
                values, size = [], 0
        if values:
            yield self._batch(values)

    def _batch(self, values: Sequence[tuple[int, dict[str, Any]]]) -> Any:
        """A batch of rows with their lines."""
        import pyarrow as pa

        try:
            return pa.RecordBatch.from_pylist([row for _, row in values], schema=self._arrow_schema)
        except (pa.ArrowException, OverflowError) as error:
            for one in values if len(values) > 1 else ():  # one of them raises by itself
                self._batch([one])
            raise ConfigError(
                f"Line {values[0][0]} does not fit the columns: {error}. Integers must fit into 64 bits."
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
