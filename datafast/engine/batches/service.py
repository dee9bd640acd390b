"""A provider's batch service during one run: asking it patiently, and what is known about it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from datafast._util.notify import warn_user
from datafast.engine.batches.description import described
from datafast.engine.events import BatchDelayed
from datafast.engine.stop import ItemPending
from datafast.errors import Action, ErrorKind, ProviderError

if TYPE_CHECKING:
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.event_log import Emitter
    from datafast.engine.stop import StopSignal
    from datafast.llms.batches.base import BatchBackend

__all__ = ["FIRST_WAIT_S", "LONGEST_WAIT_S", "Service", "growing"]

T = TypeVar("T")

FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = 600.0
_GROWS = 1.5
_MOST_BAD = 5
_TRANSFERS = 4  # at once: many large ones side by side would each take longer than gateways allow a request


def growing(wait_s: float) -> float:
    """The wait after one of so many seconds; 0.0 for none yet."""
    return min(max(FIRST_WAIT_S, wait_s * _GROWS), LONGEST_WAIT_S)


class Service:
    """The batch service of one endpoint.

    Attributes:
        takes: whether new calls go into batches.
        gives_up: whether what is under way is to be cancelled.
        forgets_unknown: whether a batch that it does not know is closed.
        refusal: why it takes nothing any more; None while it works.
        listeners: woken where something has changed for its batches.
        described: its provider as JSON, from which it can be made again; empty if it cannot.
        transfers: held while requests are uploaded, or results downloaded.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        backend: BatchBackend,
        *,
        stop: StopSignal,
        emit: Emitter,
        stop_endpoint: Callable[[Endpoint, str], None],
        takes: bool,
    ) -> None:
        self.endpoint = endpoint
        self.backend = backend
        self.takes = takes
        self.gives_up = False
        self.forgets_unknown = False
        self.described = described(endpoint.provider)
        self.refusal: ProviderError | None = None
        self.transfers = asyncio.Semaphore(_TRANSFERS)
        self._bad = (
            0  # batches in a row in which nothing but faults came back; those of them that are not their calls' fault
        )
        self._its_fault = 0
        self.listeners: deque[asyncio.Future[None]] = deque()
        self._stop = stop
        self._emit = emit
        self._stop_endpoint = stop_endpoint

    @property
    def discount(self) -> float | None:
        return self.endpoint.provider.batch_discount

    def wake(self) -> None:
        """Lets its batches look anew."""
        for listener in self.listeners:
            if not listener.done():
                listener.set_result(None)

    def refuse(self, error: ProviderError) -> None:
        """Takes no more calls in this run. Batches that are under way are collected, as far as that can be done."""
        self.refusal = self.refusal or error

    def stop(self) -> None:
        """Stops its endpoint, which has refused."""
        self._stop_endpoint(self.endpoint, str(self.refusal))

    def works(self) -> None:
        """A batch came back with answers."""
        self._bad = self._its_fault = 0

    async def after_faults(self, error: ProviderError, batch: str, *, is_to_blame: bool) -> None:
        """Waits after a batch in which nothing but faults came back, and gives up after some in a row.

        Args:
            is_to_blame: whether it is the service's fault, as far as can be told.

        Raises:
            ItemPending: as `check`.
        """
        self._bad += 1
        self._its_fault += is_to_blame
        if self._its_fault > _MOST_BAD:
            self.refuse(error)
            return
        wait_s = 0.0
        for _ in range(2 * self._bad):
            wait_s = growing(wait_s)
        self.delayed(batch, error, wait_s)
        await self.sleep(wait_s)

    def withdraw(self, error: ProviderError) -> None:
        """Takes no more calls, because there is no such service: they go online."""
        if self.takes:
            self.takes = False
            warn_user(f"{error} Its calls are sent online.")
        self.wake()

    def check(self) -> None:
        """Raises ItemPending where the run has stopped."""
        if self._stop:
            raise ItemPending

    async def go_on(self) -> None:
        """Waits while the run is paused.

        Raises:
            ItemPending: as `check`.
        """
        await self._stop.go_on()
        self.check()

    async def sleep(self, seconds: float) -> None:
        """Sleeps, but not beyond the end of the run, and not if it is woken.

        Raises:
            ItemPending: as `check`.
        """
        self.check()
        await self._stop.sleep(seconds, self.listeners)
        self.check()

    async def patiently(
        self, ask: Callable[[], Awaitable[T]], *, batch: str = "", resting: Callable[[bool], None]
    ) -> T:
        """Asks the service until it answers. An outage may last as long as it will: what is under way goes on without us.

        Args:
            batch: the id of the batch, for events.
            resting: called with True and False around a wait.

        Raises:
            ItemPending: the run has stopped, or the service refuses for good.
        """
        wait_s = 0.0
        while True:
            self.check()
            try:
                return await ask()
            except ProviderError as error:
                if not passes(error):
                    self.refuse(error)
                    raise ItemPending from error
                wait_s = growing(wait_s)
                self.delayed(batch, error, max(wait_s, error.retry_after_s or 0.0))
                resting(True)
                await self.sleep(max(wait_s, error.retry_after_s or 0.0))
                resting(False)

    def delayed(self, batch: str, error: ProviderError | str, wait_s: float) -> None:
        self._emit(BatchDelayed(provider=self.endpoint.label, batch=batch, reason=str(error), wait_s=wait_s))


def passes(error: ProviderError) -> bool:
    """Whether the same may work later."""
    return error.kind is ErrorKind.RATE_LIMITED or error.kind.action is Action.RETRY
