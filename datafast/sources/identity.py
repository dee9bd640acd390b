"""What tells the rows of a source apart: 16 bytes for each, equal rows numbered among themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, Protocol

from datafast.sources.records import Records
from datafast.sources.values import Row, written

__all__ = ["ID_BYTES", "CellProblem", "Content", "Identity", "key_id", "number_equal", "repeated"]

ID_BYTES = 16
_PART = 2**20  # ids that are sorted together
_MOST_PARTS = 64


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


def number_equal(ids: Records, again: Callable[[bytes, int], bytes]) -> None:
    """Gives the second and further ones of equal rows ids of their own."""
    ordinal, before = 0, -1
    for first, number in _repeats(ids):
        ordinal = ordinal + 1 if first == before else 1
        before = first
        ids[number] = again(ids[first], ordinal)


def repeated(ids: Records) -> tuple[int, int] | None:
    """The numbers of two rows with the same id; None where all are different."""
    return next(_repeats(ids), None)


def _repeats(ids: Records) -> Iterator[tuple[int, int]]:
    """The first of equal rows with each further one, by their numbers; those of one first row after one another and in order.

    The ids are sorted by parts, told by how they begin, so that the memory for it is bounded.
    """
    import numpy as np

    parts = min(_MOST_PARTS, max(1, len(ids) // _PART))
    for part in range(parts):
        numbers, halves = _of_part(ids, part, parts)
        order = np.lexsort((numbers, halves[:, 1], halves[:, 0]))
        halves = halves[order]
        repeats = np.flatnonzero((halves[1:] == halves[:-1]).all(axis=1)) + 1
        first, before = 0, -2
        for place in repeats.tolist():
            if place != before + 1:
                first = int(numbers[order[place - 1]])
            before = place
            yield first, int(numbers[order[place]])


def _of_part(ids: Records, part: int, parts: int) -> tuple[Any, Any]:
    """The numbers of the ids that begin in a way, and these ids as two numbers each."""
    import numpy as np

    numbers, halves, start = [np.empty(0, np.int64)], [np.empty((0, 2), np.uint64)], 0
    for block in ids.blocks():
        found = np.frombuffer(block, dtype=np.uint64).reshape(-1, 2)
        chosen = np.flatnonzero(found[:, 0] % parts == part)
        numbers.append(chosen + start)
        halves.append(found[chosen])
        start += len(found)
    return np.concatenate(numbers), np.concatenate(halves)
