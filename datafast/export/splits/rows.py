"""The lines of a JSONL file by split, each in the order of the split.

Cost: one pass over the file, and one more for near-duplicates; then each line is read where it is. Memory: 16 bytes a row,
and 60 to 180 while the splits are found. Rows that are appended meanwhile are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel

from datafast._util.jsonl import LineIndex
from datafast._util.user_path import is_file
from datafast.errors import ConfigError, OutputWriteError
from datafast.export.splits.assignment import Assignment, assign
from datafast.export.splits.keys import RowKeys
from datafast.export.splits.record import SplitRecord
from datafast.export.splits.splitting import NEAR_DUPLICATES, Splitting

__all__ = ["Line", "SplitRows"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file: its number, from 1, its size in bytes, and the object in it."""

    number: int
    size: int
    row: dict[str, Any]


class SplitRows:
    """The rows of a file by split.

    Attributes:
        assignment: which rows are in which split.
        origin: the file that they come from.
    """

    def __init__(
        self, source: Path, lines: LineIndex, assignment: Assignment, record: SplitRecord | None, origin: Path
    ) -> None:
        self.assignment = assignment
        self.origin = origin
        self._source = source
        self._lines = lines
        self._record = record

    @classmethod
    def of(
        cls,
        source: Path,
        splitting: Splitting,
        row_model: type[BaseModel] | None = None,
        *,
        origin: Path | None = None,
    ) -> SplitRows:
        """Divides the rows of a file.

        Args:
            source: JSONL in UTF-8.
            row_model: says which fields are about a row and no texts of it; None if that is not known.
            origin: the file that the rows come from, where `source` is a copy.

        Raises:
            ConfigError: the file is missing, has no or too few rows, or a line is not an object.
        """
        lines, keys = LineIndex(), RowKeys(splitting)
        if not is_file(source):
            raise ConfigError(f"There is no file {source}. Generate the dataset first, or check the path.")
        with source.open("rb") as file:
            for line in lines.scan(file):
                keys.add(_parsed(line, len(lines), source), line)
        if not len(lines):
            raise ConfigError(f"{origin or source} has no rows. Generate the dataset first.")
        clusters = record = None
        if NEAR_DUPLICATES in splitting.group:
            assert splitting.find_groups is not None, "the caller finds near-duplicates"  # noqa: S101
            rows = (line.row for line in _lines(source, lines, range(len(lines))))
            about = getattr(row_model, "about_the_row", ())
            clusters = np.asarray(splitting.find_groups(rows, about), np.int64)
        if splitting.stable and (clusters is not None or len(splitting.group) > 1):
            record = SplitRecord.beside(origin or source, splitting)
        return cls(source, lines, assign(keys, splitting, clusters=clusters, record=record), record, origin or source)

    @classmethod
    def copied(
        cls, rows: Iterable[Row], folder: Path, splitting: Splitting, row_model: type[BaseModel], *, origin: Path
    ) -> SplitRows:
        """Divides rows that do not stand in a JSONL file, by a copy of them in a folder that is there as long as they are read.

        Raises:
            ConfigError: as of `of`.
            OutputWriteError: there is no room for the copy.
        """
        copy = folder / "rows.jsonl"
        try:
            with copy.open("wb") as file:
                for row in rows:
                    file.write(orjson.dumps(row) + b"\n")
        except OSError as error:
            raise OutputWriteError(
                f"The rows cannot be copied to {folder}, where they are divided: {error.strerror or error}. Set TMPDIR to a folder with "
                "more room."
            ) from error
        return cls.of(copy, splitting, row_model, origin=origin)

    @property
    def names(self) -> list[str]:
        """The splits, in order."""
        return [*self.assignment.rows]

    def rows(self, *splits: str) -> Iterable[Row]:
        """The rows of splits, one after the other, as often as they are gone through."""
        return _Rows(self, splits)

    def lines(self, split: str) -> Iterator[Line]:
        """The lines of a split, in its order."""
        return _lines(self._source, self._lines, self.assignment.rows[split])

    def keep(self) -> None:
        """Notes beside the file which rows are in which split, where later exports have to know it.

        Raises:
            OutputWriteError: that cannot be written.
        """
        if self._record is not None:
            self._record.save()


class _Rows(Iterable[Row]):
    def __init__(self, divided: SplitRows, splits: Sequence[str]) -> None:
        self._divided = divided
        self._splits = splits

    def __iter__(self) -> Iterator[Row]:
        for split in self._splits:
            for line in self._divided.lines(split):
                yield line.row


def _lines(source: Path, lines: LineIndex, numbers: Iterable[int]) -> Iterator[Line]:
    """The lines of these numbers, from 0."""
    with source.open("rb") as file:
        for place in map(int, numbers):
            yield Line(place + 1, lines.size(place), _parsed(lines.read(file, place), place + 1, source))


def _parsed(line: bytes, number: int, source: Path) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ConfigError(
            f"Line {number} of {source} is not a JSON object ({error}). If the run that wrote it was cut off, "
            "generate again: that completes the file at no cost."
        ) from error
    if not isinstance(row, dict):
        raise ConfigError(
            f"Line {number} of {source} is not a JSON object but a {type(row).__name__}. Correct it, or take it out."
        )
    return row
