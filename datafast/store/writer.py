"""Saves replies and rows in an order that loses nothing: journal, then JSONL, then ledger.

Everything here runs on the run's one thread. A raw reply is in the journal before anything can fail on it. Rows and ledger entries
are collected for a few milliseconds and saved together: first the rows by one append to the JSONL, then the ledger by one transaction
that says how far the JSONL is committed. After a crash between the two, the next start sets the uncommitted rows aside and rebuilds them
from the recorded replies.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from datafast._util.notify import warn_user
from datafast.errors import OutputError, OutputWriteError
from datafast.plan.items import Context, Plan, WorkItem
from datafast.store.append_file import AppendFile
from datafast.store.batch_book import BatchBook
from datafast.store.changed import ChangedRow
from datafast.store.checking import DeepCheck, note_left
from datafast.store.compaction import order_rows
from datafast.store.contexts import ContextRow
from datafast.store.group_commit import GroupCommit
from datafast.store.held_replies import HeldReplies
from datafast.store.in_place import SAVED
from datafast.store.journal import Journal
from datafast.store.journal_records import journal_header
from datafast.store.ledger import Ledger
from datafast.store.matching import item_at
from datafast.store.records import (
    Bound,
    CallRow,
    Counts,
    FailureRow,
    FilteredRow,
    ItemRecord,
    ItemState,
    Recorded,
    Sizes,
    Spent,
)
from datafast.store.reservations import Reservations
from datafast.store.rows import set_aside_name
from datafast.store.verdicts import Reversed

__all__ = ["Settle", "Store"]

Settle = Callable[[Path, Ledger], Awaitable[Reversed | None]]
"""Given the rows and their ledger: compares the rows with each other. None if nothing was to do, or it was not done."""


class Store:
    """The open output of one run: JSONL, ledger and journal. Made by `datafast.store.recovery.open_output`.

    Args:
        former: the plan with the keys of earlier versions that this ledger may have.
        unfinished: items of the plan that are open or failed, by position.
        donors: ids of items that are not in the plan any more, by content; their replies may still be used.
        most_donated: the most rows that one of these items asks for.
        refused: keys of items that a provider has refused in an earlier run without saying whose fault it was, by position.
        ordered: whether `close` puts the rows in plan order.
        deep_check: compares rows that were there before with what was committed.
        drops: when replies are dropped: once the rows of their items are written, or once no row is to be made again.
        held: how far they may be dropped before the run ends; None where nothing holds them.

    Attributes:
        batches: the batches of the output.
        redecided: rows that have another verdict than when they were made, by other stages.
        settled: rows that have another verdict since `close` has compared them with each other; None where it has not.
        learned: what earlier runs have learned, by name.
        models: how many replies have come one by one, by provider and the model that they name.
        landing: None, since a reply is safe when `record_reply` returns; see `datafast.engine.calls.books`.
        saved: files with what was recorded, if the ledger was replaced by another file during the run.
    """

    def __init__(
        self,
        *,
        rows: AppendFile,
        ledger: Ledger,
        journal: Journal,
        counts: Counts,
        former: Sequence[Plan],
        unfinished: dict[int, ItemRecord],
        donors: dict[bytes, list[int]],
        most_donated: int,
        refused: Mapping[int, bytes],
        durability: str = "normal",
        ordered: bool = False,
        redecided: Reversed | None = None,
        deep_check: DeepCheck | None = None,
        drops: Literal["at once", "at the end"] | None = None,
        held: HeldReplies | None = None,
    ) -> None:
        self.counts = counts
        self.failures = ledger.failure_counts()
        self.filtered = ledger.filtered.counts()
        self.changed = ledger.changed.counts()
        self.learned: dict[str, str] = ledger.learned
        self.models = Counter[tuple[str, str]]()
        self.landing: Callable[[], Awaitable[None]] | None = None
        self._rows = rows
        self._ledger = ledger
        self._journal = journal
        self._former = former
        self._unfinished = unfinished
        self._donors = donors
        self.most_donated = most_donated
        self.refused_before = frozenset(refused)
        self._refused = dict(refused)
        self._ordered = ordered
        self.redecided = redecided or Reversed()
        self.settled: Reversed | None = None
        self._deep_check = deep_check
        self._drops = drops
        self._held = held
        if held is not None:
            held.are_counted = True
        self._reservations = Reservations(ledger, journal)
        self._commit = GroupCommit(
            rows, ledger, journal, self._reservations, durability=durability, drops=drops == "at once", held=held
        )
        self._next_item = ledger.max_id("items") + 1
        self._next_call = ledger.max_id("calls") + 1
        self._lent: set[int] = set()
        self.batches = BatchBook(
            ledger,
            flush=self._commit.flush,
            take_requests=self._reservations.take,
            take_call_id=self._take_call_id,
        )
        self._rewrites = ledger.rewrites
        self._closed = False
        self.saved: list[Path] = []

    @property
    def path(self) -> Path:
        return self._rows.path

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of the rows; None where they were not all appended by this run, one after another."""
        return self._rows.sha256 if self._ledger.rewrites == self._rewrites else None

    @property
    def broken(self) -> OutputWriteError | None:
        """Why nothing should be bought any more: it cannot be saved, or not where it belongs. None while it can."""
        return self._commit.broken or self._commit.displaced

    @property
    def has_unasked(self) -> bool:
        """Whether there are items about whose rows stages have not asked models yet, although the run has them open for that."""
        return any(item.unasked for item in self._unfinished.values())

    # -- items

    def item_at(self, plan: Plan, position: int) -> WorkItem:
        """An item of the plan; in its earlier form if an earlier version has begun it or has replies for it."""
        known = self._unfinished.get(position)
        return item_at(plan, position, former=self._former, known=known, donors=self._donors)

    def open_item(self, item: WorkItem) -> ItemRecord:
        """The ledger's record of an item: the one it has, or a new one (written with its first reply)."""
        known = self._unfinished.get(item.position)
        if known is not None:
            return known
        # By place, as the call in `record_reply`: with names a record would cost twice as much.
        record = ItemRecord(self._next_item, item.key, item.content, item.position, ItemState.OPEN, 0, item.num_rows)
        self._next_item += 1
        return record

    def note_item(self, record: ItemRecord) -> None:
        """Records an item that waits for a batch, so that it can be opened again from the ledger."""
        if record.state is ItemState.OPEN:
            self._commit.pending.items[record.id] = record
            self._commit.schedule()

    def reopen(self, item_ids: Sequence[int]) -> list[int]:
        """Loads items that were closed while they waited. Returns their positions, in the same order."""
        self._commit.flush()
        found = self._ledger.items_of(item_ids)
        for record in found.values():
            if record.position not in self._unfinished:
                self._unfinished[record.position] = record
                self._lent.add(record.position)
            self._unfinished[record.position].reopened = True
        return [found[item_id].position for item_id in item_ids]

    def let_go(self, record: ItemRecord) -> None:
        """Forgets an item that `reopen` has loaded."""
        if record.position in self._lent:
            self._lent.discard(record.position)
            del self._unfinished[record.position]

    def batch_of(self, record: ItemRecord, key: bytes) -> int | None:
        """The batch in which a call of an item is open, or the same call of an item that has left the plan; None if there is none."""
        return self.batches.batch_of((record.id, *self._donors.get(record.content, ())), key)

    def contexts_of(self, record: ItemRecord) -> list[Context]:
        """What the replacements of rows of this item were made for, oldest first."""
        return self._ledger.contexts.of(record.id) if record.position in self._unfinished else []

    def freeze(self, record: ItemRecord, context: Context) -> None:
        """Records what a replacement is made for. It is in the ledger when this returns.

        Raises:
            OutputWriteError: it could not be saved; the run must stop.
        """
        self._commit.pending.contexts.append(ContextRow(record.id, context))
        if record.state is ItemState.OPEN:
            self._commit.pending.items[record.id] = record
        self._commit.flush()

    def recorded_calls(self, record: ItemRecord) -> dict[bytes, list[Recorded]]:
        """Recorded replies that may be used for this item, by call key, oldest first.

        Replies of items that have left the plan come first, with generation -1, so they never count as failed attempts.
        """
        found: dict[bytes, list[Recorded]] = {}
        for donor in self._donors.get(record.content, ()):
            for key, reply in self._ledger.calls.of(donor):
                found.setdefault(key, []).append(reply._replace(generation=-1))
        if record.position in self._unfinished:
            for key, reply in self._ledger.calls.of(record.id):
                found.setdefault(key, []).append(reply)
        return found

    def note_refused(self, record: ItemRecord) -> None:
        """Remembers for the next run that a provider has refused this item, and that it is not known whose fault that is."""
        self._refused[record.position] = record.key

    def learn(self, name: str, what: str) -> None:
        """Keeps something for later runs, in `learned`."""
        if self.learned.get(name) != what:
            self.learned[name] = what
            self._commit.pending.learned = self.learned
            self._commit.schedule()

    # -- requests under a budget

    def spent(self, buyer: Path) -> Spent:
        """See `CallTables.spent`."""
        return self._ledger.calls.spent(buyer)

    def reply_sizes(self) -> dict[str, dict[str, Sizes]]:
        """See `CallTables.reply_sizes`."""
        return self._ledger.calls.reply_sizes()

    def reserve(self, provider: str, bound: Bound) -> int:
        """Records that a request is about to be sent, with the most that it can cost. Returns its number.

        If the process dies before `release`, the next start charges the request at its bound.
        """
        return self._reservations.reserve(provider, bound)

    def release(self, number: int, *, charged: bool) -> None:
        """Records that a request has ended, with or without a reply. `charged`: it may have been charged without one."""
        charge = self._reservations.release(number, charged=charged)
        if charged:
            self._commit.pending.charges.append(charge)
            self._commit.schedule()

    def cancel(self, number: int) -> None:
        """Records that a request was never sent."""
        self._reservations.cancel(number)

    # -- what happens

    def record_reply(
        self,
        record: ItemRecord,
        *,
        key: bytes,
        role: str,
        provider: str,
        model_id: str,
        raw: bytes,
        format: str,  # noqa: A002 - what it is called everywhere
        latency_s: float,
        attempts: int,
    ) -> CallRow:
        """Records a raw reply before it is read. Its usage and cost follow at once, by the call's `settle`.

        Raises:
            OutputWriteError: the reply could not be saved; the run must stop.
        """
        sent_at = time.time() - latency_s
        call = CallRow(
            self._take_call_id(),
            record.id,
            key,
            record.generation,
            role,
            provider,
            model_id,
            sent_at,
            latency_s,
            attempts,
            raw,
            format,
        )
        self._journal.record(journal_header(call, record), raw)
        self._commit.pending.calls.append(call)
        if record.state is ItemState.OPEN:
            self._commit.pending.items[record.id] = record
        self._commit.schedule()
        return call

    def _take_call_id(self) -> int:
        self._next_call += 1
        return self._next_call - 1

    def finish_item(
        self,
        record: ItemRecord,
        lines: Mapping[int, bytes],
        filtered: Sequence[FilteredRow],
        failure: FailureRow | None,
        changed: Sequence[ChangedRow] = (),
    ) -> int:
        """Records all rows of an item as JSON lines by rising row number. Rows that are in the file are not written again.

        Args:
            filtered: rows that stages have just dropped.
            changed: those of these rows, and of the lines, that stages have just changed.
            failure: says why rows are missing.

        Returns:
            The number of new rows.
        """
        new = lines
        if record.slots:
            new = {number: line for number, line in lines.items() if not record.slots >> number & 1}
        if new or filtered:
            place = self._commit.append(record, new)
            if filtered:
                filtered = [replace(row, place=place) for row in filtered]
        record.state = ItemState.FAILED if failure else ItemState.DONE
        record.kept, record.dropped = 0, None
        if self._lent:
            self.let_go(record)
        if self._refused:
            self._refused.pop(record.position, None)
        self.counts.written += len(new)
        if filtered:
            self._filter(record, filtered)
        if changed:
            self._commit.pending.changed += changed
            for row in changed:
                self.changed.update(set(row.stages) if row.number in new else ())
        if failure:
            self.counts.failed += failure.rows
            self.failures[failure.provider, failure.category] += failure.rows
            self._commit.pending.failures.append(failure)
        self._commit.pending.items[record.id] = record
        self._commit.schedule()
        return len(new)

    def _filter(self, record: ItemRecord, rows: Sequence[FilteredRow]) -> None:
        self._commit.pending.filtered += rows
        for row in rows:
            if not row.hidden:
                self.counts.filtered += 1
                record.filtered |= 1 << row.number
                self.filtered[row.stage, row.reason] += 1

    async def close(self, *, stop_reason: str = "", stop_cause: str = "", settle: Settle | None = None) -> None:
        """Writes pending records, empties the journal and removes it. Always closes the files.

        Args:
            settle: compares the rows with each other, once they are all there.
        """
        await self._commit.end()
        try:
            self._commit.flush()
            with self._ledger.transaction():
                self._ledger.set_meta("stop_reason", stop_reason)
                self._ledger.set_meta("stop_cause", stop_cause)
                self._ledger.set_refused(self._refused)
            self._commit.fold()
            self._require_in_place()
            self._rows.require_unaltered()
            if settle is not None:
                await self._settle(settle)
            is_whole = not (self.counts.pending or self._ledger.is_waiting)
            if (self._drops == "at once" and self._held is not None) or (self._drops == "at the end" and is_whole):
                with self._ledger.transaction():
                    self._ledger.calls.drop_settled()
            if self._ordered:
                self._order()
            if self._ledger.rewrites == self._rewrites and (self._deep_check is None or self._deep_check.is_done):
                note_left(self.path, self._ledger)
        except OutputWriteError:
            self._recount()
            raise
        finally:
            self.close_files()
        with contextlib.suppress(OSError):  # it is empty, and an empty one does no harm
            self._journal.path.unlink(missing_ok=True)

    def _require_in_place(self) -> None:
        """Raises if a file is not in its place any more. Everything is written again from which the next run can go on."""
        self._commit.look()
        if self._commit.displaced is None:
            return
        path = self._ledger.path
        if not self._ledger.is_in_place:
            if path.exists():
                path = set_aside_name(path, SAVED)
                self.saved.append(path)
            self._ledger.save_in(path)
        raise self._commit.displaced

    async def _settle(self, settle: Settle) -> None:
        self._rows.close()  # some systems cannot replace open files
        try:
            self.settled = await settle(self.path, self._ledger)
        except (OSError, OutputError, sqlite3.Error) as error:
            told = self._ledger.unreadable(error) if isinstance(error, sqlite3.Error) else error
            why = (told.strerror if isinstance(told, OSError) else None) or str(told).removesuffix(".")
            warn_user(
                f"The rows of {self.path} are complete, but could not be compared with each other: {why}. The next run tries again."
            )
        if self.settled:
            self._count()

    def _order(self) -> None:
        self._rows.close()  # some systems cannot replace open files
        try:
            order_rows(self.path, self._ledger)
        except OSError as error:
            warn_user(
                f"The rows of {self.path} are complete, but could not be put in order: {error.strerror}. "
                f"The next run tries again."
            )

    def _recount(self) -> None:
        """Counts what was committed, because a report must not count rows that are not in the file."""
        with contextlib.suppress(sqlite3.Error):
            self._count()
            if self._rows.is_cut or (self._commit.displaced is not None and not self._rows.is_in_place):
                self.counts.written = 0

    def _count(self) -> None:
        self.counts = self._ledger.counts(self.counts.requested)
        self.failures = self._ledger.failure_counts()
        self.filtered = self._ledger.filtered.counts()
        self.changed = self._ledger.changed.counts()

    def close_files(self) -> None:
        """Closes the files without writing; pending replies are in the journal. Does nothing the second time."""
        if not self._closed:
            self._closed = True
            self._journal.close()
            self._rows.close()
            self._ledger.close()

    def recently_sent(self) -> dict[str, list[tuple[float, int]]]:
        return self._ledger.calls.recently_sent()
