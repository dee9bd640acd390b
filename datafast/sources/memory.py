"""Sources that lie in memory: lists, mappings of columns, DataFrames, and whatever gives mappings one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from datafast.errors import ConfigError
from datafast.sources.kept import kept_part
from datafast.sources.part import Part
from datafast.sources.reading import Reading
from datafast.sources.values import Row, RowReader, first_repeated, formerly_written, is_nothing

__all__ = ["is_frame", "of_columns", "of_frame", "of_iterable", "of_list"]


def of_list(
    given: Sequence[Any], reading: Reading, reader: RowReader, name: str, *, files: Sequence[Path] = ()
) -> Part:
    """A list of mappings."""
    former = blake2b(digest_size=16)
    return Part(
        name,
        lambda: _plain(given, reader, former, f"{reading.field}: {name}" if files else reading.field),
        lambda number: reader.plain(given[number], number),
        former.digest,
        files=list(files),
    )


def of_iterable(
    given: Iterable[Any],
    reading: Reading,
    reader: RowReader,
    name: str,
    *,
    columns: Sequence[str] = (),
    source: Sequence[str] = (),
    state: str | None = None,
) -> Part:
    """Rows that come one by one, like those of a streamed dataset; `source` and `state`: see `kept_part`."""
    former = blake2b(digest_size=16)
    return kept_part(
        name,
        lambda: _plain(given, reader, former, reading.field),
        reading,
        reader,
        source=source,
        state=state,
        columns=columns,
        former=former.digest,
    )


def _plain(given: Iterable[Any], reader: RowReader, former: Any, place: str) -> Iterator[Row]:
    """The rows as plain values; `former` gets what version 0.1.0 made its digest of. `place` is how errors call what they are in."""
    for number, row in enumerate(given):
        if not isinstance(row, Mapping):
            raise ConfigError(
                f"{place}[{number}]: expected a mapping of column names to values, got {type(row).__name__}."
            )
        former.update(formerly_written(row))
        yield reader.plain(row, number)


def of_columns(given: Mapping[Any, Any], reading: Reading, reader: RowReader) -> Part:
    """A mapping of column names to lists of values."""
    columns = {str(name): list(values) for name, values in given.items() if _is_column(values)}
    if not columns or len(columns) < len(given):
        raise ConfigError(
            f"{reading.field}: expected a mapping of column names to lists of values, or of splits to datasets."
        )
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ConfigError(f"{reading.field}: The columns differ in length: {listed}. Give all the same length.")
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return of_list(rows, reading, reader, "the mapping")


def _is_column(values: object) -> bool:
    """Whether it is a list of values: of pandas, polars or numpy too."""
    if isinstance(values, str | bytes | Mapping):
        return False
    return isinstance(values, Sequence) or (hasattr(values, "__len__") and hasattr(values, "__iter__"))


def is_lazy(given: object) -> bool:
    """Whether it is a LazyFrame of polars, whose columns are not known before it is carried out."""
    return all(hasattr(type(given), name) for name in ("collect", "collect_schema"))


def is_frame(given: object) -> bool:
    """Whether it is a DataFrame of pandas or polars, told without importing them."""
    if is_lazy(given):
        return True
    return hasattr(given, "columns") and (hasattr(given, "to_dict") or hasattr(given, "iter_rows"))


def of_frame(given: Any, reading: Reading, reader: RowReader) -> Part:
    """A DataFrame, or a LazyFrame of polars, which is carried out."""
    if is_lazy(given):
        try:
            given = given.collect()
        except Exception as error:  # whatever polars raises goes on as its cause
            why = str(error).partition("\n")[0].rstrip(".")
            raise ConfigError(f"{reading.field}: The LazyFrame cannot be carried out: {why}. Correct it.") from error
    names = [str(name) for name in given.columns]
    if (twice := first_repeated(names)) is not None:
        raise ConfigError(f"{reading.field}: The DataFrame has two columns named {twice!r}. Give one another name.")
    records = given.iter_rows(named=True) if hasattr(given, "iter_rows") else given.to_dict(orient="records")
    return of_list([_without_nan(record) for record in records], reading, reader, "the DataFrame")


def _without_nan(record: Mapping[Any, Any]) -> Row:
    """A row of a DataFrame, where whole columns have a type: nothing is NaN, NaT or NA there."""
    return {str(name): None if is_nothing(value) else value for name, value in record.items()}
