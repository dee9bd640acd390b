"""A worker: it works on the items that a driver gives it, and tells what happens."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from datafast._util.version import VERSION
from datafast.engine.remote.crew import WorkerLostError
from datafast.engine.remote.worker_engine import opened_engine
from datafast.errors import ConfigError, DatafastError

if TYPE_CHECKING:
    from datafast.engine.remote.messages import Orders, Report, Setup
    from datafast.engine.remote.worker_engine import WorkerEngine

__all__ = ["Worker"]


class Worker:
    """One worker. `begin` it for each opening of an output, then `exchange` until that is over, and `end` it. All on one event loop."""

    def __init__(self) -> None:
        self._engine: WorkerEngine | None = None
        self._opened = contextlib.AsyncExitStack()
        self._one_at_a_time = asyncio.Lock()  # a driver may not have waited for a beginning that took long

    async def begin(self, setup: Setup) -> None:
        """Opens the providers. Sends nothing.

        Raises:
            ConfigError: it cannot.
        """
        if setup.version != VERSION:
            raise ConfigError(
                f"It has datafast {VERSION}, and the driver {setup.version}. Install the same everywhere."
            )
        async with self._one_at_a_time:
            await self._end()
            self._opened = contextlib.AsyncExitStack()
            self._engine = await self._opened.enter_async_context(opened_engine(setup))

    async def exchange(self, orders: Orders) -> Report:
        """Takes orders, and reports when there is something to tell, or the time is over that they allow.

        Raises:
            WorkerLostError: its lease has lapsed in between, so it has to begin anew.
        """
        engine = self._engine
        if engine is None:
            raise DatafastError("The worker has not begun.")
        if engine.has_lapsed:
            raise WorkerLostError(
                "The worker has given up what it had, since it had not heard of the driver for so long."
            )
        engine.take(orders)
        await engine.outbox.news(orders.wait_s)
        return engine.report()

    async def last_words(self) -> Report:
        """What is left to tell once its lease has lapsed. Nothing is sent from here on, and what is in flight is not waited for."""
        engine = self._engine
        if engine is None:
            raise WorkerLostError("The worker has begun anew, or has ended.")
        await engine.abandon()
        engine.give_back_bookings()
        return engine.report()

    def nudge(self) -> None:
        """Lets the exchange that is going on end at once."""
        if self._engine is not None:
            self._engine.outbox.wake()

    async def end(self) -> None:
        """Ends everything. What is in flight is not waited for."""
        async with self._one_at_a_time:
            await self._end()

    async def _end(self) -> None:
        self._engine = None
        await self._opened.aclose()
