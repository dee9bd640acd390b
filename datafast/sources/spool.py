"""Rows that come one after the other and are asked for at any place: written into a temporary file, so that they take no memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from datafast._util.scratch import Scratch
from datafast.sources.values import Row

__all__ = ["Spool"]


class Spool:
    """Plain rows in a temporary file that goes with this object. Eight bytes of memory a row; a row is read in some 20 us."""

    def __init__(self) -> None:
        scratch = Scratch()
        scratch.remove_with(self)
        self._path = scratch.folder / "rows"
        self._ends = array("q", [0])

    def keeping(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Goes through rows and keeps them. Called once."""
        with self._path.open("wb") as file:
            for row in rows:
                self._ends.append(self._ends[-1] + file.write(orjson.dumps(row)))
                yield row

    def __getitem__(self, number: int) -> Row:
        start, end = self._ends[number], self._ends[number + 1]
        with self._path.open("rb") as file:
            file.seek(start)
            row: dict[str, Any] = orjson.loads(file.read(end - start))
        return row
