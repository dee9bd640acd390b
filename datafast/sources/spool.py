"""Rows that come one after the other and are asked for at any place: written into a temporary file, so that they take no memory.

The file grows neither past the bound that its source has nor until the disk is full.
"""

from __future__ import annotations

import shutil
import weakref
from bisect import bisect_left
from typing import Any

import orjson

from datafast._util.scratch import Scratch
from datafast.errors import ConfigError
from datafast.sources.records import Numbers
from datafast.sources.values import Row

__all__ = ["Spool"]

_LOOK_EVERY = 2**24  # bytes between two looks at the room that is left
_SPARE = 2**30  # bytes that stay free, or a twentieth of a small disk


class Spool:
    """Plain rows in a temporary file that goes with this object. Sixteen bytes of memory a row; a row is read in some 20 us.

    Args:
        source: how messages call what the rows are of, with its field: "x.source: a.parquet".
        at_most: bytes that the rows may take; None for no bound but the disk.
    """

    def __init__(self, source: str, at_most: int | None = None) -> None:
        scratch = Scratch()
        scratch.remove_with(self)
        self._path = scratch.folder / "rows"
        self._file = self._path.open("wb")
        weakref.finalize(self, self._file.close)
        self._ends = Numbers([0])
        self._numbers = Numbers()
        self._source = source
        self._at_most = at_most
        self._looks_at = _LOOK_EVERY

    def keep(self, number: int, row: Row) -> None:
        """Keeps the row with this number; numbers grow.

        Raises:
            ConfigError: they take more than they may, or the disk has no room for them.
        """
        text = orjson.dumps(row)
        self._make_sure(self._ends[-1] + len(text))
        try:
            self._file.write(text)
        except OSError as error:
            raise self._no_room(str(error)) from error
        self._ends.append(self._ends[-1] + len(text))
        self._numbers.append(number)

    def _make_sure(self, end: int) -> None:
        if self._at_most is not None and end > self._at_most:
            raise ConfigError(
                f"{self._source}: Its rows take more than {self._at_most:,} bytes, a thousand times the file. "
                f"Take out the columns that only repeat something, or give it as JSONL."
            )
        if end > self._looks_at:
            self._looks_at = end + _LOOK_EVERY
            room = shutil.disk_usage(self._path.parent)
            if room.free < min(_SPARE, room.total // 20):
                raise self._no_room("the disk is nearly full")

    def _no_room(self, why: str) -> ConfigError:
        return ConfigError(
            f"{self._source}: There is no room for a temporary file of its rows in {self._path.parent.parent}: {why}. "
            f"Free some space, or name another folder in TMPDIR."
        )

    def __getitem__(self, number: int) -> Row:
        place = bisect_left(self._numbers, number)
        start, end = self._ends[place], self._ends[place + 1]
        try:
            self._file.flush()
        except OSError as error:
            raise self._no_room(str(error)) from error
        with self._path.open("rb") as file:
            file.seek(start)
            row: dict[str, Any] = orjson.loads(file.read(end - start))
        return row
