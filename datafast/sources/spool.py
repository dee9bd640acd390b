"""Rows that come one after the other and are asked for at any place: written into a file, so that they take no memory.

The file grows neither past the bound that its source has nor until the disk is full.
"""

from __future__ import annotations

import shutil
import weakref
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import orjson

from datafast._util.scratch import Scratch
from datafast.errors import ConfigError
from datafast.sources.records import Numbers
from datafast.sources.values import Row

__all__ = ["Spool"]

_LOOK_EVERY = 2**24  # bytes between two looks at the room that is left
_SPARE = 2**30  # bytes that stay free, or a twentieth of a small disk


class Spool:
    """Plain rows in a file, a line each: the row's number, the row, and what is wrong in it by column if there is something. Sixteen bytes
    of memory a row; a row is read in some 20 us.

    Args:
        source: how messages call what the rows are of, with its field: "x.source: a.parquet".
        at_most: bytes that the rows may take; None for no bound but the disk.
        path: the file; a temporary one, which goes with this object, if none is given.
    """

    def __init__(self, source: str, at_most: int | None = None, path: Path | None = None) -> None:
        self._is_temporary = path is None
        if path is None:
            scratch = Scratch()
            scratch.remove_with(self)
            path = scratch.folder / "rows"
        self.path = path
        self._file: IO[bytes] | None = None
        self._ends = Numbers([0])
        self._numbers = Numbers()
        self._source = source
        self._at_most = at_most
        self._looks_at = _LOOK_EVERY

    def keep(self, number: int, row: Row, refused: Mapping[str, str] | None = None) -> None:
        """Keeps the row with this number; numbers grow.

        Raises:
            ConfigError: they take more than they may, or the disk has no room for them.
        """
        line = orjson.dumps([number, row, refused] if refused else [number, row]) + b"\n"
        end = self._ends[-1] + len(line)
        self._make_sure(end)
        try:
            if self._file is None:
                self._file = self.path.open("wb")
                weakref.finalize(self, self._file.close)
            self._file.write(line)
        except OSError as error:
            raise self._no_room(str(error)) from error
        self._ends.append(end)
        self._numbers.append(number)

    def _make_sure(self, end: int) -> None:
        if self._at_most is not None and end > self._at_most:
            raise ConfigError(
                f"{self._source}: Its rows take more than {self._at_most:,} bytes, a thousand times the file. "
                f"Take out the columns that only repeat something, or give it as JSONL."
            )
        if end > self._looks_at:
            self._looks_at = end + _LOOK_EVERY
            room = shutil.disk_usage(self.path.parent)
            if room.free < min(_SPARE, room.total // 20):
                raise self._no_room("the disk is nearly full")

    def _no_room(self, why: str) -> ConfigError:
        if self._is_temporary:
            what, cure = (
                f"a temporary file of its rows in {self.path.parent.parent}",
                ", or name another folder in TMPDIR",
            )
        else:
            what, cure = f"a copy of its rows in {self.path.parent}", ""
        return ConfigError(f"{self._source}: There is no room for {what}: {why}. Free some space{cure}.")

    def close(self) -> None:
        """Nothing more is kept. Raises ConfigError where the disk has no room for the last rows."""
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            raise self._no_room(str(error)) from error

    def lines(self) -> Iterator[Any]:
        """What is in the file, in order: lists of a number, its row, and what is wrong in it."""
        with self.path.open("rb") as file:
            yield from map(orjson.loads, file)

    def found(self) -> Iterator[tuple[int, Row, Mapping[str, str]]]:
        """All that is in the file of an earlier process, in order: number, row, and what is wrong in it."""
        end = 0
        with self.path.open("rb") as file:
            for line in file:
                number, row, *refused = orjson.loads(line)
                end += len(line)
                self._ends.append(end)
                self._numbers.append(number)
                yield number, row, refused[0] if refused else {}

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, place: int) -> int:
        """The number of a row by its place in the file."""
        return self._numbers[place]

    def at(self, place: int) -> Row:
        """A row by its place in the file."""
        start, end = self._ends[place], self._ends[place + 1]
        if self._file is not None and not self._file.closed:
            self._file.flush()
        with self.path.open("rb") as file:
            file.seek(start)
            row: dict[str, Any] = orjson.loads(file.read(end - start))[1]
        return row

    def __getitem__(self, number: int) -> Row:
        return self.at(bisect_left(self._numbers, number))
