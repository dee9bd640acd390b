"""The run loop: workers pull items from the lazy plan, `outcomes` turns each into rows, the store saves them.

Each share has its own cursor and its own workers, so a provider that waits or has stopped never delays another. There is no task per
planned item: a share has at most four times its concurrency of items open, and more than its concurrency only while some wait for a retry.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from datafast._util.notify import warn_user
from datafast.engine.assembly import NotBegunError, Parts, assembled
from datafast.engine.batches.waiting import ItemParked
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.event_log import Emitter
from datafast.engine.events import ItemDone, ItemFailed, RoundStarted, RowsSettled, RunEnded, RunStarted
from datafast.engine.job import Job
from datafast.engine.manifest import write_manifest
from datafast.engine.outcomes import MakesOutcomes, Outcome, Outcomes, failure_of
from datafast.engine.preparation import combined
from datafast.engine.reporting import not_begun, remarks, report_of, why_stopped
from datafast.engine.rounds import Judged, judged, next_job
from datafast.engine.shares import Share, deal, share_out
from datafast.engine.steering import SteeredParts, Steering
from datafast.engine.stop import StopSignal
from datafast.engine.watching import Watch
from datafast.engine.winding_up import settled
from datafast.errors import OutputWriteError
from datafast.plan.grid import spread
from datafast.plan.items import WorkItem
from datafast.types import RunReport, StopCause

if TYPE_CHECKING:
    from datafast.engine.remote.crew import Crew
    from datafast.store.records import ItemRecord

__all__ = ["run_job"]

_OPEN_PER_SLOT = 4
_LOOK_S = 0.5  # how often it is checked whether the grace of an interruption is over


async def run_job(job: Job, stop: StopSignal, crew: Crew | None = None) -> RunReport:
    """Carries out a job, inside the event loop.

    Args:
        crew: the workers in other processes that its items are worked on by; None for this process.

    Raises:
        ConfigError: a key is missing, or the providers do not fit together; nothing was sent.
        OutputError: the output cannot be used, or became unusable during the run (it was edited, for instance).
        Exception: the error of an event callback; everything is saved first.
    """
    emit = Emitter(job.on_event, stop, what=job.what)
    steering = Steering(stop, emit)
    watch = Watch(job, stop, emit, steering)
    reports: list[RunReport] = []
    with (
        contextlib.suppress(NotBegunError),
        job.control.steers(steering) if job.control is not None else contextlib.nullcontext(),
    ):
        while True:
            async with assembled(job, stop, emit, crew) as parts:
                run = _Run(parts, watch, steering)
                reports.append(await run.execute(is_first=not reports))
                following = next_job(parts, run.judged)
                if following is None:
                    report = combined(reports.pop(), reports)
                    await write_manifest(parts)
                    run.end(report)
                    return report
                job = following
    return not_begun(job, stop)


class _Run:
    """One run over an open output, or one round of it. `execute` is called once.

    Attributes:
        judged: how its targets stand at the end.
    """

    def __init__(self, parts: Parts, watch: Watch, steering: Steering) -> None:
        self._parts = parts
        self._job = parts.job
        self._plan = parts.job.plan
        self._settings = parts.job.settings
        self._output = parts.output
        self._store = parts.output.store
        self._shares = parts.shares
        self._admission = parts.admission
        self._sender = parts.sender
        self._outcomes: MakesOutcomes = parts.fleet or Outcomes(
            parts.job,
            store=parts.output.store,
            caller=parts.caller,
            stop=parts.stop,
            stages=parts.stages,
            desk=parts.desk,
        )
        self._reorder = parts.reorder
        self._emit = parts.emit
        self._stop = parts.stop
        self._desk = parts.desk
        self._fleet = parts.fleet
        self._watch = watch
        self._steering = steering
        watch.begin(parts)
        self._working = list(parts.shares)
        for share in self._shares:
            share.on_wait = functools.partial(self._waiting, share)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_broken_off = False
        self.judged = Judged()

    async def execute(self, *, is_first: bool) -> RunReport:
        """Works until everything is done, failed or unreachable, saves it and returns the report."""
        started, paused_s = time.monotonic(), self._steering.paused_s
        self._announce(is_first=is_first)
        self._distribute()
        checking = self._check_in_background()
        self._share_out()
        self._steering.begin(
            SteeredParts(
                admission=self._admission,
                shares=self._shares,
                reorder=self._reorder,
                cashier=self._sender.cashier,
                share_out=self._share_out,
            )
        )
        if self._desk is not None:
            self._desk.start(self._resume)
            self._desk.look()
        try:
            while (tasks := self._unfinished()) and not self._stop.is_over(self._settings.grace_s):
                await asyncio.wait(tasks, timeout=_LOOK_S)
        except BaseException:
            self._is_broken_off = True
            raise
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._desk is not None:
                await self._desk.close()
            if self._fleet is not None:
                await self._fleet.close()
            if checking is not None:
                await checking
            if self._reorder is not None:
                self._reorder.flush()
            await self._watch.close()
            await self._close()
        self.judged = judged(self._parts)
        if (found := self._store.settled) is not None:
            counts = self._store.counts
            self._emit(
                RowsSettled(
                    dropped=found.dropped,
                    returned=found.returned,
                    written=counts.written,
                    filtered=counts.filtered,
                )
            )
        elapsed_s, paused_s = time.monotonic() - started, self._steering.paused_s - paused_s
        return report_of(self._parts, elapsed_s, paused_s, self.judged.standing)

    def end(self, report: RunReport) -> None:
        """Tells the report. Raises the error of an event callback, or why the output became unusable."""
        self._emit(RunEnded(report=report))
        for remark in remarks(report, self._sender.tally):
            warn_user(remark)
        if self._stop.error is not None and not isinstance(self._stop.error, OutputWriteError):
            raise self._stop.error
        if self._job.on_report is not None:
            self._job.on_report(report)

    # -- shares and workers

    def _distribute(self) -> None:
        if self._job.decide_only:
            return
        done, failed = self._output.done, self._output.failed
        limit = self._job.limit
        chosen = None if limit is None else spread(self._plan, limit, seed=self._settings.seed)
        if chosen is not None:  # rows that were lost come from recorded replies, whatever the limit
            chosen += self._output.lost.difference(chosen)
        if chosen is not None and self._reorder is not None:
            chosen.sort()
        # With ordered rows the reorder buffer wants rising positions.
        last = self._store.refused_before if self._reorder is None else frozenset[int]()
        deal(self._shares, self._plan, chosen, last=last, taken=(done, failed))

    def _add_worker(self, share: Share) -> None:
        share.workers += 1
        task = asyncio.get_running_loop().create_task(self._work(share))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, share: Share) -> None:
        try:
            while not self._stop and share.working and share.workers - share.waiting <= share.width:
                if self._stop.is_paused:
                    await self._stop.go_on()
                position = None if self._stop else share.next_position()
                if position is None:
                    return
                if self._reorder is not None and not await self._reorder.enter(position, share):
                    return
                calls = self._sender.tally.calls
                await self._process(self._store.item_at(self._plan, position), share)
                if self._sender.tally.calls == calls:
                    # Replies from the ledger need no waiting, but saving and stopping need time on the loop.
                    await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001 - a fault of ours or of the store: the run stops and raises it
            cause = StopCause.OUTPUT if isinstance(error, OutputWriteError) else StopCause.FAULT
            self._stop.now(cause, f"{type(error).__name__}: {error}", error)
        finally:
            share.workers -= 1
            if share.workers == 0 and not self._stop:
                share.ended = True
                if self._reorder is not None:
                    self._reorder.look()
                self._share_out()
                if self._desk is not None:
                    self._desk.look()

    def _unfinished(self) -> set[asyncio.Task[None]]:
        """What the run waits for."""
        if self._desk is None or not self._desk.is_busy:
            return self._tasks
        return self._tasks | self._desk.tasks

    def _resume(self, share: Share, positions: Iterator[int]) -> None:
        """Goes on with items that have waited for a batch, before others."""
        share.again.append(positions)
        if share.ended:
            share.ended = False
            self._working.append(share)
        self._share_out()
        if not share.workers:
            self._add_worker(share)

    def _share_out(self) -> None:
        self._working = [share for share in self._working if not share.ended]
        most_in_flight = self._admission.total
        if len(self._working) > most_in_flight and all(
            share.width == (share.chosen or 1) == 1 for share in self._working
        ):
            return  # with more shares than slots, each goes on with one item
        share_out(self._working, most_in_flight)
        for share in self._working:
            while not share.ended and share.workers - share.waiting < share.width:
                self._add_worker(share)

    def _waiting(self, share: Share, change: int) -> None:
        """Called when an item begins or ends a wait without a slot, which others use in between."""
        share.waiting += change
        if change > 0 and share.workers < _OPEN_PER_SLOT * share.width:
            self._add_worker(share)

    async def _process(self, item: WorkItem, share: Share) -> None:
        record = self._store.open_item(item)
        calls_before = self._sender.tally.calls
        is_for_asking = record.is_for_asking
        try:
            best = await self._outcomes.of(item, record, share)
            if best is not None:
                record.unasked = None
        except ItemParked as parked:
            assert self._desk is not None  # noqa: S101 - nothing else parks
            if self._reorder is not None:
                self._reorder.leave(item.position)
            self._desk.wait(parked, record, share)
            return
        replayed = calls_before == self._sender.tally.calls and not record.reopened
        if best is not None and best.replayed is not None:
            replayed = best.replayed
        if best is None or (best.error and self._stop) or is_for_asking:
            if self._reorder is not None:
                self._reorder.leave(item.position)
            self._end_with(best)
        elif self._reorder is None:
            self._finish(record, best, share, replayed=replayed)
        else:
            self._reorder.finish(item.position, functools.partial(self._finish, record, best, share, replayed=replayed))

    def _finish(self, record: ItemRecord, outcome: Outcome, share: Share, *, replayed: bool) -> None:
        failure = failure_of(record, outcome, outcome.error) if outcome.error else None
        new = self._store.finish_item(record, outcome.lines, outcome.filtered, failure, outcome.changed)
        self._watch.ended(outcome, new, failure, replayed=replayed)
        filtered = sum(not row.hidden for row in outcome.filtered) if outcome.filtered else 0
        if (new or filtered) and self._emit.listening:
            self._emit(
                ItemDone(
                    item=record.key.hex(),
                    provider=share.label,
                    rows=new,
                    filtered=filtered,
                    replayed=replayed,
                )
            )
        if failure:
            self._emit(
                ItemFailed(
                    item=record.key.hex(),
                    provider=failure.provider,
                    category=failure.category,
                    error=failure.error,
                    rows=failure.rows,
                )
            )
        self._end_with(outcome)

    def _end_with(self, outcome: Outcome | None) -> None:
        """Ends the run with an item that says so."""
        if outcome is not None and outcome.error and outcome.error.ends_run:
            self._stop.now(StopCause.ITEM, str(outcome.error))

    # -- beginning and end

    def _announce(self, *, is_first: bool) -> None:
        counts, targets = self._store.counts, self._job.targets
        if not is_first:
            self._emit(
                RoundStarted(
                    requested=counts.requested,
                    written=counts.written,
                    filtered=counts.filtered,
                    failed=counts.failed,
                )
            )
            return
        self._emit(
            RunStarted(
                requested=counts.requested,
                written=counts.written,
                filtered=counts.filtered,
                failed=counts.failed,
                output_file=self._job.paths.name,
                providers=[endpoint.label for endpoint in self._endpoints()],
                simulated=self._job.simulated,
                target=None if targets is None else targets.total,
                compares=bool(self._job.walk_stages),
            )
        )

    def _endpoints(self) -> list[Endpoint]:
        return list(dict.fromkeys(endpoint for share in self._shares for endpoint in share.endpoints))

    def _check_in_background(self) -> asyncio.Future[None] | None:
        check = self._output.deep_check
        if check is None:
            return None

        async def watch(check: Callable[[Callable[[], bool]], None]) -> None:
            try:
                await asyncio.to_thread(check, lambda: bool(self._stop) or self._is_broken_off)
            except Exception as error:  # noqa: BLE001 - handed to the caller of the run by `execute`
                self._stop.now(StopCause.OUTPUT, str(error), error)

        return asyncio.ensure_future(watch(check))

    async def _close(self) -> None:
        try:
            settle = functools.partial(settled, decider=self._parts.decider, emit=self._emit)
            cause, reason = why_stopped(self._parts)
            await self._store.close(stop_reason=reason or "", stop_cause=cause or "", settle=settle)
        except OutputWriteError as error:
            self._stop.now(StopCause.OUTPUT, str(error), error)
