"""Rows that a user already has: lists, files, tables and Hugging Face datasets, all as one sort of sequence.

    list of mappings, mapping of columns      as they are
    .jsonl, .json, .csv, .parquet             files, relative to a folder that the caller names
    pandas DataFrame                          anything with `columns` and `to_dict(orient="records")`
    Dataset, DatasetDict, name on the Hub     of `datasets`; of a DatasetDict the chosen split, else `train`, else all of them

Guarantee: a row comes out as a plain mapping of column names to JSON values, and the same source has the same `digest` in every
process. The user's data is never changed. Cost: a JSONL is indexed (eight bytes a row) and its rows are read on demand; CSV and Parquet
files are held as Arrow tables; lists and DataFrames are read once. Limits: a file that changes while it is used gives an error
or its new rows, depending on the format.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path, PurePath
from typing import Any, cast, overload

import orjson

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.jsonl import LineIndex
from datafast._util.notify import did_you_mean, warn_user
from datafast.errors import ConfigError

__all__ = ["SourceRows", "open_source"]

Row = dict[str, Any]

_BLOCK = 1 << 20
_UNSORTED = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_JSON = _UNSORTED | orjson.OPT_SORT_KEYS
_PLAIN = frozenset([str, int, bool, type(None)])
_NOTHING = frozenset(["NaTType", "NAType"])  # pandas' types, recognised without importing it


class SourceRows(Sequence[Row]):
    """The rows of a source. Made by `open_source`.

    Attributes:
        name: its name in messages.
        columns: the names of its columns, in order; if the rows differ, all names of the first hundred rows.
        digest: 16 bytes that change when its rows do.
    """

    def __init__(
        self, name: str, size: int, read: Callable[[int], Row], *, columns: Sequence[str], digest: bytes
    ) -> None:
        self.name = name
        self.columns = tuple(columns)
        self.digest = digest
        self._size = size
        self._read = read

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        found = range(self._size)[index]
        with foreign_warnings_ignored():
            return self._read(found) if isinstance(found, int) else [self._read(number) for number in found]

    def __repr__(self) -> str:
        return f"<{self._size} source rows of {self.name}: {', '.join(self.columns)}>"


@foreign_warnings_ignored()
def open_source(given: object, *, field: str, folder: Path | None = None, split: str | None = None) -> SourceRows:
    """The rows of a source that a user gave; see the module.

    Args:
        given: the source.
        field: the config field that errors name.
        folder: the folder that paths are relative to; the working directory by default.
        split: the split of a DatasetDict or of a dataset on the Hub.

    Raises:
        ConfigError: it is not a source of a known sort, cannot be read, or has no rows; names the field, and the file and line
            if there is one.
    """
    rows = _opened(given, field, folder, split)
    if not len(rows):
        raise ConfigError(f"{field}: {rows.name} has no rows. Give at least one.")
    return rows


def _opened(given: object, field: str, folder: Path | None, split: str | None) -> SourceRows:
    if isinstance(given, SourceRows):
        return given
    if isinstance(given, str | Path):
        return _named(given, field, folder, split)
    if _is_dataset(given):
        return _of_dataset(given)
    if isinstance(given, Mapping):
        return _of_mapping(given, field, split)
    if hasattr(given, "columns") and hasattr(given, "to_dict"):
        records = given.to_dict(orient="records")
        return _of_list([_without_nan(record) for record in records], field, "the DataFrame")
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return _of_list(given, field, "the list")
    raise ConfigError(
        f"{field}: expected rows (a list of mappings, a JSONL, JSON, CSV or Parquet file, a DataFrame or a Hugging Face dataset), "
        f"got {type(given).__name__}."
    )


# -- in memory


def _of_list(rows: Sequence[Any], field: str, name: str) -> SourceRows:
    state = blake2b(digest_size=16)
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ConfigError(
                f"{field}[{number}]: expected a mapping of column names to values, got {type(row).__name__}."
            )
        state.update(_written(row, f"{field}[{number}]"))
    read = rows.__getitem__
    return SourceRows(
        name, len(rows), lambda number: _plain(read(number)), columns=_columns(rows), digest=state.digest()
    )


def _of_mapping(given: Mapping[Any, Any], field: str, split: str | None) -> SourceRows:
    """A mapping of splits to datasets, or of columns to lists of values."""
    if given and all(_is_dataset(part) for part in given.values()):
        return _of_splits(given, field, split)
    columns = {str(name): list(values) for name, values in given.items() if _is_column(values)}
    if not columns or len(columns) < len(given):
        raise ConfigError(f"{field}: expected a mapping of column names to lists of values, or of splits to datasets.")
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ConfigError(f"{field}: The columns differ in length: {listed}. Give all the same length.")
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return _of_list(rows, field, "the mapping")


def _is_column(values: object) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def _of_splits(splits: Mapping[Any, Any], field: str, split: str | None) -> SourceRows:
    """The chosen split, else `train`, else all of them one after the other."""
    names = [str(name) for name in splits]
    if split is not None:
        if split not in splits:
            raise ConfigError(f"{field}: There is no split {split!r}. {did_you_mean(split, names)}")
        return _of_dataset(splits[split])
    if "train" in splits:
        return _of_dataset(splits["train"])
    if len(splits) > 1:
        warn_user(
            f"{field}: The splits {', '.join(names)} are read one after the other. Give split to read one of them."
        )
    return _chained([_of_dataset(part) for part in splits.values()])


def _chained(parts: Sequence[SourceRows]) -> SourceRows:
    """Several sources as one; columns that a part lacks are null in its rows."""
    ends = list(accumulate(len(part) for part in parts))
    columns = list(dict.fromkeys(name for part in parts for name in part.columns))

    def read(number: int) -> Row:
        place = bisect_right(ends, number)
        row = parts[place][number - (ends[place - 1] if place else 0)]
        return {name: row.get(name) for name in columns}

    digest = blake2b(b"".join(part.digest for part in parts), digest_size=16).digest()
    return parts[0] if len(parts) == 1 else SourceRows("the dataset", ends[-1], read, columns=columns, digest=digest)


# -- Hugging Face datasets


def _is_dataset(given: object) -> bool:
    """Whether it is a `datasets.Dataset`, found out without importing that package."""
    return all(hasattr(given, name) for name in ("column_names", "features", "num_rows", "__getitem__"))


def _of_dataset(dataset: Any) -> SourceRows:
    if isinstance(dataset.column_names, Mapping):  # a DatasetDict has the attributes of a dataset too
        return _of_splits(dataset, "source", None)
    fingerprint = getattr(dataset, "_fingerprint", None)
    about = orjson.dumps([fingerprint, dataset.num_rows, list(dataset.column_names)])
    return SourceRows(
        "the dataset",
        int(dataset.num_rows),
        lambda number: _plain(dataset[number]),
        columns=list(dataset.column_names),
        digest=blake2b(about, digest_size=16).digest(),
    )


def _from_hub(name: str, field: str, split: str | None) -> SourceRows:
    from datasets import load_dataset

    try:
        loaded = load_dataset(name, split=split)
    except Exception as error:  # `datasets` raises errors of many classes; they are kept as the cause
        raise ConfigError(
            f"{field}: There is no file {name!r} here, and it cannot be loaded from the Hugging Face Hub either: "
            f"{type(error).__name__}: {error}. Check its name and the network."
        ) from error
    found = _of_dataset(loaded) if split is not None else _of_splits(loaded, field, None)
    found.name = name
    return found


# -- files


def _named(given: str | Path, field: str, folder: Path | None, split: str | None) -> SourceRows:
    path = (folder or Path()) / given
    reader = _READERS.get(path.suffix.lower())
    if not path.is_file():
        if isinstance(given, str) and reader is None:
            return _from_hub(given, field, split)
        raise ConfigError(f"{field}: There is no file {path}. Check its name and its folder.")
    if reader is None:
        raise ConfigError(
            f"{field}: {path} does not end in one of {', '.join(_READERS)}. Convert it, or rename it to match its content."
        )
    try:
        return reader(path, field)
    except OSError as error:
        raise ConfigError(
            f"{field}: Cannot read {path}: {error.strerror or error}. Check the file and its permissions."
        ) from error


def _digest_of(path: Path) -> bytes:
    state = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.digest()


def _jsonl(path: Path, field: str) -> SourceRows:
    index = LineIndex()
    blank = array("q")
    with path.open("rb") as file:
        for line in index.scan(file):
            if not line.strip():
                blank.append(len(index) - 1)
    places = _without(blank, len(index))

    def read(number: int) -> Row:
        place = places[number]
        with path.open("rb") as file:
            line = index.read(file, place)
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ConfigError(
                f"{field}: {path}:{place + 1}: This line is not JSON: {error}. Correct or remove it."
            ) from None
        if not isinstance(row, dict):
            raise ConfigError(f"{field}: {path}:{place + 1}: expected a JSON object, got {type(row).__name__}.")
        return row

    first = [read(number) for number in range(min(len(places), _LOOKED_AT))]
    return SourceRows(str(path), len(places), read, columns=_columns(first), digest=_digest_of(path))


def _without(blank: Sequence[int], count: int) -> Sequence[int]:
    """The numbers below `count` without those of `blank`; takes no memory if `blank` is empty, as is usual."""
    if not blank:
        return range(count)
    left_out = set(blank)
    return array("q", (number for number in range(count) if number not in left_out))


def _json(path: Path, field: str) -> SourceRows:
    try:
        rows = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ConfigError(
            f"{field}: {path} is not JSON: {error}. Correct it, or name it .jsonl if it has one object a line."
        ) from None
    if not isinstance(rows, list):
        raise ConfigError(f"{field}: {path}: expected a list of objects, got {type(rows).__name__}.")
    return _of_list(rows, field, str(path))


def _csv(path: Path, field: str) -> SourceRows:
    import pyarrow.csv

    return _of_table(path, field, lambda: pyarrow.csv.read_csv(path))


def _parquet(path: Path, field: str) -> SourceRows:
    import pyarrow.parquet

    return _of_table(path, field, lambda: pyarrow.parquet.read_table(path, memory_map=True))


def _of_table(path: Path, field: str, load: Callable[[], Any]) -> SourceRows:
    import pyarrow

    try:
        table = load()
    except pyarrow.ArrowInvalid as error:
        raise ConfigError(
            f"{field}: Cannot read {path}: {error}. Check that its content matches its ending."
        ) from error

    def read(number: int) -> Row:
        return _plain(cast(Row, table.slice(number, 1).to_pylist()[0]))

    return SourceRows(str(path), table.num_rows, read, columns=table.column_names, digest=_digest_of(path))


_READERS: dict[str, Callable[[Path, str], SourceRows]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
_LOOKED_AT = 100


# -- values


def _columns(rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows[:_LOOKED_AT] for name in row))


def _written(row: Mapping[Any, Any], place: str) -> bytes:
    try:
        return orjson.dumps(dict(row), default=_as_text, option=_JSON)
    except TypeError as error:
        raise ConfigError(f"{place}: expected values that can be written as JSON: {error}.") from error


def _as_text(value: object) -> str | None:
    """Values that JSON has no form for, as text. Other objects are refused: their text would only name an object in memory."""
    if type(value).__name__ in _NOTHING:
        return None
    if isinstance(value, date | time | timedelta | Decimal | PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _stood_for(value: object) -> str | None:
    """The same for rows that are read during a run: an image in a column that is not used must not end it."""
    try:
        return _as_text(value)
    except TypeError:
        return f"<{type(value).__name__}>"


def _plain(row: Mapping[Any, Any]) -> Row:
    """A row of plain JSON values: dates and the like become text, NaN and infinity become null."""
    if all(type(value) in _PLAIN or _is_finite(value) for value in row.values()):
        return {str(name): value for name, value in row.items()}
    return cast(Row, orjson.loads(orjson.dumps(dict(row), default=_stood_for, option=_UNSORTED)))


def _is_finite(value: object) -> bool:
    return type(value) is float and math.isfinite(value)


def _without_nan(record: Mapping[Any, Any]) -> Row:
    """A row of a DataFrame with None for NaN, NaT and NA."""
    return {str(name): None if _is_nothing(value) else value for name, value in record.items()}


def _is_nothing(value: object) -> bool:
    return type(value).__name__ in _NOTHING or (isinstance(value, float) and math.isnan(value))
