"""Rows that stages have changed, in the ledger: each as it was before, and which stages have changed it.

Stages decide about rows as they were made, so that other stages, or none, find the original. It is held for rows in the JSONL and for
dropped ones, by item, number and generation of the row, and goes when the row does.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from datafast.store.row_values import numbers_of

__all__ = ["ChangedRow", "ChangedTable"]


class ChangedRow(NamedTuple):
    """A row that stages have changed. `original` is its line before that, without its newline."""

    item: int
    number: int
    stages: tuple[str, ...]
    original: bytes
    generation: int = 0


class ChangedTable:
    """The table `changed`. Methods that write are called inside a transaction of the ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def put(self, rows: Iterable[ChangedRow]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO changed(item, number, stages, original, generation) VALUES(?,?,?,?,?)",
            ((row.item, row.number, orjson.dumps(row.stages).decode(), row.original, row.generation) for row in rows),
        )

    def forget_items(self, item_ids: Iterable[int]) -> None:
        """Removes the rows of these items."""
        self._db.executemany("DELETE FROM changed WHERE item = ?", ((item_id,) for item_id in item_ids))

    def forget_rows(self, rows: Mapping[int, int]) -> None:
        """Removes rows by item, given by their numbers as a bit mask."""
        numbers = ((item_id, number) for item_id, mask in rows.items() for number in numbers_of(mask))
        self._db.executemany("DELETE FROM changed WHERE item = ? AND number = ?", numbers)

    def forget_row(self, item_id: int, number: int, generation: int) -> None:
        """Removes one row."""
        which = (item_id, number, generation)
        self._db.execute("DELETE FROM changed WHERE item = ? AND number = ? AND generation = ?", which)

    def forget_but(self, item_id: int, slots: int, *, first: int = 0) -> None:
        """Removes the rows of an item from number `first` on, without those in `slots` (a bit mask)."""
        if gone := [
            number
            for number in {number for number, _ in self.of(item_id)}
            if number >= first and not slots >> number & 1
        ]:
            self.forget_rows({item_id: sum(1 << number for number in gone)})

    @property
    def is_empty(self) -> bool:
        return not self._db.execute("SELECT EXISTS(SELECT 1 FROM changed)").fetchone()[0]

    def of(self, item_id: int) -> dict[tuple[int, int], ChangedRow]:
        """The rows of an item by number and generation."""
        query = "SELECT number, generation, stages, original FROM changed WHERE item = ?"
        return {
            (number, generation): ChangedRow(item_id, number, tuple(orjson.loads(stages)), original, generation)
            for number, generation, stages, original in self._db.execute(query, (item_id,))
        }

    def counts(self) -> Counter[str]:
        """The rows in the file that each stage has changed, of items that are in the plan."""
        query = (
            "SELECT stages, count(*) FROM changed JOIN items ON items.id = changed.item WHERE state != 3 AND changed.number < num_rows "
            "AND NOT EXISTS (SELECT 1 FROM filtered f WHERE f.item = changed.item AND f.number = changed.number "
            "AND (f.generation = changed.generation OR NOT f.hidden)) GROUP BY stages"
        )
        found: Counter[str] = Counter()
        for stages, rows in self._db.execute(query):
            for stage in set(orjson.loads(stages)):
                found[stage] += rows
        return found
