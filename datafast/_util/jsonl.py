"""An index of the lines of a file, so that each can be read without the others.

Cost: eight bytes a line, and one pass over the file. Lines are split only at newlines, as in JSON Lines.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from typing import IO, Protocol

__all__ = ["LineIndex", "last_line"]

_STEP = 1 << 16


class Offsets(Protocol):
    """What holds the offsets."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, number: int, /) -> None: ...
    def append(self, number: int, /) -> None: ...


class LineIndex:
    """The offsets of lines, numbered from 0.

    Args:
        ends: holds them, with a 0 in it; an array by default.
    """

    def __init__(self, ends: Offsets | None = None) -> None:
        self._ends: Offsets = array("q", [0]) if ends is None else ends

    def scan(self, file: IO[bytes], *, whole_only: bool = False) -> Iterator[bytes]:
        """Yields the lines of a file from its current place; each is indexed before it is yielded.

        Args:
            whole_only: leave out a last line without a newline, which is still being written.
        """
        end = self._ends[0] = file.tell()
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
