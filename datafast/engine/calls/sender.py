"""Getting one reply: admit, send, record, and after an error wait or stop.

A reply is recorded before it is looked at and before its slot is freed; a slot is never held while waiting for a retry.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datafast.engine.calls.admission import Admission, Backoff
from datafast.engine.calls.budget import Booking, Cashier
from datafast.engine.events import CallFinished, ProviderStopped, Retry
from datafast.engine.stop import ItemPending, StopSignal
from datafast.errors import Action, ConfigError, ErrorKind, OutputWriteError, ProviderError
from datafast.types import StopCause, Usage

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.event_log import Emitter
    from datafast.engine.settings import RunConfig
    from datafast.llms.base import Request, Response
    from datafast.store.records import Spent
    from datafast.store.writer import Store

__all__ = ["Sender", "Tally"]

_TOKENS_GUESSED = 500


@dataclass(slots=True)
class Tally:
    """This run's own counts."""

    calls: int = 0
    retries: int = 0
    replayed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0


class Sender:
    """Sends the requests of one run."""

    def __init__(
        self,
        *,
        store: Store,
        admission: Admission,
        stop: StopSignal,
        settings: RunConfig,
        spent: Spent,
        emit: Emitter,
    ) -> None:
        self.tally = Tally()
        self._store = store
        self._admission = admission
        self._stop = stop
        self._settings = settings
        self._backoff = Backoff(settings.retry_delay_s, settings.max_retry_delay_s)
        self._emit = emit
        self._cashier = Cashier(settings, spent, store=store, stop=stop, emit=emit)

    async def send(self, call: Call) -> None:
        """Sends until a reply arrives, records it, and notes in the call what it says.

        Raises:
            CallFailed: no reply is to be had.
            ItemPending: the run, or this provider, has stopped.
        """
        failing_since: float | None = None
        failures = 0
        while True:
            error = await self._attempt(call)
            if error is None:
                return
            if self._adapts(call, error):
                continue
            failing_since = failing_since or time.monotonic()
            wait_s = self._wait_after(call, error, failures=failures, since=failing_since)
            failures += error.kind is not ErrorKind.RATE_LIMITED
            self.tally.retries += 1
            self._emit(Retry(provider=call.endpoint.label, reason=error.kind.value, attempt=call.sent, wait_s=wait_s))
            await self._wait(call, wait_s)

    async def _attempt(self, call: Call) -> ProviderError | None:
        """Sends one request. Returns None where a reply came, else the error that came in its place."""
        endpoint = call.endpoint
        gate = endpoint.gate
        tokens = _tokens_upper(call.request, endpoint)
        booking = await self._admit(call, tokens)
        sent_at = time.monotonic()
        call.sent += 1
        usage: Usage | None = None
        maybe_paid = True  # also where the wait for it is cancelled
        try:
            response = await endpoint.backend.complete(call.request)
            usage = self._take(call, response, tokens, sent_at=sent_at)
        except ProviderError as error:
            maybe_paid = error.maybe_paid
            if error.kind is ErrorKind.RATE_LIMITED:
                gate.rate_limited(sent_at, error.retry_after_s)
            if not maybe_paid:
                gate.correct_tokens(-tokens)
            return error
        except OutputWriteError as error:
            self._stop.now(StopCause.OUTPUT, str(error), error)
            raise ItemPending from error
        finally:
            if booking is not None:
                self._cashier.settle(booking, usage, endpoint.cost_usd(usage), maybe_paid=maybe_paid)
            self._admission.leave(gate)
        return None

    async def _admit(self, call: Call, tokens: int) -> Booking | None:
        """Waits until one request may be sent, takes a slot for it, and reserves what it can cost."""
        endpoint, gate = call.endpoint, call.endpoint.gate
        bound = self._cashier.bound(call.request, endpoint)
        await self._prepare(endpoint)
        while True:
            self._check(endpoint)
            blocked = gate.blocked_for()
            if blocked > 0:
                await self._sleep_until(time.monotonic() + blocked, endpoint)
                continue
            await self._admission.enter(gate)
            ready = not endpoint.stopped and not self._stop and gate.blocked_for() <= 0
            limit = self._cashier.passed_by(bound) if ready else None
            if ready and limit is None:
                break
            self._admission.leave(gate)
            if limit is not None:
                await self._cashier.wait(limit)
        booking: Booking | None = None
        try:
            booking = self._cashier.book(bound, endpoint)
            await self._pace(endpoint, tokens)
        except BaseException as error:
            self._cashier.settle(booking, None, None)
            self._admission.leave(gate)
            if isinstance(error, OutputWriteError):
                self._stop.now(StopCause.OUTPUT, str(error), error)
                raise ItemPending from error
            raise
        return booking

    async def _prepare(self, endpoint: Endpoint) -> None:
        """Lets it load what it needs. What cannot be loaded is the config's fault, and ends the run as such."""
        try:
            await endpoint.prepare()
        except ConfigError as error:
            self._stop.now(StopCause.PROVIDER, str(error), error)
            raise ItemPending from error

    async def _pace(self, endpoint: Endpoint, tokens: int) -> None:
        """Waits for its turn. One after the other, so that one who wakes late puts off those behind and not the pace."""
        gate = endpoint.gate
        if not gate.is_paced:
            return
        async with gate.turns:
            self._check(endpoint)
            while (left := gate.next_turn - time.monotonic()) > 0:
                await self._stop.sleep(left, gate.sooner)
                self._check(endpoint)
            gate.book(tokens)

    def _check(self, endpoint: Endpoint) -> None:
        if self._store.broken:
            self._stop.now(StopCause.OUTPUT, str(self._store.broken), self._store.broken)
        if self._stop or endpoint.stopped:
            raise ItemPending

    def _take(self, call: Call, response: Response, tokens: int, *, sent_at: float) -> Usage | None:
        """Records a reply that has just arrived; nothing may come before this. Returns what it says it used."""
        endpoint = call.endpoint
        raw = endpoint.without_keys(response.raw)
        recorded = self._store.record_reply(
            call.record,
            key=call.key,
            role=call.role,
            provider=endpoint.label,
            model_id=endpoint.provider.model_id,
            raw=raw,
            format=response.format,
            latency_s=response.latency_s,
            attempts=call.sent - call.sent_before,
        )
        call.sent_before = call.sent
        endpoint.succeeded(sent_at)
        endpoint.bounds_worked |= call.sends_bounds
        usage = call.replied(raw, response.format, endpoint.provider.model_id)
        cost = endpoint.cost_usd(usage)
        if usage is not None:
            endpoint.gate.correct_tokens(usage.input_tokens + usage.output_tokens - tokens)
        recorded.settle(usage, cost)
        self._count(usage or Usage(), cost)
        if not self._emit.listening:
            return usage
        self._emit(
            CallFinished(
                provider=endpoint.label,
                role=call.role,
                latency_s=response.latency_s,
                input_tokens=usage.input_tokens if usage else 0,
                output_tokens=usage.output_tokens if usage else 0,
                cost_usd=cost,
            )
        )
        return usage

    def _count(self, usage: Usage, cost: float | None) -> None:
        tally = self.tally
        tally.calls += 1
        tally.input_tokens += usage.input_tokens
        tally.output_tokens += usage.output_tokens
        tally.cost_usd = None if cost is None or tally.cost_usd is None else tally.cost_usd + cost

    # -- after an error

    def _adapts(self, call: Call, error: ProviderError) -> bool:
        """Whether the request can be put differently and sent again at once."""
        endpoint, request = call.endpoint, call.request
        if error.param is not None and error.param not in request.dropped_params and endpoint.drops(error):
            call.request = replace(request, dropped_params=endpoint.dropped_params)
            return True
        refused = error.kind is ErrorKind.BAD_REQUEST and error.status != 413  # too large in any form
        if refused and call.sends_bounds and not endpoint.bounds_worked:
            endpoint.text_bounds = False
            call.request = replace(request, text_bounds=False)
            return True
        # Some servers answer 500 to a format that they do not know. That may as well be a fault that passes: a retry.
        broke = error.kind is ErrorKind.SERVER and error.status == 500
        mode = call.other_mode(error) if request.schema and (refused or broke) else None
        if mode is None:
            return False
        call.request = replace(request, mode=mode)
        return refused

    def _wait_after(self, call: Call, error: ProviderError, *, failures: int, since: float) -> float:
        """Seconds to wait before the next attempt; raises where there must not be one.

        Args:
            failures, since: errors that this request has met so far, and when the first one came.
        """
        endpoint = call.endpoint
        match error.kind.action:
            case Action.STOP_RUN:
                self._stop.now(StopCause.PROVIDER, str(error), error)
                raise ItemPending
            case Action.STOP_PROVIDER:
                self.stop(endpoint, str(error))
                raise ItemPending
            case Action.FAIL_ITEM:
                if endpoint.refuses_everything(error):
                    self.stop(endpoint, f"{_sentence(error)} All of its first answers were this refusal.")
                    raise ItemPending
                raise call.failed(str(error), error.kind.value) from error
        if error.kind is ErrorKind.RATE_LIMITED:
            wait_s = max(0.0, endpoint.gate.blocked_for())
            if time.monotonic() - max(endpoint.last_success, since) > self._settings.max_stall_s:
                self.stop(
                    endpoint, f"{_sentence(error)} It answered nothing but 429 for {self._settings.max_stall_s:g} s."
                )
                raise ItemPending
            self._check_patience(endpoint, error)
            return wait_s
        if failures >= self._settings.max_retries:
            if error.kind is ErrorKind.CONNECTION and endpoint.answered_sent < since:
                self.stop(endpoint, str(error))
                raise ItemPending
            raise call.failed(str(error), error.kind.value) from error
        self._check_patience(endpoint, error)
        return self._backoff.wait_s(failures + 1, retry_after_s=error.retry_after_s)

    def _check_patience(self, endpoint: Endpoint, error: ProviderError) -> None:
        """Stops a provider that asks for a longer wait than a run may stall: it would answer nothing sooner."""
        asked = error.retry_after_s or 0.0
        if asked > self._settings.max_stall_s:
            self.stop(endpoint, f"{_sentence(error)} It asks to wait {asked:.0f} s, longer than max_stall_s.")
            raise ItemPending

    def stop(self, endpoint: Endpoint, reason: str) -> None:
        """Sends nothing more to a provider in this run. What is in flight lands; its items stay pending."""
        if endpoint.stopped is not None:
            return
        if not reason.startswith(f"{endpoint.label}:"):
            reason = f"{endpoint.label}: {reason}"  # its name, or its number among equal ones
        endpoint.stopped = reason
        self._emit(ProviderStopped(provider=endpoint.label, reason=reason))
        self._stop.wake()

    async def _wait(self, call: Call, seconds: float) -> None:
        call.waiting(+1)
        try:
            await self._sleep_until(time.monotonic() + seconds, call.endpoint)
        finally:
            call.waiting(-1)

    async def _sleep_until(self, moment: float, endpoint: Endpoint) -> None:
        while (left := moment - time.monotonic()) > 0:
            await self._stop.sleep(left)
            self._check(endpoint)


def _sentence(error: ProviderError) -> str:
    said = str(error)
    return said if said.endswith((".", "!", "?", ")")) else f"{said}."


def _tokens_upper(request: Request, endpoint: Endpoint) -> int:
    """An estimate of a request's tokens, for pacing only: four characters a token, and the bound on the output."""
    if not endpoint.gate.paces_tokens:
        return 0
    characters = sum(len(message["content"]) for message in request.messages)
    return characters // 4 + (endpoint.provider.max_completion_tokens or _TOKENS_GUESSED)
