"""Slots and pace: no limit is ever passed, nobody waits for ever, whatever order things happen in."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.engine.calls.admission import Admission, Backoff, Gate
from datafast.engine.stop import StopSignal
from datafast.llms.pace import Pacer
from datafast.types import StopCause

# -- slots


@settings(max_examples=80)
@given(
    total=st.integers(1, 6),
    limits=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
    workers=st.integers(1, 25),
)
def test_no_limit_is_passed_and_nobody_waits_for_ever(total: int, limits: list[int], seed: int, workers: int) -> None:
    """Workers enter, hold, leave or are cancelled at random moments, and limits change meanwhile."""

    async def main() -> None:
        chance = random.Random(seed)
        admission = Admission(total, StopSignal())
        gates = [Gate(limit) for limit in limits]
        inside: Counter[int] = Counter()
        for gate in gates:
            admission.add(gate)

        async def work(number: int) -> None:
            gate = gates[number]
            await admission.enter(gate)
            inside[number] += 1
            try:
                assert sum(inside.values()) <= admission.in_flight <= total
                assert inside[number] <= gate.in_flight <= limits[number]
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                inside[number] -= 1
                admission.leave(gate)

        tasks = [asyncio.ensure_future(work(chance.randrange(len(gates)))) for _ in range(workers)]
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
            if chance.random() < 0.5:
                chance.choice(tasks).cancel()
            if chance.random() < 0.2:
                number = chance.randrange(len(gates))
                gates[number].set_limit(limits[number] + 1)
                limits[number] += 1
                admission.wake()
        done, waiting = await asyncio.wait(tasks, timeout=5)
        assert not waiting
        failed = [task.exception() for task in done if not task.cancelled()]
        assert failed == [None] * len(failed)
        assert admission.in_flight == 0
        assert [(gate.in_flight, len(gate.waiting)) for gate in gates] == [(0, 0)] * len(gates)

    limits = list(limits)
    asyncio.run(main())


def test_a_slot_given_to_one_who_is_cancelled_goes_to_the_next() -> None:
    async def main() -> None:
        admission, gate = Admission(1, StopSignal()), Gate(1)
        admission.add(gate)
        await admission.enter(gate)
        first = asyncio.ensure_future(admission.enter(gate))
        second = asyncio.ensure_future(admission.enter(gate))
        await asyncio.sleep(0)
        admission.leave(gate)
        first.cancel()
        await asyncio.wait_for(second, 1)
        assert admission.in_flight == gate.in_flight == 1

    asyncio.run(main())


def test_one_who_is_cancelled_while_a_slot_comes_free_leaves_quietly() -> None:
    async def main() -> None:
        admission, gate = Admission(1, StopSignal()), Gate(1)
        admission.add(gate)
        await admission.enter(gate)
        waiting = asyncio.ensure_future(admission.enter(gate))
        await asyncio.sleep(0)
        waiting.cancel()
        admission.leave(gate)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert admission.in_flight == gate.in_flight == 0

    asyncio.run(main())


def test_where_slots_of_the_run_are_short_the_provider_with_the_smaller_part_of_its_limit_goes_first() -> None:
    async def main() -> None:
        admission, small, large = Admission(4, StopSignal()), Gate(2), Gate(10)
        admission.add(small)
        admission.add(large)
        for gate in (small, large, large, large):
            await admission.enter(gate)
        next_small = asyncio.ensure_future(admission.enter(small))
        next_large = asyncio.ensure_future(admission.enter(large))
        await asyncio.sleep(0)
        admission.leave(large)  # 1 of 2 against 2 of 10
        await asyncio.sleep(0)
        assert (next_small.done(), next_large.done()) == (False, True)
        admission.leave(small)
        await asyncio.sleep(0)
        assert next_small.done()

    asyncio.run(main())


def test_one_who_is_cancelled_as_the_second_of_those_who_wait_leaves_the_others_their_places() -> None:
    async def main() -> None:
        admission, gate = Admission(1, StopSignal()), Gate(1)
        admission.add(gate)
        await admission.enter(gate)
        first, second, third = [asyncio.ensure_future(admission.enter(gate)) for _ in range(3)]
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert len(gate.waiting) == 2
        for waiting in (first, third):
            admission.leave(gate)
            await asyncio.wait_for(waiting, 1)
        assert admission.in_flight == gate.in_flight == 1

    asyncio.run(main())


def test_those_who_came_first_enter_first() -> None:
    async def main() -> None:
        admission, gate = Admission(1, StopSignal()), Gate(5)
        admission.add(gate)
        order: list[int] = []

        async def work(number: int) -> None:
            await admission.enter(gate)
            order.append(number)
            await asyncio.sleep(0)
            admission.leave(gate)

        await asyncio.gather(*(work(number) for number in range(20)))
        assert order == list(range(20))

    asyncio.run(main())


def test_a_gate_that_is_full_of_waiting_ones_holds_back_no_other() -> None:
    async def main() -> None:
        admission, slow, quick = Admission(4, StopSignal()), Gate(2), Gate(2)
        admission.add(slow)
        admission.add(quick)
        for _ in range(2):
            await admission.enter(slow)
        stuck = [asyncio.ensure_future(admission.enter(slow)) for _ in range(50)]
        await asyncio.sleep(0)
        for _ in range(200):
            await asyncio.wait_for(admission.enter(quick), 1)
            admission.leave(quick)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        assert admission.in_flight == 2

    asyncio.run(main())


# -- rate limiting


def test_a_burst_of_429_lowers_the_limit_once_and_never_below_one() -> None:
    gate = Gate(100)
    refuse(gate, 50)
    assert gate.limit == 75
    for _ in range(12):
        refuse(gate, 10)
    assert gate.limit == 1


def refuse(gate: Gate, requests: int, retry_after_s: float | None = None) -> None:
    """So many requests are sent at once and refused."""
    now = time.monotonic()
    for number in [gate.take(0, now) for _ in range(requests)]:
        gate.refused(number, now, retry_after_s)


def test_sparse_429_lower_nothing_and_hold_nothing_back() -> None:
    gate = Gate(100)
    for number in range(1, 1001):
        now = time.monotonic()
        gate.take(0, now)
        if number % 12:
            gate.succeeded(now)
        else:
            gate.refused(number, now, None)
    assert gate.limit == 100
    assert gate.opens_at == 0.0


def test_a_lowered_limit_climbs_back_to_the_setting_and_no_further() -> None:
    seen: list[int] = []
    gate = Gate(4, on_limit=seen.append)
    refuse(gate, 10)
    for _ in range(1000):
        gate.succeeded(time.monotonic())
    assert gate.limit == gate.setting == 4
    assert seen == [3, 4]


def test_a_lowered_limit_rises_by_one_for_25_answers() -> None:
    gate = Gate(8)
    refuse(gate, 10)
    limits = []
    for _ in range(51):
        gate.succeeded(time.monotonic())
        limits.append(gate.limit)
    assert limits == [6] * 24 + [7] * 25 + [8] * 2


def test_a_second_burst_with_no_answer_in_between_halves_the_limit_and_one_after_an_answer_does_not() -> None:
    gate = Gate(64)
    for expected in (48, 24, 12):
        refuse(gate, 10)
        assert gate.limit == expected
    gate.succeeded(time.monotonic())
    refuse(gate, 10)
    assert gate.limit == 9


def test_a_429_for_a_request_that_was_sent_before_the_burst_changes_no_limit() -> None:
    gate = Gate(8)
    refuse(gate, 200)
    assert gate.limit == 6


def test_a_429_that_says_nothing_is_waited_for_20_seconds_at_most() -> None:
    waits = []
    for _ in range(200):
        gate = Gate(4, backoff=Backoff(60.0))
        refuse(gate, 10)
        waits.append(gate.closed_for())
    assert min(waits) >= -0.1
    assert 19.0 < max(waits) <= 20.0


def test_a_raised_setting_does_not_lift_a_limit_that_rate_limiting_has_lowered() -> None:
    gate = Gate(8)
    gate.set_limit(12)
    assert (gate.limit, gate.setting) == (12, 12)
    refuse(gate, 10)
    gate.set_limit(20)
    assert (gate.limit, gate.setting) == (9, 20)
    gate.set_limit(5)
    assert (gate.limit, gate.setting) == (5, 5)


def test_a_closed_gate_reopens_to_what_it_was_and_then_climbs_slowly_to_the_setting() -> None:
    seen: list[int] = []
    gate = Gate(8, on_limit=seen.append)
    refuse(gate, 10)  # 6
    gate.close(time.monotonic(), beside=1)
    gate.close(time.monotonic(), beside=0)
    assert gate.limit == 1
    gate.one_less()
    assert gate.limit == 1
    for _ in range(5):
        gate.succeeded(time.monotonic())
    assert gate.limit == 6
    for _ in range(24):
        gate.succeeded(time.monotonic())
    assert gate.limit == 6
    for _ in range(26):
        gate.succeeded(time.monotonic())
    assert gate.limit == 8
    assert seen == [6, 2, 3, 4, 5, 6, 7, 8]


def test_a_server_that_asks_for_patience_gets_it() -> None:
    gate = Gate(4)
    refuse(gate, 1, retry_after_s=3.0)
    assert 3.0 - 0.1 < gate.closed_for() <= 3.0
    refuse(gate, 1, retry_after_s=100.0)
    assert gate.closed_for() > 99.0


def test_after_a_wait_one_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(4)
    refuse(gate, 1, retry_after_s=3.0)
    assert gate.opens_at > time.monotonic() + 2.9
    gate.take(0, later := time.monotonic() + 3.0)
    assert 0.2 < gate.opens_at - later < 5.1
    gate.take(0, even_later := gate.opens_at)
    assert gate.opens_at == even_later


def test_one_who_was_refused_goes_before_those_who_came_later() -> None:
    async def main() -> None:
        admission, gate = Admission(1, StopSignal()), Gate(1)
        admission.add(gate)
        order: list[int] = []

        async def work(place: int) -> None:
            await admission.enter(gate, place=place)
            order.append(place)
            admission.leave(gate)

        await admission.enter(gate)
        places = list(range(6))
        tasks = [asyncio.ensure_future(work(place)) for place in reversed(places)]
        await asyncio.sleep(0)
        admission.leave(gate)
        await asyncio.gather(*tasks)
        assert order == places

    asyncio.run(main())


def test_the_end_of_the_run_wakes_those_who_wait_for_a_turn_in_an_hour() -> None:
    async def main() -> None:
        stop = StopSignal()
        admission, gate = Admission(1, stop), Gate(1, rpm=1 / 60)
        admission.add(gate)
        assert await admission.enter(gate) == 1
        admission.leave(gate)
        waiting = asyncio.ensure_future(admission.enter(gate))
        await asyncio.sleep(0)
        stop.now(StopCause.INTERRUPTED, "enough")
        assert await asyncio.wait_for(waiting, 1) is None
        assert admission.in_flight == 0

    asyncio.run(main())


@given(st.integers(1, 50), st.none() | st.floats(0, 1000))
def test_a_wait_is_never_shorter_than_asked_and_never_much_longer_than_a_minute(
    attempt: int, asked: float | None
) -> None:
    wait = Backoff().wait_s(attempt, retry_after_s=asked)
    assert (asked or 0.0) <= wait <= (asked or 0.0) + 60.0


@given(st.integers(1, 50), st.floats(0, 1000))
def test_those_who_were_told_to_wait_do_not_all_come_back_at_once(attempt: int, asked: float) -> None:
    """A tenth of the usual wait is added by chance."""
    waits = {Backoff(first_s=8.0).wait_s(attempt, retry_after_s=asked) for _ in range(40)}
    assert len(waits) > 1
    assert max(waits) <= asked + 0.1 * min(60.0, 8.0 * 2.0 ** (attempt - 1)) + 1e-9


# -- pace


@settings(max_examples=200)
@given(
    rpm=st.integers(1, 600) | st.floats(0.5, 1000),
    steps=st.lists(st.floats(0, 90) | st.just(0.0), max_size=150),
    held=st.none() | st.floats(0, 50),
)
def test_no_minute_holds_more_than_the_limit(rpm: float, steps: list[float], held: float | None) -> None:
    pacer = Pacer(rpm)
    if held is not None:
        pacer.free_at = 1000.0 + held
    now, sent = 1000.0, []
    for step in steps:
        now += step
        moment = pacer.book(1, now)
        assert moment >= now
        sent.append(moment)
    assert sent == sorted(sent)
    assert not sent or sent[0] >= 1000.0 + (held or 0.0)
    interval = 60.0 / rpm
    for number, moment in enumerate(sent):
        # Half a window open at its end: a minute after `moment` the next one may begin.
        within = [other for other in sent[number:] if other < moment + 60.0 - 1e-6]
        assert len(within) <= max(1, -(-(60.0 - 1e-6) // interval))


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 3000), st.integers(1, 3000)), max_size=60))
def test_tokens_that_were_really_used_keep_to_the_limit(calls: list[tuple[float, int, int]]) -> None:
    """Booked by an estimate, corrected by the usage: over the whole time no more go out than the limit allows."""
    pacer, now, used, per_minute = Pacer(6000), 0.0, 0, 6000
    for step, estimate, real in calls:
        now = max(now + step, pacer.book(estimate, now + step))
        assert used <= now * per_minute / 60.0 + 1e-6
        pacer.correct(real - estimate)
        used += real


def test_the_pace_goes_on_from_the_last_request_of_an_earlier_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.engine.calls.admission.time.monotonic", lambda: 5000.0)
    assert 5006.0 <= Gate(8, rpm=6, earlier=[(400.0, 0), (4.0, 0)]).opens_at <= 5006.2
    assert Gate(8, rpm=6, earlier=[(400.0, 0)]).opens_at <= 5000.0
    assert Gate(8, rpm=6).opens_at <= 5000.0


def test_the_later_of_both_limits_says_when_the_next_request_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.engine.calls.admission.time.monotonic", lambda: 5000.0)
    gate = Gate(8, rpm=60.5, tpm=6050)
    assert gate.paces_tokens
    assert gate.opens_at <= 5000.0
    gate.take(1, 5000.0)
    assert gate.opens_at == pytest.approx(5001.0)  # a request a second
    gate.take(500, 5001.0)
    assert gate.opens_at == pytest.approx(5006.0)  # and a hundred tokens
    gate.correct_tokens(-400)
    assert gate.opens_at == pytest.approx(5002.0)
    gate.correct_tokens(200)
    assert gate.opens_at == pytest.approx(5004.0)
    gate.take_back(200)
    assert gate.opens_at == pytest.approx(5002.0)
    gate.close(5009.0, beside=0)
    assert gate.opens_at == 5009.0
    assert gate.closed_for() == 9.0


def test_a_gate_without_limits_per_minute_is_not_paced() -> None:
    gate = Gate(8)
    assert not gate.paces_tokens
    assert not Gate(8, rpm=5).paces_tokens
    gate.take(5000, time.monotonic())
    gate.correct_tokens(-5)
    assert gate.opens_at <= time.monotonic()


def test_tokens_that_are_given_back_let_those_in_who_wait_for_them() -> None:
    async def main() -> None:
        admission, gate = Admission(4, StopSignal()), Gate(8, tpm=60)
        admission.add(gate)
        await admission.enter(gate, tokens=1000)
        waiting = asyncio.ensure_future(admission.enter(gate, tokens=1))
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.correct_tokens(-1000)
        admission.leave(gate)
        assert await asyncio.wait_for(waiting, 1) == 2

    asyncio.run(main())
