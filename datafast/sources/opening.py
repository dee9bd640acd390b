"""Whatever a user gives as a source, opened by the reader that knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.user_path import is_file, is_special, user_path
from datafast.errors import ConfigError
from datafast.sources.delimited import read_delimited
from datafast.sources.hub import from_hub, is_dataset, is_streamed, of_dataset, of_splits
from datafast.sources.json_files import read_json, read_jsonl
from datafast.sources.memory import is_frame, of_columns, of_frame, of_iterable, of_list
from datafast.sources.parquet import read_parquet
from datafast.sources.reading import CellType, Reading
from datafast.sources.rows import SourceRows

__all__ = ["open_source"]

_READERS: dict[str, Callable[[Path, Reading], SourceRows]] = {
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".tab": read_delimited,
    ".parquet": read_parquet,
}


@foreign_warnings_ignored()
def open_source(
    given: object,
    *,
    field: str,
    folder: Path | None = None,
    split: str | None = None,
    encoding: str | None = None,
    types: Mapping[str, CellType] | None = None,
    delimiter: str | None = None,
) -> SourceRows:
    """The rows of whatever a user gave; see the package.

    Args:
        given: the source.
        field: the config field that errors name.
        folder: what relative paths are relative to; the working directory by default.
        split: of a DatasetDict or a dataset on the Hub.
        encoding: of text files, and of cells that are bytes; by default UTF-8, or what a byte order mark says.
        types: of columns of a CSV or TSV file that are not text.
        delimiter: between the cells of a CSV or TSV file; by default a comma or a tab.

    Raises:
        ConfigError: nothing like it is known, it cannot be read, or it holds no row; names the field, and file and line where there
            is one.
    """
    rows = _opened(given, Reading(field, split, encoding, types or {}, delimiter), folder)
    if not len(rows):
        raise ConfigError(f"{field}: {rows.name} has no rows. Give at least one.")
    return rows


def _opened(given: object, reading: Reading, folder: Path | None) -> SourceRows:
    if isinstance(given, SourceRows):
        return given
    if isinstance(given, str | Path):
        return _named(given, reading, folder)
    if reading.types or reading.delimiter:
        raise ConfigError(
            f"{'types' if reading.types else 'delimiter'}: This is for CSV and TSV files; {type(given).__name__} has its own types."
        )
    if is_dataset(given):
        return of_dataset(given, reading)
    if isinstance(given, Mapping):
        is_splits = given and all(is_dataset(part) or is_streamed(part) for part in given.values())
        return of_splits(given, reading) if is_splits else of_columns(given, reading)
    if is_frame(given):
        return of_frame(given, reading)
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return of_list(given, reading, "the list")
    if is_streamed(given) and isinstance(given, Iterable):
        return of_iterable(given, reading, "the dataset")
    raise ConfigError(
        f"{reading.field}: expected rows (a list of mappings, a JSONL, JSON, CSV, TSV or Parquet file, a DataFrame or a "
        f"Hugging Face dataset), got {type(given).__name__}."
    )


def _named(given: str | Path, reading: Reading, folder: Path | None) -> SourceRows:
    try:
        path = (folder or Path()) / user_path(given)
    except ConfigError as error:
        raise ConfigError(f"{reading.field}: {error}") from None
    reader = _READERS.get(path.suffix.lower())
    if not is_file(path):
        if is_special(path):
            raise ConfigError(f"{reading.field}: {path} is not a regular file. Write what it gives into one.")
        if isinstance(given, str) and reader is None:
            return from_hub(given, reading)
        raise ConfigError(f"{reading.field}: There is no file {path}. Check its name and its folder.")
    if reader is None:
        raise ConfigError(
            f"{reading.field}: {path} does not end in one of {', '.join(_READERS)}. Convert it, or rename it to match its content."
        )
    if (reading.types or reading.delimiter) and reader is not read_delimited:
        option = "types" if reading.types else "delimiter"
        raise ConfigError(f"{option}: This is for CSV and TSV files, and {path} says the types of its values itself.")
    try:
        rows = reader(path, reading)
    except OSError as error:
        raise ConfigError(
            f"{reading.field}: Cannot read {path}: {error.strerror or error}. Check the file and its permissions."
        ) from error
    rows.read_from = path
    return rows
