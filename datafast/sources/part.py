"""One file, list or dataset, ready to be gone through; and several as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from datafast.sources.values import Row, RowReader

__all__ = ["Part", "chained"]


def _row(number: int) -> str:
    return f"row {number}"


def _kept_already(number: int, row: Row) -> None:
    """Rows that can be read where they are need not be kept."""


def _nothing_left(is_well: bool) -> None:
    """Nothing has to be closed."""


@dataclass(slots=True)
class Part:
    """Something with rows, which are numbered from 0.

    Attributes:
        name: how messages call it.
        rows: goes through all rows, once; they can be read by their numbers from then on.
        read: a row by its number. Raises ConfigError where it is not what was found.
        former: what version 0.1.0 had in the place of a digest of the rows; known when they have been gone through.
        columns: their names, as far as they are known when the first row is read.
        place: how messages call the place of a row.
        keep: what is told of each row that is used while they are gone through.
        again: goes through all rows once more, each with its number, faster than one by one; None where that is as fast.
        ended: what is told when they have been gone through, as far as they are wanted: whether that went well.
        files: of the user's, that it is read from.
    """

    name: str
    rows: Callable[[], Iterator[Row]]
    read: Callable[[int], Row]
    former: Callable[[], bytes]
    columns: Sequence[str] = ()
    place: Callable[[int], str] = _row
    keep: Callable[[int, Row], None] = _kept_already
    ended: Callable[[bool], None] = _nothing_left
    files: list[Path] = field(default_factory=list)
    again: Callable[[], Iterator[tuple[int, Row]]] | None = None


def chained(name: str, parts: Iterable[Part], reader: RowReader, *, columns: Sequence[str] = ()) -> Part:
    """Several parts as one, each made when the one before has been gone through.

    Args:
        columns: where they are given, each row has all of them; one that a part lacks is null there.
    """
    chain = _Chain(parts, reader, columns)
    return Part(
        name,
        chain.rows,
        chain.read,
        chain.former,
        chain.known,
        chain.place,
        chain.keep,
        chain.ended,
        chain.files,
        chain.again,
    )


class _Chain:
    def __init__(self, parts: Iterable[Part], reader: RowReader, columns: Sequence[str]) -> None:
        self.known = list(columns)
        self.files: list[Path] = []
        self._parts = parts
        self._reader = reader
        self._columns = columns
        self._starts: list[int] = []
        self._begun: list[Part] = []
        self._count = 0

    def rows(self) -> Iterator[Row]:
        for part in self._parts:
            self._starts.append(self._count)
            self._begun.append(part)
            self.files.extend(part.files)
            self._reader.offset = self._count
            rows = part.rows()
            self.known.extend(name for name in part.columns if name not in self.known)
            for row in rows:
                self._count += 1
                yield self._shown(row)
            part.ended(True)
        self._reader.offset = 0

    def _shown(self, row: Row) -> Row:
        return {column: row.get(column) for column in self._columns} if self._columns else row

    def _at(self, number: int) -> tuple[Part, int]:
        place = bisect_right(self._starts, number) - 1
        return self._begun[place], number - self._starts[place]

    def read(self, number: int) -> Row:
        part, own = self._at(number)
        return self._shown(part.read(own))

    def again(self) -> Iterator[tuple[int, Row]]:
        ends = [*self._starts[1:], self._count]
        for part, start, end in zip(self._begun, self._starts, ends, strict=True):
            rows = ((own, part.read(own)) for own in range(end - start)) if part.again is None else part.again()
            for own, row in rows:
                yield start + own, self._shown(row)

    def place(self, number: int) -> str:
        part, own = self._at(number)
        return f"{part.name}, {part.place(own)}"

    def keep(self, number: int, row: Row) -> None:
        part, own = self._at(number)
        part.keep(own, row)

    def ended(self, is_well: bool) -> None:
        if self._begun:
            self._begun[-1].ended(is_well)

    def former(self) -> bytes:
        return blake2b(b"".join(part.former() for part in self._begun), digest_size=16).digest()
