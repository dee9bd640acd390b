"""Finding one row of an output: by the beginning of its uuid, wherever it ended, or by its line in the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from datafast.errors import ConfigError
from datafast.plan.items import row_uuid
from datafast.store.reader import LedgerReader
from datafast.store.recorded_rows import unaltered
from datafast.store.records import Append, ItemRecord
from datafast.store.row_values import numbers_of

__all__ = ["RowPlace", "at_byte", "at_line", "has_uuid", "line_in_file", "with_uuid"]

_NAMED = 5
_SHORTEST = 4
_CHUNK = 1 << 20


class RowPlace(NamedTuple):
    """A row: its item, and its number in that."""

    uuid: str
    item: ItemRecord
    number: int


def with_uuid(rows: Path, ledger: LedgerReader, uuid: str) -> RowPlace:
    """The row whose uuid begins so. Rows that have a uuid of another sort, such as a column of them, are found by their lines.

    Raises:
        ConfigError: there is none, or there are several; names them.
    """
    wanted = uuid.strip().lower()
    if len(wanted) < _SHORTEST:
        raise ConfigError(
            f"{uuid!r} is too short for the beginning of a uuid. Give at least {_SHORTEST} characters of it."
        )
    found = list(_by_key(ledger, wanted)) or list(_by_line(rows, ledger, wanted))
    exact = [place for place in found if place[0] == wanted] or found
    if not exact:
        raise ConfigError(
            f"{rows} has no row whose uuid begins with {uuid!r}, neither in the file nor dropped or failed. Check it, or give --line."
        )
    if len(exact) > 1:
        more = f" and {len(exact) - _NAMED} more" if len(exact) > _NAMED else ""
        raise ConfigError(
            f"{uuid!r} is the beginning of several: {', '.join(place[0] for place in exact[:_NAMED])}{more}. Give more of it."
        )
    name, item_id, number = exact[0]
    return RowPlace(name, ledger.items_of([item_id])[item_id], number)


def has_uuid(rows: Path, ledger: LedgerReader, uuid: str) -> bool:
    """Whether there is a row whose uuid begins so."""
    wanted = uuid.strip().lower()
    return any(_by_key(ledger, wanted)) or any(_by_line(rows, ledger, wanted))


def at_line(rows: Path, ledger: LedgerReader, line: int) -> RowPlace:
    """The row in a line of the file, counted from 1. Raises ConfigError if there is none."""
    start = _start_of(rows, line)
    found = None if start is None else at_byte(rows, ledger, start)
    if found is None:
        raise ConfigError(f"{rows} has no line {line:,} that a run has written. Check the number.")
    return found


def at_byte(rows: Path, ledger: LedgerReader, start: int) -> RowPlace | None:
    """The row whose line begins at a byte of the file. None if no run has written it."""
    append = ledger.appends.at(start)
    if append is None:
        return None
    place = _place_in(rows, append, start)
    item = ledger.items_of([append.item])[append.item]
    number = numbers_of(append.slots)[place]
    return RowPlace(_named(rows, start) or row_uuid(item.key, number), item, number)


def line_in_file(rows: Path, ledger: LedgerReader, place: RowPlace) -> tuple[int, bytes] | None:
    """The number of the row's line, from 1, and the line. None if the file is not as it was written."""
    if not rows.is_file():
        return None
    with rows.open("rb") as source:
        for append in ledger.appends.of(place.item.id):
            if append.slots >> place.number & 1:
                lines = unaltered(source, append)
                if lines is None:
                    return None
                before = sum(number < place.number for number in lines)
                return _lines_before(rows, append.start) + before + 1, lines[place.number]
    return None


def _by_key(ledger: LedgerReader, wanted: str) -> Iterator[tuple[str, int, int]]:
    for item_id, key, num_rows in ledger.keys_with_rows():
        for number in range(num_rows):
            if (name := row_uuid(key, number)).startswith(wanted):
                yield name, item_id, number


def _by_line(rows: Path, ledger: LedgerReader, wanted: str) -> Iterator[tuple[str, int, int]]:
    """Rows with a uuid of another sort."""
    if not rows.is_file():
        return
    begins, start = wanted.encode(), 0
    with rows.open("rb") as file:
        for line in file:
            if begins in line.lower() and (name := _uuid_of(line)).lower().startswith(wanted):
                append = ledger.appends.at(start)
                if append is not None:
                    yield name.lower(), append.item, numbers_of(append.slots)[_place_in(rows, append, start)]
            start += len(line)


def _uuid_of(line: bytes) -> str:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return ""
    return str(row.get("uuid", "")) if isinstance(row, dict) else ""


def _named(rows: Path, start: int) -> str:
    with rows.open("rb") as file:
        file.seek(start)
        return _uuid_of(file.readline())


def _place_in(rows: Path, append: Append, start: int) -> int:
    """Which row of an append begins at a byte."""
    with rows.open("rb") as file:
        file.seek(append.start)
        return file.read(start - append.start).count(b"\n")


def _start_of(rows: Path, line: int) -> int | None:
    """Where a line begins; None if there is none."""
    if line < 1 or not rows.is_file():
        return None
    start = 0
    with rows.open("rb") as file:
        for number, text in enumerate(file, start=1):
            if number == line:
                return start
            start += len(text)
    return None


def _lines_before(rows: Path, end: int) -> int:
    lines = 0
    with rows.open("rb") as file:
        while end > 0 and (chunk := file.read(min(end, _CHUNK))):
            lines += chunk.count(b"\n")
            end -= len(chunk)
    return lines
