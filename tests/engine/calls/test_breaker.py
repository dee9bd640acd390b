"""What a circuit breaker says of a provider, with a clock that the tests set: a run would have to last too long to show it."""

from __future__ import annotations

import asyncio
import time

import pytest

from datafast.engine.calls.admission import Backoff, Gate
from datafast.engine.calls.breaker import Breaker
from datafast.errors import ErrorKind, ProviderError

FAULT = ProviderError("m: HTTP 503.", kind=ErrorKind.SERVER, status=503)


class Clock:
    """`time.monotonic`, set by hand."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


class Watched:
    """A breaker with its gate, and what it has told."""

    def __init__(self, limit: int = 8, *, first_s: float = 1.0, max_stall_s: float = 300.0) -> None:
        self.pauses: list[float] = []
        self.resumed = 0
        self.gate = Gate(limit)
        self.breaker = Breaker(
            self.gate,
            backoff=Backoff(first_s),
            max_stall_s=max_stall_s,
            on_pause=lambda wait_s, error: self.pauses.append(wait_s),
            on_resume=self._on_resume,
        )

    def _on_resume(self) -> None:
        self.resumed += 1

    def meets_a_fault(self, error: ProviderError = FAULT) -> None:
        at = time.monotonic()
        self.breaker.sent(at)
        self.breaker.faulted(error, at)
        self.breaker.landed(at)

    def is_answered(self) -> None:
        at = time.monotonic()
        self.breaker.sent(at)
        self.breaker.landed(at)
        self.breaker.succeeded(at)

    def faults_until_it_pauses(self) -> int:
        before, count = len(self.pauses), 0
        while len(self.pauses) == before:
            self.meets_a_fault()
            count += 1
        return count


def test_time_in_which_the_process_was_stopped_is_no_stall(clock: Clock) -> None:
    provider = Watched(4)
    for _ in range(3):
        provider.meets_a_fault()
    clock.now += 3600.0  # the lid was closed; the network is not there yet
    provider.meets_a_fault()
    assert not provider.breaker.stalled
    for _ in range(20):
        clock.now += provider.gate.closed_for()
        provider.meets_a_fault()
    assert provider.breaker.stalled


# -- when it pauses


def test_three_faults_in_a_row_pause_it_and_an_answer_between_them_does_not_count_them_anew(clock: Clock) -> None:
    provider = Watched()
    provider.meets_a_fault()
    provider.meets_a_fault()
    provider.is_answered()
    assert provider.faults_until_it_pauses() == 3
    assert provider.breaker.is_down


@pytest.mark.parametrize(("between", "pauses"), [(40, 1), (41, 0)])
def test_ten_faults_among_the_last_fifty_answers_pause_it(clock: Clock, between: int, pauses: int) -> None:
    provider = Watched()
    provider.meets_a_fault()
    for number in range(9):
        for _ in range(between // 9 + (number < between % 9)):
            provider.is_answered()
        provider.meets_a_fault()
    assert len(provider.pauses) == pauses


def test_a_refusal_between_faults_is_an_answer(clock: Clock) -> None:
    provider = Watched()
    for _ in range(4):
        provider.meets_a_fault()
        provider.breaker.refused(7)
        provider.meets_a_fault()
        provider.breaker.refused(7)
    assert provider.pauses == []
    assert provider.breaker.refused_items == {7: 8}
    assert provider.faults_until_it_pauses() == 2  # the tenth of the last fifty


def test_a_provider_that_is_soon_answered_again_takes_twice_as_many_faults_then_four_times(clock: Clock) -> None:
    provider, counts = Watched(), []
    for _ in range(4):
        counts.append(provider.faults_until_it_pauses())
        clock.now += provider.gate.closed_for()
        provider.is_answered()
    assert counts == [3, 6, 12, 12]
    assert provider.resumed == 4


def test_a_provider_that_was_down_takes_no_more_faults_than_before(clock: Clock) -> None:
    provider = Watched()
    assert provider.faults_until_it_pauses() == 3
    for _ in range(2):
        clock.now += provider.gate.closed_for()
        provider.meets_a_fault()
    assert len(provider.pauses) == 3
    clock.now += provider.gate.closed_for()
    provider.is_answered()
    assert provider.faults_until_it_pauses() == 3


# -- probes


def test_probes_come_after_twice_the_wait_each_time_and_no_later_than_half_a_minute(clock: Clock) -> None:
    provider = Watched(max_stall_s=10_000.0)
    provider.faults_until_it_pauses()
    for _ in range(8):
        clock.now += provider.gate.closed_for()
        provider.meets_a_fault()
    for number, wait_s in enumerate(provider.pauses):
        longest = min(30.0, 2.0**number)
        assert 0.75 * longest <= wait_s <= 1.25 * longest


def test_a_wait_that_the_server_asks_for_puts_off_the_probe(clock: Clock) -> None:
    provider = Watched()
    asks = ProviderError("m: HTTP 503.", kind=ErrorKind.SERVER, status=503, retry_after_s=90.0)
    for _ in range(3):
        provider.meets_a_fault(asks)
    assert provider.pauses == [90.0]
    assert provider.gate.closed_for() == 90.0


def test_the_last_probe_comes_when_the_provider_is_given_up_and_not_later(clock: Clock) -> None:
    provider = Watched(first_s=50.0, max_stall_s=5.0)
    began = clock.now
    provider.faults_until_it_pauses()
    clock.now += provider.gate.closed_for()
    assert 5.0 < clock.now - began < 5.2
    provider.meets_a_fault()
    assert provider.breaker.stalled


def test_one_probe_goes_at_a_time_and_its_answer_opens_the_gate_step_by_step(clock: Clock) -> None:
    provider = Watched(4)
    provider.faults_until_it_pauses()
    assert provider.breaker.is_down
    clock.now += provider.gate.closed_for()
    assert not provider.breaker.is_down
    assert provider.gate.limit == 1
    provider.breaker.sent(clock.now)
    assert provider.breaker.is_down  # the probe is on its way
    provider.breaker.landed(clock.now)
    provider.breaker.succeeded(clock.now)
    assert not provider.breaker.is_down
    limits = [provider.gate.limit]
    while provider.gate.limit < 4:
        provider.is_answered()
        limits.append(provider.gate.limit)
    assert limits == [2, 3, 4]


def test_requests_that_were_on_the_wire_keep_their_places_beside_the_probe_until_they_land(clock: Clock) -> None:
    provider = Watched(8)
    sent = clock.now
    for _ in range(3):
        provider.breaker.sent(sent)
    clock.now += 1.0
    for _ in range(3):
        provider.meets_a_fault()
    # The one that brought the third fault had not landed yet either.
    assert provider.breaker.on_wire == 3
    assert provider.gate.limit == 4
    for left in (3, 2, 1):
        provider.breaker.landed(sent)
        assert provider.gate.limit == left
    assert provider.breaker.on_wire == 0
    provider.breaker.succeeded(sent)
    assert provider.breaker.is_down  # it was sent before the pause
    assert provider.resumed == 0


# -- a stall


def test_nothing_is_a_stall_before_the_time_is_over_nor_while_earlier_requests_are_in_flight(clock: Clock) -> None:
    provider = Watched(max_stall_s=10.0)
    assert not provider.breaker.stalled
    sent = clock.now
    provider.breaker.sent(sent)
    clock.now += 1.0
    provider.breaker.limited()
    clock.now += 10.0
    assert not provider.breaker.stalled
    clock.now += 0.5
    assert not provider.breaker.stalled
    provider.breaker.landed(sent)
    assert provider.breaker.stalled
    provider.is_answered()
    assert not provider.breaker.stalled
    assert provider.breaker.has_answered


# -- refusals


def test_ten_refusals_in_a_row_hold_everything_back_until_a_later_request_succeeds(clock: Clock) -> None:
    provider = Watched()
    breaker = provider.breaker
    before = clock.now
    clock.now += 1.0
    for number in range(9):
        breaker.refused(number // 2)
    assert not breaker.refuses_all
    breaker.refused(0)
    assert breaker.refuses_all
    assert breaker.is_down
    assert breaker.refused_items == {0: 3, 1: 2, 2: 2, 3: 2, 4: 1}
    breaker.succeeded(before)
    assert breaker.refuses_all  # it was sent before the first of them
    clock.now += 1.0
    breaker.succeeded(clock.now)
    assert not breaker.refuses_all
    assert not breaker.refused_items
    assert breaker.answered == clock.now


def test_an_answer_wakes_all_who_listen() -> None:
    async def main() -> list[bool]:
        breaker = Breaker(Gate(1))
        loop = asyncio.get_running_loop()
        first, gone, last = loop.create_future(), loop.create_future(), loop.create_future()
        gone.cancel()
        breaker.listeners.extend([first, gone, last])
        breaker.succeeded(time.monotonic())
        return [first.done(), last.done()]

    assert asyncio.run(main()) == [True, True]
