"""`.parquet`, read a thousand rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from datafast.errors import ConfigError
from datafast.sources.reading import Reading
from datafast.sources.rows import Found, SourceRows, gone_through
from datafast.sources.spool import Spool
from datafast.sources.text_file import digest_of
from datafast.sources.values import Row, RowReader

__all__ = ["read_parquet"]

_BATCH = 1_000


def read_parquet(path: Path, reading: Reading) -> SourceRows:
    import pyarrow

    reader, spool = RowReader(reading.encoding), Spool()
    try:
        found = _gone_through(path, reading, reader, spool)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise ConfigError(
            f"{reading.field}: Cannot read {path}: {error}. Check that its content matches its ending."
        ) from error
    # A row group holds up to a million rows, too many to be read again for each that is asked for.
    return SourceRows(str(path), found, lambda number: spool[number], reader=reader, former_digest=digest_of(path))


def _gone_through(path: Path, reading: Reading, reader: RowReader, spool: Spool) -> Found:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
        names = file.schema_arrow.names
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ConfigError(
                f"{reading.field}: {path}: Two columns are named {twice!r}. Give one of them another name."
            )

        def plain() -> Iterator[Row]:
            rows = chain.from_iterable(batch.to_pylist() for batch in file.iter_batches(_BATCH))
            for number, row in enumerate(rows):
                yield reader.plain(row, number)

        return gone_through(spool.keeping(plain()), columns=names)
