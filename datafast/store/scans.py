"""Whole tables of a ledger in pages, for what counts over all of it.

Guarantee: each page is a query of its own, so a run that is writing is never kept waiting; pages are therefore not of one moment. Replies
are not read unless they are asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from datafast.store.records import DEFAULT_FORMAT
from datafast.store.reply_forms import REPLY, Unpacker

__all__ = ["CallsInSlot", "ScannedAppend", "ScannedCall", "ScannedDrop", "ScannedFailure", "Scans"]

_PAGE = 20_000
_FEW = 1_000  # with their replies
_AT_ONCE = 500


class ScannedCall(NamedTuple):
    id: int
    item: int
    key: bytes
    role: str
    provider: str
    latency_s: float
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


class ScannedAppend(NamedTuple):
    id: int
    item: int
    start: int
    size: int
    crc: int


class ScannedFailure(NamedTuple):
    item: int
    category: str
    provider: str
    rows: int


class ScannedDrop(NamedTuple):
    """A row that a stage has dropped; `row` is the line that would have been written."""

    id: int
    item: int
    stage: str
    reason: str
    row: bytes


class CallsInSlot(NamedTuple):
    """The replies that one provider was asked for in one slot of time; the cost is None if one has no known price."""

    slot: int
    provider: str
    calls: int
    retries: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    latency_s: float


class Scans:
    """Reads tables from their beginning to their end."""

    def __init__(self, db: sqlite3.Connection, unpacker: Unpacker) -> None:
        self._db = db
        self._unpacker = unpacker

    def calls(self) -> Iterator[ScannedCall]:
        query = "SELECT id, item, key, role, provider, latency_s, attempts, input_tokens, output_tokens, cost_usd FROM calls"
        for row in self._pages(query):
            yield ScannedCall._make(row)

    def replies(self, *, after: int = 0) -> Iterator[tuple[int, str, bytes | None, str, str]]:
        """The replies of models that are newer than the call with this id: id, provider, raw reply, None where it was dropped, wire format,
        and the model that was asked."""
        query = f"SELECT id, {REPLY}, provider, coalesce(format, '{DEFAULT_FORMAT}'), model_id FROM calls"  # noqa: S608 - our own text
        for number, stored, raw, provider, wire_format, model_id in self._pages(
            query, first=after, page=_FEW, also="AND attempts > 0"
        ):
            reply = None if raw is None else self._unpacker.reply(stored, raw)
            yield number, provider, reply, wire_format, model_id

    def in_slots(self, start: float, length: float, *, last: int) -> list[CallsInSlot]:
        """The replies of models by when they were asked for, in slots of so many seconds from a moment on; what comes later than the last
        slot is in that."""
        query = """
            SELECT max(0, min(CAST((sent_at - ?) / ? AS INTEGER), ?)), provider, count(*), sum(attempts - 1),
                sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0)),
                CASE WHEN count(cost_usd) = count(*) THEN sum(cost_usd) END, avg(latency_s)
            FROM calls WHERE attempts > 0 GROUP BY 1, 2 ORDER BY 1, 2"""
        return [CallsInSlot._make(row) for row in self._db.execute(query, (start, length, last))]

    def appends(self) -> Iterator[ScannedAppend]:
        """Those that have rows, in the order of the file."""
        for row in self._pages("SELECT id, item, start, size, crc, num_rows FROM appends"):
            if row[5]:
                yield ScannedAppend._make(row[:5])

    def failures(self) -> Iterator[ScannedFailure]:
        """The failures of items that are in the plan and have failed."""
        query = "SELECT f.item AS id, category, provider, rows FROM failures f CROSS JOIN items i ON i.id = f.item AND state = 2"
        for row in self._pages(query, "f.item"):
            yield ScannedFailure._make(row)

    def dropped(self) -> Iterator[ScannedDrop]:
        """The rows that stages have dropped, of items that are in the plan."""
        query = (
            "SELECT d.id AS id, d.item, stage, reason, row FROM filtered d CROSS JOIN items i ON i.id = d.item "
            "AND state != 3 AND NOT hidden"
        )
        for row in self._pages(query, "d.id"):
            yield ScannedDrop._make(row)

    def raw_replies(self, call_ids: Sequence[int]) -> Iterator[tuple[int, bytes, str]]:
        """Some recorded replies as they came, each with its number and wire format. Those that were dropped are left out."""
        for start in range(0, len(call_ids), _AT_ONCE):
            part = call_ids[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            query = f"SELECT id, {REPLY}, coalesce(format, ?) FROM calls WHERE id IN ({marks})"  # noqa: S608 - question marks
            for number, stored, raw, wire_format in self._db.execute(query, (DEFAULT_FORMAT, *part)).fetchall():
                if raw is not None:
                    yield number, self._unpacker.reply(stored, raw), wire_format

    def _pages(
        self, select: str, key: str = "id", *, first: int = 0, page: int = _PAGE, also: str = ""
    ) -> Iterator[Any]:
        """All rows of a query behind the first, whose first column is the `key`, by rising keys."""
        query = f"{select} WHERE {key} > ? {also} ORDER BY {key} LIMIT ?"
        while found := self._db.execute(query, (first, page)).fetchall():
            yield from found
            first = found[-1][0]
