"""After an error: put the request differently, wait and send it again, fail the item, stop the provider, or stop the run.

Only what is the prompt's own fault fails an item: an error that says so, or one that comes again while others succeed. What is the
provider's fault is waited out, and at last stops the provider; its items stay pending.
"""

from __future__ import annotations

import time
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
    from datafast.store.writer import Store

__all__ = ["Faults", "Trouble"]

_TOO_LARGE = 413  # in any form
_TRIED = 3  # times that an item is refused, or meets faults alone, before it can be to blame
_FEW = 3  # fewer than that, with no others left to be asked, are to blame themselves if others were answered before
_FEW_AGAIN = 10  # the same where they were refused in an earlier run already, and nothing else is left
_SUSPICIOUS = 2
_LOOK_S = 0.25


@dataclass(slots=True)
class Trouble:
    """What one request has met since it was sent for the first time.

    Attributes:
        faults: faults of the provider, between which others succeeded.
        refusals: how often it was refused.
        limits: how often it came too early (429).
        met_at: when the newest of them came (monotonic seconds).
    """

    faults: int = 0
    refusals: int = 0
    limits: int = 0
    met_at: float = 0.0


class Faults:
    """What one run does about the errors that its requests meet."""

    def __init__(self, *, stop: StopSignal, turns: Turns, store: Store, settings: RunConfig, emit: Emitter) -> None:
        self._stop = stop
        self._turns = turns
        self._store = store
        self._settings = settings
        self._backoff = Backoff(settings.retry_delay_s, settings.max_retry_delay_s)
        self._emit = emit

    def adapts(self, call: Call, error: ProviderError) -> bool:
        """Whether the request can be put differently and sent again at once.

        Raises:
            CallFailed: it cannot, and the item is to blame.
        """
        endpoint, request = call.endpoint, call.request
        if error.param is not None and error.param not in request.dropped_params and endpoint.drops(error):
            call.request = replace(request, dropped_params=endpoint.dropped_params)
            return True
        if self._leaves_out_on_trial(call, error):
            return True
        refused = error.kind is ErrorKind.BAD_REQUEST and error.status != _TOO_LARGE
        if refused and call.lower_limit():
            return True
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

    def _leaves_out_on_trial(self, call: Call, error: ProviderError) -> bool:
        """Leaves out a parameter that a refusal names in its words. It stays out where that helps: where the next answer is a reply, or
        an error that does not name it any more."""
        endpoint, dropped = call.endpoint, call.request.dropped_params
        if call.on_trial is not None and endpoint.is_named(error, call.on_trial):
            endpoint.innocent |= {call.on_trial}
            dropped -= {call.on_trial}
        call.on_trial = endpoint.suspect(error, dropped)
        if call.on_trial is not None:
            dropped |= {call.on_trial}
        call.request = replace(call.request, dropped_params=dropped)
        return call.on_trial is not None

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
                self._stop_provider(endpoint, str(error))
                raise ItemPending
            case Action.FAIL_ITEM:
                raise call.failed(str(error), error.kind.value) from error
            case Action.WEIGH:
                return self._weigh(call, error, trouble)
        if error.kind is not ErrorKind.RATE_LIMITED and self._is_to_blame(call, error, trouble):
            raise call.failed(str(error), error.kind.value) from error
        if endpoint.breaker.stalled:
            self._stop_provider(
                endpoint,
                f"{_sentence(error)} Nothing else came for {self._settings.max_stall_s:g} s (run.max_stall_s).",
            )
            raise ItemPending
        self._check_patience(endpoint, error)
        if error.kind is ErrorKind.RATE_LIMITED:
            trouble.limits += 1
            return endpoint.gate.wait_after_refusal(trouble.limits, error.retry_after_s)
        return self._backoff.wait_s(trouble.faults, retry_after_s=error.retry_after_s)

    async def wait(self, call: Call, error: ProviderError, trouble: Trouble, seconds: float) -> None:
        """Waits without a slot before the next attempt.

        Raises:
            CallFailed: others have succeeded meanwhile, so the item is to blame for a refusal.
            ItemPending: the provider or the run has stopped.
        """
        call.waiting(+1)
        try:
            if _action(call.endpoint, error) is Action.WEIGH:
                await self._hear(call, error, trouble, time.monotonic() + seconds)
            else:
                await self._turns.sleep_until(time.monotonic() + seconds, call.endpoint)
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
        breaker, few = call.endpoint.breaker, call.endpoint.open_calls < _FEW
        if few and breaker.has_answered and breaker.stalled and call.sent >= _TRIED:
            return True  # it was tried all the time, and no others are left to be asked
        others = breaker.last_success > (trouble.met_at or call.sent_at)
        # The last items of a run have no others beside them. They failed before while others succeeded, and now fail alone.
        alone = few and trouble.faults >= _SUSPICIOUS
        trouble.met_at = time.monotonic()
        if not trouble.faults or others or alone:
            trouble.faults += 1
        return (others or alone) and trouble.faults > self._settings.max_retries

    # -- refusals

    def _weigh(self, call: Call, error: ProviderError, trouble: Trouble) -> float:
        """Seconds to wait for others to succeed, which tells whether the item or the provider is to blame for a refusal."""
        breaker = call.endpoint.breaker
        if breaker.has_answered and self._store.was_refused(call.record):
            raise call.failed(str(error), error.kind.value) from error
        breaker.refused(call.record.position)
        trouble.refusals += 1
        trouble.met_at = time.monotonic()
        return self._backoff.wait_s(1)

    async def _hear(self, call: Call, error: ProviderError, trouble: Trouble, moment: float) -> None:
        """Waits until a request succeeds that was sent after the refusal, or a moment is over and none is in flight that may."""
        breaker = call.endpoint.breaker
        while breaker.answered <= trouble.met_at:
            left = moment - time.monotonic()
            if not breaker.on_wire:
                self._judge(call, error)
                if left <= 0.0:
                    return
            await self._stop.sleep(left if left > 0.0 else _LOOK_S, breaker.listeners)
            self._turns.check(call.endpoint)
        if trouble.refusals >= (_TRIED if _is_accounts(error) else 1):
            raise call.failed(str(error), error.kind.value) from error

    def _judge(self, call: Call, error: ProviderError) -> None:
        """Ends a call, or its provider, where refusals repeat and nothing is in flight that may yet succeed.

        Raises:
            CallFailed: few others are refused, so the item is to blame.
            ItemPending: the provider is.
        """
        endpoint, breaker = call.endpoint, call.endpoint.breaker
        refused = breaker.refused_items
        if not breaker.refuses_all and refused[call.record.position] < _TRIED:
            return
        few = len(refused) < (_FEW if breaker.has_answered else _FEW_AGAIN)
        if few and self._others_were_answered(endpoint) and not _is_accounts(error):
            raise call.failed(str(error), error.kind.value) from error
        self._stop_provider(
            endpoint,
            f"{_sentence(error)} It refused {refused.total()} requests in a row. "
            "Check the account, its credit and the model's settings, or the prompts that are left.",
        )
        raise ItemPending

    def _others_were_answered(self, endpoint: Endpoint) -> bool:
        """Whether others were answered: in this run; or earlier, and only items are left that were refused then too."""
        known = self._store.counts.written > 0 and self._store.refused_before.issuperset(endpoint.breaker.refused_items)
        return endpoint.breaker.has_answered or known

    # -- stopping

    def _check_patience(self, endpoint: Endpoint, error: ProviderError) -> None:
        """Stops a provider that asks for a longer wait than a run may stall: it would answer nothing sooner."""
        asked = error.retry_after_s or 0.0
        if asked > self._settings.max_stall_s:
            self._stop_provider(endpoint, f"{_sentence(error)} It asks to wait {asked:.0f} s, longer than max_stall_s.")
            raise ItemPending

    def _stop_provider(self, endpoint: Endpoint, reason: str) -> None:
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
    if action is Action.WEIGH and error.status is None and not endpoint.breaker.has_answered:
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
