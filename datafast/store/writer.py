"""Where replies and rows go, in the order that loses nothing: journal, then JSONL, then ledger.

Everything here runs on the run's one thread. A raw reply is in the journal before anything can fail on it. Rows and ledger entries
gather for a few milliseconds and go out together: first the rows by one append to the JSONL, then the ledger by one transaction that
says how far the JSONL is committed. A crash between the two leaves a tail that start-up sets aside and rebuilds from the recorded replies.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datafast._util.notify import warn_user
from datafast.errors import OutputWriteError
from datafast.plan.items import Plan, WorkItem
from datafast.store.append_file import AppendFile
from datafast.store.compaction import order_rows
from datafast.store.journal import Journal
from datafast.store.journal_records import journal_header
from datafast.store.ledger import Ledger
from datafast.store.records import (
    Append,
    Bound,
    CallRow,
    Charge,
    Counts,
    FailureRow,
    FilteredRow,
    ItemRecord,
    ItemState,
    Recorded,
    Spent,
)

__all__ = ["Store"]

_FLUSH_S = 0.02  # replies are safe in the journal; what waits is only how soon rows are seen


_SYNC_S = 1.0


_JOURNAL_LIMIT = 64 * 1024 * 1024


@dataclass(slots=True)
class _Pending:
    """What waits for the next group commit."""

    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    appends: list[Append] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    items: dict[int, ItemRecord] = field(default_factory=dict)
    failures: list[FailureRow] = field(default_factory=list)
    filtered: list[FilteredRow] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.calls or self.items or self.failures or self.charges)


class Store:
    """The open output of one run: JSONL, ledger and journal. Made by `datafast.store.recovery.open_store`.

    Args:
        former: the plan with the keys of earlier versions that this ledger may hold.
        unfinished: items of the plan that are open or failed, by position.
        donors: for items that are not in the plan any more, the ids by content: their replies may still serve.
        ordered: whether `close` puts rows that could not be written in their place there.
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
        durability: str = "normal",
        ordered: bool = False,
    ) -> None:
        self.counts = counts
        self.failures = ledger.failure_counts()
        self.filtered = ledger.filtered_counts()
        self._rows = rows
        self._ledger = ledger
        self._journal = journal
        self._former = former
        self._unfinished = unfinished
        self._donors = donors
        self._full = durability == "full"
        self._ordered = ordered
        self._pending = _Pending()
        self._next_item = ledger.max_id("items") + 1
        self._next_call = ledger.max_id("calls") + 1
        self._next_append = ledger.max_id("appends") + 1
        self._requests = int(ledger.meta("requests") or 0)
        self._reserved: dict[int, Charge] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._last_sync = time.monotonic()
        self._closed = False
        self.broken: OutputWriteError | None = None

    @property
    def path(self) -> Path:
        return self._rows.path

    # -- items

    def item_at(self, plan: Plan, position: int) -> WorkItem:
        """An item of the plan; as it was before where an earlier version has begun it, or paid for replies that serve it."""
        item = plan[position]
        if not self._former:
            return item
        known = self._unfinished.get(position)
        candidates = [item, *(former[position] for former in self._former)]
        if known is not None:
            return next((candidate for candidate in candidates if candidate.key == known.key), item)
        return next((candidate for candidate in candidates if candidate.content in self._donors), item)

    def open_item(self, item: WorkItem) -> ItemRecord:
        """The ledger's record of an item: the one it has, or a new one (written with its first reply)."""
        known = self._unfinished.get(item.position)
        if known is not None:
            return known
        record = ItemRecord(
            id=self._next_item,
            key=item.key,
            content=item.content,
            position=item.position,
            state=ItemState.OPEN,
            generation=0,
            num_rows=item.num_rows,
        )
        self._next_item += 1
        return record

    def recorded_calls(self, record: ItemRecord) -> dict[bytes, list[Recorded]]:
        """Replies that are already paid for and may serve this item, by call key, oldest first.

        Replies of items that have left the plan come first and count as of generation -1: never as an attempt that failed.
        """
        found: dict[bytes, list[Recorded]] = {}
        for donor in self._donors.get(record.content, ()):
            for key, reply in self._ledger.calls_of(donor):
                found.setdefault(key, []).append(reply._replace(generation=-1))
        if record.position in self._unfinished:
            for key, reply in self._ledger.calls_of(record.id):
                found.setdefault(key, []).append(reply)
        return found

    # -- requests under a budget

    @property
    def spent(self) -> Spent:
        """What this output has used up so far."""
        return self._ledger.spent()

    def reserve(self, provider: str, bound: Bound) -> int:
        """Notes that a request is about to be sent, and the most that it can cost; returns its number.

        If the process dies before `release`, the next start charges the request at its bound.
        """
        self._requests += 1
        charge = Charge(self._requests, provider, bound.usd, bound.tokens, time.time())
        self._reserved[charge.id] = charge
        self._journal.record({"reserve": charge._asdict()}, b"")
        return charge.id

    def release(self, number: int, *, charged: bool) -> None:
        """A request has ended: its reply is recorded, or it did not come. `charged`: it may have been paid all the same."""
        charge = self._reserved.pop(number)
        self._journal.record({"release": number}, b"")
        if charged:
            self._pending.charges.append(charge)
            self._schedule()

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
        """Takes a raw reply, before it is looked at. Its usage and cost follow by the call's `settle`, in the same breath.

        Raises:
            OutputWriteError: the reply could not be saved; the run must stop.
        """
        call = CallRow(
            id=self._next_call,
            item=record.id,
            key=key,
            generation=record.generation,
            role=role,
            provider=provider,
            model_id=model_id,
            sent_at=time.time() - latency_s,
            latency_s=latency_s,
            attempts=attempts,
            raw=raw,
            format=format,
        )
        self._next_call += 1
        self._journal.record(journal_header(call, record), raw)
        self._pending.calls.append(call)
        if record.state is ItemState.OPEN:
            self._pending.items[record.id] = record
        self._schedule()
        return call

    def finish_item(
        self,
        record: ItemRecord,
        lines: Mapping[int, bytes],
        filtered: Sequence[FilteredRow],
        failure: FailureRow | None,
    ) -> int:
        """Takes an item's rows, all that there are, as JSON lines by rising row number; those in the file are not written again.

        Args:
            filtered: rows that stages have dropped now.
            failure: says why rows are missing.

        Returns:
            The number of rows that are new.
        """
        new = lines
        if record.slots:
            new = {number: line for number, line in lines.items() if not record.slots >> number & 1}
        if new:
            self._append(record, new)
        record.state = ItemState.FAILED if failure else ItemState.DONE
        record.kept = 0
        self.counts.written += len(new)
        if filtered:
            self._filter(record, filtered)
        if failure:
            self.counts.failed += failure.rows
            self.failures[failure.provider, failure.category] += failure.rows
            self._pending.failures.append(failure)
        self._pending.items[record.id] = record
        self._schedule()
        return len(new)

    def _filter(self, record: ItemRecord, rows: Sequence[FilteredRow]) -> None:
        self.counts.filtered += len(rows)
        self._pending.filtered += rows
        for row in rows:
            record.filtered |= 1 << row.number
            self.filtered[row.stage, row.reason] += 1

    def _append(self, record: ItemRecord, new: Mapping[int, bytes]) -> None:
        data = b"".join(new.values())
        slots = 0
        for number in new:
            slots |= 1 << number
        start = self._rows.size + self._pending.size
        self._pending.lines.append(data)
        self._pending.size += len(data)
        self._pending.appends.append(Append(self._next_append, record.id, start, len(data), zlib.crc32(data), slots))
        self._next_append += 1
        record.slots |= slots

    # -- writing

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self.flush()
        except OutputWriteError:
            return  # nobody awaits a timer: the run looks at `broken` before it sends anything more
        if self._syncing is None and time.monotonic() - self._last_sync > _SYNC_S:
            self._syncing = asyncio.get_running_loop().create_task(self._sync())

    def flush(self) -> None:
        """Writes everything that is pending, rows first.

        Raises:
            OutputWriteError: something could not be saved. What was not committed is still in the journal.
        """
        if self.broken:
            raise self.broken
        if not self._pending:
            return
        try:
            self._write(self._pending)
            self._pending = _Pending()
            if self._journal.size > _JOURNAL_LIMIT:
                self._fold()
        except OutputWriteError as error:
            self.broken = error
            raise
        except Exception as error:  # whatever it was: a second attempt would append the same rows again
            self.broken = OutputWriteError(f"cannot save rows of {self.path}: {type(error).__name__}: {error}")
            raise self.broken from error

    def _write(self, pending: _Pending) -> None:
        if self._full:
            self._journal.sync()
        start = self._rows.size
        if pending.lines:
            self._rows.append(b"".join(pending.lines))
        try:
            if self._full:
                self._rows.sync()
            with self._ledger.transaction():
                self._ledger.put_items(pending.items.values())
                self._ledger.put_calls(pending.calls)
                self._ledger.put_appends(pending.appends)
                self._ledger.put_failures(pending.failures)
                self._ledger.put_filtered(pending.filtered)
                self._ledger.put_charges(pending.charges)
        except BaseException:
            self._rows.cut(start)  # what is not committed is no row of this output; it is built again from its replies
            raise

    def _fold(self) -> None:
        """Everything in the journal is in the ledger: brings the ledger onto the disk, then empties the journal."""
        if self._requests:
            self._note("requests", self._requests)
        self._rows.sync()
        self._ledger.checkpoint()
        self._journal.clear()
        for charge in self._reserved.values():
            self._journal.record({"reserve": charge._asdict()}, b"")

    async def _sync(self) -> None:
        try:
            await asyncio.to_thread(self._journal.sync)
            await asyncio.to_thread(self._rows.sync)
        except OutputWriteError as error:
            self.broken = error
        finally:
            self._last_sync = time.monotonic()
            self._syncing = None

    def _note(self, name: str, value: str | int) -> None:
        with self._ledger.transaction():
            self._ledger.set_meta(name, value)

    async def close(self, *, stop_reason: str = "") -> None:
        """Writes what is pending, folds the journal into the ledger and removes it. Always closes the files."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._syncing is not None:
            await self._syncing
        try:
            self.flush()
            self._note("stop_reason", stop_reason)
            self._fold()
            if self._ordered:
                self._order()
        except OutputWriteError:
            self._recount()
            raise
        finally:
            self.close_files()
        self._journal.path.unlink(missing_ok=True)

    def _order(self) -> None:
        self._rows.close()  # where files that are open cannot be replaced
        try:
            order_rows(self.path, self._ledger)
        except OSError as error:
            warn_user(
                f"the rows of {self.path} are complete, but could not be put in order: {error.strerror}. "
                f"The next run tries again"
            )

    def _recount(self) -> None:
        """Counts what was committed, for a report that must not speak of rows that are not in the file."""
        with contextlib.suppress(sqlite3.Error):
            self.counts = self._ledger.counts(self.counts.requested)
            self.failures = self._ledger.failure_counts()
            self.filtered = self._ledger.filtered_counts()

    def close_files(self) -> None:
        """Closes the files as they are; what is pending is in the journal. Does nothing the second time."""
        if not self._closed:
            self._closed = True
            self._journal.close()
            self._rows.close()
            self._ledger.close()

    def recently_sent(self) -> dict[str, list[tuple[float, int]]]:
        return self._ledger.recently_sent()
