"""`.parquet`, held as an Arrow table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datafast.errors import ConfigError
from datafast.sources.reading import Reading
from datafast.sources.rows import SourceRows, gone_through
from datafast.sources.text_file import digest_of
from datafast.sources.values import Row, RowReader

__all__ = ["read_parquet"]

_BATCH = 1_000


def read_parquet(path: Path, reading: Reading) -> SourceRows:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, memory_map=True)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise ConfigError(
            f"{reading.field}: Cannot read {path}: {error}. Check that its content matches its ending."
        ) from error
    names = table.column_names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"{reading.field}: {path}: Two columns are named {twice!r}. Give one of them another name.")
    reader = RowReader(reading.encoding)

    def plain() -> Iterator[Row]:
        for start in range(0, table.num_rows, _BATCH):
            for number, row in enumerate(table.slice(start, _BATCH).to_pylist(), start):
                yield reader.plain(row, number)

    return SourceRows(
        str(path),
        gone_through(plain(), columns=names),
        lambda number: reader.plain(table.slice(number, 1).to_pylist()[0], number),
        reader=reader,
        former_digest=digest_of(path),
    )
