"""The ledger: which items exist, which replies were paid for, which bytes of the JSONL are committed. SQLite, one writer.

Tables are append-only or keyed by small rising integers, because indexes on random keys get slower as they grow; identities are
looked up in memory, built once at start-up. Readers (`datafast status`) may open the file while a run writes.

    items     one row an item: key, content, position in the plan, state, rows written
    calls     one row a paid reply: the raw reply, what it cost, what it answered
    appends   one row an append to the JSONL: where it lies and its checksum
    charges   one row a request that may have been paid for without a reply that says how much: its upper bound
    failures  one row an item that has failed rows: why
    failed    a view: the failures that count, those of items that are in the plan and have failed
    meta      format, mode, the plan's fingerprint, what was requested, how to go on
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from datafast.errors import OutputError, OutputWriteError
from datafast.store.records import Append, CallRow, Charge, FailureRow, ItemRecord, ItemState, Recorded, Spent, Totals

__all__ = ["Ledger"]

_FORMAT = "1"
_LEAST_ROOM = 64 * 1024  # SQLite says 'disk I/O error' where its side files find no room
_BUSY_S = 5.0  # another program may hold the file for a moment: a backup, `datafast status`
_SCHEMA = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE items(
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, content BLOB NOT NULL, position INTEGER NOT NULL,
    state INTEGER NOT NULL, generation INTEGER NOT NULL, num_rows INTEGER NOT NULL, rows_written INTEGER NOT NULL,
    slots BLOB);
CREATE INDEX items_unfinished ON items(id) WHERE state != 1;
CREATE TABLE calls(
    id INTEGER PRIMARY KEY, item INTEGER NOT NULL, key BLOB NOT NULL, generation INTEGER NOT NULL,
    role TEXT NOT NULL, provider TEXT NOT NULL, model_id TEXT NOT NULL,
    sent_at REAL NOT NULL, latency_s REAL NOT NULL, attempts INTEGER NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER, cost_usd REAL, raw BLOB NOT NULL);
CREATE INDEX calls_of_item ON calls(item);
CREATE TABLE appends(
    id INTEGER PRIMARY KEY, item INTEGER NOT NULL, num_rows INTEGER NOT NULL,
    start INTEGER NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL, slots BLOB);
CREATE TABLE charges(
    id INTEGER PRIMARY KEY, provider TEXT NOT NULL, usd REAL NOT NULL, tokens INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE failures(
    item INTEGER PRIMARY KEY, category TEXT NOT NULL, error TEXT NOT NULL, provider TEXT NOT NULL, role TEXT NOT NULL,
    attempts INTEGER NOT NULL, rows INTEGER NOT NULL, prompt TEXT NOT NULL, raw BLOB NOT NULL, at REAL NOT NULL);
CREATE VIEW failed AS
    SELECT failures.*, items.key FROM failures JOIN items ON items.id = failures.item WHERE items.state = 2;
"""


class Ledger:
    """The SQLite file. Every method that writes expects to run inside `transaction()` unless it says otherwise."""

    def __init__(self, path: Path, *, full_durability: bool = False, read_only: bool = False) -> None:
        self.path = path
        try:
            if read_only:
                # Without a write-ahead log nobody writes, and reading need not leave side files behind.
                still = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
                self._db = sqlite3.connect(
                    f"{path.absolute().as_uri()}?mode=ro{still}", uri=True, check_same_thread=False, timeout=_BUSY_S
                )
            else:
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            self._begin(full_durability, read_only)
        except sqlite3.DatabaseError as error:
            if not read_only and isinstance(error, sqlite3.OperationalError) and _is_full(path.parent):
                raise _unwritable(path, error) from error
            if isinstance(error, sqlite3.OperationalError) and not read_only and "disk" not in str(error):
                raise OutputError(
                    f"cannot open the ledger {path}: {error}. Check that its folder exists and is writable; on a network "
                    f"drive put it on a local disk with `run: {{ledger: PATH}}`"
                ) from error
            raise self.unreadable(error) from error

    def unreadable(self, error: sqlite3.Error) -> OutputError:
        """What is to be said, and done, when the file is damaged."""
        return OutputError(
            f"cannot read the ledger {self.path}: {error}. Nothing was changed. "
            f"Start over with --fresh (the old files are kept aside), or restore the file from a backup"
        )

    def _begin(self, full_durability: bool, read_only: bool) -> None:
        try:
            if not read_only:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute(f"PRAGMA synchronous={'FULL' if full_durability else 'NORMAL'}")
            self._prepare(read_only)
        except BaseException:  # whatever kept it from being used: the file is not held open
            self._db.close()
            raise

    def _prepare(self, read_only: bool) -> None:
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            if read_only:
                raise sqlite3.DatabaseError("it is empty")
            with self.transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self.set_meta("format", _FORMAT)
        found = self.meta("format")
        if found != _FORMAT:
            raise OutputError(
                f"the ledger {self.path} has format {found}, this version of datafast reads format {_FORMAT}. "
                f"Use the version that wrote it, or another --output"
            )

    def transaction(self) -> Transaction:
        """`with ledger.transaction():` commits what is written inside at once, or nothing of it."""
        return Transaction(self._db, self.path)

    def checkpoint(self) -> None:
        """Brings the write-ahead log into the file and onto the disk. Outside a transaction."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        self._db.close()

    # -- meta

    def meta(self, name: str) -> Any:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (name, value))

    # -- items

    def put_items(self, items: Iterable[ItemRecord]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO items VALUES(?,?,?,?,?,?,?,?,?)", map(_item_values, items))

    def add_item_if_new(self, item: ItemRecord) -> None:
        self._db.execute("INSERT OR IGNORE INTO items VALUES(?,?,?,?,?,?,?,?,?)", _item_values(item))

    def items(self, *states: ItemState) -> Iterator[ItemRecord]:
        """Items in these states (all, where none is given), in the order of their ids."""
        where = f"WHERE state IN ({','.join(str(int(state)) for state in states)})" if states else ""
        if states and ItemState.DONE not in states:
            where += " AND state != 1"  # lets SQLite use the partial index
        for row in self._db.execute(f"SELECT * FROM items {where} ORDER BY id"):  # noqa: S608 - integers only
            yield _item(row)

    def items_of(self, item_ids: Sequence[int]) -> dict[int, ItemRecord]:
        """Items by id."""
        marks = ",".join("?" * len(item_ids))
        rows = self._db.execute(f"SELECT * FROM items WHERE id IN ({marks})", item_ids)  # noqa: S608 - question marks
        return {row[0]: _item(row) for row in rows}

    def places(self) -> dict[bytes, int]:
        """Where every item stands, by key: its position, id and state in one integer, for there may be millions."""
        query = "SELECT key, (min(position, 2147483647) << 32) | (id << 2) | state FROM items"
        return dict(self._db.execute(query))

    POSITION_SHIFT = 32
    STATE_BITS = 3

    @staticmethod
    def item_of(place: int) -> int:
        """The id in a place that `places` gave."""
        return place >> 2 & 0x3FFF_FFFF

    def done_positions(self) -> Iterator[int]:
        for row in self._db.execute("SELECT position FROM items WHERE state = 1"):
            yield row[0]

    def move_items(self, positions: Iterable[tuple[int, int]]) -> None:
        """Gives items (id, position) their positions in a new plan."""
        self._db.executemany("UPDATE items SET position = ?2 WHERE id = ?1", positions)

    def set_state(self, item_ids: Iterable[int], state: ItemState) -> None:
        self._db.executemany("UPDATE items SET state = ? WHERE id = ?", [(state, item_id) for item_id in item_ids])

    def raise_generation(self) -> None:
        """Opens every failed item again; replies that failed it count no more, valid ones still do."""
        self._db.execute("UPDATE items SET state = 0, generation = generation + 1 WHERE state = 2")
        self._db.execute("DELETE FROM failures WHERE item IN (SELECT id FROM items WHERE state = 0)")

    def row_counts(self) -> tuple[int, int]:
        """(rows written, rows failed) of the items that are in the plan."""
        written = self._db.execute("SELECT coalesce(sum(rows_written), 0) FROM items WHERE state != 3").fetchone()[0]
        failed = self._db.execute(
            "SELECT coalesce(sum(num_rows - rows_written), 0) FROM items WHERE state = 2"
        ).fetchone()
        return written, failed[0]

    def max_id(self, table: str) -> int:
        found = self._db.execute(f"SELECT max(id) FROM {table}").fetchone()[0]  # noqa: S608 - our own table names
        return found or 0

    # -- calls

    def put_calls(self, calls: Iterable[CallRow]) -> None:
        self._db.executemany(
            "INSERT OR IGNORE INTO calls VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    *(
                        c.id,
                        c.item,
                        c.key,
                        c.generation,
                        c.role,
                        c.provider,
                        c.model_id,
                        c.sent_at,
                        c.latency_s,
                        c.attempts,
                    ),
                    *(c.input_tokens, c.output_tokens, c.cached_tokens, c.cost_usd, c.raw),
                )
                for c in calls
            ],
        )

    def calls_of(self, item_id: int) -> list[tuple[bytes, Recorded]]:
        """The recorded replies of an item with their call keys, oldest first."""
        query = "SELECT key, generation, raw, provider, model_id FROM calls WHERE item = ? ORDER BY id"
        return [(row[0], Recorded(*row[1:])) for row in self._db.execute(query, (item_id,))]

    def recently_sent(self) -> dict[str, list[tuple[float, int]]]:
        """The newest recorded requests to each provider, oldest first: when (seconds since the epoch), and their tokens."""
        newest = "SELECT provider, sent_at, coalesce(input_tokens, 0) + coalesce(output_tokens, 0) FROM calls "
        found: dict[str, list[tuple[float, int]]] = {}
        for provider, sent_at, tokens in self._db.execute(newest + "ORDER BY id DESC LIMIT 1000"):
            found.setdefault(provider, []).append((sent_at, tokens))
        return {provider: sorted(sent) for provider, sent in found.items()}

    def totals(self) -> Totals:
        calls, attempts, given, cost, unpriced = self._db.execute(
            "SELECT count(*), coalesce(sum(attempts), 0), coalesce(sum(input_tokens), 0), sum(cost_usd), "
            "count(*) - count(cost_usd) FROM calls"
        ).fetchone()
        output = self._db.execute("SELECT coalesce(sum(output_tokens), 0) FROM calls").fetchone()[0]
        return Totals(calls, attempts, given, output, None if unpriced else (cost or 0.0))

    def put_charges(self, charges: Iterable[Charge]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO charges VALUES(?,?,?,?,?)", list(charges))

    def charged(self) -> tuple[float, int]:
        """(USD, tokens) charged for requests that never said what they used."""
        found = self._db.execute("SELECT coalesce(sum(usd), 0), coalesce(sum(tokens), 0) FROM charges").fetchone()
        return float(found[0]), int(found[1])

    def spent(self) -> Spent:
        """What this output has used up so far; requests that may have been paid for count at their bound."""
        totals = self.totals()
        usd, tokens = self.charged()
        requests = max(int(self.meta("requests") or 0), totals.attempts)
        return Spent((totals.cost_usd or 0.0) + usd, requests, totals.input_tokens + totals.output_tokens + tokens)

    # -- appends

    def put_appends(self, appends: Iterable[Append]) -> None:
        self._db.executemany(
            "INSERT INTO appends VALUES(?,?,?,?,?,?,?)",
            [(a.id, a.item, a.num_rows, a.start, a.size, a.crc, _pack(a.slots)) for a in appends],
        )

    def appends(self) -> Iterator[Append]:
        """All appends in the order of the file."""
        return self.appends_between(0, None)

    def appends_between(self, start: int, end: int | None) -> Generator[Append, None, None]:
        """Appends that begin at byte `start` or later and end at byte `end` or earlier, in the order of the file."""
        query = "SELECT * FROM appends WHERE start >= ? AND (?2 IS NULL OR start + size <= ?2) ORDER BY id"
        for row in self._db.execute(query, (start, end)):
            yield _append(row)

    def appends_in_plan_order(self) -> Generator[Append, None, None]:
        """All appends, those of an item together, by the item's position in the plan."""
        query = "SELECT appends.* FROM appends JOIN items ON items.id = appends.item ORDER BY position, appends.id"
        for row in self._db.execute(query):
            yield _append(row)

    def is_in_order(self) -> bool:
        """Whether each append is of an item that comes later in the plan than that of the one before it."""
        steps = "SELECT position <= lag(position) OVER (ORDER BY appends.id) AS back FROM appends JOIN items ON items.id = item"
        return not self._db.execute(f"SELECT 1 FROM ({steps}) WHERE back LIMIT 1").fetchone()  # noqa: S608 - our own text

    def committed_size(self) -> int:
        """Bytes of the JSONL that are committed."""
        row = self._db.execute("SELECT start + size FROM appends ORDER BY id DESC LIMIT 1").fetchone()
        return row[0] if row else 0

    def last_end_within(self, size: int) -> int:
        """The end of the last append that lies wholly within the first `size` bytes."""
        row = self._db.execute(
            "SELECT start + size FROM appends WHERE start + size <= ? ORDER BY id DESC LIMIT 1", (size,)
        ).fetchone()
        return row[0] if row else 0

    def forget_appends_after(self, end: int) -> None:
        """Drops the appends beyond byte `end` and opens their items again."""
        lost: dict[int, int] = {}
        for row in self._db.execute("SELECT * FROM appends WHERE start + size > ?", (end,)):
            append = _append(row)
            lost[append.item] = lost.get(append.item, 0) | append.slots
        for item in list(self.items()):
            if item.id in lost:
                item.slots &= ~lost[item.id]
                item.state = ItemState.STALE if item.state is ItemState.STALE else ItemState.OPEN
                self.put_items([item])
        self._db.execute("DELETE FROM appends WHERE start + size > ?", (end,))

    def replace_appends(self, appends: Iterable[Append], *, emptied: Iterable[int]) -> None:
        """Puts new positions in the file in the place of all old ones; items `emptied` have no row in it any more."""
        self._db.execute("DELETE FROM appends")
        self.put_appends(appends)
        self._db.executemany(
            "UPDATE items SET rows_written = 0, slots = NULL WHERE id = ?", [(item_id,) for item_id in emptied]
        )

    # -- failures

    def put_failures(self, failures: Iterable[FailureRow]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO failures VALUES(?,?,?,?,?,?,?,?,?,?)", map(_failure_values, failures)
        )

    def failure_counts(self) -> Counter[tuple[str, str]]:
        """Failed rows by provider and category."""
        found = self._db.execute("SELECT provider, category, sum(rows) FROM failed GROUP BY provider, category")
        return Counter({(provider, category): rows for provider, category, rows in found})


def _failure_values(f: FailureRow) -> tuple[Any, ...]:
    who = (f.provider, f.role, f.attempts, f.rows)
    return (f.item, f.category, _storable(f.error), *who, _storable(f.prompt), f.raw, f.at)


def _storable(text: str) -> str:
    """A text as UTF-8 can hold it: an error may quote half a surrogate pair of a model's reply."""
    return text.encode("utf-8", "backslashreplace").decode()


def _item_values(item: ItemRecord) -> tuple[Any, ...]:
    written = (item.rows_written, _pack(item.slots))
    return (item.id, item.key, item.content, item.position, item.state, item.generation, item.num_rows, *written)


def _item(row: tuple[Any, ...]) -> ItemRecord:
    return ItemRecord(row[0], row[1], row[2], row[3], ItemState(row[4]), row[5], row[6], _unpack(row[8], row[7]))


def _append(row: tuple[Any, ...]) -> Append:
    return Append(row[0], row[1], row[3], row[4], row[5], _unpack(row[6], row[2]))


def _pack(slots: int) -> bytes | None:
    """A bit mask as stored: nothing where the rows are the first ones, which is nearly always."""
    return None if slots & (slots + 1) == 0 else slots.to_bytes((slots.bit_length() + 7) // 8, "little")


def _unpack(stored: bytes | None, count: int) -> int:
    return (1 << count) - 1 if stored is None else int.from_bytes(stored, "little")


def _is_full(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < _LEAST_ROOM
    return False


def _unwritable(path: Path, error: sqlite3.Error) -> OutputWriteError:
    return OutputWriteError(
        f"cannot write the ledger {path}: {error}. "
        f"Check the space on its disk, and whether another program has the file open"
    )


class Transaction:
    """Commits at the end of the block, rolls back on any error. Whatever SQLite cannot do becomes an OutputWriteError."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _unwritable(self._path, error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
        except sqlite3.Error as failed:
            self._roll_back()
            raise _unwritable(self._path, failed) from failed
        if error is not None:
            self._roll_back()
        if isinstance(error, sqlite3.Error):
            raise _unwritable(self._path, error) from error

    def _roll_back(self) -> None:
        # SQLite rolls back by itself after some errors, and what cannot be rolled back now is when the file is opened again.
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
