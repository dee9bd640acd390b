"""The batches of a run: which are gathered, when they are sent off, what goes on about those that are under way.

A batch is sent off when it is full, and when no item that could add to it can go on. A provider that refuses takes no new calls. Its
batches that are under way are collected all the same, and then it is stopped.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast.engine.batches.collecting import Collector
from datafast.engine.batches.gathering import Gathering
from datafast.engine.batches.job import BatchJob, Errand
from datafast.engine.batches.waiting import Waiters
from datafast.engine.stop import ItemPending
from datafast.errors import ErrorKind, OutputWriteError
from datafast.logger_config import logger
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
    from datafast.store.batches import BatchRow, Gathered
    from datafast.store.paths import OutputPaths
    from datafast.store.writer import Store

__all__ = ["Dispatch", "Office"]


@dataclass(frozen=True, kw_only=True)
class Office:
    """What the batches of a run work with. `waits`: whether the run waits for those that are under way."""

    settings: RunConfig
    paths: OutputPaths
    store: Store
    sender: Sender
    stop: StopSignal
    emit: Emitter
    waits: bool


class Dispatch:
    """The batches of one run.

    Args:
        services, deadline: as of the desk.
        on_reply: called with the item and the key of a call and its reply, once that is in the ledger.
        on_over: called with those who wait for a batch that has ended.
        release: lets those look again who are held.
    """

    def __init__(
        self,
        office: Office,
        services: Mapping[Endpoint, Service],
        shares: Sequence[Share],
        *,
        deadline: float | None,
        on_reply: Callable[[int, bytes, Response], None],
        on_over: Callable[[Waiters], None],
        release: Callable[[], None],
    ) -> None:
        self._office = office
        self._stop = office.stop
        self._book = office.store.batches
        self._cashier = office.sender.cashier
        self._services = services
        self._shares = shares
        self._deadline = deadline
        self._on_reply = on_reply
        self._on_over = on_over
        self._release = release
        self._gatherings: dict[Endpoint, Gathering] = {}
        self._jobs: dict[int, BatchJob] = {}  # of batches that are open
        self._active: set[BatchJob] = set()
        self._has_news = False  # a batch has ended, and its items may not all have been opened again
        self._tasks: set[asyncio.Task[None]] = set()
        self._spools = itertools.count(1)
        self._errand = Errand(self._book, office.emit, office.waits, self._book.known_ids())

    def start(self) -> None:
        """Begins with the batches of earlier runs."""
        services = {endpoint.label: service for endpoint, service in self._services.items()}
        for row in self._book.open():
            self._begin(row, services[row.provider], Waiters(), None)
        if self._deadline is not None:
            self._spawn(self._watch_deadline(self._deadline))

    # -- calls

    def waiters_of(self, call: Call) -> Waiters | None:
        """Those who wait for the batch that a call is in; None if it is in none."""
        for gathering in self._gatherings.values():
            if (call.record.id, call.key) in gathering:
                return gathering.waiters
        batch = self._office.store.batch_of(call.record, call.key)
        return None if batch is None else self._jobs[batch].waiters

    def add(self, call: Call, service: Service, entry: Gathered) -> Waiters:
        """Writes a call into the batch that is being gathered. Returns those who wait for it.

        Raises:
            CallFailed: no batch is large enough for it.
            OutputWriteError: there is no room for it on the disk.
        """
        gathering = self._gatherings.get(call.endpoint) or self._new_gathering(service)
        line = service.backend.line(gathering.next_id, call.request)
        if gathering.calls and not gathering.has_room_for(line):
            self._send_off(gathering)
            gathering = self._new_gathering(service)
            line = service.backend.line(gathering.next_id, call.request)
        if not gathering.has_room_for(line):
            most = service.backend.limits.size
            raise call.failed(
                f"The request has {len(line):,} bytes, and a batch of {call.endpoint.label} takes {most:,}. Shorten the prompt.",
                ErrorKind.CONTEXT_LENGTH.value,
            )
        gathering.add(entry, line)
        return gathering.waiters

    def _new_gathering(self, service: Service) -> Gathering:
        found = self._gatherings[service.endpoint] = Gathering(service, self._path())
        return found

    def _path(self) -> Path:
        return self._office.paths.spool(str(next(self._spools)))

    # -- sending off

    def look(self) -> None:
        """Does what can be done now: sends off what nobody can add to any more, stops who refuses, lets those go on who were held."""
        if self._stop:
            return
        try:
            self._do_what_can_be_done()
        except Exception as error:  # noqa: BLE001 - as in `_guarded`
            self._stop_run(error)

    def _do_what_can_be_done(self) -> None:
        for gathering in list(self._gatherings.values()):
            if not gathering.service.takes:
                self._dissolve(gathering)
            elif not self._is_worked_on(gathering.service):
                self._send_off(gathering)
        refused = [service for service in self._services.values() if self._is_to_be_stopped(service)]
        for service in refused:
            service.stop()
        idle = not (self._gatherings or self._active or any(share.workers for share in self._shares))
        self._has_news &= not idle
        if refused or (idle and any(share.held for share in self._shares)):
            self._release()

    def brings_more(self) -> bool:
        """Whether a batch is being collected, or what one has brought has still to be worked on. A budget does not end the run before."""
        return bool(self._active) or self._has_news

    def _is_worked_on(self, service: Service) -> bool:
        return any(share.workers for share in self._shares if service.endpoint in share.endpoints)

    def _is_to_be_stopped(self, service: Service) -> bool:
        if service.refusal is None or service.endpoint.stopped or self._is_worked_on(service):
            return False
        return not any(job.service is service for job in self._active)

    def send_all(self) -> None:
        """Sends off all that is gathered, though it may not be full."""
        for gathering in list(self._gatherings.values()):
            self._send_off(gathering)

    def _send_off(self, gathering: Gathering) -> None:
        del self._gatherings[gathering.service.endpoint]
        if not gathering.calls:
            gathering.drop()
            return
        service = gathering.service
        try:
            gathering.finish()
            row = self._book.announce(
                service.endpoint.label, gathering.tag, gathering.calls, described=service.described
            )
        except BaseException:
            gathering.drop()
            raise
        self._begin(row, service, gathering.waiters, gathering.path)

    def _begin(self, row: BatchRow, service: Service, waiters: Waiters, spool: Path | None) -> None:
        collector = Collector(
            row,
            service,
            book=self._book,
            settle=self._cashier.settle_batch,
            give_back=self._cashier.give_back,
            count=self._office.sender.count,
            emit=self._office.emit,
            on_reply=self._on_reply,
        )
        job = BatchJob(service, collector, waiters, self._errand, spool=spool, scratch=self._path())
        self._jobs[row.id] = job
        self._active.add(job)
        self._spawn(self._carry_out(job))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ItemPending:
            pass
        except Exception as error:  # noqa: BLE001 - a fault of ours or of the store: the run stops and raises it
            self._stop_run(error)

    def _stop_run(self, error: Exception) -> None:
        cause = StopCause.OUTPUT if isinstance(error, OutputWriteError) else StopCause.FAULT
        self._stop.now(cause, f"{type(error).__name__}: {error}", error)

    # -- under way

    async def _carry_out(self, job: BatchJob) -> None:
        try:
            await job.carry_out()
            if job.is_over:
                self._jobs.pop(job.row.id)
                await self._judge(job)
        finally:
            self._active.discard(job)
            if not job.is_over:
                self._cashier.abandon(self._book.num_open(job.row.id))
            job.service.wake()
            if job.is_over and not self._stop:
                self._has_news = True
                self._on_over(job.waiters)
                self._release()
            self.look()

    async def _judge(self, job: BatchJob) -> None:
        """Finds out from its errors whether the provider of a batch works."""
        collector, service = job.collector, job.service
        error = collector.accounts_error
        if error is not None and (error.kind is ErrorKind.QUOTA or not job.row.answered):
            service.refuse(error)
        elif collector.only_faults and collector.fault is not None:
            await service.after_faults(collector.fault, job.row.service_id, is_to_blame=job.num_forgotten > 0)
        elif job.row.answered:
            service.works()

    # -- the deadline

    async def _watch_deadline(self, deadline: float) -> None:
        while (left := deadline - time.time()) > 0.0:
            await self._stop.sleep(left)
            if self._stop:
                return
        if self._active or self._gatherings:
            logger.warning(
                "run.batch_deadline has come: what is not back is cancelled, and asked online at the full price."
            )
        for service in self._services.values():
            service.takes, service.gives_up = False, True
            service.wake()
        for gathering in list(self._gatherings.values()):
            self._dissolve(gathering)

    def _dissolve(self, gathering: Gathering) -> None:
        """Lets the calls of a batch that was not announced go online."""
        del self._gatherings[gathering.service.endpoint]
        for call in gathering.calls:
            self._cashier.give_back(Bound(call.usd, call.tokens))
        gathering.drop()
        self._on_over(gathering.waiters)

    # -- the end

    @property
    def is_busy(self) -> bool:
        """Whether there is something to wait for, beside the items that are worked on."""
        if self._stop:
            return any(not job.is_resting for job in self._active)
        return bool(self._gatherings) or any(
            job.is_over or not job.is_resting or len(job.waiters) for job in self._active
        )

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return set(self._tasks)

    @property
    def waited_for(self) -> list[BatchRow]:
        """All open batches, if items wait. An item is noted at one of those that it waits for."""
        return [job.row for job in self._jobs.values()] if any(len(job.waiters) for job in self._jobs.values()) else []

    async def close(self) -> None:
        """Ends what is still being done."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for gathering in self._gatherings.values():
            gathering.drop()
