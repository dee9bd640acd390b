"""Between a request and the budget: books its upper bound before it is sent, settles it afterwards, waits where money is short."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from datafast.engine.calls.budget import Bound, Budget, Spent, upper_bound
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.emitter import Emitter
from datafast.engine.events import BudgetReached
from datafast.engine.settings import RunConfig
from datafast.engine.stop import Halt
from datafast.llms.base import Request
from datafast.store.writer import Store
from datafast.types import Usage

__all__ = ["Booking", "Cashier"]


class Booking(NamedTuple):
    """A request that the budget has been charged with: its number in the store, and its upper bound."""

    number: int
    bound: Bound


class Cashier:
    """Keeps the budget of one run. Where the config sets none, everything here does nothing at no cost."""

    def __init__(self, settings: RunConfig, spent: Spent, *, store: Store, halt: Halt, emit: Emitter) -> None:
        self._budget = Budget(settings, spent) if settings.has_budget else None
        self._store = store
        self._halt = halt
        self._emit = emit
        self._waiting: deque[asyncio.Future[None]] = deque()

    def bound(self, request: Request, endpoint: Endpoint) -> Bound | None:
        return upper_bound(request, endpoint.provider) if self._budget else None

    def passed_by(self, bound: Bound | None) -> str | None:
        """The name of the limit that the request could pass, None where it may be sent."""
        return self._budget.passed_by(bound) if self._budget and bound else None

    def book(self, bound: Bound | None, endpoint: Endpoint) -> Booking | None:
        """Reserves a request's bound, in memory and in the journal.

        Raises:
            OutputWriteError: the reservation could not be saved.
        """
        if self._budget is None or bound is None:
            return None
        number = self._store.reserve(endpoint.label, bound)
        self._budget.reserve(bound)
        return Booking(number, bound)

    def settle(
        self, booking: Booking | None, usage: Usage | None, cost_usd: float | None, *, maybe_paid: bool = False
    ) -> None:
        """A booked request has ended.

        Args:
            usage, cost_usd: what its reply says it used, None where none came or it does not say.
            maybe_paid: without usage, whether it may have been paid for all the same.
        """
        if self._budget is None or booking is None:
            return
        charged = maybe_paid and usage is None
        self._budget.settle(booking.bound, usage, cost_usd, charged=charged)
        if not self._store.broken:
            self._store.release(booking.number, charged=charged)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def wait(self, limit: str) -> None:
        """Waits for a request in flight to use less than was reserved for it; where there is none, ends the run."""
        if self._budget is None:
            return
        if self._budget.num_reserved:
            await self._halt.park(self._waiting)
        elif not self._halt:
            used, allowed = self._budget.state(limit)
            self._emit(BudgetReached(limit=limit, used=used, allowed=allowed))
            self._halt.now(self._budget.describe(limit))
