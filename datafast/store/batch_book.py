"""What a run writes about its batches, in an order that buys nothing twice.

Guarantee: what `announce`, `submitted` and `close` write is on the disk when they return. A reply and the state of its call are written by
one transaction. Replies that came in other ways before it are in the ledger by then, so the ids of recorded replies rise with time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datafast.store.batches import BatchCall, BatchPhase, BatchRow, CallError, CallState, Gathered, described_as

if TYPE_CHECKING:
    from datafast.store.ledger import Ledger
    from datafast.store.records import CallRow, Charge

__all__ = ["BatchBook", "Settled"]


@dataclass(slots=True)
class Settled:
    """What became of some calls of a batch.

    Attributes:
        calls: the recorded replies; a call that was answered without a usable reply may have one too.
        states: ids, states, and errors as JSON.
        charges: what is charged beside what the replies say.
    """

    calls: list[CallRow] = field(default_factory=list)
    states: list[tuple[int, CallState, str]] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    cost_usd: float | None = 0.0

    def num(self, state: CallState) -> int:
        return sum(1 for _, found, _ in self.states if found is state)


class BatchBook:
    """The batches of one output.

    Args:
        flush: writes into the ledger what is still to be written.
        take_requests: gives the first number of so many further requests.
        take_call_id: gives the id of the next recorded reply.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        flush: Callable[[], None],
        take_requests: Callable[[int], int],
        take_call_id: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._tables = ledger.batches
        self._flush = flush
        self._take_requests = take_requests
        self.take_call_id = take_call_id

    def open(self) -> list[BatchRow]:
        """See `BatchTables.open`."""
        return self._tables.open()

    def all(self) -> list[BatchRow]:
        """See `BatchTables.all`."""
        return self._tables.all()

    def known_ids(self) -> set[str]:
        """The ids under which services have, or had, batches of this output."""
        return {batch.service_id for batch in self._tables.all() if batch.service_id}

    def num_open(self, batch: int) -> int:
        """The number of calls of a batch that are not settled."""
        return self._tables.num_open(batch)

    def batch_of(self, items: Sequence[int], key: bytes) -> int | None:
        """See `BatchTables.batch_of`."""
        return self._tables.batch_of(items, key)

    def errors_of(self, item: int, key: bytes, generation: int) -> list[CallError]:
        """See `BatchTables.errors_of`."""
        return self._tables.errors_of(item, key, generation)

    def calls_at(self, ids: Sequence[int]) -> dict[int, BatchCall]:
        """See `BatchTables.calls_at`."""
        return self._tables.calls_at(ids)

    def unsettled(self, batch: BatchRow) -> Iterator[list[BatchCall]]:
        """See `BatchTables.unsettled`."""
        return self._tables.unsettled(batch)

    def has_answered(self, provider: str) -> bool:
        """Whether a reply of a provider is recorded. Reads all of them where there is none."""
        return self._ledger.calls.has_some_of(provider)

    def announce(self, provider: str, tag: str, calls: Collection[Gathered], *, described: str = "") -> BatchRow:
        """Records that a batch is about to be submitted.

        Args:
            described: the provider as JSON; see `BatchTables.described`.
        """
        self._flush()  # with the items of these calls
        first = self._take_requests(len(calls))
        with self._ledger.durable_transaction():
            self._ledger.set_meta("requests", first + len(calls) - 1)
            self._ledger.set_meta(described_as(provider), described)
            return self._tables.announce(provider, tag, calls, num_calls=len(calls), request=first, at=time.time())

    def announce_again(self, batch: BatchRow) -> BatchRow:
        """Records that a batch which its service does not have is about to be submitted once more."""
        now = time.time()
        with self._ledger.durable_transaction():
            self._tables.announce_again(batch.id, now)
        return batch._replace(announced_at=now, service_id="", phase=BatchPhase.ANNOUNCED)

    def submitted(self, batch: BatchRow, service_id: str) -> BatchRow:
        """Records under which id a service has a batch."""
        now = time.time()
        with self._ledger.durable_transaction():
            self._tables.submitted(batch.id, service_id, now)
        return batch._replace(service_id=service_id, submitted_at=now, phase=BatchPhase.SUBMITTED)

    def settle(self, batch: BatchRow, settled: Settled) -> BatchRow:
        """Records replies and errors. Returns the batch with its new sums."""
        self._flush()  # the journal is read from the newest id on that the ledger has
        answered, failed = settled.num(CallState.ANSWERED), settled.num(CallState.FAILED)
        with self._ledger.transaction():
            self._ledger.calls.put(settled.calls)
            self._tables.settle(settled.states, before_call=self._ledger.max_id("calls") + 1)
            self._ledger.calls.put_charges(settled.charges)
            self._tables.add_up(batch.id, answered=answered, failed=failed, cost_usd=settled.cost_usd)
        known = batch.cost_usd is not None and settled.cost_usd is not None
        cost = batch.cost_usd + settled.cost_usd if known else None  # type: ignore[operator]  # both are known
        return batch._replace(answered=batch.answered + answered, failed=batch.failed + failed, cost_usd=cost)

    def close(self, batch: BatchRow, *, forget_errors: bool = False) -> int:
        """Records that nothing of a batch is open any more.

        Args:
            forget_errors: calls with errors are asked again as if never sent; see `BatchTables.forget_errors`.

        Returns:
            How many errors were forgotten.
        """
        with self._ledger.durable_transaction():
            forgotten = self._tables.forget_errors(batch.id) if forget_errors else 0
            self._tables.close(batch.id, time.time())
        return forgotten

    def note_stop(self, reason: str) -> None:
        """Records why the run that had submitted batches will not find them."""
        with self._ledger.transaction():
            self._ledger.set_meta("stop_reason", reason)

    def forget_errors_of(self, provider: str) -> None:
        """Lets calls that a provider has refused be asked anew, where it has answered nothing else beside them."""
        with self._ledger.transaction():
            self._tables.forget_errors_of(provider)
