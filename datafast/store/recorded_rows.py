"""Recorded rows, those in the JSONL and those that stages have dropped, for stages that decide about all of them.

They come in the order of the file, or in that of a walk where rows are compared: by draw, key and row number of their items. Each
is given as it is, and as it was made before stages have changed it.

Cost: a read of the file for each append. The order of a walk is sorted by SQLite, in a file of its own if it is long.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO

from datafast.store.changed import ChangedRow
from datafast.store.ledger import Ledger
from datafast.store.records import Append, Place
from datafast.store.row_values import numbers_of
from datafast.store.rows import verify
from datafast.store.verdicts import Deciding, Dropped, Key, PlaceIn, RecordedRow

__all__ = ["Originals", "Shown", "lines_of", "recorded_rows", "unaltered"]


def recorded_rows(
    rows: Path, ledger: Ledger, deciding: Deciding, place_in: PlaceIn | None = None, *, lenient: bool = False
) -> Generator[RecordedRow, None, None]:
    """All rows that the last plan asks for, those in the file and those that were dropped."""
    originals = Originals(ledger)
    with (rows if rows.is_file() else Path(os.devnull)).open("rb", buffering=0) as source:

        def lines(append: Append) -> dict[int, bytes]:
            return (unaltered(source, append) or {}) if lenient else lines_of(source, rows, append)

        # The generations of a row are decided about together.
        by_item = deciding.walks or ledger.filtered.has_generations
        found = _in_walk_order(ledger, lines, deciding, place_in) if by_item else _in_file_order(ledger, lines)
        for row in found:
            if row.number >= row.place.num_rows:
                continue
            if place_in is not None:
                position, num_rows = place_in(row.item)
                if row.number >= num_rows:
                    continue
                row = row._replace(place=Place(position, row.place.key, num_rows))
            changed = originals.row(row.key)
            if changed is None:
                yield row._replace(original=row.line)
            else:
                yield row._replace(original=changed.original + b"\n", changed_by=changed.stages)


def _in_file_order(ledger: Ledger, lines: Callable[[Append], dict[int, bytes]]) -> Iterator[RecordedRow]:
    for append, place in ledger.appends.with_items():
        if place.num_rows and append.num_rows:
            for number, line in lines(append).items():
                yield RecordedRow(append.item, number, place, line)
    for row in ledger.filtered.lines():
        before = Dropped(row.stage, row.reason, row.score)
        place = Place(row.position, row.key, row.number + 1)
        yield RecordedRow(row.item, row.number, place, row.row + b"\n", before, row.id)


def _in_walk_order(
    ledger: Ledger, lines: Callable[[Append], dict[int, bytes]], deciding: Deciding, place_in: PlaceIn | None
) -> Iterator[RecordedRow]:
    def draw(item: int, position: int) -> int:
        if place_in is not None:
            position, num_rows = place_in(item)
            if not num_rows:
                return 0
        return deciding.draw(position) if deciding.walks else 0

    shown = Shown(ledger)
    # An error that is kept must not keep the reader, and so the ledger, open.
    with contextlib.closing(ledger.appends.in_walk_order(draw)) as ordered:
        for (item, place, has_filtered), appends in groupby(ordered, key=itemgetter(0, 1, 2)):
            found = [
                RecordedRow(item, number, place, line, generation=shown.of(item, number))
                for *_, append in appends
                if append is not None
                for number, line in lines(append).items()
            ]
            for row in ledger.filtered.of_item(item) if has_filtered else ():
                before = Dropped(row.stage, row.reason, row.score)
                recorded = RecordedRow(item, row.number, place, row.row + b"\n", before, row.id)
                found.append(recorded._replace(generation=row.generation))
            yield from sorted(found, key=lambda row: row.key) if len(found) > 1 else found


class Originals:
    """Rows as they were before stages have changed them. Cost: a look into the ledger for each item, if it has any."""

    def __init__(self, ledger: Ledger) -> None:
        self._table = ledger.changed
        self._has_some = not self._table.is_empty
        self._item = -1
        self._found: dict[tuple[int, int], ChangedRow] = {}

    def row(self, key: Key) -> ChangedRow | None:
        item = key[0]
        if self._has_some and item != self._item:
            self._item, self._found = item, self._table.of(item)
        return self._found.get(key[1:])

    def note(self, key: Key, line: bytes, stages: tuple[str, ...]) -> None:
        """Records which stages change a row now that has this line until now."""
        before = self.row(key)
        item, number, generation = key
        if stages:
            original = line.removesuffix(b"\n") if before is None else before.original
            self._table.put([ChangedRow(item, number, stages, original, generation)])
        else:
            self._table.forget_row(item, number, generation)


class Shown:
    """Which generation of a row is in the file. Cost: as of `Originals`, if any row was made again."""

    def __init__(self, ledger: Ledger) -> None:
        self._table = ledger.filtered
        self._has_some = self._table.has_generations
        self._item = -1
        self._found: Mapping[int, int] = {}

    def of(self, item: int, number: int) -> int:
        if not self._has_some:
            return 0
        if item != self._item:
            self._item, self._found = item, self._table.shown_of(item)
        return self._found.get(number, 0)


def lines_of(source: IO[bytes], rows: Path, append: Append) -> dict[int, bytes]:
    """The lines of an append by number of the row."""
    lines = unaltered(source, append)
    if lines is None:
        verify(rows, [append])
    return lines or {}


def unaltered(source: IO[bytes], append: Append) -> dict[int, bytes] | None:
    """The lines of an append by number of the row; None if they are not as they were written."""
    source.seek(append.start)
    data = source.read(append.size)
    if zlib.crc32(data) != append.crc:
        return None
    return dict(zip(numbers_of(append.slots), data.splitlines(keepends=True), strict=True))
