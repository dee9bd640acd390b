"""What is noted of an output beside its rows and calls, in the ledger, by name."""

from __future__ import annotations

import sqlite3
from typing import Any

__all__ = ["MetaTable"]


class MetaTable:
    """The table `meta`. Methods that write are called inside a transaction of the ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def get(self, name: str) -> Any:
        """The value; None if there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def all(self) -> dict[str, Any]:
        """Every value by its name."""
        return dict(self._db.execute("SELECT name, value FROM meta ORDER BY name"))

    def put(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (name, value))
