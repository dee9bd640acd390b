"""The budget in a worker: bookings that the broker has made, each for one request.

A request takes the smallest booking that covers it. Where there is none, it waits until one comes. Where the broker says that there
will be no more, what there is can be used for a shorter reply, or the run ends, in the same words as in one process (`calls.budget`).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from datafast.engine.calls.budget import Booking, Budget, Cashier
from datafast.engine.remote.terms import Booked, Grant, Settled, Want
from datafast.store.records import Spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.event_log import Emitter
    from datafast.engine.settings import RunConfig
    from datafast.engine.stop import StopSignal
    from datafast.store.records import Bound
    from datafast.types import Usage

__all__ = ["LeasedCashier", "Wallet"]

_SOON_S = 0.3  # requests that land within this time are followed by others, which have to be booked by then
_REMEMBERED = 64  # bounds of requests, of which the greatest is asked for ahead
_HELD = 2  # bookings of a provider that nothing is known of


class Wallet(Budget):
    """The bookings of one worker, as a budget."""

    def __init__(self, settings: RunConfig) -> None:
        super().__init__(settings, Spent(0.0, 0, 0))
        self.is_last = False
        self.provider = ""  # the one for which a request is looked at
        self._free: dict[str, list[Booked]] = {}
        self._in_use: dict[int, Booked] = {}
        self._settled: list[Settled] = []
        self._unused: list[int] = []
        self._bounds: dict[str, deque[Bound]] = {}

    def take(self, grant: Grant) -> None:
        """Takes further bookings, and how the budget stands."""
        if grant.recalls:
            for free in self._free.values():
                self._unused += [booked.number for booked in free]
            self._free.clear()
        for booked in grant.booked:
            self._free.setdefault(booked.provider, []).append(booked)
        self.is_last, self.was_used = grant.is_last, grant.was_used
        self._used.update({name: used for name, (used, _) in grant.budget.items()})

    def tell(self) -> tuple[tuple[Settled, ...], tuple[int, ...]]:
        """What was settled since, and the numbers of bookings that are given back."""
        told = tuple(self._settled), tuple(self._unused)
        self._settled, self._unused = [], []
        return told

    def ahead(self, provider: str, *, landing_per_s: float, slots: int) -> Want | None:
        """What requests of a provider will need soon, beyond what is here."""
        bounds = self._bounds.get(provider)
        if not bounds:
            return None
        soon = min(slots, max(_HELD, math.ceil(_SOON_S * landing_per_s)))
        count = soon - len(self._free.get(provider, ()))
        most = type(bounds[0])(*(max(values) for values in zip(*bounds, strict=True)))
        return Want(provider, most, count, waits=False) if count > 0 else None

    def give_all_back(self) -> None:
        """Nothing more is sent: what is not used goes back."""
        for free in self._free.values():
            self._unused += [booked.number for booked in free]
        self._free.clear()

    def book(self, bound: Bound) -> int:
        """Takes the booking for a request, for which there is one."""
        booked = self._covering(bound)
        if booked is None:
            raise RuntimeError(f"a request of {self.provider} was to be sent without a booking")
        self._free[self.provider].remove(booked)
        self._in_use[booked.number] = booked
        self._bounds.setdefault(self.provider, deque(maxlen=_REMEMBERED)).append(bound)
        return booked.number

    def end(self, number: int, usage: Usage | None, cost_usd: float | None, *, maybe_paid: bool) -> None:
        """A booked request has ended."""
        del self._in_use[number]
        tokens = None if usage is None else usage.input_tokens + usage.output_tokens
        self._settled.append(Settled(number, tokens, cost_usd, charged=maybe_paid and usage is None))

    # -- as a budget

    @property
    def num_reserved(self) -> int:
        """How many requests may leave some room yet, here or elsewhere."""
        return len(self._in_use) + (not self.is_last)

    @num_reserved.setter
    def num_reserved(self, number: int) -> None:
        pass  # it follows from the bookings

    def passed_by(self, bound: Bound) -> str | None:
        if self._covering(bound) is not None:
            return None
        return super().passed_by(bound) or next(iter(self.states))

    def _covering(self, bound: Bound) -> Booked | None:
        covering = [
            booked
            for booked in self._free.get(self.provider, ())
            if booked.bound.usd >= bound.usd and booked.bound.tokens >= bound.tokens
        ]
        return min(covering, key=lambda booked: booked.bound, default=None)


class LeasedCashier(Cashier):
    """Keeps a run's budget in a worker.

    Args:
        on_news: called when there is something that the broker should know soon.
    """

    def __init__(
        self,
        settings: RunConfig,
        *,
        stop: StopSignal,
        emit: Emitter,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(settings, Spent(0.0, 0, 0), store=None, stop=stop, emit=emit)
        self.wallet = Wallet(settings) if self.has_budget else None
        self._budget = self.wallet
        self._on_news = on_news
        self._parked: list[Want] = []

    def take(self, grant: Grant) -> None:
        """Takes further bookings; who waits for one looks anew."""
        if self.wallet is not None:
            self.wallet.take(grant)
            if grant.booked or grant.is_last:
                self._wake()

    def wants(self, slots: dict[str, tuple[float, int]]) -> tuple[Want, ...]:
        """What is to be booked.

        Args:
            slots: by provider, requests that land in a second, and the most in flight.
        """
        if self.wallet is None or self._stop:
            return ()
        if self._parked:
            return tuple(self._parked)
        ahead = (self.wallet.ahead(name, landing_per_s=per_s, slots=most) for name, (per_s, most) in slots.items())
        return tuple(want for want in ahead if want is not None)

    def prepare(self, call: Call) -> Bound | None:
        if self.wallet is not None:
            self.wallet.provider = call.endpoint.label
        return super().prepare(call)

    def book(self, bound: Bound | None, endpoint: Endpoint) -> Booking | None:
        if self.wallet is None or bound is None:
            return None
        number = self.wallet.book(bound)
        self._wake()  # there may be a booking for one more
        return Booking(number, bound)

    def settle(
        self, booking: Booking | None, usage: Usage | None, cost_usd: float | None, *, maybe_paid: bool = False
    ) -> None:
        if self.wallet is None or booking is None:
            return
        self.wallet.end(booking.number, usage, cost_usd, maybe_paid=maybe_paid)
        self._wake()

    async def wait(self, limit: str, bound: Bound | None) -> None:
        if self.wallet is None or bound is None:
            return
        want = Want(self.wallet.provider, bound, 1, waits=True)
        self._parked.append(want)
        self._on_news()
        try:
            await super().wait(limit, bound)
        finally:
            self._parked.remove(want)
