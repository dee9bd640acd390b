"""The appends to the JSONL, in the ledger: whose rows stand where, in which order."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator

from datafast.store.records import Append, Place
from datafast.store.row_values import append_from, append_values

__all__ = ["AppendTable"]

# Items that have left the plan come behind all others, in an order that never changes.
_PLACE = "items.state = 3, CASE items.state WHEN 3 THEN items.id ELSE items.position END"


class AppendTable:
    """The table `appends`. Methods that write are called inside a transaction of the ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def put(self, appends: Iterable[Append]) -> None:
        self._db.executemany("INSERT INTO appends VALUES(?,?,?,?,?,?,nullif(?,''))", map(append_values, appends))

    def all(self) -> Iterator[Append]:
        """All appends in the order of the file."""
        return self.between(0, None)

    def between(self, start: int, end: int | None) -> Generator[Append, None, None]:
        """Appends that begin at byte `start` or later and end at byte `end` or earlier, in the order of the file."""
        if end is not None and end < start:
            return
        for row in self._db.execute("SELECT * FROM appends WHERE id >= ? ORDER BY id", (self._first(start),)):
            append = append_from(row)
            if end is not None and append.end > end:
                return
            yield append

    def places(self, start: int, end: int) -> Generator[tuple[int, int, int], None, None]:
        """The first byte, the size and the checksum of those that have rows, between two bytes, in the order of the file."""
        query = "SELECT start, size, crc FROM appends WHERE id >= ? AND id < ? AND size ORDER BY id"
        yield from self._db.execute(query, (self._first(start), self._first(end + 1, by="start + size")))

    def _first(self, start: int, *, by: str = "start") -> int:
        """An id, so that the appends from there on are those that begin at a byte or later (by their end: that end behind it).

        Found by halving the ids, because places rise with them and no index does.
        """
        low, high = 0, int(self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM appends").fetchone()[0])
        query = f"SELECT id, {by} FROM appends WHERE id >= ? ORDER BY id LIMIT 1"  # noqa: S608 - our own text
        while low < high:
            middle = (low + high) // 2
            row = self._db.execute(query, (middle,)).fetchone()
            if row is None or row[1] >= start:
                high = middle
            else:
                low = row[0] + 1
        return low

    def beyond(self, end: int) -> Iterator[Append]:
        """The appends that end behind a byte, in the order of the file."""
        first = self._first(end + 1, by="start + size")
        for row in self._db.execute("SELECT * FROM appends WHERE id >= ? ORDER BY id", (first,)):
            yield append_from(row)

    def forget_beyond(self, end: int) -> None:
        """Removes these."""
        self._db.execute("DELETE FROM appends WHERE id >= ?", (self._first(end + 1, by="start + size"),))

    def of(self, item_id: int) -> list[Append]:
        """Those of an item."""
        query = "SELECT * FROM appends WHERE item = ? ORDER BY id"
        return [append_from(row) for row in self._db.execute(query, (item_id,))]

    def at(self, start: int) -> Append | None:
        """The one that has this byte; None if there is none."""
        first = self._first(start + 1, by="start + size")
        row = self._db.execute("SELECT * FROM appends WHERE id >= ? ORDER BY id LIMIT 1", (first,)).fetchone()
        found = None if row is None else append_from(row)
        return found if found is not None and found.start <= start else None

    def in_plan_order(self) -> Generator[Append, None, None]:
        """All appends by the item's position in the plan, those of an item together; those of removed items at the end."""
        query = f"SELECT appends.* FROM appends JOIN items ON items.id = appends.item ORDER BY {_PLACE}, appends.id"  # noqa: S608 - our own text
        for row in self._db.execute(query):
            yield append_from(row)

    def is_in_order(self) -> bool:
        """Whether the items of the appends are in this order, each with one append."""
        one, other = _PLACE.split(", ", 1)
        steps = (
            f"SELECT ({one}, {other}) <= (lag({one}) OVER w, lag({other}) OVER w) AS back "  # noqa: S608 - our own text
            "FROM appends JOIN items ON items.id = item WINDOW w AS (ORDER BY appends.id)"
        )
        return not self._db.execute(f"SELECT 1 FROM ({steps}) WHERE back LIMIT 1").fetchone()  # noqa: S608 - our own text

    def committed_size(self) -> int:
        """Bytes of the JSONL that are committed."""
        row = self._db.execute("SELECT start + size FROM appends ORDER BY id DESC LIMIT 1").fetchone()
        return row[0] if row else 0

    def last_end_within(self, size: int) -> int:
        """The end of the last append that is completely within the first `size` bytes."""
        first = self._first(size + 1, by="start + size")
        query = "SELECT start + size FROM appends WHERE id < ? ORDER BY id DESC LIMIT 1"
        row = self._db.execute(query, (first,)).fetchone()
        return row[0] if row else 0

    def with_items(self) -> Generator[tuple[Append, Place], None, None]:
        """All appends in the order of the file, each with the place of its item in the plan."""
        query = (
            "SELECT appends.*, items.position, items.key, CASE items.state WHEN 3 THEN 0 ELSE items.num_rows END FROM appends "
            "JOIN items ON items.id = item ORDER BY appends.id"
        )
        for row in self._db.execute(query):
            yield append_from(row), Place(*row[-3:])

    def in_walk_order(
        self, draw: Callable[[int, int], int]
    ) -> Generator[tuple[int, Place, bool, Append | None], None, None]:
        """The items of the plan that have rows, by what `draw` gives for their id and position, then by key: id, place, whether stages have
        dropped rows of it, and an append. One with several appends comes once with each, one without any once with None."""
        self._db.create_function("walk_draw", 2, draw)
        has_filtered = "EXISTS(SELECT 1 FROM filtered WHERE filtered.item = items.id)"
        query = (
            f"SELECT items.id, items.position, items.key, items.num_rows, {has_filtered} AS has_filtered, appends.* "  # noqa: S608 - our own text
            "FROM items LEFT JOIN appends ON appends.item = items.id AND appends.num_rows > 0 "
            "WHERE items.state != 3 AND (appends.id IS NOT NULL OR has_filtered) "
            "ORDER BY walk_draw(items.id, items.position), items.key, items.id, appends.id"
        )
        for item, position, key, num_rows, filtered, *append in self._db.execute(query):
            found = None if append[0] is None else append_from(tuple(append))
            yield item, Place(position, key, num_rows), bool(filtered), found
