"""After an error: put the request differently, wait and send it again, fail the item, stop the provider, or stop the run."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from datafast.engine.calls.admission import Backoff
from datafast.engine.events import ProviderStopped
from datafast.engine.stop import ItemPending, StopSignal
from datafast.errors import Action, ErrorKind, ProviderError
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.event_log import Emitter
    from datafast.engine.settings import RunConfig

__all__ = ["Faults"]


class Faults:
    """What one run does about the errors that its requests meet."""

    def __init__(self, *, stop: StopSignal, settings: RunConfig, emit: Emitter) -> None:
        self._stop = stop
        self._settings = settings
        self._backoff = Backoff(settings.retry_delay_s, settings.max_retry_delay_s)
        self._emit = emit

    def adapts(self, call: Call, error: ProviderError) -> bool:
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

    def wait_after(self, call: Call, error: ProviderError, *, failures: int, since: float) -> float:
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
                self._stop_provider(endpoint, str(error))
                raise ItemPending
            case Action.FAIL_ITEM:
                if endpoint.refuses_everything(error):
                    self._stop_provider(endpoint, f"{_sentence(error)} All of its first answers were this refusal.")
                    raise ItemPending
                raise call.failed(str(error), error.kind.value) from error
        if error.kind is ErrorKind.RATE_LIMITED:
            wait_s = max(0.0, endpoint.gate.blocked_for())
            if time.monotonic() - max(endpoint.last_success, since) > self._settings.max_stall_s:
                self._stop_provider(
                    endpoint, f"{_sentence(error)} It answered nothing but 429 for {self._settings.max_stall_s:g} s."
                )
                raise ItemPending
            self._check_patience(endpoint, error)
            return wait_s
        if failures >= self._settings.max_retries:
            if error.kind is ErrorKind.CONNECTION and endpoint.answered_sent < since:
                self._stop_provider(endpoint, str(error))
                raise ItemPending
            raise call.failed(str(error), error.kind.value) from error
        self._check_patience(endpoint, error)
        return self._backoff.wait_s(failures + 1, retry_after_s=error.retry_after_s)

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


def _sentence(error: ProviderError) -> str:
    said = str(error)
    return said if said.endswith((".", "!", "?", ")")) else f"{said}."
