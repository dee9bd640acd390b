"""A run in a thread of its own, and a provider that holds it, for tests that steer a run or look at it while it goes on."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from datafast.engine.control import RunControl
from datafast.engine.events import Event
from datafast.errors import RunStopped
from datafast.llms.base import Request, Response
from datafast.types import RunReport
from tests.support import CountingProvider, assert_balanced

__all__ = ["WAIT_S", "HeldProvider", "Running", "stays", "until", "wait_for"]

WAIT_S = 60.0


class Running:
    """A run in a thread of its own, and what it tells; `also` hears it first."""

    def __init__(
        self, dataset: Any, providers: Any, *, also: Callable[[Event], None] = lambda event: None, **options: Any
    ) -> None:
        self.control: RunControl = options.setdefault("control", RunControl())
        self.events: list[Event] = []
        self.error: BaseException | None = None
        self._news = threading.Condition()
        self._dataset = dataset
        self._also = also
        self._thread = threading.Thread(target=self._run, args=[providers, options], daemon=True)
        self._thread.start()

    def _run(self, providers: Any, options: dict[str, Any]) -> None:
        try:
            self._dataset.generate(providers, on_event=self._take, **options)
        except BaseException as error:
            self.error = error

    def _take(self, event: Event) -> None:
        self._also(event)
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def until(self, kind: type[Event], times: int = 1) -> Any:
        """Waits for the event of this number of its kind."""
        with self._news:
            assert self._news.wait_for(lambda: self.count(kind) >= times, WAIT_S), f"no {kind.__name__}"
        return [event for event in self.events if isinstance(event, kind)][times - 1]

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in list(self.events))

    def until_landed(self) -> None:
        """Waits until nothing is in flight."""
        wait_for(lambda: not any(one.in_flight for one in self.control.limits.providers))

    def join(self) -> None:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the run does not end"

    def ended(self) -> RunReport:
        self.join()
        if self.error is not None and not isinstance(self.error, RunStopped):
            raise self.error
        return assert_balanced(self._dataset.report)


class HeldProvider(CountingProvider):
    """A simulated provider whose requests land when they may: a run with it is where a test wants it, however slow the machine is.

    Attributes:
        lands: so many of its requests may land in all, those that were sent first; a test raises it.
        now: how many are in flight; `most`: how many there were at most.
    """

    def __init__(self, model_id: str | None = None, *, lands: float = math.inf, **options: Any) -> None:
        super().__init__(model_id, **options)
        self.lands = lands
        self.landed = self.now = self.most = 0

    def open(self, *, max_connections: int) -> Any:
        backend = super().open(max_connections=max_connections)
        backend._inner = _Held(self, backend._inner)
        return backend

    async def hold(self) -> None:
        """Returns when a request may land; after a while in any case, so that a test fails and does not hang."""
        until = time.monotonic() + WAIT_S
        while self.landed >= self.lands and time.monotonic() < until:
            await asyncio.sleep(0.005)
        self.landed += 1


class _Held:
    def __init__(self, provider: HeldProvider, inner: Any) -> None:
        self._provider = provider
        self._inner = inner

    async def complete(self, request: Request) -> Response:
        held = self._provider
        held.now += 1
        held.most = max(held.most, held.now)
        try:
            await held.hold()
            return await self._inner.complete(request)
        finally:
            held.now -= 1

    async def aclose(self) -> None:
        await self._inner.aclose()


def wait_for(is_so: Callable[[], bool], seconds: float = WAIT_S) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it never came so far"
        time.sleep(0.005)


async def until(is_so: Callable[[], bool]) -> None:
    """`wait_for` on an event loop, which stays free."""
    end = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end, "it never came so far"
        await asyncio.sleep(0.005)


def stays(read: Callable[[], object], seconds: float = 0.15) -> bool:
    """Whether something stays as it is, for some replies' time."""
    before = read()
    time.sleep(seconds)
    return read() == before
