"""The ledger: which items exist, which replies were paid for, which bytes of the JSONL are committed. SQLite, one writer.

Tables are append-only or keyed by small rising integers, because indexes on random keys get slower as they grow. Identities are
looked up in memory, in a table that is built at the start. Readers (`datafast status`) may open the file while a run writes.

    items     one row an item: key, content, position in the plan, state, rows written
    calls     one row a paid reply: the raw reply and its wire format, its cost, the call that it answers
    appends   one row an append to the JSONL: its place and its checksum
    charges   one row a request that may have been charged although no reply says how much: its upper bound
    batches, batch_calls   see `batches`
    failures  one row an item with failed rows: why
    failed    a view: the failures of items that are in the plan and have failed
    filtered  one row a dropped row: the row, the stage, the reason
    changed   one row a row that stages have changed: as it was before
    sealed... sums over all that is older than some id; see `sealed`
    meta      format, mode, versions of keys, the plan's fingerprint, settings of the stages, the rows requested, how to go on,
              what was learned of providers, a mark of the last run that began

`migrations` has their columns, now and in earlier formats.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from datafast._util.bitmap import PositionSet
from datafast.errors import OutputError, OutputWriteError
from datafast.store.appends import AppendTable
from datafast.store.batches import BatchTables
from datafast.store.calls import CallTables
from datafast.store.changed import ChangedTable
from datafast.store.contexts import ContextTable
from datafast.store.database import Transaction, cannot_open, connect, unreadable, unwritable
from datafast.store.filtered import FilteredTable
from datafast.store.in_place import leads_to
from datafast.store.meta import MetaTable
from datafast.store.migrations import create, migrate, show_as_newest
from datafast.store.records import (
    Append,
    Counts,
    FailureRow,
    FilteredRow,
    ItemRecord,
    ItemsMark,
    ItemState,
)
from datafast.store.reply_conversion import Conversion
from datafast.store.reply_forms import Stored
from datafast.store.row_values import (
    failure_values,
    item_from,
    item_values,
    masks_from,
)
from datafast.store.scans import Scans
from datafast.store.sealed import DONE_TAIL, Sealed

__all__ = ["Ledger"]

_AT_ONCE = 10_000
_ITEM = "?,?,?,?,?,?,?,?,nullif(?,''),nullif(?,'')"

_EARLIER = "earlier"  # a version that did not note itself
_LOST = "FROM failures f CROSS JOIN items i ON i.id = f.item WHERE i.state = 0 AND i.kept IS NOT NULL"
_REMOVED = "SELECT coalesce(sum(rows_written), 0) FROM items WHERE state = 3 AND state != 1"
_PUT_ITEM = (
    f"INSERT INTO items VALUES({_ITEM}) ON CONFLICT(id) DO UPDATE SET key = excluded.key, content = excluded.content, "
    "position = excluded.position, state = excluded.state, generation = excluded.generation, num_rows = excluded.num_rows, "
    "rows_written = excluded.rows_written, slots = excluded.slots, kept = excluded.kept"
)  # not by replacing the row, which triggers would not see


class Ledger:
    """The SQLite file. Methods that write are called inside `transaction()` unless they say otherwise.

    Attributes:
        rewrites: how often the JSONL was made anew, or cut, since this was opened.
    """

    def __init__(self, path: Path, *, full_durability: bool = False, read_only: bool = False) -> None:
        self.path = path
        try:
            if not read_only and not path.exists():
                create(path)
            self._db = connect(path, full_durability=full_durability, read_only=read_only)
            try:
                self._opened = path.stat()
                prepare = show_as_newest if read_only else migrate
                prepare(self._db, path)
            except BaseException:  # the file must not stay open after any error
                self._db.close()
                raise
        except sqlite3.DatabaseError as error:
            raise cannot_open(path, error, read_only=read_only) from error
        except UnicodeDecodeError as error:  # SQLite quotes damaged bytes, which may not be text
            raise unreadable(path, sqlite3.DatabaseError("the description of its tables is damaged")) from error
        self._meta = MetaTable(self._db)
        self.batches = BatchTables(self._db)
        self.calls = CallTables(self._db, path, self._meta, self.batches)
        self.appends = AppendTable(self._db)
        self.filtered = FilteredTable(self._db)
        self.changed = ChangedTable(self._db)
        self.contexts = ContextTable(self._db)
        self.scans = Scans(self._db, self.calls.unpacker)
        self.sealed = Sealed(self._db)
        self.conversion = Conversion(self._db, self._meta, self.calls.unpacker, self.transaction)
        self.rewrites = 0

    def unreadable(self, error: sqlite3.Error) -> OutputError:
        """The error for a damaged file."""
        return unreadable(self.path, error)

    def transaction(self) -> Transaction:
        """`with ledger.transaction():` commits all that is written inside, or nothing."""
        return Transaction(self._db, self.path)

    @contextlib.contextmanager
    def durable_transaction(self) -> Iterator[None]:
        """The same; when it has ended, it is on the disk, whatever the durability of the others."""
        found = self._db.execute("PRAGMA synchronous").fetchone()[0]
        self._db.execute("PRAGMA synchronous=FULL")
        try:
            with self.transaction():
                yield
        finally:
            self._db.execute(f"PRAGMA synchronous={found}")

    def seal(self) -> None:
        """Sums up what is newer than what was summed up before, if that is much; see `sealed`. Called outside a transaction."""
        while self.sealed.is_due():
            with self.transaction():
                self.sealed.seal(boundaries=self.calls.boundaries)

    def checkpoint(self) -> None:
        """Writes the write-ahead log into the file and forces it to the disk. Called outside a transaction."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise unwritable(self.path, error) from error

    @property
    def is_in_place(self) -> bool:
        """Whether its path still leads to it."""
        return leads_to(self.path, self._opened)

    def save_in(self, path: Path) -> None:
        """Writes all of it into a new file. Called outside a transaction."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(path)) as copy:
                self._db.backup(copy)
        except sqlite3.Error as error:
            raise unwritable(path, error) from error
        except OSError as error:
            raise OutputWriteError(
                f"Cannot write {path}: {error.strerror}. What was recorded there is lost. Check its folder and permissions."
            ) from error

    def compact(self) -> None:
        """Leaves nothing in the file that is not in use, and no log beside it. Called outside a transaction."""
        try:
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as error:
            raise unwritable(self.path, error) from error

    def shrink(self) -> None:
        """Gives back what is not in use any more, in one step. Called outside a transaction.

        Room for what is in use, twice: once in the folder for temporary files of SQLite, and once beside the ledger.
        """
        try:
            self._db.execute("VACUUM")
        except sqlite3.Error as error:
            raise unwritable(self.path, error) from error
        self.checkpoint()

    @property
    def size_in_use(self) -> int:
        """The bytes of the file that are in use."""
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def contents(self) -> Iterator[bytes]:
        """Every text and every blob that stands in it, and what is packed in it."""
        tables = [name for (name,) in self._db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in self._db.execute(f"SELECT * FROM main.{table}"):  # noqa: S608 - of its own schema
                yield from (
                    value.encode() if isinstance(value, str) else value
                    for value in row
                    if isinstance(value, str | bytes)
                )
        for (raw,) in self._db.execute("SELECT raw FROM calls WHERE stored = 1"):
            yield self.calls.unpacker.reply(Stored.PACKED, raw)

    def close(self) -> None:
        self._db.close()

    # -- meta

    def meta(self, name: str) -> Any:
        return self._meta.get(name)

    def noted(self, name: str) -> Any:
        """What a fact that stands in `meta` as JSON says. None if it is not there; what is damaged is as if it were not."""
        try:
            return orjson.loads(self.meta(name) or "null")
        except (orjson.JSONDecodeError, TypeError):
            return None

    def set_meta(self, name: str, value: Any) -> None:
        self._meta.put(name, value)

    def facts(self) -> dict[str, Any]:
        """All that stands in `meta`, by name."""
        return self._meta.all()

    def refused(self) -> dict[int, bytes]:
        """The keys of items that a provider has refused, and it is not known whose fault that is, by position."""
        try:
            return {int(at): bytes.fromhex(key) for at, key in orjson.loads(self.meta("refused") or "[]")}
        except (ValueError, TypeError):  # as if nothing stood there
            return {}

    def set_refused(self, keys: Mapping[int, bytes]) -> None:
        self.set_meta("refused", orjson.dumps([(position, key.hex()) for position, key in keys.items()]).decode())

    @property
    def learned(self) -> dict[str, str]:
        """What runs have learned about their providers, by name. Anything else that stands there is as if nothing did."""
        try:
            found = orjson.loads(self.meta("learned") or "{}")
        except orjson.JSONDecodeError:
            return {}
        return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}

    def put_learned(self, learned: dict[str, str]) -> None:
        self.set_meta("learned", orjson.dumps(learned).decode())

    # -- items

    def put_items(self, items: Iterable[ItemRecord]) -> None:
        self._db.executemany(_PUT_ITEM, map(item_values, items))

    def add_item_if_new(self, item: ItemRecord) -> None:
        self._db.execute(f"INSERT OR IGNORE INTO items VALUES({_ITEM})", item_values(item))

    def items(self, *states: ItemState) -> Iterator[ItemRecord]:
        """Items in these states (by default all), in the order of their ids."""
        where = f"WHERE state IN ({','.join(str(int(state)) for state in states)})" if states else ""
        if states and ItemState.DONE not in states:
            where += " AND state != 1"  # lets SQLite use the partial index
        for row in self._db.execute(f"SELECT * FROM items {where} ORDER BY id"):  # noqa: S608 - integers only
            yield item_from(row)

    def items_of(self, item_ids: Sequence[int]) -> dict[int, ItemRecord]:
        """Items by id, with their filtered rows."""
        marks = ",".join("?" * len(item_ids))
        filtered = masks_from(
            self._db.execute(f"SELECT item, number FROM filtered WHERE item IN ({marks}) AND NOT hidden", item_ids)  # noqa: S608 - question marks
        )
        rows = self._db.execute(f"SELECT * FROM items WHERE id IN ({marks})", item_ids)  # noqa: S608 - question marks
        found = {row[0]: item_from(row) for row in rows}
        for item_id, mask in filtered.items():
            found[item_id].filtered = mask
        self.add_dropped(found)
        return found

    def add_dropped(self, items: Mapping[int, ItemRecord]) -> None:
        """Adds to items, given by id, which of their rows are to be made again."""
        ids = list(items)
        for start in range(0, len(ids), _AT_ONCE):
            for item_id, rows in self.filtered.to_replace(ids[start : start + _AT_ONCE]).items():
                item = items[item_id]
                item.dropped = {n: told for n, told in rows.items() if not item.slots >> n & 1} or None

    def open_done(self, item_ids: Iterable[int]) -> None:
        """Opens items that were done."""
        self._db.executemany("UPDATE items SET state = 0 WHERE id = ? AND state = 1", ((one,) for one in item_ids))

    def recount_failed(self, item_ids: Collection[int]) -> None:
        """Counts the failed rows of failed items anew. One without any is done."""
        failed = [item.id for item in self.items_at(item_ids) if item.state is ItemState.FAILED]
        for item in (self.items_of([item_id])[item_id] for item_id in failed):
            missing = item.num_rows - (item.decided & ((1 << item.num_rows) - 1)).bit_count()
            if missing:
                self._db.execute("UPDATE failures SET rows = ? WHERE item = ?", (missing, item.id))
            else:
                self.put_items([replace(item, state=ItemState.DONE)])
                self._db.execute("DELETE FROM failures WHERE item = ?", (item.id,))

    def ids_by_key(self) -> dict[bytes, int]:
        """The id of every item."""
        return dict(self._db.execute("SELECT key, id FROM items"))

    def ids_of(self, state: ItemState) -> Iterator[int]:
        """The ids of items in a state other than done."""
        return chain.from_iterable(self._db.execute("SELECT id FROM items WHERE state = ? AND state != 1", (state,)))

    def items_mark(self) -> ItemsMark:
        """What stays the same as long as the ledger has the same items."""
        opening = self.meta("opening")  # first, so that items which another process adds now have an older mark
        query = (
            "SELECT (SELECT items FROM sealed) + (SELECT count(*) FROM items WHERE id > (SELECT item FROM sealed)), "
            "(SELECT coalesce(max(id), 0) FROM items)"
        )
        return ItemsMark(opening, *self._db.execute(query).fetchone())

    def note_opening(self) -> None:
        """Notes that a run begins, which may add items."""
        self.set_meta("opening", uuid4().hex)

    def settled_positions(self) -> PositionSet:
        """The positions of items that are done or have failed, in the plan of the last run."""
        found = self.sealed.done()
        for (position,) in self._db.execute("SELECT position FROM items WHERE state = 2 AND state != 1"):
            found.add(position)
        return found

    def rows_settled(self, *, but: Collection[int] = ()) -> int:
        """The rows of items that are done or have failed, without those of some items."""
        query = (
            f"SELECT (SELECT num_rows FROM sealed) + (SELECT coalesce(sum(num_rows), 0) {DONE_TAIL}) + "  # noqa: S608 - our own text
            "(SELECT coalesce(sum(num_rows), 0) FROM items WHERE state = 2 AND state != 1)"
        )
        left_out = sum(item.num_rows for item in self.items_at(but) if item.state in {ItemState.DONE, ItemState.FAILED})
        return int(self._db.execute(query).fetchone()[0]) - left_out

    def rows_by_position(self) -> Generator[tuple[int, int, int], None, None]:
        """The rows of each item of the plan: its position, how many of them have come to an end, and how many are in the file."""
        beyond = {item.id: (item.slots >> item.num_rows).bit_count() for item in self._items_to_cut()}
        query = "SELECT id, position, state, num_rows, rows_written FROM items WHERE state != 3"
        for item_id, position, state, num_rows, in_file in self._db.execute(query):
            written = min(in_file - beyond.get(item_id, 0), num_rows)
            yield position, written if state == ItemState.OPEN else num_rows, written

    def items_at(self, item_ids: Collection[int]) -> Iterator[ItemRecord]:
        """These items in the order of their ids; there may be very many."""
        chosen = sorted(item_ids)
        for start in range(0, len(chosen), _AT_ONCE):
            part = chosen[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            for row in self._db.execute(f"SELECT * FROM items WHERE id IN ({marks}) ORDER BY id", part):  # noqa: S608 - question marks
                yield item_from(row)

    def move_items(self, positions: Sequence[int]) -> None:
        """Gives items their positions in a new plan, by id; those with -1 keep theirs."""
        self.sealed.forget_places()
        self._db.create_function("moved", 1, positions.__getitem__, deterministic=True)
        self._db.execute("UPDATE items SET position = moved(id) WHERE moved(id) NOT IN (-1, position)")

    def set_state(self, item_ids: Iterable[int], state: ItemState) -> None:
        self._db.executemany("UPDATE items SET state = ? WHERE id = ?", [(state, item_id) for item_id in item_ids])

    def items_unlike(self, num_rows: int, *, positions: Collection[int] = ()) -> list[ItemRecord]:
        """Items of the plan that ask for another number of rows, and those at these positions."""
        at_them = "position IN (SELECT value FROM json_each(?))"
        query = f"SELECT * FROM items WHERE state != 3 AND (num_rows != ? OR {at_them})"  # noqa: S608 - our own text
        return [item_from(row) for row in self._db.execute(query, (num_rows, orjson.dumps(sorted(positions)).decode()))]

    def resize(self, item: ItemRecord, num_rows: int) -> None:
        """Changes how many rows an item asks for. It is opened again if it lacks some or has failed.

        Rows that are too many are in `items_to_cut` as long as they are in the file.
        """
        if item.slots >> item.num_rows and num_rows > item.num_rows:
            self.note_undecided()
        state = ItemState.OPEN if num_rows > item.num_rows or item.state is ItemState.FAILED else item.state
        kept = item.kept & ((1 << num_rows) - 1)
        item = replace(item, num_rows=num_rows, state=state, kept=kept)
        self.put_items([item])
        self._db.execute("DELETE FROM failures WHERE item = ?", (item.id,))
        self.filtered.forget_but(item.id, item.slots, first=num_rows)
        self.changed.forget_but(item.id, item.slots, first=num_rows)
        if item.slots >> num_rows:
            ids = {item.id, *(other.id for other in self._items_to_cut())}
            self.set_meta("cut", orjson.dumps(sorted(ids)).decode())

    def items_to_cut(self) -> dict[int, int]:
        """Items with rows in the file that they do not ask for any more, by id, with the number that they ask for."""
        return {item.id: item.num_rows for item in self._items_to_cut()}

    def _items_to_cut(self) -> list[ItemRecord]:
        ids = orjson.loads(self.meta("cut") or "[]")
        items = self.items_of(ids).values() if ids else ()
        return [item for item in items if item.slots >> item.num_rows and item.state is not ItemState.STALE]

    def raise_generation(self, item_ids: Sequence[int]) -> None:
        """Opens failed items again. Replies that failed them do not count any more; valid ones still do."""
        ids = [(item_id,) for item_id in item_ids]
        self._db.executemany("UPDATE items SET state = 0, generation = generation + 1 WHERE id = ?", ids)
        self._db.executemany("DELETE FROM failures WHERE item = ?", ids)

    def raise_generation_of_done(self, item_ids: Iterable[int]) -> None:
        """The same, of items that are done and stay so."""
        ids = [(item_id,) for item_id in item_ids]
        self._db.executemany("UPDATE items SET generation = generation + 1 WHERE id = ? AND state != 0", ids)

    @property
    def requested(self) -> int:
        """The rows that the plan of the last run asks for."""
        return int(self.meta("requested") or 0)

    def counts(self, requested: int | None = None) -> Counts:
        """What happened to the rows of the plan.

        Args:
            requested: rows that the plan asks for; by default those of the last run.
        """
        if requested is None:
            requested = self.requested
        # `state != 1`, and the order of the joins, lead SQLite to the index of what is not done.
        filtered = (
            "SELECT count(*) FROM items CROSS JOIN filtered ON filtered.item = items.id WHERE EXISTS(SELECT 1 FROM filtered) "
            "AND items.state != 1 AND NOT hidden AND items.state"
        )
        written, removed, filtered_rows, failed = self._db.execute(
            f"SELECT (SELECT rows_written FROM sealed) + (SELECT coalesce(sum(rows_written), 0) {DONE_TAIL}) + "  # noqa: S608 - our own text
            "(SELECT coalesce(sum(rows_written), 0) FROM items WHERE state IN (0, 2) AND state != 1), "
            f"({_REMOVED}), "
            "(SELECT coalesce(sum(rows), 0) FROM sealed_filtered) + "
            "(SELECT count(*) FROM filtered WHERE id > (SELECT dropped FROM sealed) AND NOT hidden) - "
            f"({filtered} = 3), "
            f"(SELECT coalesce(sum(num_rows - rows_written), 0) FROM items WHERE state = 2 AND state != 1) - ({filtered} = 2)"
        ).fetchone()
        for item in self._items_to_cut():
            beyond = (item.slots >> item.num_rows).bit_count()
            written, removed = written - beyond, removed + beyond
            failed += beyond if item.state is ItemState.FAILED else 0
        return Counts(requested=requested, written=written, filtered=filtered_rows, failed=failed, removed=removed)

    def rows_removed(self) -> int:
        """`counts().removed`, without going through all items."""
        (removed,) = self._db.execute(_REMOVED).fetchone()
        return int(removed) + sum((item.slots >> item.num_rows).bit_count() for item in self._items_to_cut())

    @property
    def key_versions(self) -> list[str]:
        """The versions of keys that its items may have, oldest first."""
        return list(orjson.loads(self.meta("keys") or "[]"))

    def max_id(self, table: str) -> int:
        found = self._db.execute(f"SELECT max(id) FROM {table}").fetchone()[0]  # noqa: S608 - our own table names
        return found or 0

    # -- appends

    def forget_appends_after(self, end: int) -> None:
        """Drops the appends beyond byte `end` and opens their items again."""
        lost: dict[int, int] = {}
        for append in self.appends.beyond(end):
            if append.slots:
                lost[append.item] = lost.get(append.item, 0) | append.slots
        self.lose_rows(lost)
        self.appends.forget_beyond(end)
        self._note_rewrite()
        self.filtered.forget_places_after_last()

    def lose_rows(self, lost: Mapping[int, int]) -> None:
        """Opens items with rows that are to be built again (a bit mask by id)."""
        if lost:
            self.note_unsettled()
        for item in self.items_at(lost):
            item.slots &= ~lost[item.id]
            item.kept |= lost[item.id]
            item.state = ItemState.STALE if item.state is ItemState.STALE else ItemState.OPEN
            self.put_items([item])
        self.filtered.forget_rows(lost)
        self.changed.forget_rows(lost)

    def replace_appends(
        self, appends: Iterable[Append], *, emptied: Iterable[int], cut: Mapping[int, int], renumbered: bool
    ) -> None:
        """Replaces all appends.

        Args:
            emptied: items that have no rows in the file any more.
            cut: items that have only so many of their first rows there.
            renumbered: whether their ids are others than before.
        """
        self._db.execute("DELETE FROM appends")
        self._note_rewrite()
        self.appends.put(appends)
        self.filtered.forget_places(all_of_them=renumbered)
        self._db.executemany(
            "UPDATE items SET rows_written = 0, slots = NULL WHERE id = ?", [(item_id,) for item_id in emptied]
        )
        self.changed.forget_items(emptied)
        for item in self.items_of(list(cut)).values():
            slots = item.slots & ((1 << cut[item.id]) - 1)
            self.put_items([replace(item, slots=slots)])
            self.filtered.forget_but(item.id, slots, first=cut[item.id])
            self.changed.forget_but(item.id, slots, first=cut[item.id])

    def _note_rewrite(self) -> None:
        self.rewrites += 1
        self.set_meta("hashed", "")

    @property
    def hashed(self) -> str | None:
        """The SHA-256 of the JSONL as it is committed; None if it is not known."""
        match self.noted("hashed"):
            case [int(size), str(sha256)] if size == self.appends.committed_size():
                return sha256
        return None

    def note_hash(self, sha256: str) -> None:
        """Keeps it."""
        self.set_meta("hashed", orjson.dumps([self.appends.committed_size(), sha256]).decode())

    @property
    def versions(self) -> list[str]:
        """The versions of the package that have worked on it and noted that, oldest first."""
        found = self.noted("versions")
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    def note_version(self, version: str) -> None:
        """Notes that a version works on it."""
        known = self.versions or ([_EARLIER] if self.max_id("items") else [])
        if version not in known:
            self.set_meta("versions", orjson.dumps([*known, version]).decode())

    # -- what rows look like

    def note_form(self, fields: str, place: str) -> None:
        """Notes which fields the rows of the plan have, and where reasoning stands in them. Others that stay in the file keep theirs."""
        self.set_meta("fields", fields)
        known = None if self.meta("reasoning") != place else self._with_other_reasoning()
        self.set_meta("reasoning", place)
        kept = [item.id for item in self.items(ItemState.STALE) if item.slots]
        others = kept if known is None else [item_id for item_id in kept if item_id in known]
        self.set_meta("other_reasoning", orjson.dumps(others).decode())

    def back_with_other_reasoning(self) -> set[int]:
        """Items that had left the plan when that was noted, and are back with the rows that they had."""
        ids = self._with_other_reasoning()
        return {item.id for item in self.items_at(ids) if item.slots and item.state is not ItemState.STALE}

    def _with_other_reasoning(self) -> set[int]:
        return set(orjson.loads(self.meta("other_reasoning") or "[]"))

    def ids_in_plan(self) -> set[int]:
        """All items of the plan."""
        return {item_id for (item_id,) in self._db.execute("SELECT id FROM items WHERE state != 3")}

    # -- rows that stages have dropped

    @property
    def has_rows(self) -> bool:
        """Whether a row is recorded, in the file or dropped."""
        found = "SELECT EXISTS(SELECT 1 FROM appends WHERE num_rows) OR EXISTS(SELECT 1 FROM filtered)"
        return bool(self._db.execute(found).fetchone()[0])

    def change_verdicts(
        self,
        *,
        dropped: Iterable[FilteredRow],
        returned: Iterable[int],
        reworded: Iterable[tuple[str, str, float | None, int]],
        retold: Iterable[tuple[bytes, int]],
        slots: Mapping[int, tuple[int, int]],
    ) -> None:
        """Records other verdicts about rows than they had.

        Args:
            dropped: rows that were in the file.
            returned: the ids of filtered rows that are in the file now.
            reworded: stage, reason and score of filtered rows that stay, with their ids; `retold`: the line of such rows.
            slots: by item, the rows of both sorts as bit masks.
        """
        self.filtered.remove(returned)
        self.filtered.reword(reworded)
        self.filtered.retell(retold)
        self.filtered.put(dropped)
        for item in self.items_at(slots):
            out, back = slots[item.id]
            self.put_items([replace(item, slots=item.slots & ~out | back)])

    def retry_stage_errors(self) -> None:
        """Opens items that failed because a stage could not decide about their rows. Their replies are recorded."""
        failed = "SELECT item FROM failures WHERE category = 'stage_error'"
        self._db.execute(f"UPDATE items SET state = 0 WHERE state = 2 AND id IN ({failed})")  # noqa: S608 - our own text
        self._db.execute("DELETE FROM failures WHERE category = 'stage_error'")

    def decide_anew(self, item_ids: Sequence[int]) -> None:
        """Forgets the verdicts of stages about the rows of these items, whose state says that they are back in the plan."""
        with_rows = {item.id: item.slots for item in self.items_at(item_ids) if item.slots}
        if with_rows:
            self.note_undecided()
        others = [item_id for item_id in item_ids if item_id not in with_rows]
        self.filtered.forget_items(others)
        self.changed.forget_items(others)
        for item_id, slots in with_rows.items():
            self.filtered.forget_but(item_id, slots)
            self.changed.forget_but(item_id, slots)
        self._db.executemany("UPDATE items SET kept = NULL WHERE id = ?", [(item_id,) for item_id in item_ids])

    def note_undecided(self) -> None:
        """Notes that rows have come back into the plan which other stages than those of the last run may have decided about."""
        if self.stages != "[]":
            self.set_meta("stages", "null")

    @property
    def stages(self) -> str:
        """The settings of the stages that have decided about all rows, each by itself, as JSON; null if they are not known."""
        return str(self.meta("stages") or "[]")

    @property
    def walks(self) -> str:
        """The settings of the stages by which rows were last compared with each other, as JSON."""
        return str(self.meta("walks") or "[]")

    @property
    def walk_names(self) -> frozenset[str]:
        """The names of all stages by which rows have ever been compared."""
        return frozenset(orjson.loads(self.meta("walk_names") or "[]"))

    @property
    def is_settled(self) -> bool:
        """Whether they were compared since any row came or went."""
        return not self.meta("unsettled")

    @property
    def is_compared(self) -> bool:
        """Whether the stages that compare rows, if there are any, have decided about all of them."""
        return self.walks == "[]" or self.is_settled

    def note_unsettled(self) -> None:
        """Notes that a row has come or gone, so that those that are there have to be compared anew."""
        if self.is_settled:
            self.set_meta("unsettled", "1")

    @property
    def is_waiting(self) -> bool:
        """Whether rows were dropped because of others, and are to be made again once all are there."""
        return bool(self.meta("waiting"))

    def note_waiting(self, *, is_waiting: bool) -> None:
        if self.is_waiting != is_waiting:
            self.set_meta("waiting", "1" if is_waiting else "")

    # -- failures

    def put_failures(self, failures: Iterable[FailureRow]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO failures VALUES(?,?,?,?,?,?,?,?,?,?)", map(failure_values, failures)
        )

    def failures_of_lost(self) -> dict[int, FailureRow]:
        """The failures of items some of whose rows were lost from the JSONL, by item."""
        return {row[0]: FailureRow(*row) for row in self._db.execute(f"SELECT f.* {_LOST}")}

    def failure_counts(self) -> Counter[tuple[str, str]]:
        """Failed rows by provider and category."""
        found = self._db.execute(
            "SELECT provider, category, sum(rows) FROM failures f CROSS JOIN items i ON i.id = f.item WHERE state = 2 GROUP BY 1, 2"
        )
        return Counter({(provider, category): rows for provider, category, rows in found})
