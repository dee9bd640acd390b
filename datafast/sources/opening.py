"""Whatever a user gives as a source, opened by the reader that knows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.user_path import is_file, is_folder, is_special, user_path
from datafast.errors import ConfigError
from datafast.sources.addresses import is_address
from datafast.sources.finding import ENDINGS, at_address, at_path, ending_of, is_pattern
from datafast.sources.hub import from_disk, from_hub, is_dataset, is_saved, is_streamed, of_any, of_splits
from datafast.sources.memory import is_frame, of_columns, of_frame, of_list
from datafast.sources.part import Part
from datafast.sources.reading import Reading
from datafast.sources.rows import SourceRows, gone_through
from datafast.sources.values import RowReader

__all__ = ["is_source", "open_source"]

_DESCRIBED = re.compile(r"<\w+>")
"""What `shown_source` says of rows in memory."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@foreign_warnings_ignored()
def open_source(given: object, *, field: str, folder: Path | None = None, **how: Any) -> SourceRows:
    """The rows of whatever a user gave; see the package.

    Args:
        given: the source.
        field: the config field that errors name.
        folder: what relative paths are relative to; the working directory by default.
        **how: it is read; see `Reading`.

    Raises:
        ConfigError: nothing like it is known, it cannot be read, or it holds no row; names the field, and file and line where there
            is one.
    """
    if isinstance(given, SourceRows):
        return given
    reading = Reading(field, **how)
    reader = RowReader(reading.encoding)
    try:
        part = _opened(given, reading, reader, folder)
        rows = SourceRows(part, gone_through(part, reading, reader), reader)
    except OSError as error:
        raise ConfigError(
            f"{field}: Cannot read {error.filename or given}: {error.strerror or error}. Check the file and its permissions."
        ) from error
    if not len(rows):
        some = " that where and limit leave" if reading.where is not None or reading.limit is not None else ""
        raise ConfigError(f"{field}: {rows.name} has no rows{some}. Give at least one.")
    return rows if reading.sample is None else rows.sample(reading.sample, reading.seed)


def is_source(given: str, folder: Path | None) -> bool:
    """Whether a text looks like the name of a source, rather than being a text itself. Asks no network."""
    try:
        path = (folder or Path()) / user_path(given)
    except ConfigError:
        return False
    named = is_address(given) or ending_of(given) in ENDINGS or _REPOSITORY.fullmatch(given) is not None
    return named or is_file(path) or is_folder(path)


def _opened(given: object, reading: Reading, reader: RowReader, folder: Path | None) -> Part:
    if isinstance(given, str | Path):
        return _named(given, reading, reader, folder)
    if reading.types or reading.delimiter:
        raise ConfigError(
            f"{'types' if reading.types else 'delimiter'}: This is for CSV and TSV files; {type(given).__name__} has its own types."
        )
    if is_dataset(given) or (is_streamed(given) and isinstance(given, Iterable)):
        return of_any(given, reading, reader)
    if isinstance(given, Mapping):
        is_splits = given and all(is_dataset(part) or is_streamed(part) for part in given.values())
        return of_splits(given, reading, reader) if is_splits else of_columns(given, reading, reader)
    if is_frame(given):
        return of_frame(given, reading, reader)
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return of_list(given, reading, reader, "the list")
    raise ConfigError(
        f"{reading.field}: expected rows (a list of mappings, a JSONL, JSON, CSV, TSV or Parquet file, a DataFrame or a "
        f"Hugging Face dataset), got {type(given).__name__}."
    )


def _named(given: str | Path, reading: Reading, reader: RowReader, folder: Path | None) -> Part:
    if isinstance(given, str) and not given.strip():
        raise ConfigError(f"{reading.field}: It is empty. Name a file, a folder, an address or a dataset.")
    if isinstance(given, str) and is_address(given):
        return at_address(given, reading, reader)
    try:
        path = (folder or Path()) / user_path(given)
    except ConfigError as error:
        raise ConfigError(f"{reading.field}: {error}") from None
    if is_folder(path) and is_saved(path):
        return from_disk(path, reading, reader)
    exists = is_file(path) or is_folder(path) or is_special(path) or is_pattern(path)
    if isinstance(given, str) and not exists and _DESCRIBED.fullmatch(given):
        raise ConfigError(
            f"{reading.field}: {given} stands for rows in memory in a config that was written down, which does not hold them. Give the "
            f"rows again, or a file with them."
        )
    if isinstance(given, str) and not exists and ending_of(given) not in ENDINGS:
        return from_hub(given, reading, reader)
    return at_path(path, reading, reader)
