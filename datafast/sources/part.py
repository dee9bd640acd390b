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


@dataclass(slots=True)
class Part:
    """Something with rows, which are numbered from 0.

    Attributes:
        name: how messages call it.
        rows: goes through all rows, once; they can be read by their numbers from then on.
        read: a row by its number. Raises ConfigError where it is not what was found.
        former: what version 0.1.0 had in the place of a digest of the rows; known when they have been gone through.
        columns: their names, where they are known before.
        place: how messages call the place of a row.
        keep: what is told of each row that is used while they are gone through.
        files: of the user's, that it is read from.
    """

    name: str
    rows: Callable[[], Iterator[Row]]
    read: Callable[[int], Row]
    former: Callable[[], bytes]
    columns: Sequence[str] = ()
    place: Callable[[int], str] = _row
    keep: Callable[[int, Row], None] = _kept_already
    files: list[Path] = field(default_factory=list)


def chained(name: str, parts: Iterable[Part], reader: RowReader, *, columns: Sequence[str] = ()) -> Part:
    """Several parts as one, each made when the one before has been gone through.

    Args:
        columns: where they are given, each row has all of them; one that a part lacks is null there.
    """
    starts: list[int] = []
    begun: list[Part] = []
    files: list[Path] = []

    def rows() -> Iterator[Row]:
        count = 0
        for part in parts:
            starts.append(count)
            begun.append(part)
            files.extend(part.files)
            reader.offset = count
            for row in part.rows():
                count += 1
                yield {column: row.get(column) for column in columns} if columns else row
        reader.offset = 0

    def at(number: int) -> tuple[Part, int]:
        place = bisect_right(starts, number) - 1
        return begun[place], number - starts[place]

    def read(number: int) -> Row:
        part, own = at(number)
        row = part.read(own)
        return {column: row.get(column) for column in columns} if columns else row

    def place(number: int) -> str:
        part, own = at(number)
        return f"{part.name}, {part.place(own)}"

    def keep(number: int, row: Row) -> None:
        part, own = at(number)
        part.keep(own, row)

    def former() -> bytes:
        return blake2b(b"".join(part.former() for part in begun), digest_size=16).digest()

    return Part(name, rows, read, former, columns, place, keep, files)
