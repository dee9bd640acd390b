"""Records of one size, and whole numbers, of as many rows as there may be: in memory up to some megabytes, then in a temporary file."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, overload

from datafast._util.scratch import Scratch

__all__ = ["Numbers", "Records"]

_IN_MEMORY = 2**22  # bytes
_BLOCK = 2**20


class Records(Sequence[bytes]):
    """Records of `size` bytes. One is found in about 1 us, from the file in about 3."""

    def __init__(self, size: int, records: Iterable[bytes] = ()) -> None:
        self._size = size
        self._last = bytearray()  # those that are not in the file
        self._in_file = 0  # bytes
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        for record in records:
            self.append(record)

    def append(self, record: bytes) -> None:
        self._last += record
        if len(self._last) >= _IN_MEMORY:
            file = self._file = self._file or self._opened()
            with self._lock:
                file.seek(self._in_file)
                _write(file, self._last)
                self._in_file += len(self._last)
                self._last = bytearray()

    def _opened(self) -> IO[bytes]:
        scratch = Scratch()
        scratch.remove_with(self)
        file = (scratch.folder / "records").open("w+b", buffering=0)
        weakref.finalize(self, file.close)
        return file

    def __len__(self) -> int:
        return (self._in_file + len(self._last)) // self._size

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        found = range(len(self))[index]
        if isinstance(found, range):
            return [self[number] for number in found]
        start = found * self._size
        return self._bytes(start, start + self._size)

    def __setitem__(self, index: int, record: bytes) -> None:
        start = index * self._size
        if start >= self._in_file or self._file is None:
            self._last[start - self._in_file : start - self._in_file + self._size] = record
            return
        with self._lock:
            self._file.seek(start)
            _write(self._file, record)

    def __iter__(self) -> Iterator[bytes]:
        for block in self.blocks():
            for start in range(0, len(block), self._size):
                yield block[start : start + self._size]

    def blocks(self) -> Iterator[bytes]:
        """All of them, some at a time."""
        step = _BLOCK // self._size * self._size
        for start in range(0, len(self) * self._size, step):
            yield self._bytes(start, start + step)

    def _bytes(self, start: int, end: int) -> bytes:
        """What stands there; ends with the last record."""
        found = b""
        if start < self._in_file and self._file is not None:
            with self._lock:
                self._file.seek(start)
                found = self._file.read(min(end, self._in_file) - start)
        begin = max(0, start - self._in_file)
        return found + bytes(self._last[begin : max(0, end - self._in_file)])


def _write(file: IO[bytes], data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


class Numbers(Sequence[int]):
    """Whole numbers of 64 bits."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._records = Records(8)
        for number in numbers:
            self.append(number)

    def append(self, number: int) -> None:
        self._records.append(number.to_bytes(8, "little"))

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        return int.from_bytes(self._records[index], "little")

    def __setitem__(self, index: int, number: int) -> None:
        self._records[index] = number.to_bytes(8, "little")
