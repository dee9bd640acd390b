"""Waiting until one request may be sent: for a slot, for the budget, and for the pace that a provider allows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from datafast.engine.stop import ItemPending, StopSignal
from datafast.errors import ConfigError, OutputWriteError
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.calls.admission import Admission
    from datafast.engine.calls.budget import Booking, Cashier
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.store.records import Bound
    from datafast.store.writer import Store

__all__ = ["Turns"]

_LOOK_S = 0.25


class Turns:
    """The turns of one run's requests.

    Raises:
        ItemPending: from every method: the run has stopped, or the provider has.
    """

    def __init__(self, *, store: Store, admission: Admission, stop: StopSignal, cashier: Cashier) -> None:
        self._store = store
        self._admission = admission
        self._stop = stop
        self._cashier = cashier

    async def take(self, call: Call, tokens: int) -> Booking | None:
        """Waits until one request may be sent, takes a slot for it, and reserves what it can cost."""
        endpoint = call.endpoint
        if endpoint.starts_slowly:
            await self._prepare(endpoint)
        if not (self._cashier.has_budget or endpoint.gate.is_paced) and self._enters_at_once(endpoint):
            return None
        while True:
            bound = await self._enter(call)
            booking, goes = None, False
            try:
                booking = self._cashier.book(bound, endpoint)
                goes = not endpoint.gate.is_paced or await self._pace(endpoint, tokens)
            except OutputWriteError as error:
                self._stop.now(StopCause.OUTPUT, str(error), error)
                raise ItemPending from error
            finally:
                if not goes:
                    self._cashier.settle(booking, None, None)
                    self._admission.leave(endpoint.gate)
            if goes:
                return booking

    def _enters_at_once(self, endpoint: Endpoint) -> bool:
        """Takes a slot where there is nothing to wait for, as for nearly every request. Says whether."""
        self.check(endpoint)
        gate = endpoint.gate
        return endpoint.breaker.lets_all_through and gate.blocked_for() <= 0 and self._admission.enters_at_once(gate)

    async def _enter(self, call: Call) -> Bound | None:
        """Waits for a slot at a provider that is not paused, and for room in the budget. Returns the most that the request can use."""
        endpoint, gate = call.endpoint, call.endpoint.gate
        while True:
            self.check(endpoint)
            self.give_way(call)
            waits = endpoint.waits_for_proof and not call.is_proof
            if waits or (call.elsewhere is not None and endpoint.breaker.is_paused):
                await self._stop.sleep(_LOOK_S, endpoint.breaker.listeners)
                continue
            blocked = gate.blocked_for()
            if blocked > 0:
                await self.sleep_until(time.monotonic() + blocked, endpoint)
                continue
            await self._admission.enter(gate)
            waits = gate.blocked_for() > 0 or (endpoint.waits_for_proof and not call.is_proof)
            ready = not (endpoint.stopped or self._stop or waits)
            bound = self._cashier.prepare(call) if ready else None
            limit = self._cashier.passed_by(bound)
            if ready and limit is None:
                return bound
            self._admission.leave(gate)
            if limit is not None:
                await self._cashier.wait(limit, bound)

    async def _prepare(self, endpoint: Endpoint) -> None:
        """Lets it load what it needs. What cannot be loaded is the config's fault, and ends the run as such."""
        try:
            await endpoint.prepare()
        except ConfigError as error:
            self._stop.now(StopCause.PROVIDER, str(error), error)
            raise ItemPending from error

    async def _pace(self, endpoint: Endpoint, tokens: int) -> bool:
        """Waits for its turn. One after the other, so that one who wakes late puts off those behind and not the pace.

        Returns:
            Whether it may go. It may not while the provider is paused: those who wait here must not go all at once afterwards.
        """
        gate = endpoint.gate
        async with gate.turns:
            self.check(endpoint)
            while (left := gate.next_turn - time.monotonic()) > 0 and not endpoint.breaker.is_down:
                await self._stop.sleep(left, gate.sooner)
                self.check(endpoint)
            if endpoint.breaker.is_down:
                return False
            gate.book(tokens)
            return True

    def check(self, endpoint: Endpoint) -> None:
        """Raises ItemPending where nothing more is sent."""
        if self._store.broken:
            self._stop.now(StopCause.OUTPUT, str(self._store.broken), self._store.broken)
        if self._stop or endpoint.stopped:
            raise ItemPending

    def give_way(self, call: Call) -> None:
        """Raises ItemPending where another provider takes over, because this one is down."""
        if call.elsewhere is not None and call.endpoint.breaker.is_down and call.elsewhere():
            raise ItemPending

    async def sleep_until(self, moment: float, endpoint: Endpoint) -> None:
        """Sleeps until a moment (monotonic seconds), but not beyond the end of the run."""
        while (left := moment - time.monotonic()) > 0:
            await self._stop.sleep(left)
            self.check(endpoint)
