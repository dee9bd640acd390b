"""Collects what is to be saved for a moment and then saves it together: rows by one append, then the ledger by one transaction.

Guarantee: the transaction says how far the JSONL is committed, so rows without their transaction do not belong to the output.
Replies that are not committed are still in the journal. Cost: one append and one transaction every few milliseconds.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from datafast.errors import OutputWriteError
from datafast.store import sealed
from datafast.store.append_file import AppendFile
from datafast.store.changed import ChangedRow
from datafast.store.contexts import ContextRow
from datafast.store.held_replies import HeldReplies
from datafast.store.in_place import displaced, replaced
from datafast.store.journal import Journal
from datafast.store.ledger import Ledger
from datafast.store.records import Append, CallRow, Charge, FailureRow, FilteredRow, ItemRecord, ItemState
from datafast.store.reservations import Reservations

__all__ = ["GroupCommit", "Pending"]

_FLUSH_S = 0.02  # replies are safe in the journal, so this only delays when rows are seen
_SYNC_S = 1.0
_JOURNAL_LIMIT = 64 * 1024 * 1024


@dataclass(slots=True)
class Pending:
    """The records for the next group commit."""

    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    appends: list[Append] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    items: dict[int, ItemRecord] = field(default_factory=dict)
    failures: list[FailureRow] = field(default_factory=list)
    filtered: list[FilteredRow] = field(default_factory=list)
    changed: list[ChangedRow] = field(default_factory=list)
    contexts: list[ContextRow] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    learned: dict[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.calls or self.items or self.failures or self.charges or self.learned or self.contexts)


class GroupCommit:
    """Collects the records of one run and saves them in groups.

    Args:
        drops: whether replies of items are dropped once their rows are written.
        held: how far they may be dropped before the run ends; None where nothing holds them.

    Attributes:
        pending: add to it, then call `schedule`.
        broken: why nothing can be saved any more; None while it can.
        displaced: why nothing should be bought any more, although it can be saved: a file is not in its place.
    """

    def __init__(
        self,
        rows: AppendFile,
        ledger: Ledger,
        journal: Journal,
        reservations: Reservations,
        *,
        durability: str = "normal",
        drops: bool = False,
        held: HeldReplies | None = None,
    ) -> None:
        self.pending = Pending()
        self.broken: OutputWriteError | None = None
        self.displaced: OutputWriteError | None = None
        self._rows = rows
        self._ledger = ledger
        self._journal = journal
        self._reservations = reservations
        self._full = durability == "full"
        self._next_append = ledger.max_id("appends") + 1
        self._timer: asyncio.TimerHandle | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._last_sync = time.monotonic()
        self._is_settled = ledger.is_settled
        self._written = 0
        self._drops = drops and held is None
        self._to_drop: list[int] = []
        self._held = held if drops else None
        self._dropped_to = 0

    def append(self, record: ItemRecord, lines: Mapping[int, bytes]) -> int:
        """Adds rows of an item by row number. Returns the id of the append, which is the place of rows of the item that were dropped; it
        may have no rows."""
        pending = self.pending
        data = b"".join(lines.values())
        slots = 0
        for number in lines:
            slots |= 1 << number
        start = self._rows.size + pending.size
        if data:
            pending.lines.append(data)
            pending.size += len(data)
        pending.appends.append(Append(self._next_append, record.id, start, len(data), zlib.crc32(data), slots))
        self._next_append += 1
        record.slots |= slots
        return self._next_append - 1

    def schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self.flush()
        except OutputWriteError:
            return  # nobody awaits a timer; the run checks `broken` before it sends anything more
        if self._syncing is None and time.monotonic() - self._last_sync > _SYNC_S:
            self._syncing = asyncio.get_running_loop().create_task(self._sync())

    def flush(self) -> None:
        """Writes everything that is pending, rows first.

        Raises:
            OutputWriteError: something could not be saved. Replies that were not committed are still in the journal.
        """
        if self.broken:
            raise self.broken
        if not self.pending:
            return
        try:
            self._write(self.pending)
            self._written += max(len(self.pending.items), len(self.pending.calls))
            self.pending = Pending()
            if self._written >= sealed.SEAL_AFTER:
                self._ledger.seal()
                self._written = 0
            if self._journal.size > _JOURNAL_LIMIT:
                self.fold()
        except OutputWriteError as error:
            self.broken = error
            raise
        except Exception as error:  # a second attempt would append the same rows again
            self.broken = OutputWriteError(f"Cannot save rows of {self._rows.path}: {type(error).__name__}: {error}.")
            raise self.broken from error

    def _write(self, pending: Pending) -> None:
        if self._full:
            self._journal.sync()
        start = self._rows.size
        if pending.lines:
            self._rows.require_unaltered()  # the places of rows that the ledger holds would be wrong
            self._rows.append(b"".join(pending.lines))
        try:
            if self._full:
                self._rows.sync()
            with self._ledger.transaction():
                self._ledger.put_items(pending.items.values())
                self._ledger.calls.put(pending.calls, settled=self._settled(pending))
                self._ledger.appends.put(pending.appends)
                if pending.lines and self._is_settled:
                    self._ledger.note_unsettled()
                self._ledger.put_failures(pending.failures)
                self._ledger.filtered.put(pending.filtered)
                self._ledger.changed.put(pending.changed)
                self._ledger.contexts.put(pending.contexts)
                self._ledger.calls.put_charges(pending.charges)
                if pending.learned is not None:
                    self._ledger.put_learned(pending.learned)
        except BaseException:
            self._rows.cut(start)  # rows that are not committed do not count; they are built again from their replies
            raise
        self._is_settled = self._is_settled and not pending.lines

    def _settled(self, pending: Pending) -> Collection[int]:
        """The items whose replies need not be written, if replies are dropped: their rows are about to be. The journal has these replies
        until the rows are on the disk. What was written before is dropped then."""
        if not self._drops:
            return ()
        done = {record.id for record in pending.items.values() if record.state is ItemState.DONE}
        self._to_drop += done
        return done

    def fold(self) -> None:
        """Forces the ledger to the disk, then empties the journal, whose records are all in the ledger."""
        self._reservations.note()
        self._rows.sync()
        if self._to_drop:
            with self._ledger.transaction():
                self._ledger.calls.drop_replies(self._to_drop)
            self._to_drop = []
        if self._held is not None and (safe := self._held.safe) > self._dropped_to:
            with self._ledger.transaction():
                self._ledger.calls.drop_settled(safe)
            self._dropped_to = safe
        self._ledger.checkpoint()
        self._journal.clear()
        self._reservations.record_again()

    def look(self) -> None:
        """Sees whether every file is still where it was opened. Three looks at the disk."""
        for file in (self._ledger, self._journal, self._rows):
            if not file.is_in_place and self.displaced is None:
                is_replaced = file is self._ledger and file.path.exists()
                self.displaced = replaced(file.path) if is_replaced else displaced(file.path)

    async def _sync(self) -> None:
        try:
            await asyncio.to_thread(self._journal.sync)
            await asyncio.to_thread(self._rows.sync)
            await asyncio.to_thread(self.look)
        except OutputWriteError as error:
            self.broken = error
        finally:
            self._last_sync = time.monotonic()
            self._syncing = None

    async def end(self) -> None:
        """Stops the timers and waits for the one that is running."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._syncing is not None:
            await self._syncing
