"""The run loop: workers pull items from the lazy plan, `outcomes` turns each into rows, the store saves them.

Each share has its own cursor and its own workers, so a provider that waits or has stopped never delays another. There is no task per
planned item: a share has at most four times its concurrency of items open, and more than its concurrency only while some wait for a retry.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from datafast._util.notify import warn_user
from datafast.engine.assembly import Parts, assembled
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.events import ItemDone, ItemFailed, RunEnded, RunStarted
from datafast.engine.job import Job
from datafast.engine.outcomes import Outcome, Outcomes, failure_of
from datafast.engine.shares import Share, deal, share_out
from datafast.engine.stop import StopSignal
from datafast.errors import OutputWriteError
from datafast.plan.grid import spread
from datafast.plan.items import WorkItem
from datafast.store.records import by_category, by_provider, by_stage
from datafast.types import ProviderUsage, RunReport, StopCause

if TYPE_CHECKING:
    from datafast.store.records import ItemRecord

__all__ = ["run_job"]

_OPEN_PER_SLOT = 4
_LOOK_S = 0.5  # how often it is checked whether the grace of an interruption is over


async def run_job(job: Job, stop: StopSignal) -> RunReport:
    """Carries out a job, inside the event loop.

    Raises:
        ConfigError: a key is missing, or the providers do not fit together; nothing was sent.
        OutputError: the output cannot be used, or became unusable during the run (it was edited, for instance).
        Exception: the error of an event callback; everything is saved first.
    """
    async with assembled(job, stop) as parts:
        report = await _Run(parts).execute()
        if job.on_report is not None:
            job.on_report(report)
        return report


class _Run:
    """One run over an open output. `execute` is called once."""

    def __init__(self, parts: Parts) -> None:
        self._job = parts.job
        self._plan = parts.job.plan
        self._settings = parts.job.settings
        self._output = parts.output
        self._store = parts.output.store
        self._shares = parts.shares
        self._most_in_flight = parts.most_in_flight
        self._sender = parts.sender
        self._outcomes = Outcomes(parts)
        self._reorder = parts.reorder
        self._emit = parts.emit
        self._stop = parts.stop
        self._working = list(parts.shares)
        for share in self._shares:
            share.on_wait = functools.partial(self._waiting, share)
        self._tasks: set[asyncio.Task[None]] = set()

    async def execute(self) -> RunReport:
        """Works until everything is done, failed or unreachable, saves it and returns the report."""
        started = time.monotonic()
        self._announce()
        self._distribute()
        checking = self._check_in_background()
        self._share_out()
        try:
            while self._tasks and not self._stop.is_over(self._settings.grace_s):
                await asyncio.wait(self._tasks, timeout=_LOOK_S)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if checking is not None:
                await checking
            if self._reorder is not None:
                self._reorder.flush()
            await self._close()
        report = self._report(time.monotonic() - started)
        self._emit(RunEnded(report=report))
        for remark in self._remarks(report):
            warn_user(remark)
        if self._stop.error is not None and not isinstance(self._stop.error, OutputWriteError):
            raise self._stop.error
        return report

    def _remarks(self, report: RunReport) -> Iterator[str]:
        """What the counts alone do not tell."""
        tally = self._sender.tally
        if report.filtered == report.requested > 0:
            yield (
                f"All {report.filtered:,} rows were filtered, so {report.output_file} is empty. Check the stages under quality."
            )
        if tally.cut:
            yield (
                f"{tally.cut:,} texts were cut at the output-token limit and kept, as run.on_truncation says. "
                "Raise max_completion_tokens to have them whole."
            )
        if tally.replaced:
            yield (
                f"{'1 reply has' if tally.replaced == 1 else f'{tally.replaced:,} replies have'} characters that no text can hold "
                "(half a surrogate pair, bytes that are not UTF-8). "
                "The rows have U+FFFD in their place. Search them for it."
            )

    # -- shares and workers

    def _distribute(self) -> None:
        done, failed = self._output.done, self._output.failed
        limit = self._job.limit
        chosen = None if limit is None else spread(self._plan, limit, seed=self._settings.seed)
        if chosen is not None:  # rows that were lost come from recorded replies, whatever the limit
            chosen += self._output.lost.difference(chosen)
        if chosen is not None and self._reorder is not None:
            chosen.sort()
        # With ordered rows the reorder buffer wants rising positions.
        last = self._store.refused_before if self._reorder is None else frozenset[int]()
        skip = (lambda position: position in done or position in failed) if failed else done.__contains__
        deal(self._shares, self._plan, chosen, last=last, skip=skip)

    def _add_worker(self, share: Share) -> None:
        share.workers += 1
        task = asyncio.get_running_loop().create_task(self._work(share))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, share: Share) -> None:
        try:
            while not self._stop and share.working and share.workers - share.waiting <= share.width:
                position = next(share.positions, None)
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

    def _share_out(self) -> None:
        self._working = [share for share in self._working if not share.ended]
        if len(self._working) > self._most_in_flight and all(share.width == 1 for share in self._working):
            return  # with more shares than slots, each goes on with one item
        share_out(self._working, self._most_in_flight)
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
        best = await self._outcomes.best(item, record, share)
        replayed = calls_before == self._sender.tally.calls
        if best is not None and best.lines and (self._job.stages or record.filtered):
            best = self._outcomes.decided(item, record, best, share)
        if best is None or (best.error and self._stop):
            if self._reorder is not None:
                self._reorder.leave(item.position)
        elif self._reorder is None:
            self._finish(record, best, share, replayed=replayed)
        else:
            self._reorder.finish(item.position, functools.partial(self._finish, record, best, share, replayed=replayed))

    def _finish(self, record: ItemRecord, outcome: Outcome, share: Share, *, replayed: bool) -> None:
        failure = failure_of(record, outcome, outcome.error) if outcome.error else None
        new = self._store.finish_item(record, outcome.lines, outcome.filtered, failure)
        if (new or outcome.filtered) and self._emit.listening:
            self._emit(
                ItemDone(
                    item=record.key.hex(),
                    provider=share.label,
                    rows=new,
                    filtered=len(outcome.filtered),
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
        if outcome.error and outcome.error.ends_run:
            self._stop.now(StopCause.ITEM, str(outcome.error))

    # -- beginning and end

    def _announce(self) -> None:
        counts = self._store.counts
        self._emit(
            RunStarted(
                requested=counts.requested,
                written=counts.written,
                filtered=counts.filtered,
                failed=counts.failed,
                output_file=str(self._store.path),
                providers=[endpoint.label for endpoint in self._endpoints()],
                simulated=self._job.simulated,
            )
        )

    def _endpoints(self) -> list[Endpoint]:
        return list(dict.fromkeys(endpoint for share in self._shares for endpoint in share.endpoints))

    def _check_in_background(self) -> asyncio.Future[None] | None:
        check = self._output.deep_check
        if check is None:
            return None

        async def watch(check: Callable[[], None]) -> None:
            try:
                await asyncio.to_thread(check)
            except Exception as error:  # noqa: BLE001 - handed to the caller of the run by `execute`
                self._stop.now(StopCause.OUTPUT, str(error), error)

        return asyncio.ensure_future(watch(check))

    async def _close(self) -> None:
        try:
            await self._store.close(stop_reason=self._why_stopped()[1] or "")
        except OutputWriteError as error:
            self._stop.now(StopCause.OUTPUT, str(error), error)

    def _stopped_providers(self) -> dict[str, str]:
        return {endpoint.label: endpoint.stopped for endpoint in self._endpoints() if endpoint.stopped}

    def _why_stopped(self) -> tuple[StopCause | None, str | None]:
        """What ended the run early, and why in words. A stopped provider is the reason if rows are pending because of it."""
        stopped = self._stopped_providers()
        if self._stop.reason is None and self._store.counts.pending and stopped:
            return StopCause.PROVIDER, "; ".join(why.rstrip(".") for why in stopped.values())
        return self._stop.cause, self._stop.reason

    def _report(self, elapsed_s: float) -> RunReport:
        counts, tally = self._store.counts, self._sender.tally
        used = ProviderUsage()
        for usage in tally.used.values():
            used.add(usage)
        stop_cause, stop_reason = self._why_stopped()
        return RunReport(
            requested=counts.requested,
            written=counts.written,
            filtered=counts.filtered,
            failed=counts.failed,
            pending=counts.pending,
            removed=counts.removed,
            calls=tally.calls,
            retries=tally.retries,
            replayed=tally.replayed,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cost_usd=used.cost_usd,
            elapsed_s=elapsed_s,
            output_file=str(self._store.path),
            simulated=self._job.simulated,
            stop_reason=stop_reason,
            stop_cause=stop_cause,
            filtered_by_stage=by_stage(self._store.filtered),
            failures=by_category(self._store.failures),
            failures_by_provider=by_provider(self._store.failures),
            usage_by_provider={name: replace(usage) for name, usage in tally.used.items()},
            stopped_providers=self._stopped_providers(),
            set_aside=[str(path) for path in (*self._output.set_aside, *self._store.saved)],
        )
