"""What tells the rows of a source apart: 16 bytes for each, equal rows numbered among themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Protocol, overload

from datafast.sources.values import Row, written

__all__ = ["ID_BYTES", "CellProblem", "Content", "Identity", "Ids", "key_id", "number_equal", "repeated"]

ID_BYTES = 16


class CellProblem(Exception):
    """A row lacks what tells it apart.

    Attributes:
        column: where.
        why: what is wrong there, as the rest of a sentence.
    """

    def __init__(self, column: str, why: str) -> None:
        super().__init__(f"The column {column!r} {why}.")
        self.column = column
        self.why = why


class Identity(Protocol):
    """Makes the ids of rows."""

    def of(self, row: Row) -> bytes:
        """16 bytes for a row. Raises CellProblem."""
        ...

    def again(self, made: bytes, ordinal: int) -> bytes:
        """16 bytes for a further row with the same; the second of them is 1."""
        ...


class Content:
    """Rows are told apart by all that they hold."""

    def of(self, row: Row) -> bytes:
        return blake2b(written(row), digest_size=ID_BYTES).digest()

    def again(self, made: bytes, ordinal: int) -> bytes:
        return blake2b(made + ordinal.to_bytes(8, "big"), digest_size=ID_BYTES).digest()


def key_id(value: object) -> bytes:
    """16 bytes for the value of a key."""
    return blake2b(written({"key": value}), digest_size=ID_BYTES).digest()


class Ids(Sequence[bytes]):
    """Ids of 16 bytes as a sequence; they take no more memory than that."""

    def __init__(self, ids: bytes | bytearray) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids) // ID_BYTES

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        found = range(len(self))[index]
        return self._at(found) if isinstance(found, int) else [self._at(number) for number in found]

    def _at(self, number: int) -> bytes:
        return bytes(self._ids[number * ID_BYTES : (number + 1) * ID_BYTES])


def number_equal(ids: bytearray, again: Callable[[bytes, int], bytes]) -> None:
    """Gives the second and further ones of equal rows ids of their own."""
    ordinal, before = 0, -2
    for first, place, number in _repeats(ids):
        ordinal = ordinal + 1 if place == before + 1 else 1
        before = place
        start = number * ID_BYTES
        ids[start : start + ID_BYTES] = again(bytes(ids[first * ID_BYTES : (first + 1) * ID_BYTES]), ordinal)


def repeated(ids: bytes | bytearray) -> tuple[int, int] | None:
    """The numbers of two rows with the same id; None where all are different."""
    return next(((first, number) for first, _, number in _repeats(ids)), None)


def _repeats(ids: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """The first of equal rows, the place of a further one in the order of the ids, and its number."""
    import numpy as np

    halves = np.frombuffer(bytes(ids), dtype=np.uint64).reshape(-1, 2)
    order = np.lexsort((np.arange(len(halves)), halves[:, 1], halves[:, 0]))
    sorted_halves = halves[order]
    repeats = np.flatnonzero((sorted_halves[1:] == sorted_halves[:-1]).all(axis=1)) + 1
    first, before = 0, -2
    for place in repeats.tolist():
        if place != before + 1:
            first = int(order[place - 1])
        before = place
        yield first, place, int(order[place])
