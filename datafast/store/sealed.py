"""What a ledger has in sums, so that neither opening it nor looking at it goes through all that was ever done.

All up to some id in a table is *sealed*: summed up in tables of its own. What is asked for is the sealed sums and what is newer, in one
query, so a reader beside a run never sees half of both. A run seals now and then what it has added; outputs of a few thousand rows are
never sealed and have no sums.

    sealed            one row: up to which item, call and dropped row, and up to which item positions; the sums over items that are done
    sealed_positions  one row for 65,536 positions of the plan with items that are done: a bitmap
    sealed_moves      one row a position that has changed since
    sealed_calls      one row for each part of the calls, provider and role: what they have used
    sealed_filtered   one row a stage and reason: the dropped rows that count

Guarantee: sums are always exact, whoever writes: triggers change them, in the transaction, where something sealed is changed or comes late.
Items that are not done are in no sum; an index leads to them. Cost: each item and call is read once more when it is sealed, and once
something is, a look at one row for each of them that is written.
"""

from __future__ import annotations

import sqlite3
from itertools import chain
from typing import NamedTuple

from datafast._util.bitmap import PositionSet

__all__ = ["CALLS", "DONE_TAIL", "SEALED", "Sealed"]

SEAL_AFTER = 20_000
"""How many newer items, calls or dropped rows are sealed. A query goes through fewer in some milliseconds."""
PLACE_AFTER = 500_000
"""How many newer items have their positions sealed. Where positions are far apart, each of them rewrites a piece of the bitmap."""
_STEP = 500_000

_IS_SEALED = "<= (SELECT item FROM sealed)"
_IS_PLACED = "<= (SELECT placed FROM sealed)"
_UNSEAL_CALLS = """BEGIN
        UPDATE sealed SET call = (SELECT coalesce(max(last), 0) FROM sealed_calls WHERE last < {which}.id);
        DELETE FROM sealed_calls WHERE last >= {which}.id;
    END"""

SEALED: tuple[str, ...] = (
    """CREATE TABLE sealed(
        id INTEGER PRIMARY KEY, item INTEGER NOT NULL, placed INTEGER NOT NULL, call INTEGER NOT NULL, dropped INTEGER NOT NULL,
        items INTEGER NOT NULL, num_rows INTEGER NOT NULL, rows_written INTEGER NOT NULL)""",
    "INSERT INTO sealed VALUES(1, 0, 0, 0, 0, 0, 0, 0)",
    "CREATE TABLE sealed_positions(number INTEGER PRIMARY KEY, bits BLOB NOT NULL)",
    "CREATE TABLE sealed_moves(id INTEGER PRIMARY KEY, position INTEGER NOT NULL, is_done INTEGER NOT NULL)",
    """CREATE TABLE sealed_calls(
        id INTEGER PRIMARY KEY, after INTEGER NOT NULL, last INTEGER NOT NULL, first INTEGER NOT NULL,
        provider TEXT NOT NULL, role TEXT NOT NULL, is_asked INTEGER NOT NULL,
        calls INTEGER NOT NULL, attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        sized INTEGER NOT NULL, largest INTEGER, priced INTEGER NOT NULL, cost_usd REAL,
        first_sent_at REAL NOT NULL, last_sent_at REAL NOT NULL)""",
    "CREATE INDEX sealed_calls_last ON sealed_calls(last)",
    """CREATE TABLE sealed_filtered(
        stage TEXT NOT NULL, reason TEXT NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY(stage, reason)) WITHOUT ROWID""",
)
"""The tables, as a step of the format."""

_TRIGGERS: tuple[str, ...] = (
    # Items that come late: their first reply took longer than the whole of many others.
    f"""sealed_item_added AFTER INSERT ON items WHEN NEW.id {_IS_SEALED} BEGIN
        UPDATE sealed SET items = items + 1, num_rows = num_rows + (NEW.state = 1) * NEW.num_rows,
            rows_written = rows_written + (NEW.state = 1) * NEW.rows_written;
        INSERT INTO sealed_moves(position, is_done) SELECT NEW.position, 1 WHERE NEW.state = 1 AND NEW.id {_IS_PLACED};
    END""",  # noqa: S608 - our own text
    f"""sealed_item_changed AFTER UPDATE OF state, num_rows, rows_written ON items
        WHEN (OLD.state = 1 OR NEW.state = 1) AND OLD.id {_IS_SEALED} BEGIN
        UPDATE sealed SET
            num_rows = num_rows + (NEW.state = 1) * NEW.num_rows - (OLD.state = 1) * OLD.num_rows,
            rows_written = rows_written + (NEW.state = 1) * NEW.rows_written - (OLD.state = 1) * OLD.rows_written;
    END""",  # noqa: S608 - our own text
    f"""sealed_item_moved AFTER UPDATE OF state, position ON items
        WHEN (OLD.state = 1 OR NEW.state = 1) AND (OLD.state != NEW.state OR OLD.position != NEW.position)
            AND OLD.id {_IS_PLACED} BEGIN
        INSERT INTO sealed_moves(position, is_done) SELECT OLD.position, 0 WHERE OLD.state = 1;
        INSERT INTO sealed_moves(position, is_done) SELECT NEW.position, 1 WHERE NEW.state = 1;
    END""",
    f"""sealed_item_removed AFTER DELETE ON items WHEN OLD.id {_IS_SEALED} BEGIN
        UPDATE sealed SET items = items - 1, num_rows = num_rows - (OLD.state = 1) * OLD.num_rows,
            rows_written = rows_written - (OLD.state = 1) * OLD.rows_written;
        INSERT INTO sealed_moves(position, is_done) SELECT OLD.position, 0 WHERE OLD.state = 1 AND OLD.id {_IS_PLACED};
    END""",  # noqa: S608 - our own text
    # The parts of the calls from there on are summed up anew.
    f"""sealed_call_added AFTER INSERT ON calls WHEN NEW.id <= (SELECT call FROM sealed)
        {_UNSEAL_CALLS.format(which="NEW")}""",  # noqa: S608 - our own text
    f"""sealed_call_changed AFTER UPDATE OF id, provider, role, sent_at, attempts, input_tokens, output_tokens, cost_usd
        ON calls WHEN OLD.id <= (SELECT call FROM sealed)
        {_UNSEAL_CALLS.format(which="OLD")}""",  # noqa: S608 - our own text
    f"""sealed_call_removed AFTER DELETE ON calls WHEN OLD.id <= (SELECT call FROM sealed)
        {_UNSEAL_CALLS.format(which="OLD")}""",  # noqa: S608 - our own text
    """sealed_drop_added AFTER INSERT ON filtered WHEN NOT NEW.hidden AND NEW.id <= (SELECT dropped FROM sealed) BEGIN
        INSERT INTO sealed_filtered VALUES(NEW.stage, NEW.reason, 1) ON CONFLICT(stage, reason) DO UPDATE SET rows = rows + 1;
    END""",
    """sealed_drop_changed AFTER UPDATE OF stage, reason, hidden ON filtered WHEN OLD.id <= (SELECT dropped FROM sealed) BEGIN
        UPDATE sealed_filtered SET rows = rows - 1 WHERE NOT OLD.hidden AND stage = OLD.stage AND reason = OLD.reason;
        INSERT INTO sealed_filtered SELECT NEW.stage, NEW.reason, 1 WHERE NOT NEW.hidden
            ON CONFLICT(stage, reason) DO UPDATE SET rows = rows + 1;
    END""",
    """sealed_drop_removed AFTER DELETE ON filtered WHEN NOT OLD.hidden AND OLD.id <= (SELECT dropped FROM sealed) BEGIN
        UPDATE sealed_filtered SET rows = rows - 1 WHERE stage = OLD.stage AND reason = OLD.reason;
    END""",
)
"""What keeps the sums exact. They come with the first sums, because they cost something at each row that is written."""

NOT_SEALED: tuple[str, ...] = (
    """CREATE TEMP VIEW sealed AS SELECT 1 AS id, 0 AS item, 0 AS placed, 0 AS call, 0 AS dropped, 0 AS items, 0 AS num_rows,
        0 AS rows_written""",
    "CREATE TEMP VIEW sealed_positions AS SELECT 0 AS number, x'' AS bits WHERE 0",
    "CREATE TEMP VIEW sealed_moves AS SELECT 0 AS id, 0 AS position, 0 AS is_done WHERE 0",
    """CREATE TEMP VIEW sealed_calls AS SELECT 0 AS id, 0 AS after, 0 AS last, 0 AS first, '' AS provider, '' AS role, 0 AS is_asked,
        0 AS calls, 0 AS attempts, 0 AS input_tokens, 0 AS output_tokens, 0 AS sized, 0 AS largest, 0 AS priced, 0.0 AS cost_usd,
        0.0 AS first_sent_at, 0.0 AS last_sent_at WHERE 0""",
    "CREATE TEMP VIEW sealed_filtered AS SELECT '' AS stage, '' AS reason, 0 AS rows WHERE 0",
)
"""Views that show a ledger of an earlier format with nothing sealed."""

_SUMS = """min(id) AS first, provider, role, attempts > 0 AS is_asked, count(*) AS calls, sum(attempts) AS attempts,
    coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(output_tokens), 0) AS output_tokens, count(output_tokens) AS sized,
    max(output_tokens) AS largest, count(cost_usd) AS priced, sum(cost_usd) AS cost_usd, min(sent_at) AS first_sent_at,
    max(sent_at) AS last_sent_at FROM calls"""
_OF_CALLS = """first, provider, role, is_asked, calls, attempts, input_tokens, output_tokens, sized, largest, priced, cost_usd,
    first_sent_at, last_sent_at"""

CALLS = f"""WITH span AS (
        SELECT coalesce(min(after), :first - 1) AS low, coalesce(max(last), :first - 1) AS high FROM sealed_calls
        WHERE after >= :first - 1 AND last < :end),
    sums AS (
        SELECT {_OF_CALLS} FROM sealed_calls WHERE after >= :first - 1 AND last < :end
        UNION ALL SELECT {_SUMS} WHERE id >= :first AND id <= (SELECT low FROM span) GROUP BY provider, role, attempts > 0
        UNION ALL SELECT {_SUMS} WHERE id > (SELECT high FROM span) AND id < :end GROUP BY provider, role, attempts > 0)
    """  # noqa: S608 - our own text
"""The calls from id `:first` on, without that with id `:end`, as `sums`: what those of a provider in a role have used, in several rows."""

DONE_TAIL = "FROM items WHERE id > (SELECT item FROM sealed) AND state = 1"
"""The items that are done and not sealed."""


class _Marks(NamedTuple):
    """Up to which ids all is sealed."""

    item: int
    placed: int
    call: int
    dropped: int


class Sealed:
    """The sums of one ledger. Methods that write are called inside a transaction of the ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @property
    def _marks(self) -> _Marks:
        return _Marks(*self._db.execute("SELECT item, placed, call, dropped FROM sealed").fetchone())

    def _newest(self, table: str) -> int:
        return int(self._db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])  # noqa: S608 - our own names

    # -- reading

    def done(self) -> PositionSet:
        """The positions of items that are done."""
        # In this order: what a run seals in between is then seen twice, and never missed.
        tail = self._db.execute("SELECT position FROM items WHERE id > (SELECT placed FROM sealed) AND state = 1")
        newer = PositionSet(chain.from_iterable(tail))
        moves = self._db.execute("SELECT position, is_done FROM sealed_moves ORDER BY id").fetchall()
        found = PositionSet()
        for number, bits in self._db.execute("SELECT number, bits FROM sealed_positions"):
            found.add_piece(number, bits)
        _move(found, moves)
        found.update(newer)
        return found

    # -- writing

    def is_due(self) -> bool:
        """Whether there is much that is not sealed."""
        marks = self._marks
        # After a changed plan no position is sealed.
        return marks.item - marks.placed >= PLACE_AFTER or any(
            self._newest(table) - sealed >= SEAL_AFTER
            for table, sealed in (("items", marks.item), ("calls", marks.call), ("filtered", marks.dropped))
        )

    def seal(self, *, boundaries: tuple[int, ...] = ()) -> None:
        """Seals some of what is not sealed.

        Args:
            boundaries: ids of calls with which a part begins whose sums are asked for.
        """
        for trigger in _TRIGGERS:
            self._db.execute(f"CREATE TRIGGER IF NOT EXISTS {trigger}")
        marks = self._marks
        self._seal_items(marks.item)
        self._seal_calls(marks.call, boundaries)
        self._seal_drops(marks.dropped)
        self._seal_places(marks.placed)

    def _seal_items(self, after: int) -> None:
        last = min(self._newest("items"), after + _STEP)
        if last <= after:
            return
        sums = self._db.execute(
            "SELECT count(*), coalesce(sum((state = 1) * num_rows), 0), coalesce(sum((state = 1) * rows_written), 0) FROM items "
            "WHERE id > ? AND id <= ?",
            (after, last),
        ).fetchone()
        self._db.execute(
            "UPDATE sealed SET item = ?, items = items + ?, num_rows = num_rows + ?, rows_written = rows_written + ?",
            (last, *sums),
        )

    def _seal_places(self, after: int) -> None:
        sealed = self._marks.item
        last = min(sealed, after + _STEP)
        moves = self._db.execute("SELECT position, is_done FROM sealed_moves ORDER BY id").fetchall()
        if max(sealed - after, len(moves)) < PLACE_AFTER:
            return
        query = "SELECT position FROM items WHERE id > ? AND id <= ? AND state = 1"
        newer = PositionSet(chain.from_iterable(self._db.execute(query, (after, last))))
        touched = {number for number, _ in newer.pieces()} | {PositionSet.piece_of(position) for position, _ in moves}
        found = PositionSet()
        for number in touched:
            row = self._db.execute("SELECT bits FROM sealed_positions WHERE number = ?", (number,)).fetchone()
            found.add_piece(number, row[0] if row else b"")
        _move(found, moves)
        found.update(newer)
        self._db.executemany(
            "INSERT OR REPLACE INTO sealed_positions VALUES(?,?)",
            ((number, bytes(bits).rstrip(b"\0")) for number, bits in found.pieces()),
        )
        self._db.execute("DELETE FROM sealed_moves")
        self._db.execute("UPDATE sealed SET placed = ?", (last,))

    def _seal_calls(self, after: int, boundaries: tuple[int, ...]) -> None:
        last = min(self._newest("calls"), after + _STEP)
        if last <= after:
            return
        last = min([last, *(first - 1 for first in boundaries if first - 1 > after)])
        self._db.execute(
            f"INSERT INTO sealed_calls SELECT NULL, :after, :last, * FROM (SELECT {_SUMS} "  # noqa: S608 - our own text
            "WHERE id > :after AND id <= :last GROUP BY provider, role, attempts > 0)",
            {"after": after, "last": last},
        )
        self._db.execute("UPDATE sealed SET call = ?", (last,))

    def _seal_drops(self, after: int) -> None:
        last = min(self._newest("filtered"), after + _STEP)
        if last <= after:
            return
        self._db.execute(
            "INSERT INTO sealed_filtered SELECT stage, reason, count(*) FROM filtered WHERE id > ? AND id <= ? AND NOT hidden "
            "GROUP BY stage, reason ON CONFLICT(stage, reason) DO UPDATE SET rows = rows + excluded.rows",
            (after, last),
        )
        self._db.execute("UPDATE sealed SET dropped = ?", (last,))

    def forget_places(self) -> None:
        """Forgets all positions, because all of them are about to change. What was sealed otherwise stays so."""
        for table in ("sealed_positions", "sealed_moves"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        self._db.execute("UPDATE sealed SET placed = 0")


def _move(positions: PositionSet, moves: list[tuple[int, int]]) -> None:
    for position, is_done in moves:
        if is_done:
            positions.add(position)
        else:
            positions.discard(position)
