"""The format of ledgers, as a list of steps: a new ledger takes all of them, an old one those that it lacks.

Guarantee: each step is one transaction, so a crash leaves a ledger of one format or of the next; a step loses nothing. Commands that
only read do not migrate: temporary views show them an old ledger in the newest format.

    1   version 0.1.0
    2   rows that stages have dropped (`filtered`, and `kept` of items), the wire format of each reply, the versions of keys
    3   batches and the calls in them
    4   the place of each dropped row, which is the append of its item, and its score
    5   rows as they were before stages have changed them (`changed`), replacements of dropped rows (`generation` and `hidden` of
        filtered ones), and for which they were made (`contexts`)
    6   sums of what is older (`sealed`)
    7   replies that are packed or dropped (`stored` of calls, `replies`, `dictionaries`)
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from datafast.errors import OutputError, OutputWriteError
from datafast.store.database import Transaction
from datafast.store.reply_forms import FORMS, NO_FORMS
from datafast.store.sealed import NOT_SEALED, SEALED

__all__ = ["FORMAT", "MIGRATIONS", "create", "migrate", "show_as_newest"]

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID",
        """CREATE TABLE items(
            id INTEGER PRIMARY KEY, key BLOB NOT NULL, content BLOB NOT NULL, position INTEGER NOT NULL,
            state INTEGER NOT NULL, generation INTEGER NOT NULL, num_rows INTEGER NOT NULL, rows_written INTEGER NOT NULL,
            slots BLOB)""",
        "CREATE INDEX items_unfinished ON items(id) WHERE state != 1",
        """CREATE TABLE calls(
            id INTEGER PRIMARY KEY, item INTEGER NOT NULL, key BLOB NOT NULL, generation INTEGER NOT NULL,
            role TEXT NOT NULL, provider TEXT NOT NULL, model_id TEXT NOT NULL,
            sent_at REAL NOT NULL, latency_s REAL NOT NULL, attempts INTEGER NOT NULL,
            input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER, cost_usd REAL, raw BLOB NOT NULL)""",
        "CREATE INDEX calls_of_item ON calls(item)",
        """CREATE TABLE appends(
            id INTEGER PRIMARY KEY, item INTEGER NOT NULL, num_rows INTEGER NOT NULL,
            start INTEGER NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL, slots BLOB)""",
        """CREATE TABLE charges(
            id INTEGER PRIMARY KEY, provider TEXT NOT NULL, usd REAL NOT NULL, tokens INTEGER NOT NULL, at REAL NOT NULL)""",
        """CREATE TABLE failures(
            item INTEGER PRIMARY KEY, category TEXT NOT NULL, error TEXT NOT NULL, provider TEXT NOT NULL, role TEXT NOT NULL,
            attempts INTEGER NOT NULL, rows INTEGER NOT NULL, prompt TEXT NOT NULL, raw BLOB NOT NULL, at REAL NOT NULL)""",
        """CREATE VIEW failed AS
            SELECT failures.*, items.key FROM failures JOIN items ON items.id = failures.item WHERE items.state = 2""",
    ),
    (
        "ALTER TABLE items ADD COLUMN kept BLOB",
        "ALTER TABLE calls ADD COLUMN format TEXT",
        """CREATE TABLE filtered(
            id INTEGER PRIMARY KEY, item INTEGER NOT NULL, number INTEGER NOT NULL,
            stage TEXT NOT NULL, reason TEXT NOT NULL, row BLOB NOT NULL, at REAL NOT NULL)""",
        "CREATE INDEX filtered_of_item ON filtered(item, number)",
        # A ledger that was used has a mode, even if its items are only in the journal.
        """INSERT INTO meta SELECT 'keys', '["1"]' WHERE EXISTS (SELECT 1 FROM meta WHERE name = 'mode')""",
    ),
    (
        """CREATE TABLE batches(
            id INTEGER PRIMARY KEY, provider TEXT NOT NULL, tag TEXT NOT NULL, phase INTEGER NOT NULL, service_id TEXT NOT NULL,
            first_call INTEGER NOT NULL, num_calls INTEGER NOT NULL,
            announced_at REAL NOT NULL, submitted_at REAL NOT NULL, ended_at REAL NOT NULL,
            answered INTEGER NOT NULL, failed INTEGER NOT NULL, cost_usd REAL)""",
        """CREATE TABLE batch_calls(
            id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, item INTEGER NOT NULL, key BLOB NOT NULL, generation INTEGER NOT NULL,
            role TEXT NOT NULL, state INTEGER NOT NULL, request INTEGER NOT NULL, usd REAL NOT NULL, tokens INTEGER NOT NULL,
            form TEXT NOT NULL, error TEXT, before_call INTEGER)""",
        "CREATE INDEX batch_calls_of_item ON batch_calls(item, key)",
        "CREATE INDEX batch_calls_of_batch ON batch_calls(batch, state)",
    ),
    (
        "ALTER TABLE filtered ADD COLUMN place INTEGER",
        "ALTER TABLE filtered ADD COLUMN score REAL",
        "CREATE INDEX filtered_of_place ON filtered(place, number)",
    ),
    (
        """CREATE TABLE changed(
            id INTEGER PRIMARY KEY, item INTEGER NOT NULL, number INTEGER NOT NULL, generation INTEGER NOT NULL, stages TEXT NOT NULL,
            original BLOB NOT NULL)""",
        "CREATE UNIQUE INDEX changed_of_item ON changed(item, number, generation)",
        "ALTER TABLE filtered ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE filtered ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX filtered_generations ON filtered(item) WHERE hidden = 1 OR generation > 0",
        "CREATE TABLE contexts(id INTEGER PRIMARY KEY, item INTEGER NOT NULL, context TEXT NOT NULL)",
        "CREATE INDEX contexts_of_item ON contexts(item)",
    ),
    SEALED,
    FORMS,
)
FORMAT = len(MIGRATIONS)

_SIDES = ("-journal", "-wal", "-shm")

_NO_BATCHES = (
    """CREATE TEMP VIEW batches AS SELECT 0 AS id, '' AS provider, '' AS tag, 0 AS phase, '' AS service_id, 0 AS first_call,
        0 AS num_calls, 0.0 AS announced_at, 0.0 AS submitted_at, 0.0 AS ended_at, 0 AS answered, 0 AS failed, 0.0 AS cost_usd WHERE 0""",
    """CREATE TEMP VIEW batch_calls AS SELECT 0 AS id, 0 AS batch, 0 AS item, x'' AS key, 0 AS generation, '' AS role, 0 AS state,
        0 AS request, 0.0 AS usd, 0 AS tokens, '' AS form, NULL AS error, NULL AS before_call WHERE 0""",
)

_NO_CHANGES = (
    """CREATE TEMP VIEW changed AS SELECT 0 AS id, 0 AS item, 0 AS number, 0 AS generation, '' AS stages, x'' AS original WHERE 0""",
    "CREATE TEMP VIEW contexts AS SELECT 0 AS id, 0 AS item, '' AS context WHERE 0",
)
_NO_GENERATIONS = "CREATE TEMP VIEW filtered AS SELECT *, 0 AS generation, 0 AS hidden FROM main.filtered"
_NO_PLACES = "CREATE TEMP VIEW filtered AS SELECT *, NULL AS place, NULL AS score, 0 AS generation, 0 AS hidden FROM main.filtered"

_AS_NEWEST: dict[int, tuple[str, ...]] = {
    1: (
        "CREATE TEMP VIEW items AS SELECT *, NULL AS kept FROM main.items",
        "CREATE TEMP VIEW calls AS SELECT *, NULL AS format, NULL AS stored FROM main.calls",
        """CREATE TEMP VIEW filtered AS SELECT 0 AS id, 0 AS item, 0 AS number, '' AS stage, '' AS reason, x'' AS row, 0.0 AS at,
            NULL AS place, NULL AS score, 0 AS generation, 0 AS hidden WHERE 0""",
        """CREATE TEMP VIEW meta AS SELECT * FROM main.meta UNION ALL SELECT 'keys', '["1"]'""",
        *_NO_BATCHES,
        *_NO_CHANGES,
        *NOT_SEALED,
        *NO_FORMS[1:],
    ),
    2: (_NO_PLACES, *_NO_BATCHES, *_NO_CHANGES, *NOT_SEALED, *NO_FORMS),
    3: (_NO_PLACES, *_NO_CHANGES, *NOT_SEALED, *NO_FORMS),
    4: (_NO_GENERATIONS, *_NO_CHANGES, *NOT_SEALED, *NO_FORMS),
    5: (*NOT_SEALED, *NO_FORMS),
    6: NO_FORMS,
}


def create(path: Path) -> None:
    """Makes a new ledger where there is none. It is there with all its tables or, whenever this is killed, not at all, so that nobody
    finds one that says nothing.

    Raises:
        sqlite3.DatabaseError: there is no such folder, or it cannot be written to.
        OutputWriteError: there is no room for it, or it cannot get its name.
    """
    place = path.resolve()  # a link stays one
    new = place.with_name(f"{place.name}-new")
    try:
        new.unlink(missing_ok=True)  # that of a process which was killed
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=OFF")
            migrate(db, path)
        for side in _SIDES:  # what is left of one that was deleted is no part of this one
            place.with_name(place.name + side).unlink(missing_ok=True)
        new.replace(place)
    except OSError as error:
        raise OutputWriteError(
            f"Cannot make the ledger {path}: {error.strerror}. Check that its folder exists and is writable, and that no other program has "
            f"a file of that name open."
        ) from error


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Migrates a ledger that is open for writing to the newest format.

    Raises:
        OutputError: its format is newer; nothing was changed.
        OutputWriteError: it cannot be written; it is unchanged.
    """
    found = _format_of(db, path)
    if not found:
        _take(db, path, MIGRATIONS, FORMAT)
    for number in range(found or FORMAT, FORMAT):
        _take(db, path, MIGRATIONS[number : number + 1], number + 1)


def _take(db: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]], number: int) -> None:
    with Transaction(db, path):
        for statement in (statement for step in steps for statement in step):
            db.execute(statement)
        db.execute("INSERT OR REPLACE INTO meta VALUES('format', ?)", (str(number),))


def show_as_newest(db: sqlite3.Connection, path: Path) -> None:
    """Makes a ledger that is open for reading look like one of the newest format. The file does not change.

    Raises:
        OutputError: its format is newer.
    """
    found = _format_of(db, path)
    if not found:
        raise sqlite3.DatabaseError("it is empty")
    db.execute("PRAGMA temp_store = MEMORY")
    for statement in _AS_NEWEST.get(found, ()):
        db.execute(statement)


def _format_of(db: sqlite3.Connection, path: Path) -> int:
    """The format of a ledger; 0 for an empty file."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        return 0
    row = db.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    found = str(row[0]) if row else ""
    if not found.isdecimal():
        raise sqlite3.DatabaseError("it does not say which format it has")
    if int(found) > FORMAT:
        raise OutputError(
            f"The ledger {path} has format {found}, and this version of datafast knows formats up to {FORMAT}. Nothing was changed. "
            f"Update datafast, or choose another --output."
        )
    return int(found)
