"""Ending a run early, or holding it, without losing what is in flight."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from datafast.types import StopCause

__all__ = ["ItemPending", "StopSignal"]

_LAST_WORK_S = 5.0  # what an interrupted run may still take for work of its own


class ItemPending(BaseException):
    """An item cannot be finished in this run and stays pending.

    Not an Exception, so that a kind that handles errors of its calls does not handle the end of the run.
    """


class StopSignal:
    """Stops a run. Sleeping and waiting tasks wake up at once; requests in flight land.

    The run sets `in_flight`, which gives their number by provider.

    Attributes:
        is_paused: whether nothing new is to begin; `go_on` waits for it. `Steering` sets it.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.cause: StopCause | None = None
        self.error: BaseException | None = None
        self.in_flight: Callable[[], dict[str, int]] = dict
        self.is_paused = False
        self._since = 0.0
        self._held: list[asyncio.Future[int | None]] = []
        self._sleepers: set[asyncio.Future[Any]] = set()

    def __bool__(self) -> bool:
        return self.reason is not None

    def now(self, cause: StopCause, reason: str, error: BaseException | None = None) -> None:
        """Stops admitting requests. The first cause and reason are reported; a reason has no full stop at its end."""
        if self.reason is None:
            self.cause = cause
            self.reason = reason.removesuffix(".")
            self.error = error
            self._since = time.monotonic()
        self.wake()

    def is_over(self, grace_s: float) -> bool:
        """Whether the run was stopped, and the seconds for requests in flight to land are over."""
        return self.reason is not None and time.monotonic() - self._since > grace_s

    def waits(self, since: float) -> bool:
        """Whether there is time for work that nobody asks a provider for, and that has begun at `since` (monotonic seconds)."""
        is_interrupted = self.cause is StopCause.INTERRUPTED
        return not is_interrupted or time.monotonic() - max(since, self._since) < _LAST_WORK_S

    def wake(self) -> None:
        """Wakes every sleeper, which checks again whether it may go on."""
        for sleeper in self._sleepers:
            _end(sleeper)

    async def sleep(self, seconds: float, queue: deque[asyncio.Future[None]] | None = None) -> None:
        """Sleeps until the time is over, the run is stopped, or somebody sets its future in `queue`."""
        if self.reason is not None or seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _end, sleeper)
        self._sleepers.add(sleeper)
        if queue is not None:
            queue.append(sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleepers.discard(sleeper)
            if queue is not None:
                queue.remove(sleeper)

    async def hold(self, sleeper: asyncio.Future[int | None]) -> int | None:
        """Waits for a future. Returns None where the run is stopped first."""
        self._sleepers.add(sleeper)
        try:
            return await sleeper
        finally:
            self._sleepers.discard(sleeper)

    async def go_on(self) -> None:
        """Waits while the run is paused, but not beyond its end."""
        while self.is_paused and self.reason is None:
            sleeper: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
            self._held.append(sleeper)
            await self.hold(sleeper)

    def let_go_on(self) -> None:
        """Ends a pause."""
        self.is_paused = False
        held, self._held = self._held, []
        for sleeper in held:
            _end(sleeper)

    async def park(self, queue: deque[asyncio.Future[None]]) -> None:
        """Waits in a queue until somebody sets its future, or the run is stopped."""
        if self.reason is not None:
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(sleeper)
        self._sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            self._sleepers.discard(sleeper)


def _end(sleeper: asyncio.Future[Any]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
