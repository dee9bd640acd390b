"""The engine of a worker: that of a local run, without an output.

Everything that a reply goes through in a local run is the same here: `produce`, retries, parsing, stages, reply modes. Different are three
things. Limits are leased (`Leases`). A reply frees its slot when the driver has it in its journal. And the driver writes. So a worker that
dies costs what it had in flight, and has nothing that anybody needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datafast._util.notify import relayed_to
from datafast.engine.calls.admission import Admission
from datafast.engine.calls.memory import Memory
from datafast.engine.calls.sender import Caller, Sender
from datafast.engine.event_log import Emitter
from datafast.engine.events import CallFinished, ProviderStopped
from datafast.engine.opening import backoff_of, open_endpoints, shares_of
from datafast.engine.outcomes import Outcomes
from datafast.engine.remote.leases import Leases
from datafast.engine.remote.messages import Counted, Ended, Happened, ProviderEnded, Report, RunFailed, Started, Warned
from datafast.engine.remote.outbox import Outbox
from datafast.engine.remote.wallet import LeasedCashier
from datafast.engine.remote.worker_books import WorkerBooks
from datafast.engine.routes import labels_of
from datafast.engine.row_stages import RowStages
from datafast.engine.stop import StopSignal
from datafast.errors import DatafastError
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.calls.admission import Gate
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.events import Event
    from datafast.engine.outcomes import Outcome
    from datafast.engine.remote.messages import Order, Orders, Setup
    from datafast.engine.shares import Share
    from datafast.llms.provider import LLMProvider

__all__ = ["WorkerEngine", "opened_engine"]

_OPEN_PER_SLOT = 4
_NO_LIMIT = 1_000_000  # of a worker's own; what it may have in flight is leased


class _Relay(Emitter):
    """Tells events to the driver, but for those that it makes itself."""

    def __init__(self, outbox: Outbox, *, is_heard: bool) -> None:
        self.listening = is_heard
        self._outbox = outbox

    def __call__(self, event: Event) -> None:
        if self.listening and not isinstance(event, CallFinished | ProviderStopped):
            self._outbox.add(Happened(event))


@dataclass(slots=True)
class _Queue:
    """The items of one share. `begun` are worked on, `width` of them at once, without those that wait for a retry."""

    share: Share
    items: deque[Order] = field(default_factory=deque)
    width: int = 0
    begun: int = 0

    @property
    def may_begin(self) -> bool:
        at_work = self.begun - self.share.waiting
        return bool(self.items) and at_work < self.width and self.begun < _OPEN_PER_SLOT * self.width


@contextlib.asynccontextmanager
async def opened_engine(setup: Setup) -> AsyncIterator[WorkerEngine]:
    """The engine of one opening, with its providers, until the context ends."""
    job, outbox, stop = setup.job, Outbox(), StopSignal()
    emit = _Relay(outbox, is_heard=setup.is_heard)
    books = WorkerBooks(outbox, learned=setup.learned, most_donated=setup.most_donated)
    labels = labels_of(job.providers)
    admission = Admission(_NO_LIMIT, stop)
    leases = Leases(setup.terms, backoff=backoff_of(job.settings), on_news=outbox.wake)
    leases.admission = admission
    cashier = leases.cashier = LeasedCashier(job.settings, stop=stop, emit=emit, on_news=outbox.wake)

    def gate_of(provider: LLMProvider, label: str, on_limit: Callable[[int], None]) -> Gate:
        return leases.gates[label]

    with contextlib.closing(RowStages(job.row_stages)) as stages:
        async with open_endpoints(job, labels, gate_of, admission, emit) as endpoints:
            sender = Sender(
                store=books, admission=admission, stop=stop, settings=job.settings, emit=emit, cashier=cashier
            )
            memory = Memory(books)
            for endpoint in endpoints.values():
                memory.recall(endpoint)
                endpoint.reply_limits.recall(setup.sizes.get(endpoint.label, {}))
            caller = Caller(sender, memory=memory, settings=job.settings, emit=emit)
            outcomes = Outcomes(job, store=books, caller=caller, stop=stop, stages=stages)
            engine = WorkerEngine(
                outcomes=outcomes,
                shares=shares_of(job, endpoints),
                endpoints={one.label: one for one in endpoints.values()},
                admission=admission,
                leases=leases,
                sender=sender,
                books=books,
                outbox=outbox,
                stop=stop,
            )
            try:
                yield engine
            finally:
                await engine.close()


class WorkerEngine:
    """Works on items until it is closed.

    Attributes:
        outbox: what is to be told.
    """

    def __init__(
        self,
        *,
        outcomes: Outcomes,
        shares: list[Share],
        endpoints: Mapping[str, Endpoint],
        admission: Admission,
        leases: Leases,
        sender: Sender,
        books: WorkerBooks,
        outbox: Outbox,
        stop: StopSignal,
    ) -> None:
        self._outcomes = outcomes
        self._endpoints = endpoints
        self._widest = {label: endpoint.gate.most for label, endpoint in endpoints.items()}
        self._admission = admission
        self._leases = leases
        self._sender = sender
        self._books = books
        self.outbox = outbox
        self._stop = stop
        self._queues = [_Queue(share) for share in shares]
        for queue in self._queues:
            queue.share.on_wait = functools.partial(self._waiting, queue)
        self._given_back: list[int] = []
        self._told_stopped: set[str] = set()
        self._has_told_stop = False
        self._paused_at = 0.0
        self._context = contextvars.copy_context()
        self._context.run(relayed_to, lambda message: outbox.add(Warned(message)))
        self._tasks: set[asyncio.Task[None]] = set()
        self._lapsing: asyncio.Task[None] | None = None

    @property
    def has_lapsed(self) -> bool:
        """Whether its lease has lapsed. What it had is given to others then, so nothing that it hears later may let it go on."""
        return self._lapsing is not None and (self._lapsing.done() or self._leases.lasts_for_s <= 0.0)

    # -- what the driver says

    def take(self, orders: Orders) -> None:
        """Does what the driver says."""
        self.outbox.keep(orders.kept)
        self._leases.take(orders.grant)
        if self._lapsing is None and self._leases.lasts_for_s > 0.0:
            self._lapsing = asyncio.get_running_loop().create_task(self._watch_lease())
        self._hold(is_paused=orders.is_paused)
        self._hear_of_providers(orders)
        if orders.stop is not None and not self._stop:
            self._has_told_stop = True
            self._stop.now(*orders.stop)
        for order in orders.items:
            self._queues[order.share].items.append(order)
        for queue, width in zip(self._queues, orders.widths, strict=True):
            queue.width = width
            self._begin(queue)
        self._give_back(orders.give_back)
        if orders.is_end:
            self.give_back_bookings()

    def give_back_bookings(self) -> None:
        """Nothing more is to be sent: what is booked and not used is told with the next report."""
        self._leases.give_back_bookings()

    def _hear_of_providers(self, orders: Orders) -> None:
        for label, endpoint in self._endpoints.items():
            if endpoint.gate.setting > self._widest[label]:
                self._widest[label] = endpoint.gate.setting
                endpoint.widen(endpoint.gate.setting)
        for label, reason in orders.stopped.items():
            if self._endpoints[label].stopped is None:
                self._told_stopped.add(label)
                self._endpoints[label].stopped = reason
                self._stop.wake()
        for label in orders.answered:
            self._endpoints[label].breaker.others_answered()

    def _hold(self, *, is_paused: bool) -> None:
        if is_paused == self._stop.is_paused:
            return
        if is_paused:
            self._paused_at = time.monotonic()
            self._stop.is_paused = True
            self._admission.shut()
            return
        self._stop.let_go_on()
        for endpoint in self._endpoints.values():
            endpoint.breaker.excuse(time.monotonic() - self._paused_at)
        self._admission.open()

    def _give_back(self, numbers: Sequence[int]) -> None:
        """Gives back items that were not begun, the newest first."""
        for queue, number in zip(self._queues, numbers, strict=False):
            for _ in range(min(number, len(queue.items))):
                self._given_back.append(queue.items.pop().record.id)

    # -- work

    def _begin(self, queue: _Queue) -> None:
        if self._stop or not queue.share.working:
            while queue.items:
                self.outbox.add(Ended(queue.items.popleft().record.id, None))
        while queue.may_begin:
            order = queue.items.popleft()
            queue.begun += 1
            self.outbox.add(Started(order.record.id))
            work = self._work(queue, order)
            task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, queue: _Queue, order: Order) -> None:
        record = order.record
        self._books.open(order)
        outcome: Outcome | None = None
        try:
            outcome = await self._outcomes.of(order.item, record, queue.share)
        except Exception as error:  # noqa: BLE001 - a fault of ours: the run stops and raises it
            told = error if isinstance(error, DatafastError) else DatafastError(f"{type(error).__name__}: {error}")
            self.outbox.add(RunFailed(StopCause.FAULT, f"{type(error).__name__}: {error}", told))
        finally:
            came = self._books.close(record)
            queue.begun -= 1
        if outcome is not None:
            outcome = outcome._replace(rows={}, dropped=(), replayed=not came)
        self.outbox.add(Ended(record.id, outcome))
        self._begin(queue)

    def _waiting(self, queue: _Queue, change: int) -> None:
        """An item begins or ends a wait without a slot, which others use in between."""
        queue.share.waiting += change
        if change > 0:
            self._begin(queue)

    # -- what the driver is told

    def report(self) -> Report:
        """What has happened since the last report."""
        self._look()
        given_back, self._given_back = self._given_back, []
        models, self._books.models = self._books.models, type(self._books.models)()
        tally = self._sender.tally
        return Report(
            entries=self.outbox.take(),
            given_back=given_back,
            waiting=[queue.share.waiting for queue in self._queues],
            models=models,
            counted=Counted(tally.retries, tally.replayed, tally.read, tally.truncated, tally.cut, tally.replaced),
            ask=self._leases.ask(),
        )

    def _look(self) -> None:
        """Tells what has stopped here."""
        for label, endpoint in self._endpoints.items():
            if endpoint.stopped is not None and label not in self._told_stopped:
                self._told_stopped.add(label)
                self.outbox.add(ProviderEnded(label, endpoint.stopped))
        stop = self._stop
        if stop.cause is not None and stop.reason is not None and not self._has_told_stop:
            self._has_told_stop = True
            error = stop.error
            told = error if error is None or isinstance(error, DatafastError) else DatafastError(stop.reason)
            self.outbox.add(RunFailed(stop.cause, stop.reason, told))

    # -- its end

    async def _watch_lease(self) -> None:
        """Gives up what is in flight when the driver has not been heard of for so long that it counts it as lost."""
        while True:
            left = self._leases.lasts_for_s
            if left <= 0.0:
                break
            await asyncio.sleep(left)
        await self.abandon()

    async def abandon(self) -> None:
        """Ends all work on items, with what is in flight. Replies that have come stay to be told."""
        for queue in self._queues:
            queue.items.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Ends all work. What is in flight is not waited for."""
        await self.abandon()  # first, so that nothing more is sent from here on
        if self._lapsing is not None:
            self._lapsing.cancel()
            await asyncio.gather(self._lapsing, return_exceptions=True)
