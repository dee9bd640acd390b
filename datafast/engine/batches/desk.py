"""Where the calls of a run park that go into batches, or are in one already.

A call of a service that takes new ones is written into the batch that is being gathered; a call that is open in any batch waits for it. An
item all of whose open calls wait is closed, and opened again when its batch has ended. A batch is sent off when it is full, and when no
item that could add to it can go on.

Cost: where a run has no batches there is no desk, and a call looks at one attribute. Limits: in memory are the calls of the batches that
are being gathered, and two integers for each item that waits.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from datafast.engine.batches.collecting import Collector
from datafast.engine.batches.errors import weigh
from datafast.engine.batches.gathering import Gathering
from datafast.engine.batches.job import BatchJob, Errand
from datafast.engine.batches.service import growing
from datafast.engine.batches.waiting import ItemParked, Parked, Tray, Waiters
from datafast.engine.stop import ItemPending
from datafast.errors import ErrorKind, OutputWriteError, ReplyCategory
from datafast.store.batches import Gathered, under_way
from datafast.store.records import Bound
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.batches.service import Service
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.calls.sender import Sender
    from datafast.engine.event_log import Emitter
    from datafast.engine.settings import RunConfig
    from datafast.engine.shares import Share
    from datafast.engine.stop import StopSignal
    from datafast.llms.base import Response
    from datafast.store.batches import BatchRow
    from datafast.store.paths import OutputPaths
    from datafast.store.records import ItemRecord
    from datafast.store.writer import Store

__all__ = ["Desk"]

T = TypeVar("T")

_REOPENED_AT_ONCE = 200
_MOST_BAD = 5  # batches in a row in which nothing but faults came back


@dataclass(frozen=True, kw_only=True)
class Office:
    """What a desk works with."""

    settings: RunConfig
    paths: OutputPaths
    store: Store
    sender: Sender
    stop: StopSignal
    emit: Emitter
    waits: bool


class Desk:
    """The batches of one run.

    Args:
        services: by endpoint; those that take new calls, and those that have open batches.
        deadline: the moment (seconds since the epoch) at which what is under way is cancelled; None for none.
    """

    def __init__(
        self,
        office: Office,
        services: Mapping[Endpoint, Service],
        shares: Sequence[Share],
        *,
        deadline: float | None,
    ) -> None:
        self._office = office
        self._store = office.store
        self._book = office.store.batches
        self._sender = office.sender
        self._cashier = office.sender.cashier
        self._stop = office.stop
        self._services = services
        self._shares = shares
        self._deadline = deadline
        self._resume: Callable[[Share, Iterator[int]], None] = lambda share, positions: None
        self._trays: dict[int, Tray] = {}
        self._parked: dict[bytes, list[Parked]] = {}
        self._gatherings: dict[Endpoint, Gathering] = {}
        self._jobs: dict[int, BatchJob] = {}
        self._tasks: dict[asyncio.Task[None], BatchJob | None] = {}
        self._held = Waiters()
        self._spools = itertools.count(1)
        self._errand = Errand(self._book, office.emit, office.waits, self._book.known_ids())
        self._cashier.on_full = self._send_all
        self._sender.desk = self

    def start(self, resume: Callable[[Share, Iterator[int]], None]) -> None:
        """Begins with the batches of earlier runs.

        Args:
            resume: lets a share work on items again, given by their positions.
        """
        self._resume = resume
        services = {endpoint.label: service for endpoint, service in self._services.items()}
        for row in self._book.open():
            self._begin(row, services[row.provider], Waiters(), None)
        if self._deadline is not None:
            self._spawn(self._watch_deadline(self._deadline))

    # -- items

    async def produce(self, record: ItemRecord, produce: Coroutine[Any, Any, T]) -> T:
        """Carries out an item's coroutine.

        Raises:
            ItemParked: the item waits for a batch; see `wait`.
        """
        tray = self._trays[record.id] = Tray()
        try:
            return await tray.watch(produce)
        finally:
            del self._trays[record.id]

    def wait(self, parked: ItemParked, record: ItemRecord, share: Share) -> None:
        """Lets a closed item wait for its batch."""
        self._store.note_item(record)
        self._store.let_go(record)
        if parked.waiters.over:
            self._open_again(share, [record.id])
            return
        parked.waiters.add(share, record.position, record.id)
        if parked.waiters is self._held:
            share.held = True

    def _open_again(self, share: Share, item_ids: Sequence[int]) -> None:
        self._resume(share, self._reopened(item_ids))

    def _reopened(self, item_ids: Sequence[int]) -> Iterator[int]:
        for start in range(0, len(item_ids), _REOPENED_AT_ONCE):
            yield from self._store.reopen(item_ids[start : start + _REOPENED_AT_ONCE])

    # -- calls

    async def send(self, call: Call) -> None:
        """Waits for the reply to a call, from a batch or online, and notes in the call what it says.

        Raises:
            CallFailed: no reply came, and none will.
            ItemPending: the run, or this provider, has stopped.
        """
        tray = self._trays[call.record.id]
        while not tray.closed:
            waiters = self._waiters_of(call)
            if waiters is None:
                service = self._services.get(call.endpoint)
                if service is None or not service.takes:
                    call.discount = 0.0
                    await tray.online(self._sender.send_online(call))
                    return
                waiters = self._gather(call, service)
            reply = await self._park(tray, Parked(call, waiters))
            if reply is not None:
                call.replied(reply.raw, reply.format, call.endpoint.provider.model_id)
                return
        raise ItemPending

    async def _park(self, tray: Tray, parked: Parked) -> Response | None:
        beside = self._parked.setdefault(parked.call.key, [])
        beside.append(parked)
        try:
            return await tray.park(parked)
        finally:
            beside.remove(parked)
            if not beside:
                self._parked.pop(parked.call.key, None)

    def _waiters_of(self, call: Call) -> Waiters | None:
        """Those who wait for the batch that a call is in; None if it is in none."""
        for gathering in self._gatherings.values():
            if (call.record.id, call.key) in gathering:
                return gathering.waiters
        batch = self._store.batch_of(call.record, call.key)
        return None if batch is None else self._jobs[batch].waiters

    def _gather(self, call: Call, service: Service) -> Waiters:
        """Writes a call into the batch that is being gathered. Returns those who wait for that, or for room in the budget."""
        if self._stop or call.endpoint.stopped or self._store.broken:
            raise ItemPending
        record, settings = call.record, self._office.settings
        errors = self._book.errors_of(record.id, call.key, record.generation)
        if errors:
            faults = self._sender.faults
            weigh(call, errors, faults=faults, book=self._book, service=service, max_retries=settings.max_retries)
        call.discount = service.discount or 0.0
        bound = self._cashier.prepare(call) or self._cashier.bound(call)
        if (limit := self._cashier.passed_by(bound)) is not None:
            if self._cashier.num_reserved:
                return self._held
            self._cashier.end_run(limit, bound)
            raise ItemPending
        return self._add(call, service, bound)

    def _add(self, call: Call, service: Service, bound: Bound) -> Waiters:
        gathering = self._gatherings.get(call.endpoint) or self._new_gathering(service)
        line = service.backend.line(gathering.next_id, call.request)
        if not gathering.has_room_for(line) and gathering.calls:
            self._send_off(gathering)
            gathering = self._new_gathering(service)
            line = service.backend.line(gathering.next_id, call.request)
        if not gathering.has_room_for(line):
            size = service.backend.limits.size
            raise call.failed(
                f"The request has {len(line):,} bytes, and a batch of this provider takes {size:,}. Shorten the prompt.",
                ReplyCategory.BROKEN.value,
            )
        record = call.record
        gathering.add(
            Gathered(record.id, call.key, record.generation, call.role, bound.usd, bound.tokens, _adapted(call)), line
        )
        self._cashier.reserve_for_batch(bound)
        self._store.note_item(record)
        return gathering.waiters

    # -- batches

    def _new_gathering(self, service: Service) -> Gathering:
        found = self._gatherings[service.endpoint] = Gathering(service, self._path())
        return found

    def _path(self) -> Any:
        return self._office.paths.spool(str(next(self._spools)))

    def look(self) -> None:
        """Sends off what nobody can add to any more. Called where a share has come to rest."""
        if self._stop:
            return
        try:
            self._look()
        except OutputWriteError as error:
            self._stop.now(StopCause.OUTPUT, str(error), error)

    def _look(self) -> None:
        for endpoint, gathering in list(self._gatherings.items()):
            if not gathering.service.takes:
                self._dissolve(gathering)
            elif not any(share.workers for share in self._shares if endpoint in share.endpoints):
                self._send_off(gathering)
        nothing_open = not (self._gatherings or any(self._tasks.values()))
        if nothing_open and len(self._held) and not any(share.workers for share in self._shares):
            self._release()

    def _send_all(self) -> None:
        for gathering in list(self._gatherings.values()):
            self._send_off(gathering)

    def _send_off(self, gathering: Gathering) -> None:
        del self._gatherings[gathering.service.endpoint]
        if not gathering.calls:
            gathering.drop()
            return
        gathering.finish()
        service = gathering.service
        row = self._book.announce(service.endpoint.label, gathering.tag, gathering.calls, described=service.described)
        self._begin(row, service, gathering.waiters, gathering)

    def _begin(self, row: BatchRow, service: Service, waiters: Waiters, gathering: Gathering | None) -> None:
        collector = Collector(
            row,
            service,
            book=self._book,
            settle=self._cashier.settle_batch,
            count=self._sender.count,
            emit=self._office.emit,
            on_reply=self._on_reply,
        )
        spool = None if gathering is None else gathering.path
        job = BatchJob(service, collector, waiters, self._errand, spool=spool, scratch=self._path())
        self._jobs[row.id] = job
        self._spawn(self._carry_out(job), job)

    def _spawn(self, work: Coroutine[Any, Any, None], job: BatchJob | None = None) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks[task] = job
        task.add_done_callback(self._tasks.pop)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ItemPending:
            pass
        except Exception as error:  # noqa: BLE001 - a fault of ours or of the store: the run stops and raises it
            cause = StopCause.OUTPUT if isinstance(error, OutputWriteError) else StopCause.FAULT
            self._stop.now(cause, f"{type(error).__name__}: {error}", error)

    async def _carry_out(self, job: BatchJob) -> None:
        try:
            await job.carry_out()
        finally:
            if job.is_over:
                self._jobs.pop(job.row.id)
            else:
                self._cashier.abandon(self._book.num_open(job.row.id))
        if job.is_over:
            await self._ended(job)

    async def _ended(self, job: BatchJob) -> None:
        """Goes on with the items that wait for a batch, once it is known what its errors mean."""
        collector, service = job.collector, job.service
        job.waiters.over = True
        error = collector.accounts_error
        if error is not None and (error.kind is ErrorKind.QUOTA or not job.row.answered):
            service.stop(error)
        elif job.row.answered:
            service.bad = 0
        elif collector.only_faults:
            await self._pause(job)
        service.wake()
        self._wake_parked(job.waiters)
        for share, item_ids in job.waiters.take():
            self._open_again(share, item_ids)
        self._release()
        self.look()

    async def _pause(self, job: BatchJob) -> None:
        """Waits after a batch in which nothing but faults came back, and gives up after some in a row."""
        service, error = job.service, job.collector.fault
        assert error is not None  # noqa: S101 - as the caller has seen
        service.bad += 1
        if service.bad > _MOST_BAD:
            service.stop(error)
            return
        wait_s = 0.0
        for _ in range(2 * service.bad):
            wait_s = growing(wait_s)
        service.delayed(job.row.service_id, error, wait_s)
        await service.sleep(wait_s)

    def _on_reply(self, key: bytes, reply: Response | None) -> None:
        for parked in self._parked.get(key, ()):
            if reply is not None:
                parked.wake(reply)

    def _wake_parked(self, waiters: Waiters) -> None:
        for tray in self._trays.values():
            for parked in tray.parked:
                if parked.waiters is waiters:
                    parked.wake()

    def _release(self) -> None:
        """Lets those look again who wait for room in the budget."""
        held, self._held = self._held, Waiters()
        held.over = True
        for share in self._shares:
            share.held = False
        self._wake_parked(held)
        for share, item_ids in held.take():
            self._open_again(share, item_ids)

    # -- the deadline

    async def _watch_deadline(self, deadline: float) -> None:
        while (left := deadline - time.time()) > 0.0:
            await self._stop.sleep(left)
            if self._stop:
                return
        for service in self._services.values():
            service.takes, service.gives_up = False, True
            service.wake()
        for gathering in list(self._gatherings.values()):
            self._dissolve(gathering)

    def _dissolve(self, gathering: Gathering) -> None:
        """Lets the calls of a batch that was not announced go online."""
        del self._gatherings[gathering.service.endpoint]
        for call in gathering.calls:
            self._cashier.settle_batch(_bound_of(call), None, None, charged=False)
        gathering.drop()
        gathering.waiters.over = True
        self._wake_parked(gathering.waiters)
        for share, item_ids in gathering.waiters.take():
            self._open_again(share, item_ids)

    # -- the end

    @property
    def is_busy(self) -> bool:
        """Whether there is something to wait for, beside the items that are worked on."""
        if self._stop:
            return any(job is not None and not job.is_resting for job in self._tasks.values())
        jobs = [job for job in self._tasks.values() if job is not None]
        return bool(self._gatherings) or any(job.is_over or not job.is_resting or len(job.waiters) for job in jobs)

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return {task for task, job in self._tasks.items() if job is not None}

    @property
    def under_way(self) -> str | None:
        """What is under way that items wait for, in words; None if there is nothing."""
        waited = [job.row for job in self._jobs.values() if len(job.waiters) and not job.service.endpoint.stopped]
        return under_way(waited) if waited else None

    async def close(self) -> None:
        """Ends what is still being done. Batches that are under way stay so."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for gathering in self._gatherings.values():
            gathering.drop()


def _adapted(call: Call) -> str:
    """How a request differs from a usual one, as JSON; empty if it does not."""
    dropped = call.request.dropped_params
    return "" if not dropped else orjson.dumps({"dropped": sorted(dropped)}).decode()


def _bound_of(call: Gathered) -> Bound:
    return Bound(call.usd, call.tokens)
