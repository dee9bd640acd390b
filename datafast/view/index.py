"""Where the rows of a file are: any of them is found at once, without an offset for each.

Guarantee: a row is a line, whatever is in it, and rows are numbered from 0. A last line without a newline is one as soon as it is a whole
JSON object: part of one never is. Rows are those of one state of the file: where it was replaced, or edited within, they are counted anew,
and `generation` changes. The file is opened for each look and never held, so that a run can put another one in its place.
Cost: one pass at the speed of the disk, and eight bytes of memory for each 64 KiB. The first rows need no index at all.
"""

from __future__ import annotations

import os
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from typing import IO, NamedTuple

import numpy as np

from datafast.statistics.rows import as_row

__all__ = ["LONGEST", "Counted", "Line", "Lines", "RowIndex"]

LONGEST = 2**26
"""Bytes of a line that is read; of a longer one only the size is told."""
_BLOCK = 2**16
_STEP = 2**22
_READ = 2**20
_MARK = 2**12
_TRIES = 5
_NEWLINE = 10


class Counted(NamedTuple):
    """A number of rows; an estimate while it is not `exact`."""

    rows: int
    exact: bool


class Line(NamedTuple):
    """A line without its newline, where it starts, and the bytes that it has; `data` is None where it is longer than `LONGEST`."""

    number: int
    start: int
    size: int
    data: bytes | None


class Lines(NamedTuple):
    """Whole lines that follow each other: the number of the first, and where the next one begins. A line that is longer than `LONGEST` is
    empty here."""

    first: int
    data: bytes
    end: int


class _State(NamedTuple):
    """What tells one state of a file from another."""

    device: int
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, found: os.stat_result) -> _State:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def is_same_file(self, other: _State) -> bool:
        return self[:2] == other[:2]


_NOWHERE = _State(0, 0, 0, 0)


class RowIndex:
    """The rows of a file that may grow or be replaced. Any thread may use it.

    Args:
        path: the file; it may not exist yet.

    Attributes:
        generation: changes when rows are no longer those that they were.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0
        self._lock = RLock()
        self._state = _NOWHERE
        self._begin_anew()
        self.refresh()

    def _begin_anew(self) -> None:
        self._counts = array("Q", [0])  # newlines before each block
        self._end = 0  # of what is counted
        self._partial = 0  # newlines of the block that is not whole yet
        self._tail = 0  # rows in the bytes behind the last newline: 0 or 1
        self._head: tuple[int, int] = (0, 0)
        self._mark: tuple[int, int] = (0, 0)

    # -- what is known

    @property
    def size(self) -> int:
        """The bytes of the file when it was last looked at."""
        return self._state.size

    @property
    def is_complete(self) -> bool:
        return self._end >= self._state.size

    @property
    def known(self) -> int:
        """The rows that were counted."""
        with self._lock:
            return self._counts[-1] + self._partial + (self._tail if self.is_complete else 0)

    def count(self) -> Counted:
        """The rows of the file, estimated from its size while not all of it was gone through."""
        with self._lock:
            if self.is_complete:
                return Counted(self.known, exact=True)
            lines = self._counts[-1] + self._partial
            if not self._end:
                return Counted(self._guess(), exact=False)
            return Counted(max(lines + 1, round(lines * self._state.size / self._end)), exact=False)

    def _guess(self) -> int:
        """An estimate from the first bytes alone."""
        try:
            with self.path.open("rb") as file:
                head = file.read(_BLOCK)
        except OSError:
            return 0
        return max(1, round(self._state.size * head.count(b"\n") / max(1, head.rfind(b"\n") + 1)))

    # -- looking at the file

    def refresh(self) -> None:
        """Notices that the file has grown, was replaced, or is gone. Cheap: to be called before each look."""
        with self._lock:
            try:
                found = _State.of(self.path.stat())
            except OSError:
                found = _NOWHERE
            if found == self._state:
                return
            if not self._has_only_grown(found):
                self._begin_anew()
                self.generation += 1
            self._state = found
            if self._end >= found.size:
                self._look_at_tail()

    def wait(self) -> None:
        """Waits until the rows are in the file, where they are brought there."""
        self.refresh()

    def _has_only_grown(self, found: _State) -> bool:
        """Whether all that was counted is still there."""
        if self._state == _NOWHERE and not self._end:
            return True
        if not found.is_same_file(self._state) or found.size < self._state.size or found.size == self._state.size:
            return False
        try:
            with self.path.open("rb") as file:
                same = _State.of(os.fstat(file.fileno())).is_same_file(found)
                kept = all(_checksum(file, start, size) == crc for start, size, crc in self._marks())
                return same and kept and (not self._tail or _byte(file, self._state.size) == b"\n")
        except OSError:
            return False

    def _marks(self) -> Iterator[tuple[int, int, int]]:
        size, crc = self._head
        yield 0, size, crc
        size, crc = self._mark
        yield self._end - size, size, crc

    def step(self) -> bool:
        """Goes through the next 4 MiB; False if nothing is left. One thread at a time gets further."""
        with self._lock:
            self.refresh()
            if self.is_complete:
                return False
            try:
                with self.path.open("rb") as file:
                    if not _State.of(os.fstat(file.fileno())).is_same_file(self._state):
                        return True  # the next step finds it replaced
                    file.seek(self._end)
                    data = file.read(min(_STEP, self._state.size - self._end))
            except OSError:
                return False
            if data:
                self._count(data)
            else:  # it was cut meanwhile
                self.refresh()
            return not self.is_complete

    def _count(self, data: bytes) -> None:
        is_newline = np.frombuffer(data, np.uint8) == _NEWLINE
        at = 0
        while at < len(data):
            whole = min(len(data) - at, _BLOCK - (self._end + at) % _BLOCK)
            self._partial += int(np.count_nonzero(is_newline[at : at + whole]))
            at += whole
            if (self._end + at) % _BLOCK == 0:
                self._counts.append(self._counts[-1] + self._partial)
                self._partial = 0
        if self._end < _MARK:  # the head grows with the file until it is long enough
            self._head = self._grown_head(data)
        self._end += len(data)
        tail = data[-_MARK:]
        self._mark = len(tail), zlib.crc32(tail)
        if self.is_complete:
            self._look_at_tail()

    def _grown_head(self, data: bytes) -> tuple[int, int]:
        size, crc = self._head
        more = data[: _MARK - size]
        return size + len(more), zlib.crc32(more, crc)

    def _look_at_tail(self) -> None:
        """Finds out whether the bytes behind the last newline are a row."""
        self._tail = 0
        lines = self._counts[-1] + self._partial
        try:
            with self.path.open("rb") as file:
                start = self._start(file, lines)
                if start is None or not 0 < self._end - start <= LONGEST:
                    return
                file.seek(start)
                self._tail = int(as_row(file.read(self._end - start)) is not None)
        except OSError:
            return

    # -- reading

    def _start(self, file: IO[bytes], number: int) -> int | None:
        """The byte at which a row begins; None if that is not known yet."""
        if number == 0:
            return 0
        if number > self._counts[-1] + self._partial:
            return None
        block = bisect_left(self._counts, number) - 1  # the number-th newline is in it
        file.seek(block * _BLOCK)
        ends = np.flatnonzero(np.frombuffer(file.read(_BLOCK), np.uint8) == _NEWLINE)
        place = number - self._counts[block] - 1
        return int(block * _BLOCK + ends[place] + 1) if place < len(ends) else None

    def lines(self, start: int, count: int) -> Iterator[Line]:
        """Some rows that follow each other, one at a time in memory; none from a place that is not known yet.

        Raises:
            OSError: the file cannot be read.
        """
        for _ in range(_TRIES):
            self.refresh()
            try:
                file = self.path.open("rb")
            except FileNotFoundError:
                return
            with file:
                if not _State.of(os.fstat(file.fileno())).is_same_file(self._state):
                    continue
                with self._lock:
                    at = self._start(file, start)
                if at is not None:
                    yield from self._read(file, start, at, count)
                return

    def _read(self, file: IO[bytes], number: int, at: int, count: int) -> Iterator[Line]:
        end = self._state.size
        file.seek(at)
        for row in range(number, number + count):
            data = file.readline(max(0, min(LONGEST + 1, end - at)))
            if data.endswith(b"\n"):
                yield Line(row, at, len(data) - 1, data[:-1])
            elif len(data) > LONGEST and (more := _until_newline(file, end - at - len(data))):
                at += more
                yield Line(row, at - more, len(data) + more - 1, None)
                file.seek(at + len(data))
            else:  # the last line
                if as_row(data) is not None:
                    yield Line(row, at, len(data), data)
                return
            at += len(data)

    def line(self, number: int) -> Line | None:
        """One row; None if there is none, or its place is not known yet."""
        return next(self.lines(number, 1), None)

    def scan(self, first: int = 0, at: int = 0) -> Iterator[Lines]:
        """All rows from one on that begins at a byte (or behind the newline there), to the end that the file has now, about a megabyte at a
        time.

        Raises:
            OSError: the file cannot be read.
        """
        self.refresh()
        end = self._state.size
        with self.path.open("rb") as file:
            if not _State.of(os.fstat(file.fileno())).is_same_file(self._state):
                return
            file.seek(at)
            if at and _byte(file, at - 1) != b"\n" and _byte(file, at) == b"\n":
                at += 1  # the end of a row that was taken without it
            file.seek(at)
            yield from _scanned(file, first, at, end)


def _scanned(file: IO[bytes], first: int, at: int, end: int) -> Iterator[Lines]:
    parts: list[bytes] = []
    held, dropped = 0, 0
    place = at
    while place < end and (data := file.read(min(_READ, end - place))):
        place += len(data)
        cut = data.rfind(b"\n") + 1
        if not cut:
            if held + len(data) > LONGEST:
                dropped += held + len(data)
                parts, held = [], 0
            else:
                parts.append(data)
                held += len(data)
            continue
        whole = b"".join((*parts, data[:cut]))
        if dropped:
            whole = whole[whole.find(b"\n") :]  # what is left of it is its newline
            dropped = 0
        yield Lines(first, whole, place - len(data) + cut)
        first += whole.count(b"\n")
        parts, held = [data[cut:]], len(data) - cut
    rest = b"".join(parts)
    if not dropped and as_row(rest) is not None:
        yield Lines(first, rest, place)


def _checksum(file: IO[bytes], start: int, size: int) -> int:
    file.seek(start)
    return zlib.crc32(file.read(size))


def _byte(file: IO[bytes], at: int) -> bytes:
    file.seek(at)
    return file.read(1)


def _until_newline(file: IO[bytes], most: int) -> int:
    """How many bytes there are to the next newline, with it; 0 if there is none."""
    gone = 0
    while gone < most and (data := file.read(min(_READ, most - gone))):
        found = data.find(b"\n")
        if found >= 0:
            return gone + found + 1
        gone += len(data)
    return 0
