"""Looking for a batch that was announced and whose id is not known: its service may have it or not.

Where the service keeps a tag, that tells. Elsewhere all batches that it may be are waited for, because only their results say whose they
are. None of its calls is bought again before that, nor before a request of a dead process can be on its way no more.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from datafast.engine.batches.service import growing
from datafast.engine.stop import ItemPending
from datafast.llms.batches.base import BatchState, BatchStatus, ResultsGone, UnknownBatch

if TYPE_CHECKING:
    from datafast.engine.batches.service import Service
    from datafast.store.batches import BatchRow

__all__ = ["Lookup"]

ON_ITS_WAY_S = 60.0
"""For so long a request may still reach its service after we have done with it: died, or given up waiting for the answer."""
_OVER = frozenset({BatchState.ENDED, BatchState.REFUSED})


class Lookup:
    """The search for one batch.

    Args:
        known_ids: the services' ids of other batches of the output.
        waits: whether the run waits for batches that may be this one.
        scratch: where results may be kept for a moment.
        rest: sleeps; `resting` is called with True and False around other waits.
    """

    def __init__(
        self,
        service: Service,
        row: BatchRow,
        *,
        known_ids: Collection[str],
        waits: bool,
        scratch: Path,
        rest: Callable[[float], Awaitable[None]],
        resting: Callable[[bool], None],
    ) -> None:
        self._service = service
        self._backend = service.backend
        self._row = row
        self._known_ids = known_ids
        self._waits = waits
        self._scratch = scratch
        self._rest = rest
        self._resting = resting
        self._not_ours: set[str] = set()  # batches whose results were read
        # Not since its announcement: the upload before the request that makes the batch may take longer than any wait here.
        self._given_up_at = time.time()

    async def find(self) -> BatchStatus | None:
        """The batch; None where the service does not have it, and will not.

        Raises:
            ItemPending: the run has stopped, or is not to wait until that is known; or the service refuses.
        """
        wait_s = 0.0
        while True:
            # What is asked before that time is over may be answered after it, and tells nothing of what came in between.
            left_s = self._given_up_at + ON_ITS_WAY_S - time.time()
            found = await self._found()
            own = [status for status in found if status.tag == self._row.tag]
            alive = [status for status in own if status.state is not BatchState.REFUSED]
            if alive:
                return alive[0]
            strangers = [status for status in found if not status.tag and self._may_be_ours(status)]
            are_over = all([await self._is_over(status) for status in strangers])
            if are_over:
                for status in strangers:
                    if await self._is_ours(status):
                        return status
                    self._not_ours.add(status.id)
            if are_over and left_s <= 0.0:
                return own[0] if own else None
            if not are_over and not self._waits:
                raise ItemPending  # a later run will know
            wait_s = growing(wait_s)
            await self._rest(min(left_s, wait_s) if are_over else wait_s)

    async def _found(self) -> list[BatchStatus]:
        row = self._row
        return await self._service.patiently(
            lambda: self._backend.find(tag=row.tag, since=row.announced_at, num_requests=row.num_calls),
            resting=self._resting,
        )

    def _may_be_ours(self, status: BatchStatus) -> bool:
        return status.id not in self._known_ids and status.id not in self._not_ours

    async def _is_over(self, status: BatchStatus) -> bool:
        async def look() -> bool:
            try:
                return (await self._backend.status(status.id)).state in _OVER
            except UnknownBatch:  # it was there a moment ago
                return True

        if status.state in _OVER:
            return True
        return await self._service.patiently(look, batch=status.id, resting=self._resting)

    async def _is_ours(self, status: BatchStatus) -> bool:
        """Whether a batch that has ended answers our requests. Any line may tell: others may be broken, or not ours."""

        async def look() -> bool:
            try:
                ended = await self._backend.status(status.id)
                async for reply in self._backend.replies(ended, scratch=self._scratch):
                    if reply.custom_id.startswith(self._row.tag):
                        return True
            except (UnknownBatch, ResultsGone):  # somebody has collected it, and removed its results
                pass
            return False

        return await self._service.patiently(look, batch=status.id, resting=self._resting)
