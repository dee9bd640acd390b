"""What a circuit breaker says of a provider, where a run would have to last too long to show it."""

from __future__ import annotations

import time

import pytest

from datafast.engine.calls.admission import Gate
from datafast.engine.calls.breaker import Breaker
from datafast.errors import ErrorKind, ProviderError

FAULT = ProviderError("m: HTTP 503.", kind=ErrorKind.SERVER, status=503)


def _meets_a_fault(breaker: Breaker) -> None:
    at = time.monotonic()
    breaker.sent(at)
    breaker.faulted(FAULT, at)
    breaker.landed(at)


def test_time_in_which_the_process_was_stopped_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    gate = Gate(4)
    breaker = Breaker(gate, max_stall_s=300.0)
    for _ in range(3):
        _meets_a_fault(breaker)
    now += 3600.0  # the lid was closed; the network is not there yet
    _meets_a_fault(breaker)
    assert not breaker.stalled
    for _ in range(20):
        now += gate.closed_for()
        _meets_a_fault(breaker)
    assert breaker.stalled
