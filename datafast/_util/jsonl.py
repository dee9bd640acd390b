"""An index of the lines of a file, so that each can be read without the others.

Cost: eight bytes a line, and one pass over the file. Lines are split only at newlines, as in JSON Lines.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from typing import IO

__all__ = ["LineIndex", "last_line"]

_STEP = 1 << 16


class LineIndex:
    """The offsets of lines, numbered from 0."""

    def __init__(self) -> None:
        self._ends = array("q", [0])

    def scan(self, file: IO[bytes], *, whole_only: bool = False) -> Iterator[bytes]:
        """Yields the lines of a file from its beginning; each is indexed before it is yielded.

        Args:
            whole_only: leave out a last line without a newline, which is still being written.
        """
        end = 0
        for line in file:
            if whole_only and not line.endswith(b"\n"):
                return
            end += len(line)
            self._ends.append(end)
            yield line

    def __len__(self) -> int:
        """The number of indexed lines."""
        return len(self._ends) - 1

    def size(self, number: int) -> int:
        """The bytes of a line, its newline included."""
        return self._ends[number + 1] - self._ends[number]

    def read(self, file: IO[bytes], number: int) -> bytes:
        """A line, its newline included."""
        file.seek(self._ends[number])
        return file.read(self.size(number))


def last_line(file: IO[bytes]) -> bytes | None:
    """The last complete line, without its newline; None if there is none. Reads only the end of the file."""
    start = file.seek(0, os.SEEK_END)
    tail = b""
    while start and tail.rfind(b"\n", 0, max(tail.rfind(b"\n"), 0)) < 0:
        size = min(start, _STEP)
        start -= size
        file.seek(start)
        tail = file.read(size) + tail
    end = tail.rfind(b"\n")
    return None if end < 0 else tail[tail.rfind(b"\n", 0, end) + 1 : end]
