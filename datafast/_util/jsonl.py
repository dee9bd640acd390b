"""Where the lines of a file lie, so that any of them can be read without the others.

Cost: eight bytes a line, and one pass over the file. Lines are split at newlines alone, as in JSON Lines.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from typing import IO

__all__ = ["LineIndex", "last_line"]

_STEP = 1 << 16


class LineIndex:
    """The places of lines, numbered from 0."""

    def __init__(self) -> None:
        self._ends = array("q", [0])

    def scan(self, file: IO[bytes], *, whole_only: bool = False) -> Iterator[bytes]:
        """The lines of a file from where it stands, one by one; each is noted before it is given.

        Args:
            whole_only: leave out a last line without its newline: one that is still being written.
        """
        end = self._ends[0] = file.tell()
        for line in file:
            if whole_only and not line.endswith(b"\n"):
                return
            end += len(line)
            self._ends.append(end)
            yield line

    def __len__(self) -> int:
        """How many lines have been noted."""
        return len(self._ends) - 1

    def size(self, number: int) -> int:
        """The bytes of a line, its newline included."""
        return self._ends[number + 1] - self._ends[number]

    def read(self, file: IO[bytes], number: int) -> bytes:
        """A line, its newline included."""
        file.seek(self._ends[number])
        return file.read(self.size(number))


def last_line(file: IO[bytes]) -> bytes | None:
    """The last line that has its newline, without it; None where there is none. Reads no more of the file than it must."""
    start = file.seek(0, os.SEEK_END)
    tail = b""
    while start and tail.rfind(b"\n", 0, max(tail.rfind(b"\n"), 0)) < 0:
        size = min(start, _STEP)
        start -= size
        file.seek(start)
        tail = file.read(size) + tail
    end = tail.rfind(b"\n")
    return None if end < 0 else tail[tail.rfind(b"\n", 0, end) + 1 : end]
