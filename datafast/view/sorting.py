"""Rows in the order of a column: numbers, the lengths of texts, or texts.

One pass takes the values, and then they are put in order. Rows without one come last, in either direction, and rows with the same one in
the order of the file. Memory: some twenty bytes a row, for numbers and lengths. Texts are ordered by SQLite in a temporary file, by their
first 200 characters, in which large and small letters are the same.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from datafast._util.scratch import Scratch
from datafast.statistics.rows import as_row
from datafast.view.index import Lines
from datafast.view.search import folded

__all__ = ["By", "Sorting", "length_of"]

By: TypeAlias = Literal["number", "text", "length"]

_LETTERS = 200
_CACHE_KB = 16_384
_BETWEEN_LOOKS = 100_000  # steps of SQLite
_MOST_BITS = 62


class Sorting:
    """Rows that come in order, to be put into another one.

    Args:
        path: the names that lead to the column.
        by: what of it counts.

    Attributes:
        rows: that were taken.
        end: the byte at which the next row begins.
    """

    def __init__(self, path: tuple[str, ...], by: By) -> None:
        self.path = path
        self.rows = 0
        self.end = 0
        self._keys: _Numbers | _Texts = _Texts() if by == "text" else _Numbers(_number if by == "number" else length_of)

    def take(self, lines: Lines) -> None:
        """Takes the values of rows that follow those that were taken."""
        found = lines.data.removesuffix(b"\n").split(b"\n")
        self._keys.take(self.rows, [self._value(line) for line in found])
        self.rows += len(found)
        self.end = lines.end

    def _value(self, line: bytes) -> Any:
        value: Any = as_row(line)
        for name in self.path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def order(self, *, descending: bool, stopped: Callable[[], bool] = lambda: False) -> NDArray[np.uint32] | None:
        """The numbers of the rows in order; None if it was stopped."""
        return self._keys.order(self.rows, descending, stopped)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return float(value) if isinstance(value, bool) else np.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return np.nan


def length_of(value: Any) -> float:
    """The characters of a text, the items of a list or mapping; not a number if there is neither."""
    return float(len(value)) if isinstance(value, str | list | dict) else np.nan


class _Numbers:
    def __init__(self, key: Callable[[Any], float]) -> None:
        self._key = key
        self._found = array("d")

    def take(self, first: int, values: list[Any]) -> None:
        self._found.extend(map(self._key, values))

    def order(self, rows: int, descending: bool, stopped: Callable[[], bool]) -> NDArray[np.uint32] | None:
        keys = np.array(self._found, np.float64)
        np.negative(keys, out=keys, where=descending)
        # Those that are not numbers are last in any case.
        return np.argsort(keys, kind="stable").astype(np.uint32)


class _Texts:
    def __init__(self) -> None:
        scratch = Scratch()
        scratch.remove_with(self)
        self._path: Path = scratch.folder / "sorted.sqlite"
        self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KB}", "temp_store=FILE"):
            self._db.execute(f"PRAGMA {setting}")
        self._db.execute("CREATE TABLE texts (row INTEGER PRIMARY KEY, text TEXT) STRICT")

    def take(self, first: int, values: list[Any]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO texts VALUES (?, ?)", enumerate(map(_text, values), first))
        self._db.execute("COMMIT")

    def order(self, rows: int, descending: bool, stopped: Callable[[], bool]) -> NDArray[np.uint32] | None:
        self._db.set_progress_handler(lambda: int(stopped()), _BETWEEN_LOOKS)
        direction = "DESC" if descending else "ASC"
        query = f"SELECT row FROM texts ORDER BY text {direction} NULLS LAST, row"  # noqa: S608 - our own words
        found = array("I")
        try:
            found.extend(row for (row,) in self._db.execute(query))
        except sqlite3.OperationalError:
            if not stopped():
                raise
            return None
        return np.array(found, np.uint32)


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    shown = value if isinstance(value, str) else str(value)
    return folded(shown[:_LETTERS]).lstrip()
