"""What calls of an item were made for beyond what the item says, in the ledger: which dropped rows they replace, and why.

It is a part of what was asked. So it is written before the first of these calls, and replays find the replies by it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from datafast.plan.items import Context

__all__ = ["ContextRow", "ContextTable"]


class ContextRow(NamedTuple):
    """What a replacement is made for, with the id of its item."""

    item: int
    context: Context


class ContextTable:
    """The table `contexts`. What stands there never changes: it is a part of what was asked."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def put(self, rows: Iterable[ContextRow]) -> None:
        """Called inside a transaction of the ledger."""
        told = ((row.item, orjson.dumps(row.context._asdict()).decode()) for row in rows)
        self._db.executemany("INSERT INTO contexts(item, context) VALUES(?,?)", told)

    def of(self, item_id: int) -> list[Context]:
        """Those of an item, in the order in which they were made."""
        found = self._db.execute("SELECT context FROM contexts WHERE item = ? ORDER BY id", (item_id,))
        told = (orjson.loads(text) for (text,) in found)
        return [
            Context(one["generation"], tuple(one["rows"]), tuple(one["reasons"]), tuple(one.get("notes", ())))
            for one in told
        ]
