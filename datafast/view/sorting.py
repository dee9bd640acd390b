"""Rows in the order of a column: numbers, the lengths of texts, or texts.

One pass takes the values, and then they are put in order. Rows without one come last, in either direction; rows with the same one come in
the order of the file, or where the order is descending in its reverse. Memory: some twenty bytes a row, for numbers and lengths. Texts are
ordered by SQLite in a temporary file, by their first 200 characters, in which large and small letters are the same.
"""

from __future__ import annotations

import sqlite3
import weakref
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from datafast._util.scratch import Scratch
from datafast.statistics.rows import as_row
from datafast.view.index import Lines
from datafast.view.search import folded
from datafast.view.selection import Rows

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
        ordered: of these rows the order is known.
    """

    def __init__(self, path: tuple[str, ...], by: By) -> None:
        self.path = path
        self.rows = 0
        self.end = 0
        self.ordered = 0
        self._order: tuple[Rows, int] = np.zeros(0, np.uint32), 0
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

    def put_in_order(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Puts the rows in order that were taken; does nothing if it is stopped."""
        rows = self.rows
        if (found := self._keys.order(stopped)) is not None:
            self._order, self.ordered = found, rows

    def order(self, *, descending: bool) -> Rows:
        """The numbers of the rows in order, as of the last time that they were put in order."""
        order, known = self._order
        return np.concatenate((order[:known][::-1], order[known:])) if descending else order


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

    def order(self, stopped: Callable[[], bool]) -> tuple[Rows, int] | None:
        keys = np.array(self._found, np.float64)
        # Those that are not numbers are last.
        return np.argsort(keys, kind="stable").astype(np.uint32), len(keys) - int(np.count_nonzero(np.isnan(keys)))


class _Texts:
    def __init__(self) -> None:
        scratch = Scratch()
        scratch.remove_with(self)
        self._path: Path = scratch.folder / "sorted.sqlite"
        self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._db.close)  # before its folder goes
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KB}", "temp_store=FILE"):
            self._db.execute(f"PRAGMA {setting}")
        self._db.execute("CREATE TABLE texts (row INTEGER PRIMARY KEY, text TEXT) STRICT")

    def take(self, first: int, values: list[Any]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO texts VALUES (?, ?)", enumerate(map(_text, values), first))
        self._db.execute("COMMIT")

    def order(self, stopped: Callable[[], bool]) -> tuple[Rows, int] | None:
        self._db.set_progress_handler(lambda: int(stopped()), _BETWEEN_LOOKS)
        found = array("I")
        try:
            (known,) = self._db.execute("SELECT count(text) FROM texts").fetchone()
            found.extend(row for (row,) in self._db.execute("SELECT row FROM texts ORDER BY text NULLS LAST, row"))
        except sqlite3.OperationalError:
            if not stopped():
                raise
            return None
        finally:
            self._db.set_progress_handler(None, 0)  # it would stop what is taken later
        return np.array(found, np.uint32), known


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    shown = value if isinstance(value, str) else str(value)
    return folded(shown[:_LETTERS]).lstrip()
