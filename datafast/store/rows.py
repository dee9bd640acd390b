"""The JSONL that the user gets: checking it against what was committed, and reading its rows without holding them in memory.

A crash may leave bytes at its end that were never committed. They are set aside, not deleted, because they may be the user's.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import orjson
from pydantic import BaseModel

from datafast._util.jsonl import LineIndex
from datafast.amounts import counted
from datafast.errors import OutputChangedError, OutputWriteError
from datafast.html import paragraph, row_table
from datafast.store.records import Append

if TYPE_CHECKING:
    from datafast.store.reader import LedgerReader

__all__ = ["RowSequence", "changed_lines", "rows_at", "set_aside_name", "size_of", "split_off_tail", "verify"]


_ITEMS_AT_ONCE = 500
_SHOWN = 5


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise OutputWriteError(
            f"Cannot read {path}: {error.strerror}. Make it readable, or choose another file."
        ) from error


def set_aside_name(path: Path, what: str) -> Path:
    """A free name next to `path`: `<name>.<what>-<UTC time>`."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    candidate = path.with_name(f"{path.name}.{what}-{stamp}")
    number = 2
    while candidate.exists():
        candidate = path.with_name(f"{path.name}.{what}-{stamp}-{number}")
        number += 1
    return candidate


def split_off_tail(path: Path, end: int) -> Path | None:
    """Moves the bytes from `end` on into another file. Returns that file, or None if there are none.

    The copy is on the disk before the original is shortened.
    """
    if size_of(path) <= end:
        return None
    tail = set_aside_name(path, "tail")
    with path.open("r+b") as file:
        file.seek(end)
        with tail.open("xb") as copy:
            while chunk := file.read(1 << 20):
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        file.truncate(end)
    return tail


def verify(path: Path, appends: Iterable[Append]) -> None:
    """Compares parts of the file with the checksums of what was appended there.

    Raises:
        OutputChangedError: some lines differ; names the first. Nothing is changed.
    """
    with path.open("rb") as file:
        for append in appends:
            file.seek(append.start)
            if zlib.crc32(file.read(append.size)) != append.crc:
                raise changed_lines(path, append)


def changed_lines(path: Path, append: Append) -> OutputChangedError:
    """The error for rows that are not as they were appended."""
    first = _line_number(path, append.start)
    one = append.num_rows == 1
    lines = f"line {first}" if one else f"lines {first}-{first + append.num_rows - 1}"
    left = "is left as it is" if one else "are left as they are"
    return OutputChangedError(
        f"{path}: {lines} changed since datafast wrote the file, and {left}. Move the file away "
        f"(mv {path.name} edited{path.suffix}) and run again: the original rows come back at no cost from the replies in the "
        f"ledger, unless these were dropped, "
        f"and your edits stay in the moved file. To start over instead, use --fresh (fresh=True). The old files are kept."
    )


def _line_number(path: Path, offset: int) -> int:
    lines = 1
    with path.open("rb") as file:
        while offset > 0:
            chunk = file.read(min(offset, 1 << 20))
            if not chunk:
                break
            lines += chunk.count(b"\n")
            offset -= len(chunk)
    return lines


def rows_at(path: Path, ledger: LedgerReader, positions: Sequence[int]) -> Iterator[list[dict[str, Any]]]:
    """The rows of the items at these positions of the plan, item by item; reads a few hundred items at a time."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for first in range(0, len(positions), _ITEMS_AT_ONCE):
            page = positions[first : first + _ITEMS_AT_ONCE]
            places = ledger.places_of(page)
            for position in page:
                lines: list[bytes] = []
                for start, size in places.get(position, ()):
                    file.seek(start)
                    lines += file.read(size).splitlines()
                yield [orjson.loads(line) for line in lines]


RowT = TypeVar("RowT", bound=BaseModel)


class RowSequence(Sequence[RowT]):
    """The rows of a JSONL when this was made. Memory: eight bytes a row, and the current row.

    A last line without a newline is still being written, and is left out.
    """

    def __init__(self, path: Path, row_model: type[RowT]) -> None:
        self._path = path
        self._row_model = row_model
        self._lines: LineIndex | None = None

    def _index(self) -> LineIndex:
        if self._lines is None:
            self._lines = LineIndex()
            if self._path.exists():
                with self._path.open("rb") as file:
                    for _ in self._lines.scan(file, whole_only=True):
                        pass
        return self._lines

    def __len__(self) -> int:
        return len(self._index())

    @overload
    def __getitem__(self, index: int) -> RowT: ...
    @overload
    def __getitem__(self, index: slice) -> list[RowT]: ...
    def __getitem__(self, index: int | slice) -> RowT | list[RowT]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        with self._path.open("rb") as file:
            return self._row_model.model_validate_json(self._index().read(file, number))

    def __iter__(self) -> Iterator[RowT]:
        count = len(self)
        if not count:
            return
        with self._path.open("rb") as file:
            for _, line in zip(range(count), file, strict=False):
                yield self._row_model.model_validate_json(line)

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'row')} of {self._row_model.__name__} in {self._path}>"

    def _repr_html_(self) -> str:
        """For notebooks: the first rows."""
        count = len(self)
        if not count:
            return paragraph(f"No rows in {self._path} yet.")
        with self._path.open("rb") as file:
            rows = [_as_mapping(line) for line in islice(file, min(count, _SHOWN))]
        number = f"the first {_SHOWN} of {count:,} rows" if count > _SHOWN else counted(count, "row")
        return paragraph(f"{self._path}: {number}") + row_table(rows)


def _as_mapping(line: bytes) -> dict[str, Any]:
    """A line as it is, even if somebody edited it."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    return row if isinstance(row, dict) else {"line": line.decode(errors="replace")}
