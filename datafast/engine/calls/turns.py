"""Waiting until one request may be sent: for a slot, for the budget, and for the pace that a provider allows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from datafast.engine.stop import ItemPending, StopSignal
from datafast.errors import ConfigError, OutputWriteError
from datafast.logger_config import logger
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.calls.admission import Admission
    from datafast.engine.calls.books import CallBooks
    from datafast.engine.calls.budget import Booking, Cashier
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint

__all__ = ["Turns"]

_LOOK_S = 0.25


class Turns:
    """The turns of one run's requests.

    Raises:
        ItemPending: from every method: the run has stopped, or the provider has.
    """

    def __init__(self, *, store: CallBooks, admission: Admission, stop: StopSignal, cashier: Cashier) -> None:
        self._store = store
        self._admission = admission
        self._stop = stop
        self._cashier = cashier
        self._paced: set[str] = set()

    async def take(self, call: Call, tokens: int) -> Booking | None:
        """Waits until one request may be sent, takes a slot for it, and reserves what it can cost."""
        endpoint = call.endpoint
        if endpoint.starts_slowly:
            await self._prepare(endpoint)
        if not self._cashier.has_budget and self._enters_at_once(call, tokens):
            return None
        while True:
            await self._look(call)
            self._tell_pace(endpoint)
            number = await self._admission.enter(endpoint.gate, place=call.place, tokens=tokens)
            if number is None:
                continue
            goes, limit, bound = False, None, None
            try:
                if self._may_go(call):
                    bound = self._cashier.prepare(call)
                    limit = self._cashier.passed_by(bound)
                    if limit is None:
                        booking = self._cashier.book(bound, endpoint)
                        call.number = number
                        goes = True
                        return booking
            except OutputWriteError as error:
                self._stop.now(StopCause.OUTPUT, str(error), error)
                raise ItemPending from error
            finally:
                if not goes:
                    self._admission.leave_unsent(endpoint.gate, tokens)
            if limit is not None:
                await self._cashier.wait(limit, bound)

    def _tell_pace(self, endpoint: Endpoint) -> None:
        """Logs once, for whoever wonders what a run waits for, that it is a limit of the config."""
        if endpoint.label in self._paced or (limit := endpoint.gate.paced_by) is None:
            return
        self._paced.add(endpoint.label)
        logger.info(
            f"{endpoint.label}: Requests wait for their turn, as {limit} is {getattr(endpoint.provider, limit):,} a minute."
        )

    def _enters_at_once(self, call: Call, tokens: int) -> bool:
        """Takes a slot where there is nothing to wait for, as for nearly every request. Says whether."""
        endpoint = call.endpoint
        self.check(endpoint)
        if not endpoint.breaker.lets_all_through:
            return False
        number = self._admission.enters_at_once(endpoint.gate, tokens)
        call.number = number or 0
        return number is not None

    async def _look(self, call: Call) -> None:
        """Waits while its provider is not to be asked at all, or lets another one take over."""
        endpoint = call.endpoint
        while True:
            self.check(endpoint)
            self.give_way(call)
            waits = endpoint.waits_for_proof and not call.is_proof
            if not waits and (call.elsewhere is None or not endpoint.breaker.is_paused):
                return
            await self._stop.sleep(_LOOK_S, endpoint.breaker.listeners)

    def _may_go(self, call: Call) -> bool:
        """Whether one that was given a slot may still use it: things may have changed before it woke."""
        endpoint = call.endpoint
        waits = endpoint.gate.closed_for() > 0.0 or (endpoint.waits_for_proof and not call.is_proof)
        return not (self._stop or self._stop.is_paused or endpoint.stopped or waits)

    async def _prepare(self, endpoint: Endpoint) -> None:
        """Lets it load what it needs. What cannot be loaded is the config's fault, and ends the run as such."""
        try:
            await endpoint.prepare()
        except ConfigError as error:
            self._stop.now(StopCause.PROVIDER, str(error), error)
            raise ItemPending from error

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
