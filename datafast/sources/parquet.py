"""`.parquet`, read a thousand rows at a time, or fewer where they may be large.

A value that each row repeats stands in a file once, so that a few hundred bytes may hold more than any disk. The rows may take a thousand
times the file, and a quarter of a gigabyte in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from datafast.errors import ConfigError
from datafast.sources.part import Part
from datafast.sources.reading import Reading
from datafast.sources.spool import Spool
from datafast.sources.text_file import digest_of
from datafast.sources.values import Row, RowReader

if TYPE_CHECKING:
    from pyarrow.parquet import RowGroupMetaData

__all__ = ["read_parquet"]

_BATCH = 1_000
_BATCH_BYTES = 2**25  # of the rows of a batch, were each as large as one can be
_FEW = 16  # rows of a batch where they are seldom as large as they can be; fewer take much longer
_LARGEST_RATIO = 1_000  # of what the rows take to the size of the file
_ALWAYS = 2**28  # bytes that the rows may take, however small the file is
_SUSPECT_RATIO = 100  # of a row group to what it takes in the file
_LIST_ITEM = 32  # bytes of one item of a list, about


def read_parquet(path: Path, reading: Reading, reader: RowReader) -> Part:
    at_most = max(_ALWAYS, _LARGEST_RATIO * path.stat().st_size)
    # A row group holds up to a million rows, too many to be read again for each that is asked for.
    spool = Spool(f"{reading.field}: {path}", at_most)
    with _faults(path, reading):
        columns = _columns(path, reading)

    def rows() -> Iterator[Row]:
        with _faults(path, reading):
            yield from _rows(path, reader)

    return Part(
        str(path), rows, spool.__getitem__, lambda: digest_of(path), columns=columns, keep=spool.keep, files=[path]
    )


@contextmanager
def _faults(path: Path, reading: Reading) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise ConfigError(
            f"{reading.field}: Cannot read {path}: {error}. Check that its content matches its ending."
        ) from error


def _columns(path: Path, reading: Reading) -> list[str]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
        names: list[str] = file.schema_arrow.names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"{reading.field}: {path}: Two columns are named {twice!r}. Give one of them another name.")
    return names


def _rows(path: Path, reader: RowReader) -> Iterator[Row]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
        batches = chain.from_iterable(
            file.iter_batches(_rows_at_once(file.metadata.row_group(group)), [group])
            for group in range(file.num_row_groups)
        )
        for number, row in enumerate(chain.from_iterable(batch.to_pylist() for batch in batches)):
            yield reader.plain(row, number)


def _rows_at_once(group: RowGroupMetaData) -> int:
    """How many rows of a group are read together: so many that they fit into memory, were each as large as one can be."""
    columns = [group.column(number) for number in range(group.num_columns)]
    in_file = sum(column.total_compressed_size for column in columns)
    plain = sum(column.total_uncompressed_size for column in columns)
    items = sum(column.num_values - group.num_rows for column in columns)
    largest: int = max(1, plain + _LIST_ITEM * items)
    few = _FEW if largest <= _SUSPECT_RATIO * in_file else 1
    return max(few, min(_BATCH, _BATCH_BYTES // largest))
