"""After an error: put the request differently, wait and send it again, fail the item, stop the provider, or stop the run.

Only what is the prompt's own fault fails an item: an error that says so, or one that comes again while others succeed. What is the
provider's fault is waited out, and at last stops the provider; its items stay pending.

Where no others are left that could succeed, a request that was answered before is sent again. If it is answered once more, the provider
works; if not, the provider is to blame. It costs what such a request costs, at most once for three refusals and once a repeat of a fault.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datafast.engine.calls.admission import Backoff
from datafast.engine.calls.breaker import FAULTS
from datafast.engine.events import ProviderStopped
from datafast.engine.stop import ItemPending, StopSignal
from datafast.errors import Action, ErrorKind, ProviderError
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.calls.turns import Turns
    from datafast.engine.event_log import Emitter
    from datafast.engine.settings import RunConfig

__all__ = ["Faults", "Trouble"]

_TOO_LARGE = 413  # in any form
_TRIED = 3  # times that an item is refused, or meets a fault, before something else is tried in its place
_LOOK_S = 0.25


@dataclass(slots=True)
class Trouble:
    """What one request has met since it was sent for the first time.

    Attributes:
        faults: faults of the provider, between which others succeeded; `met`: all that may be the prompt's own fault; `alone`: those since
            another one succeeded.
        refusals: how often it was refused.
        limits: how often it came too early (429).
        met_at: when the newest of them came (monotonic seconds).
    """

    faults: int = 0
    met: int = 0
    alone: int = 0
    refusals: int = 0
    limits: int = 0
    met_at: float = 0.0


class Faults:
    """What one run does about the errors that its requests meet. `attempt` sends one request, and returns the error that it met."""

    def __init__(
        self,
        *,
        stop: StopSignal,
        turns: Turns,
        settings: RunConfig,
        emit: Emitter,
        attempt: Callable[[Call], Awaitable[ProviderError | None]],
    ) -> None:
        self._stop = stop
        self._turns = turns
        self._settings = settings
        self._backoff = Backoff(settings.retry_delay_s, settings.max_retry_delay_s)
        self._emit = emit
        self._attempt = attempt

    @property
    def max_retries(self) -> int:
        return self._settings.max_retries

    def adapts(self, call: Call, error: ProviderError, *, others_answered: bool = False) -> bool:
        """Whether the request can be put differently and sent again at once.

        Args:
            others_answered: whether requests of the same form were answered, so that how structure is asked for is not to blame.

        Raises:
            CallFailed: it cannot, and the item is to blame.
        """
        endpoint, request = call.endpoint, call.request
        dropped, call.on_trial = endpoint.params.after(error, request.dropped_params, call.on_trial)
        request = call.request = replace(request, dropped_params=dropped)
        if call.on_trial is not None:
            return True
        refused = error.kind is ErrorKind.BAD_REQUEST and error.status != _TOO_LARGE
        limit_param = endpoint.provider.token_limit_param
        if refused and endpoint.params.is_named(error, limit_param) and call.lower_needed_limit():
            return True
        if refused and call.lower_limit():
            return True
        if others_answered:
            return False
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

    def wait_after(self, call: Call, error: ProviderError, trouble: Trouble) -> float:
        """Seconds to wait before the next attempt; raises where there must not be one.

        Raises:
            CallFailed: the item is to blame.
            ItemPending: the provider or the run has stopped.
        """
        endpoint = call.endpoint
        match _action(endpoint, error):
            case Action.STOP_RUN:
                self._stop.now(StopCause.PROVIDER, str(error), error)
                raise ItemPending
            case Action.STOP_PROVIDER:
                self.stop_provider(endpoint, str(error))
                raise ItemPending
            case Action.FAIL_ITEM:
                raise call.failed(str(error), error.kind.value) from error
            case Action.WEIGH:
                return self._weigh(call, trouble)
        if error.kind is not ErrorKind.RATE_LIMITED and self._is_to_blame(call, error, trouble):
            raise call.failed(str(error), error.kind.value) from error
        if endpoint.breaker.stalled and error.kind in FAULTS and self._is_doubtful(endpoint, trouble):
            return 0.0  # before it is given up, a known good prompt is sent
        if error.kind is ErrorKind.RATE_LIMITED:
            trouble.limits += 1
            return self._outlast(endpoint, error, trouble.limits)
        return self._outlast(endpoint, error, trouble.faults)

    async def wait(self, call: Call, error: ProviderError, trouble: Trouble, seconds: float) -> None:
        """Waits without a slot before the next attempt.

        Raises:
            CallFailed: others have succeeded meanwhile, so the item is to blame for a refusal.
            ItemPending: the provider or the run has stopped.
        """
        endpoint, moment = call.endpoint, time.monotonic() + seconds
        call.waiting(+1)
        try:
            if _action(endpoint, error) is Action.WEIGH:
                await self._hear(call, error, trouble, moment)
                return
            await self._turns.sleep_until(moment, endpoint)
            if error.kind in FAULTS and self._is_doubtful(endpoint, trouble):
                await self._prove(call, trouble.met_at)
        finally:
            call.waiting(-1)

    # -- faults of the provider

    def _is_to_blame(self, call: Call, error: ProviderError, trouble: Trouble) -> bool:
        """Whether a fault is the item's own: it has come too often while others succeeded."""
        if error.kind not in FAULTS:  # what the model wrote was refused by the server: bad luck, so many times
            trouble.faults += 1
            return trouble.faults > self._settings.max_retries
        if error.status is None and not error.maybe_paid:
            return False  # it did not even get there
        trouble.met += 1
        # The first one tells nothing: an outage may begin with it.
        if trouble.met == 1 or call.endpoint.breaker.answered > trouble.met_at:
            trouble.faults += 1
            trouble.alone = 0
        trouble.alone += 1
        trouble.met_at = time.monotonic()
        return trouble.faults > max(1, self._settings.max_retries)

    def _outlast(self, endpoint: Endpoint, error: ProviderError, times: int) -> float:
        """Seconds to wait for a provider to recover, after so many faults. Stops one that has not done so for too long."""
        if endpoint.breaker.stalled:
            self.stop_provider(
                endpoint,
                f"{_sentence(error)} Nothing else came for {self._settings.max_stall_s:g} s (run.max_stall_s).",
            )
            raise ItemPending
        self._check_patience(endpoint, error)
        if error.kind is ErrorKind.RATE_LIMITED:
            return endpoint.gate.wait_after_refusal(times, error.retry_after_s)
        return self._backoff.wait_s(times, retry_after_s=error.retry_after_s)

    def _is_doubtful(self, endpoint: Endpoint, trouble: Trouble) -> bool:
        """Whether faults may be the fault of the prompts alone that are tried."""
        breaker = endpoint.breaker
        if endpoint.known_good is None or not trouble.met:
            return False
        while_paused = breaker.pauses > 0 and max(trouble.met, breaker.pauses) >= _TRIED
        return breaker.stalled or ((trouble.alone >= _TRIED or while_paused) and not breaker.on_wire)

    async def _prove(self, call: Call, since: float) -> None:
        """Sends what was answered before until it is answered again, unless something else is that was sent after a moment.

        Raises:
            ItemPending: it is not answered, so the provider does not work.
        """
        endpoint, breaker = call.endpoint, call.endpoint.breaker
        while endpoint.is_proving and breaker.answered <= since:
            await self._stop.sleep(_LOOK_S, breaker.listeners)
            self._turns.check(endpoint)
            self._turns.give_way(call)
        if breaker.answered > since:
            return
        endpoint.is_proving = True
        try:
            await self._send_known_good(call.proof())
        finally:
            endpoint.is_proving = False

    async def _send_known_good(self, proof: Call) -> None:
        endpoint = proof.endpoint
        while (error := await self._attempt(proof)) is not None:
            if error.kind is not ErrorKind.RATE_LIMITED and error.kind not in FAULTS:
                self.stop_provider(
                    endpoint,
                    f"{_sentence(error)} It refused {proof.sent + endpoint.breaker.refused_items.total()} requests in a row, "
                    "one of which it had answered before. Check the account, its credit and the model's settings.",
                )
                raise ItemPending
            await self._turns.sleep_until(time.monotonic() + self._outlast(endpoint, error, 1), endpoint)

    # -- refusals

    def _weigh(self, call: Call, trouble: Trouble) -> float:
        """Seconds to wait for others to succeed, which tells whether the item or the provider is to blame for a refusal."""
        call.endpoint.breaker.refused(call.record.position)
        trouble.refusals += 1
        trouble.met_at = time.monotonic()
        return self._backoff.wait_s(1)

    async def _hear(self, call: Call, error: ProviderError, trouble: Trouble, moment: float) -> None:
        """Waits until a request succeeds that was sent after the refusal, or a moment is over and none is in flight that may."""
        breaker = call.endpoint.breaker
        while breaker.answered <= trouble.met_at:
            left = moment - time.monotonic()
            if not breaker.on_wire:
                if breaker.refuses_all or breaker.refused_items[call.record.position] >= _TRIED:
                    await self._ask_known_good(call, error, trouble)
                    continue
                if left <= 0.0:
                    return
            await self._stop.sleep(left if left > 0.0 else _LOOK_S, breaker.listeners)
            self._turns.check(call.endpoint)
        if trouble.refusals >= (_TRIED if _is_accounts(error) else 1):
            raise call.failed(str(error), error.kind.value) from error

    async def _ask_known_good(self, call: Call, error: ProviderError, trouble: Trouble) -> None:
        """Finds out whether the provider refuses everything, and stops it if so."""
        endpoint = call.endpoint
        if endpoint.known_good is not None:
            await self._prove(call, trouble.met_at)
            return
        self.stop_provider(
            endpoint,
            f"{_sentence(error)} It refused {endpoint.breaker.refused_items.total()} requests in a row and has answered none. "
            "Check the account, its credit and the model's settings, or the prompts.",
        )
        raise ItemPending

    # -- stopping

    def _check_patience(self, endpoint: Endpoint, error: ProviderError) -> None:
        """Stops a provider that asks for a longer wait than a run may stall: it would answer nothing sooner."""
        asked = error.retry_after_s or 0.0
        if asked > self._settings.max_stall_s:
            self.stop_provider(endpoint, f"{_sentence(error)} It asks to wait {asked:.0f} s, longer than max_stall_s.")
            raise ItemPending

    def stop_provider(self, endpoint: Endpoint, reason: str) -> None:
        """Sends nothing more to a provider in this run. What is in flight lands; its items stay pending."""
        if endpoint.stopped is not None:
            return
        if not reason.startswith(f"{endpoint.label}:"):
            reason = f"{endpoint.label}: {reason}"  # its name, or its number among equal ones
        endpoint.stopped = reason
        self._emit(ProviderStopped(provider=endpoint.label, reason=reason))
        self._stop.wake()


def _action(endpoint: Endpoint, error: ProviderError) -> Action:
    """What is done about an error here: what is final at the start may pass where the provider has answered already."""
    action = error.kind.action
    if error.status == _TOO_LARGE and error.kind is ErrorKind.BAD_REQUEST:
        return Action.FAIL_ITEM
    if error.kind is ErrorKind.PERMISSION and error.status is None and not endpoint.breaker.has_answered:
        return Action.STOP_PROVIDER  # its certificate is not trusted
    if action is Action.STOP_PROVIDER and endpoint.breaker.has_answered and error.kind is not ErrorKind.QUOTA:
        return Action.WEIGH
    return action


def _is_accounts(error: ProviderError) -> bool:
    """Whether a refusal speaks of the key or the model. Those come in passing now and then, and no prompt is to blame for them."""
    return error.kind in {ErrorKind.AUTHENTICATION, ErrorKind.MODEL_NOT_FOUND}


def _sentence(error: ProviderError) -> str:
    said = str(error)
    return said if said.endswith((".", "!", "?", ")")) else f"{said}."
