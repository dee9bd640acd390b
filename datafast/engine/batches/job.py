"""One batch from its announcement to its end: submitted, found again, looked at now and then, collected.

Each step is in the ledger before the next one, so a run that is killed anywhere goes on from there. A batch whose id is not known may be
at its service or not. It is looked for, and only where it is not there, and its request cannot be on its way any more, it is submitted
again or given up.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datafast._util.notify import warn_user
from datafast.engine.batches.lookup import Lookup
from datafast.engine.batches.service import growing, passes
from datafast.engine.events import BatchEnded, BatchProgress, BatchSubmitted
from datafast.engine.stop import ItemPending
from datafast.errors import ErrorKind, ProviderError
from datafast.llms.batches.base import BatchState, BatchStatus, NoBatchService, ResultsGone, UnknownBatch
from datafast.store.batches import BatchPhase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from datafast.engine.batches.collecting import Collector
    from datafast.engine.batches.service import Service
    from datafast.engine.batches.waiting import Waiters
    from datafast.engine.event_log import Emitter
    from datafast.llms.batches.base import BatchReply
    from datafast.store.batch_book import BatchBook
    from datafast.store.batches import BatchRow

__all__ = ["BatchJob", "Errand"]

_PART = 200
_PART_SIZE = 1 << 22
_NO_BATCH = BatchStatus("", BatchState.ENDED)


@dataclass(frozen=True)
class Errand:
    """What all batches of a run have in common. `known_ids` are the services' ids of all batches of the output."""

    book: BatchBook
    emit: Emitter
    waits: bool
    known_ids: set[str]


class BatchJob:
    """One batch during one run.

    Args:
        spool: the file of its requests; None if an earlier run has announced it.
        scratch: where its results may be kept for a moment.

    Attributes:
        waiters: the items that wait for it.
        is_resting: nothing is being done about it, other than waiting.
        is_over: it is closed: nothing of it is open any more.
        was_cancelled: its service was asked for its end.
        num_forgotten: so many errors were not its calls' fault, as far as can be told.
    """

    def __init__(
        self,
        service: Service,
        collector: Collector,
        waiters: Waiters,
        errand: Errand,
        *,
        spool: Path | None,
        scratch: Path,
    ) -> None:
        self.service = service
        self.collector = collector
        self.waiters = waiters
        self.is_resting = False
        self.is_over = False
        self._errand = errand
        self._book = errand.book
        self._spool = spool
        self._scratch = scratch
        self.was_cancelled = False
        self.num_forgotten = 0
        self._refused_as: BatchStatus | None = None
        self._most_lost = 0  # answers that were paid for
        self._wait_s = 0.0  # before it is submitted again

    @property
    def row(self) -> BatchRow:
        return self.collector.row

    async def carry_out(self) -> None:
        """Carries it through to its end, or as far as this run is to wait.

        Raises:
            ItemPending: the run has stopped, or the service refuses to be asked; it stays open.
            OutputWriteError: something cannot be saved.
        """
        try:
            status = await self._until_over(await self._submit())
            if status is None:
                return
            if status.id:
                await self._collect(status)
            self.collector.leave_rest(most_paid=self._most_lost)
            self._close()
            left = status if status.id else self._refused_as
            if left is not None:
                await self._discard(left)
        finally:
            self.is_resting = True
            for path in (self._spool, self._scratch):
                if path is not None:
                    path.unlink(missing_ok=True)

    def _close(self) -> None:
        self.num_forgotten = self._book.close(self.row, forget_errors=self.collector.only_faults)
        self.is_over = True
        row = self.row
        self._errand.emit(
            BatchEnded(
                provider=row.provider,
                batch=row.service_id,
                answered=row.answered,
                failed=row.failed,
                not_answered=self.collector.not_answered,
                cost_usd=row.cost_usd,
            )
        )

    # -- submitting

    async def _submit(self) -> BatchStatus | None:
        """Sees to it that the service has the batch. Returns its status if it is news; one without an id if there is no such batch."""
        if self.row.phase is BatchPhase.SUBMITTED and self.row.service_id:
            return None
        uncertain, is_first = self._spool is None, not self._wait_s
        while True:
            if uncertain and (found := await self._find()) is not None:
                return self._submitted(found)
            if self._spool is None or self.service.gives_up:
                return _NO_BATCH
            if not is_first:
                self.collector.row = self._book.announce_again(self.row)
            is_first = False
            try:
                status = await self._upload(self._spool)
            except NoBatchService as error:
                self.service.withdraw(error)
                return _NO_BATCH
            except ProviderError as error:
                uncertain = error.maybe_paid or (error.status or 0) >= 500
                if not await self._may_go_again(error, uncertain=uncertain):
                    return _NO_BATCH
            else:
                return self._submitted(status)

    async def _upload(self, spool: Path) -> BatchStatus:
        async with self.service.transfers:
            await self.service.go_on()
            return await self.service.backend.submit(spool, tag=self.row.tag, num_requests=self.row.num_calls)

    async def _may_go_again(self, error: ProviderError, *, uncertain: bool) -> bool:
        """Waits after an error before it is submitted again. False where it must not be: the service refuses.

        Args:
            uncertain: the service may have it all the same, so it is looked for first.
        """
        if not passes(error):
            self.service.refuse(error)
            if uncertain:
                raise ItemPending from error
            return False
        self._wait_s = max(growing(self._wait_s), error.retry_after_s or 0.0)
        self.service.delayed("", error, self._wait_s)
        if not uncertain:
            await self._rest(self._wait_s)
        return True

    def _submitted(self, status: BatchStatus) -> BatchStatus:
        self.collector.row = self._book.submitted(self.row, status.id)
        self._errand.known_ids.add(status.id)
        look_s = growing(0.0) if self._errand.waits else None
        self._errand.emit(
            BatchSubmitted(provider=self.row.provider, batch=status.id, calls=self.row.num_calls, next_look_s=look_s)
        )
        return status

    async def _rest(self, seconds: float) -> None:
        self.is_resting = True
        await self.service.sleep(seconds)
        self.is_resting = False

    def _set_resting(self, value: bool) -> None:
        self.is_resting = value

    async def _find(self) -> BatchStatus | None:
        lookup = Lookup(
            self.service,
            self.row,
            known_ids=self._errand.known_ids,
            waits=self._errand.waits,
            scratch=self._scratch,
            rest=self._rest,
            resting=self._set_resting,
        )
        return await lookup.find()

    # -- waiting

    async def _until_over(self, status: BatchStatus | None) -> BatchStatus | None:
        """Looks at it until it has ended; None where the run is not to wait for it."""
        wait_s, is_new = 0.0, status is not None
        while True:
            if status is None:
                status = await self._look(self.row.service_id)
            if status.state is BatchState.REFUSED:
                status = await self._refused(status)
                continue
            if status.state is BatchState.ENDED:
                return status
            if self.service.gives_up and not self.was_cancelled:
                status = await self._cancel(status.id)
                self.was_cancelled = True
                wait_s = 0.0
                continue
            wait_s = growing(wait_s)
            if not is_new:
                self._tell(status, wait_s if self._errand.waits else None)
            if not self._errand.waits:
                return None
            is_new, status = False, None
            await self._rest(wait_s)

    async def _cancel(self, batch: str) -> BatchStatus:
        return await self._ask(batch, self.service.backend.cancel)

    async def _look(self, batch: str) -> BatchStatus:
        return await self._ask(batch, self.service.backend.status)

    async def _ask(self, batch: str, method: Callable[[str], Awaitable[BatchStatus]]) -> BatchStatus:
        """What the service says of a batch. One that it does not know is given up where the user wants that, and only there: it may
        belong to another key.
        """

        async def ask() -> BatchStatus:
            try:
                return await method(batch)
            except UnknownBatch as error:
                if not self.service.forgets_unknown:
                    raise
                warn_user(f"{error} It is given up now.")
                self._most_lost = self.row.num_calls
                return _NO_BATCH

        return await self.service.patiently(ask, batch=batch, resting=self._set_resting)

    async def _refused(self, status: BatchStatus) -> BatchStatus:
        """The service has taken it and then answered nothing. Submits it again if that may work later."""
        error = status.error or ProviderError(f"The batch {status.id} was refused.", kind=ErrorKind.SERVER)
        self._refused_as = status
        if self._spool is None or self.service.gives_up:
            if not passes(error):
                self.service.refuse(error)
            return _NO_BATCH
        if not await self._may_go_again(error, uncertain=False):
            return _NO_BATCH
        self.collector.row = self._book.announce_again(self.row)
        await self._discard(status)
        return await self._submit() or status

    def _tell(self, status: BatchStatus, next_look_s: float | None) -> None:
        row = self.row
        self._errand.emit(
            BatchProgress(
                provider=row.provider,
                batch=status.id,
                state=status.state.value,
                calls=row.num_calls,
                done=status.done,
                failed=status.failed,
                age_s=max(0.0, time.time() - row.submitted_at),
                next_look_s=next_look_s,
            )
        )

    # -- collecting

    async def _collect(self, status: BatchStatus) -> None:
        async def download() -> None:
            async with self.service.transfers:
                self.service.check()
                await self._download(status)

        await self.service.patiently(download, batch=status.id, resting=self._set_resting)

    async def _download(self, status: BatchStatus) -> None:
        part: list[BatchReply] = []
        size = 0
        try:
            async for reply in self.service.backend.replies(status, scratch=self._scratch):
                part.append(reply)
                size += len(reply.response.raw) if reply.response is not None else 0
                if len(part) >= _PART or size >= _PART_SIZE:
                    self.collector.take(part)
                    part, size = [], 0
                    await asyncio.sleep(0)
                    self.service.check()
        except ResultsGone as error:
            warn_user(f"{error} Requests whose replies are lost are asked again.")
            self._most_lost = status.done or self.row.num_calls
        self.collector.take(part)
        if self._most_lost:
            self._most_lost -= self.row.answered + self.row.failed

    async def _discard(self, status: BatchStatus) -> None:
        try:
            await self.service.backend.discard(status)
        except ProviderError as error:  # it is collected, and the service forgets it by itself
            self.service.delayed(status.id, f"Its files could not be removed: {error}", 0.0)
