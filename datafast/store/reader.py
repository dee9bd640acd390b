"""Reading a ledger without changing it: during a run, after a crash, years later.

Guarantee: nothing is written, and no read lasts longer than one query, so a run is never delayed. Cost: opening takes a fraction
of a millisecond; SQLite does the counting. Limits: replies that a killed run left in its journal are missing until the next run, unless
`take_in` is called.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from datafast.plan.items import Counted
from datafast.store.journal import read_journal
from datafast.store.ledger import Ledger
from datafast.store.migrations import FORMAT
from datafast.store.records import FailureRow, ItemRecord, Recorded
from datafast.store.row_values import call_values, item_values, unpack
from datafast.store.unrecorded import Pricing, read_unrecorded

__all__ = ["Bill", "LedgerReader", "PastCall"]

_FAILED = "FROM failures f CROSS JOIN items i ON i.id = f.item WHERE i.state = 2"


class PastCall(NamedTuple):
    """The output tokens and seconds of one recorded reply."""

    provider: str
    role: str
    output_tokens: int
    latency_s: float


class Bill(NamedTuple):
    """A number of calls, and what they cost; None if the price of one is not known."""

    calls: int
    usd: float | None


class LedgerReader(Ledger):
    """A ledger for reading. Use it with `with`.

    Raises:
        OutputError: the file is not a ledger, is damaged, or has a newer format; also raised while reading.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, read_only=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise self.unreadable(error) from error

    @property
    def counted(self) -> Counted | None:
        """Which rows `num_rows` counts; version 0.1.0, which did not note it, counted those of each combination."""
        noted: Counted | None = self.meta("num_rows")
        return noted or (None if self.meta("requested") is None else "each")

    # -- failures

    def failure_ids(self, *, category: str | None = None, provider: str | None = None) -> array[int]:
        """The ids of failed items, oldest failure first."""
        wanted = {"category": category, "provider": provider}
        chosen = " ".join(f"AND (:{name} IS NULL OR f.{name} = :{name})" for name in wanted)
        query = f"SELECT f.item {_FAILED} {chosen} ORDER BY f.at, f.item"
        return array("q", (row[0] for row in self._db.execute(query, wanted)))

    def failed(self, item_ids: Sequence[int]) -> list[tuple[FailureRow, ItemRecord]]:
        """The failures of these items, in this order; items that have not failed are left out."""
        query = f"SELECT f.* {_FAILED} AND i.id IN ({','.join('?' * len(item_ids))})"
        failures = {row[0]: FailureRow(*row) for row in self._db.execute(query, item_ids)}
        items = self.items_of(item_ids)
        return [(failures[item_id], items[item_id]) for item_id in item_ids if item_id in failures]

    def failure_examples(self) -> dict[str, dict[str, str]]:
        """The provider and the error of the first failed item of each category."""
        query = f"SELECT f.category, f.provider, f.error, min(f.item) {_FAILED} GROUP BY 1"
        return {row[0]: {"provider": row[1], "example": row[2]} for row in self._db.execute(query)}

    def recorded(self, item_ids: Iterable[int], *, donors: Container[int]) -> dict[bytes, list[Recorded]]:
        """The recorded replies of some items by the keys of their calls, oldest first; those of donors have generation -1."""
        found: dict[bytes, list[Recorded]] = {}
        for item_id in item_ids:
            for key, reply in self.calls.of(item_id):
                used = reply._replace(generation=-1) if item_id in donors else reply
                found.setdefault(key, []).append(used)
        return found

    def bills(self, item_ids: Container[int]) -> dict[int, Bill]:
        """What the recorded calls of some items have cost, by item; those without calls are left out."""
        query = "SELECT item, count(*), sum(cost_usd), count(*) - count(cost_usd) FROM calls WHERE attempts > 0 GROUP BY item"
        return {
            item: Bill(calls, None if unpriced else cost)
            for item, calls, cost, unpriced in self._db.execute(query)
            if item in item_ids
        }

    def providers_by_route(self, num_routes: int) -> dict[int, str]:
        """The provider of most recorded replies on each route of the plan."""
        query = (
            "SELECT i.position % ?, c.provider, count(*) FROM calls c JOIN items i ON i.id = c.item "
            "WHERE attempts > 0 AND i.state != 3 GROUP BY 1, 2 ORDER BY 3"
        )
        return {route: provider for route, provider, _ in self._db.execute(query, (num_routes,))}

    def call_costs(self, item_id: int) -> list[tuple[bytes, float | None]]:
        """The key and the cost of each recorded call of an item."""
        return self._db.execute(
            "SELECT key, cost_usd FROM calls WHERE item = ? AND attempts > 0", (item_id,)
        ).fetchall()

    def past_calls(self, *, num_rows: int, limit: int) -> list[PastCall]:
        """The newest replies with a usage, to items of this number of rows."""
        query = (
            "SELECT c.provider, c.role, c.output_tokens, c.latency_s FROM calls c JOIN items i ON i.id = c.item "
            "WHERE attempts > 0 AND c.output_tokens IS NOT NULL AND i.num_rows = ? ORDER BY c.id DESC LIMIT ?"
        )
        return [PastCall(*row) for row in self._db.execute(query, (num_rows, limit))]

    # -- rows

    def places_of(self, positions: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
        """The places in the JSONL of the rows of items, by position in the plan: (first byte, number of bytes), in order."""
        query = (
            "SELECT i.position, a.start, a.size FROM items i JOIN appends a ON a.item = i.id WHERE i.state IN (1, 2)"
        )
        query += f" AND i.position IN ({','.join('?' * len(positions))}) ORDER BY a.start"
        found: dict[int, list[tuple[int, int]]] = {}
        for position, start, size in self._db.execute(query, positions):
            found.setdefault(position, []).append((start, size))
        return found

    def replies_of(self, position: int) -> dict[bytes, list[Recorded]]:
        """The recorded replies to the item at a position of the plan, by the keys of its calls, oldest first."""
        found: dict[bytes, list[Recorded]] = {}
        for (item_id,) in self._db.execute("SELECT id FROM items WHERE position = ? AND state != 3", (position,)):
            for key, reply in self.calls.of(item_id):
                found.setdefault(key, []).append(reply)
        return found

    def ids_with_content(self, content: bytes) -> list[int]:
        """The items that ask for this, those that have left the plan first: their replies may be used for it."""
        query = "SELECT id FROM items WHERE content = ? ORDER BY state != 3, id"
        return [item_id for (item_id,) in self._db.execute(query, (content,))]

    def keys_with_rows(self) -> Iterator[tuple[int, bytes, int]]:
        """All items: id, key, and the number behind that of their last row."""
        query = "SELECT id, key, num_rows, slots, rows_written FROM items"
        for item_id, key, num_rows, slots, count in self._db.execute(query):
            yield item_id, key, max(num_rows, unpack(slots, count).bit_length())

    def identities(self) -> Iterator[tuple[int, bytes, int, int]]:
        """All items in the order of their ids: id, key, position, state."""
        yield from self._db.execute("SELECT id, key, position, state FROM items ORDER BY id")

    # -- after a crash

    def take_in(self, journal: Path, pricing: Pricing) -> None:
        """Shows what a killed run left only in its journal as if it stood in the ledger, as the next run will find it."""
        if self.meta("format") != str(FORMAT) or not journal.exists():
            return
        found = read_unrecorded(journal, newest=self.max_id("calls"), pricing=pricing)
        known = self.items_of([item.id for item, _ in found.calls])
        new = {item.id: item for item, _ in found.calls if item.id not in known}
        for table, rows in (
            ("calls", [call_values(call) for _, call in found.calls]),
            ("items", [item_values(item) for item in new.values()]),
            ("charges", list(found.charges.values())),
        ):
            if rows:
                self._db.execute(f"CREATE TEMP TABLE new_{table} AS SELECT * FROM main.{table} WHERE 0")  # noqa: S608 - our own names
                marks = ",".join(["nullif(?,'')"] * len(rows[0]))  # as `row_values` writes NULL
                marks += ",NULL" if table == "calls" else ""  # a new reply is as it came
                self._db.executemany(f"INSERT INTO new_{table} VALUES({marks})", rows)
                self._db.execute(
                    f"CREATE TEMP VIEW {table} AS SELECT * FROM main.{table} UNION ALL SELECT * FROM new_{table} "  # noqa: S608 - our own names
                    f"WHERE id NOT IN (SELECT id FROM main.{table})"
                )
        self._db.commit()  # so that no read lasts longer than its query

    def unrecorded_replies(self, journal: Path) -> int:
        """The number of replies that a killed run left only in its journal."""
        newest = self.max_id("calls")
        return sum(1 for header, _ in read_journal(journal) if "id" in header and header["id"] > newest)
