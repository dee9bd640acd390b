"""`.parquet` and `.arrow`, read a thousand rows at a time, or fewer where they may be large.

A value that each row repeats stands in a file once, so that a few hundred bytes may hold more than any disk. The rows may take a thousand
times the file, and a quarter of a gigabyte in any case. Arrow files are mapped: their pages count as this process's memory, and the system
takes them back when it needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast._util.digest import digest
from datafast.errors import ConfigError
from datafast.sources.file import SourceFile
from datafast.sources.kept import kept_part
from datafast.sources.part import Part
from datafast.sources.reading import Reading
from datafast.sources.text_file import digest_of
from datafast.sources.values import Row, RowReader, first_repeated

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.parquet import RowGroupMetaData

__all__ = ["read_arrow", "read_parquet", "rows_noted"]

_ARROW_FILE = b"ARROW1"
_STEP = 2**20  # bytes of a column that are read at a time
_BATCH = 1_000
_BATCH_BYTES = 2**25  # of the rows of a batch, were each as large as one can be
_FEW = 16  # rows of a batch where they are seldom as large as they can be; fewer take much longer
_LARGEST_RATIO = 1_000  # of what the rows take to the size of the file
_ALWAYS = 2**28  # bytes that the rows may take, however small the file is
_SUSPECT_RATIO = 100  # of a row group to what it takes in the file
_LIST_ITEM = 32  # bytes of one item of a list, about


def read_parquet(file: SourceFile, reading: Reading, reader: RowReader) -> Part:
    from pyarrow.parquet import ParquetFile

    def batches() -> Iterator[RecordBatch]:
        # In steps: else a row group is held whole, and pages of a file in the memory's map count as this process's.
        with ParquetFile(file.path, buffer_size=_STEP, pre_buffer=False) as opened:
            for group in range(opened.num_row_groups):
                yield from opened.iter_batches(_rows_at_once(opened.metadata.row_group(group)), [group])

    with _faults(file, reading), ParquetFile(file.path) as opened:
        columns = opened.schema_arrow.names
    return _part(file, reading, reader, columns, batches)


def read_arrow(file: SourceFile, reading: Reading, reader: RowReader) -> Part:
    """Arrow's own files: its stream format, which `datasets` writes, or its file format, which is Feather too."""
    import pyarrow

    is_stream = not _begins(file.path, _ARROW_FILE)

    def opened() -> tuple[Any, Iterator[RecordBatch]]:
        mapped = pyarrow.memory_map(str(file.path))
        if is_stream:
            source = pyarrow.ipc.open_stream(mapped)
            return source.schema, iter(source)
        source = pyarrow.ipc.open_file(mapped)
        return source.schema, (source.get_batch(number) for number in range(source.num_record_batches))

    def batches() -> Iterator[RecordBatch]:
        for batch in opened()[1]:
            for start in range(0, batch.num_rows, _BATCH):
                yield batch.slice(start, _BATCH)

    with _faults(file, reading):
        columns = opened()[0].names
    return _part(file, reading, reader, columns, batches)


def rows_noted(path: Path) -> int | None:
    """How many rows a Parquet or Arrow file says that it has, without reading them; None for a file of another kind, and where it does
    not say so.

    Raises:
        ConfigError: it is damaged.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    ending = path.suffix.lower()
    try:
        if ending == ".parquet":
            with ParquetFile(path) as opened:
                return int(opened.metadata.num_rows)
        if ending in {".arrow", ".feather"} and _begins(path, _ARROW_FILE):
            with pyarrow.memory_map(str(path)) as mapped:
                found = pyarrow.ipc.open_file(mapped)
                return int(sum(found.get_batch(number).num_rows for number in range(found.num_record_batches)))
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        told = str(error).rstrip(".")
        raise ConfigError(f"Cannot read {path.name}: {told}. Check that its content matches its ending.") from error
    return None


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def _part(
    file: SourceFile,
    reading: Reading,
    reader: RowReader,
    columns: list[str],
    batches: Callable[[], Iterator[RecordBatch]],
) -> Part:
    if (twice := first_repeated(columns)) is not None:
        raise ConfigError(
            f"{reading.field}: {file.name}: Two columns are named {twice!r}. Give one of them another name."
        )
    status = file.path.stat()

    def rows() -> Iterator[Row]:
        with _faults(file, reading):
            for number, row in enumerate(chain.from_iterable(batch.to_pylist() for batch in batches())):
                yield reader.plain(row, number)

    # A row group holds up to a million rows, too many to be read again for each that is asked for.
    return kept_part(
        file.name,
        rows,
        reading,
        reader,
        source=["rows", str(file.path.resolve())],
        state=digest(str(status.st_size), str(status.st_mtime_ns)).hex()[:16],
        columns=columns,
        former=lambda: digest_of(file.path),
        files=file.files,
        at_most=max(_ALWAYS, _LARGEST_RATIO * status.st_size),
    )


@contextmanager
def _faults(file: SourceFile, reading: Reading) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise ConfigError(
            f"{reading.field}: Cannot read {file.name}: {error}. Check that its content matches its ending."
        ) from error


def _rows_at_once(group: RowGroupMetaData) -> int:
    """How many rows of a group are read together: so many that they fit into memory, were each as large as one can be."""
    columns = [group.column(number) for number in range(group.num_columns)]
    in_file = sum(column.total_compressed_size for column in columns)
    plain = sum(column.total_uncompressed_size for column in columns)
    items = sum(column.num_values - group.num_rows for column in columns)
    largest: int = max(1, plain + _LIST_ITEM * items)
    few = _FEW if largest <= _SUSPECT_RATIO * in_file else 1
    return max(few, min(_BATCH, _BATCH_BYTES // largest))
