"""Rows that cannot be read where they are, because they come as a stream or stand in large blocks: kept beside the ledger as they come.

The next run reads what is kept, and asks for nothing again as long as the source is in the same state. Where nothing stays, and for what
has no state that could be told (an iterable in memory), they are kept in a temporary file.
Guarantee: what is kept is used whole, or as far as a `limit` asks; rows that a pass left half are never used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from datafast._util.atomic_write import write_whole
from datafast.errors import ConfigError
from datafast.sources.copies import folder_of, remove_other_states, turn
from datafast.sources.part import Part
from datafast.sources.reading import Reading
from datafast.sources.spool import Spool
from datafast.sources.values import Row, RowReader

__all__ = ["kept_part", "newest_state"]

_ROWS, _HALF, _ABOUT = "rows.jsonl", "rows.jsonl.part", "about.json"
_FORMAT = 1


def kept_part(
    name: str,
    rows: Callable[[], Iterator[Row]],
    reading: Reading,
    reader: RowReader,
    *,
    source: Sequence[str] = (),
    state: str | None = None,
    columns: Sequence[str] = (),
    former: Callable[[], bytes],
    files: Sequence[Path] = (),
    at_most: int | None = None,
) -> Part:
    """A part of such rows.

    Args:
        name: how messages call it.
        rows: gives its rows, plain ones.
        source: what stands for it in all runs, like its path; nothing if it has no name that lasts.
        state: changes when the rows do; None if that is not known.
        columns, former, files: of the part.
        at_most: bytes that the rows may take.
    """
    folder = folder_of(reading, *source, *_choice(reading)) if source and state is not None else None
    home = None if folder is None else folder / str(state)
    kept = _Kept(name, rows, reading, reader, home, list(columns), former, at_most)
    return Part(
        name,
        kept.rows,
        kept.read,
        kept.former,
        columns=kept.columns,
        place=kept.place,
        keep=kept.keep,
        ended=kept.ended,
        again=kept.again,
        files=list(files),
    )


def newest_state(source: Sequence[str], reading: Reading, *, state: str | None = None) -> str | None:
    """The state of a source of which rows are kept that can be used: this one, or if none is given the newest."""
    folder = folder_of(reading, *source, *_choice(reading))
    found = (
        [] if folder is None else [path.parent for path in folder.glob(f"*/{_ABOUT}") if _about(path.parent, reading)]
    )
    if state is not None:
        return state if any(home.name == state for home in found) else None
    newest = max(found, key=lambda home: (home / _ABOUT).stat().st_mtime_ns, default=None)
    return None if newest is None else newest.name


def _choice(reading: Reading) -> list[str]:
    """What decides which rows are kept, and what they are. With a higher `limit` they are gone through anew."""
    return [f"where={reading.where}", f"encoding={reading.encoding}"]


def _about(home: Path, reading: Reading) -> dict[str, Any] | None:
    """What is known of the rows that are kept there; None if they are not enough."""
    try:
        about: dict[str, Any] = orjson.loads((home / _ABOUT).read_bytes())
        is_there = (home / _ROWS).stat().st_size == about["bytes"] and about["format"] == _FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return None
    enough = about.get("whole") or (reading.limit is not None and reading.limit <= about.get("count", 0))
    return about if is_there and enough else None


class _Kept:
    """The rows of one part while they are gone through and afterwards."""

    def __init__(
        self,
        name: str,
        rows: Callable[[], Iterator[Row]],
        reading: Reading,
        reader: RowReader,
        home: Path | None,
        columns: list[str],
        former: Callable[[], bytes],
        at_most: int | None,
    ) -> None:
        self.columns = columns
        self._name = name
        self._rows = rows
        self._reading = reading
        self._reader = reader
        self._home = home
        self._former = former
        self._about: dict[str, Any] | None = None
        self._is_whole = False
        self._held = ExitStack()
        self._spool = Spool(f"{reading.field}: {name}", at_most, None if home is None else home / _HALF)

    def rows(self) -> Iterator[Row]:
        if self._home is not None:
            self._prepare(self._home)
        return self._new() if self._about is None else self._again()

    def _prepare(self, home: Path) -> None:
        """Waits until no other process copies it, and sees whether there is a copy then."""
        try:
            self._held.enter_context(turn(home.parent, self._name))
            self._about = _about(home, self._reading)
            home.mkdir(parents=True, exist_ok=True)
            (home / _HALF).unlink(missing_ok=True)  # of a process that was killed
        except OSError as error:
            raise self._cannot(error) from error
        if self._about is not None:
            self._spool = Spool(f"{self._reading.field}: {self._name}", path=home / _ROWS)
            self.columns[:] = self._about["columns"]
            self._held.close()

    def _new(self) -> Iterator[Row]:
        seen = dict.fromkeys(self.columns)
        for row in self._rows():
            if row.keys() != seen.keys():
                seen |= dict.fromkeys(name for name in row if name not in seen)
                self.columns[:] = seen
            yield row
        self._is_whole = True

    def _again(self) -> Iterator[Row]:
        for place, (_, row, refused) in enumerate(self._spool.found()):
            if refused:
                self._reader.note(refused, place)
            yield row

    def keep(self, number: int, row: Row) -> None:
        if self._about is None:
            self._spool.keep(number, row, self._reader.last)

    def ended(self, is_well: bool) -> None:
        with self._held:  # releases the source to others, whatever happens
            self._spool.close()
            if self._home is not None and is_well and self._spool.path == self._home / _HALF:
                self._finish(self._home)

    def _finish(self, home: Path) -> None:
        try:
            self._spool.path.touch()  # where no row is wanted
            with self._spool.path.open("rb+") as file:
                os.fsync(file.fileno())
            self._spool.path.replace(home / _ROWS)
            self._spool.path = home / _ROWS
            about = {
                "format": _FORMAT,
                "columns": self.columns,
                "former": self._former().hex(),
                "whole": self._is_whole,
                "count": len(self._spool),
                "bytes": self._spool.path.stat().st_size,
            }
            write_whole(home / _ABOUT, orjson.dumps(about))
            remove_other_states(home.parent, home.name)
        except OSError as error:
            raise self._cannot(error) from error

    def _cannot(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"{self._reading.field}: Cannot keep the rows of {self._name} in {self._home}: {error.strerror or error}. "
            f"Check the folder's permissions."
        )

    def former(self) -> bytes:
        return self._former() if self._about is None else bytes.fromhex(self._about["former"])

    def read(self, number: int) -> Row:
        return self._spool[number] if self._about is None else self._spool.at(number)

    def again(self) -> Iterator[tuple[int, Row]]:
        for place, (number, row, *_) in enumerate(self._spool.lines()):
            yield number if self._about is None else place, row

    def place(self, number: int) -> str:
        return f"row {number if self._about is None else self._spool.number(number)}"
