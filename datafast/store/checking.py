"""Comparing the rows of an output with what was committed: a small file at once, a large one at its end, the rest while the run goes on.

A very large file need not be read again at each start. Where a run has ended with a file whose bytes are known to be what was committed,
its size, its time of change and its place on the disk are noted. A file that still has all three was not written since. A run that was
killed notes nothing, and a file that was copied has another place, so these are read as a whole.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable
from pathlib import Path

import orjson

from datafast.store.ledger import Ledger
from datafast.store.rows import changed_lines, size_of

__all__ = ["DeepCheck", "check_from", "compare", "is_as_left", "note_left"]

CHECK_AT_ONCE = 64 * 1024 * 1024
CHECK_APPENDS = 100_000
CHECK_FIRST = 1024 * 1024
VERY_LARGE = 1024**3
VERY_MANY = 1_000_000
_NAME = "rows_left"
_BLOCK = 8 * 1024 * 1024
_LOOK = 4096


def check_from(ledger: Ledger, end: int) -> int:
    """From which byte on a file with so many committed bytes is compared before anything else is done."""
    few = end <= CHECK_AT_ONCE and ledger.max_id("appends") <= CHECK_APPENDS
    return 0 if few else ledger.appends.last_end_within(end - CHECK_FIRST)


def compare(rows: Path, ledger: Ledger, start: int, end: int, *, is_over: Callable[[], bool] = lambda: False) -> bool:
    """Compares a part of the file with the checksums of what was appended there. False if it was given up before its end.

    Raises:
        OutputChangedError: some lines differ; names the first. Nothing is changed.
    """
    crc32 = zlib.crc32
    # An error that is kept must not keep the reader, and so the ledger, open.
    with rows.open("rb", buffering=0) as file, contextlib.closing(ledger.appends.places(start, end)) as places:
        first, block = start, memoryview(b"")
        for number, (place, size, crc) in enumerate(places):
            if place + size > first + len(block):
                file.seek(place)
                first, block = place, memoryview(file.read(max(size, _BLOCK)))
            if crc32(block[place - first : place - first + size]) != crc:
                raise changed_lines(rows, next(append for append in ledger.appends.between(place, None) if append.size))
            if not number % _LOOK and is_over():
                return False
    return True


class DeepCheck:
    """Compares the beginning of a large file with its ledger; called in a thread.

    Attributes:
        is_done: whether all of it was found to be what was committed.
    """

    def __init__(self, rows: Path, ledger: Path, end: int) -> None:
        self._rows, self._ledger, self._end = rows, ledger, end
        self.is_done = False

    def __call__(self, is_over: Callable[[], bool]) -> None:
        """Raises OutputChangedError if some lines differ.

        Args:
            is_over: whether it is given up.
        """
        with contextlib.closing(Ledger(self._ledger, read_only=True)) as ledger:
            self.is_done = compare(self._rows, ledger, 0, self._end, is_over=is_over)


def is_as_left(rows: Path, ledger: Ledger) -> bool:
    """Whether the file is still as the run left it that was sure of all of its bytes."""
    noted = ledger.noted(_NAME)
    return noted is not None and noted == _look_of(rows)


def note_left(rows: Path, ledger: Ledger) -> None:
    """Notes how a very large file is left whose bytes are all what was committed. Called outside a transaction."""
    if size_of(rows) < VERY_LARGE and ledger.max_id("appends") < VERY_MANY:
        return
    if size_of(rows) == ledger.appends.committed_size():
        with ledger.transaction():
            ledger.set_meta(_NAME, orjson.dumps(_look_of(rows)).decode())


def _look_of(rows: Path) -> list[int] | None:
    try:
        found = rows.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev]
