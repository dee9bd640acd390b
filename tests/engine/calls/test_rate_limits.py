"""Retries, rate limits and pace, measured where it counts: at the server.

DATAFAST_TEST_LIMITED_S sets for how many seconds the server of the 429 test refuses 90 % of all requests (2 by default).
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.engine.calls.admission import Backoff, Gate
from datafast.engine.events import Event
from datafast.errors import RunStopped
from datafast.llms import LiteLLMProvider, LLMProvider, OpenAICompatibleProvider
from datafast.llms.pace import Pacer
from datafast.types import RateLimit, RateLimits
from tests import support
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import assert_balanced, raw

LIMITED_S = float(os.environ.get("DATAFAST_TEST_LIMITED_S", "2"))
MakeProvider = Callable[..., LLMProvider]


def direct(server: FaultServer, model: str = "m", **options: Any) -> LLMProvider:
    return OpenAICompatibleProvider(model, api_base=server.url, **options)


def litellm(server: FaultServer, model: str = "m", **options: Any) -> LLMProvider:
    return LiteLLMProvider(f"openai/{model}", api_base=server.url, **options)


every_back_end = pytest.mark.parametrize("make", [direct, litellm])


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


def gaps(server: FaultServer) -> list[float]:
    at = [request.at_s for request in server.requests]
    return [later - earlier for earlier, later in itertools.pairwise(at)]


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When requests got their turn: the way to the server, and its own slowness, bring closer together what was sent apart."""
    at_s: list[float] = []
    take = Gate.take

    def taken(self: Gate, tokens: int, now: float) -> int:
        at_s.append(now)
        return take(self, tokens, now)

    monkeypatch.setattr(Gate, "take", taken)
    return at_s


def most_in_any(window_s: float, at_s: Sequence[float]) -> int:
    """The most of these moments in any window that begins with one."""
    return max(sum(moment <= other < moment + window_s for other in at_s) for moment in at_s)


# -- waits between retries


def test_waits_grow_exponentially_with_full_jitter_up_to_a_minute() -> None:
    for attempt in range(1, 12):
        top = min(60.0, 0.5 * 2**attempt)
        waits = [Backoff().wait_s(attempt) for _ in range(400)]
        assert max(waits) <= top
        # Full jitter: anything from nothing to the top, evenly.
        assert min(waits) < 0.1 * top
        assert max(waits) > 0.9 * top
        assert 0.4 * top < sum(waits) / len(waits) < 0.6 * top


WAITS = [
    (503, {"Retry-After": "0.4"}, 0.4),
    (502, {"retry-after-ms": "300"}, 0.3),
    (429, {"Retry-After": "0.4"}, 0.4),
    (429, {"retry-after-ms": "300", "Retry-After": "9"}, 0.3),
    (429, {"x-ratelimit-reset-requests": "300ms"}, 0.3),
    (429, {"x-ratelimit-reset-tokens": "0.3s", "x-ratelimit-reset-requests": "0.1s"}, 0.3),
    (429, {"llm_provider-retry-after": "0.3"}, 0.3),
]


@every_back_end
@pytest.mark.parametrize(("status", "headers", "wait_s"), WAITS)
def test_no_attempt_comes_sooner_than_the_server_asks(
    tmp_path: Path,
    fault_server: FaultServer,
    short_waits: None,
    make: MakeProvider,
    status: int,
    headers: dict[str, str],
    wait_s: float,
) -> None:
    fault_server.answer_next(Answer(status=status, headers=headers, body={"error": {"message": "later"}}))
    told: list[Event] = []
    raw(tmp_path, topics=1).generate([make(fault_server)], on_event=told.append)
    assert len(fault_server.requests) == 2
    assert gaps(fault_server)[0] >= wait_s
    (waited,) = [event.wait_s for event in told if event.type == "retry"]
    assert wait_s * 0.9 <= waited < wait_s + 0.2


@every_back_end
def test_a_date_to_wait_for_is_waited_for(
    tmp_path: Path, fault_server: FaultServer, short_waits: None, make: MakeProvider
) -> None:
    moment = int(time.time()) + 2
    headers = {"Retry-After": formatdate(moment, usegmt=True)}
    fault_server.answer_next(Answer(status=503, headers=headers, body={"error": {"message": "later"}}))
    raw(tmp_path, topics=1).generate([make(fault_server)])
    assert time.time() >= moment
    assert len(fault_server.requests) == 2


def test_each_answer_says_anew_how_long_to_wait(tmp_path: Path, fault_server: FaultServer, short_waits: None) -> None:
    asked = [0.1, 0.2, 0.4]
    fault_server.answer_next(*[Answer(status=429, headers={"Retry-After": str(wait)}) for wait in asked])
    raw(tmp_path, topics=1).generate([direct(fault_server)])
    assert len(fault_server.requests) == 4
    assert all(gap >= wait for gap, wait in zip(gaps(fault_server), asked, strict=True))


def test_429s_in_a_row_with_a_wait_hold_back_every_request_to_that_provider(
    tmp_path: Path, fault_server: FaultServer, sends: list[float], short_waits: None
) -> None:
    """Also those that wait for their turn in the pace."""
    told_at: list[float] = []
    known_at: list[float] = []

    def respond(request: Recorded) -> Answer:
        if 3 <= len(fault_server.requests) <= 6:
            told_at.append(time.monotonic())
            return Answer(status=429, headers={"Retry-After": "0.8"})
        return Answer()

    fault_server.respond = respond
    raw(tmp_path, topics=20, run={"max_concurrency": 8}).generate(
        [direct(fault_server, rpm_limit=1200)],
        on_event=lambda event: known_at.append(time.monotonic()) if event.type == "retry" else None,
    )
    assert (len(fault_server.requests), len(known_at)) == (24, 4)
    after = [moment for moment in sends if moment > known_at[3]]
    assert min(after) >= told_at[3] + 0.8
    # And they do not go all at once when the wait is over: at a request every 50 ms.
    assert most_in_any(0.15, after) <= 4


@every_back_end
def test_one_429_with_a_wait_among_answers_holds_back_its_own_request_alone(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider, short_waits: None
) -> None:
    def respond(request: Recorded) -> Answer:
        refused = len(fault_server.requests) == 7
        return Answer(status=429, headers={"Retry-After": "2"}) if refused else Answer(delay_s=0.01)

    fault_server.respond = respond
    raw(tmp_path, topics=40, run={"max_concurrency": 2}).generate([make(fault_server)])
    refused, *later = fault_server.requests[6:]
    (again,) = [number for number, request in enumerate(later) if request.raw == refused.raw]
    assert later[again].at_s >= refused.at_s + 2.0
    assert again > 5  # all others, where the machine is not very slow: more than can have been on their way
    assert len(fault_server.requests) == 41


def test_a_run_sleeps_while_it_waits(tmp_path: Path, fault_server: FaultServer) -> None:
    """A wait under a second too."""
    used_s: list[float] = []

    def respond(request: Recorded) -> Answer:
        used_s.append(time.process_time())
        return Answer() if len(used_s) > 1 else Answer(status=429, headers={"Retry-After": "0.8"})

    fault_server.respond = respond
    # The second item finds the slot free, and the provider closed.
    raw(tmp_path, topics=2, run={"max_concurrency": 1}).generate([direct(fault_server)])
    assert gaps(fault_server)[0] >= 0.8
    assert used_s[1] - used_s[0] < 0.4


@every_back_end
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_a_longer_wait_than_a_run_may_stall_is_stopped_at_once(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider, status: int
) -> None:
    headers = {"Retry-After": "86400"}
    fault_server.respond = lambda request: Answer(status=status, headers=headers, body={"error": {"message": "no"}})
    dataset = raw(tmp_path, topics=6, run={"max_stall_s": 60.0})
    with pytest.raises(RunStopped, match="max_stall_s"):
        dataset.generate([make(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.failed, report.pending) == (0, 6)


@every_back_end
def test_a_permanent_429_ends_in_a_clean_stop_that_can_be_resumed(
    tmp_path: Path, fault_server: FaultServer, short_waits: None, make: MakeProvider
) -> None:
    good = [Answer() for _ in range(4)]
    fault_server.answer_next(*good)
    fault_server.respond = lambda request: Answer(status=429, body={"error": {"message": "slow down"}})
    dataset = raw(tmp_path, topics=12, run={"max_stall_s": 0.5, "max_concurrency": 4})
    with pytest.raises(RunStopped, match="429") as stopped:
        dataset.generate([make(fault_server)])
    report = assert_balanced(stopped.value.report)
    assert (report.written, report.failed, report.pending) == (4, 0, 8)
    fault_server.respond = lambda request: Answer()
    dataset.generate([make(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls) == (12, 8)


def test_ninety_percent_of_429_for_seconds_loses_no_row(
    tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.short_waits(monkeypatch, 0.1 if LIMITED_S < 10 else 1.0)
    chance, until = random.Random(1), time.monotonic() + LIMITED_S

    def respond(request: Recorded) -> Answer:
        limited = time.monotonic() < until and chance.random() < 0.9
        return Answer(status=429) if limited else Answer(delay_s=0.01)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=400, run={"max_concurrency": 32, "max_retries": 0, "max_stall_s": LIMITED_S + 20})
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed) == (400, 0)
    assert fault_server.max_in_flight <= 32


def test_an_item_that_waits_for_its_retry_does_not_hold_the_slot(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(Answer(status=503, headers={"Retry-After": "1"}))
    raw(tmp_path, topics=12, run={"max_concurrency": 1}).generate([direct(fault_server)])
    first, *later = fault_server.requests
    assert fault_server.max_in_flight == 1
    assert len(later) == 12
    (again,) = [number for number, request in enumerate(later) if request.prompt == first.prompt]
    assert later[again].at_s >= first.at_s + 1.0
    assert again > 0  # the last one, where the machine is not very slow


def test_many_waiting_items_open_no_more_than_four_times_the_concurrency(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    refused = {"error": {"message": "the model wrote no JSON", "code": "json_validate_failed"}}
    asked, most_open = Counter[str](), 0

    def respond(request: Recorded) -> Answer:
        nonlocal most_open
        asked[request.prompt] += 1
        most_open = max(most_open, sum(times == 1 for times in asked.values()))
        return Answer(status=400, body=refused, headers={"Retry-After": "0.5"})

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=60, run={"max_concurrency": 3, "max_retries": 1})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).failures == {"invalid_reply": 60}
    assert 3 < most_open <= 12
    assert fault_server.max_in_flight <= 3


# -- in flight


class _PerModel:
    """Counts what is in flight at a server, for each model."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self._lock = threading.Lock()

    def watch(self, server: FaultServer, delay_s: Callable[[str], float], *, until: int) -> None:
        """Lets the server answer when so many requests are in flight, and each model then after so long."""
        original, all_are_there = server._answer, threading.Event()

        def respond(request: Recorded) -> Answer:
            model = request.json["model"]
            with self._lock:
                self.now[model] = self.now.get(model, 0) + 1
                self.most[model] = max(self.most.get(model, 0), self.now[model])
            if server.in_flight >= until:
                all_are_there.set()
            return Answer(until=all_are_there.is_set, delay_s=delay_s(model))

        async def answer(request: Any, recorded: Recorded, given: Answer, number: int) -> Any:
            with self._lock:
                self.now[recorded.json["model"]] -= 1
            return await original(request, recorded, given, number)

        server.respond = respond
        server._answer = answer  # type: ignore[method-assign]


@every_back_end
def test_what_is_in_flight_equals_the_settings_and_never_passes_them(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider
) -> None:
    watched = _PerModel()
    watched.watch(fault_server, lambda model: 0.06 if "capped" in model else 0.03, until=10)
    providers = [make(fault_server, "capped", max_concurrency=3), make(fault_server, "free")]
    dataset = raw(tmp_path, topics=70, run={"max_concurrency": 10})
    dataset.generate(providers)
    assert assert_balanced(dataset.report).written == 140
    assert watched.most["capped"] == 3
    # Seven of the ten, and up to all of them once the other has ended.
    assert 7 <= watched.most["free"] <= 10
    assert fault_server.max_in_flight == 10


# -- requests and tokens per minute


@every_back_end
def test_requests_per_minute_come_evenly_without_a_burst_or_a_stall(
    tmp_path: Path, fault_server: FaultServer, sends: list[float], make: MakeProvider
) -> None:
    """600 a minute, ten a second."""
    began = time.monotonic()
    dataset = raw(tmp_path, topics=31, run={"max_concurrency": 16})
    dataset.generate([make(fault_server, rpm_limit=600)])
    at = [request.at_s for request in fault_server.requests]
    assert len(at) == len(sends) == 31
    assert most_in_any(0.8, sends) <= 9
    assert most_in_any(0.2, sends) <= 3
    assert all(moment >= began + number * 0.1 for number, moment in enumerate(at))
    assert at[-1] - at[0] < 15.0  # no minute has to be over


def test_repeats_count_as_requests(
    tmp_path: Path, fault_server: FaultServer, sends: list[float], short_waits: None
) -> None:
    fault_server.answer_next(*[Answer(status=503) for _ in range(10)])
    dataset = raw(tmp_path, topics=10, run={"max_concurrency": 10})
    dataset.generate([direct(fault_server, rpm_limit=1200)])
    assert len(fault_server.requests) == len(sends) == 20
    assert sends[-1] - sends[0] >= 0.9
    assert most_in_any(0.45, sends) <= 10


def test_the_pace_of_requests_goes_on_after_a_restart(
    tmp_path: Path, fault_server: FaultServer, sends: list[float]
) -> None:
    slow = direct(fault_server, rpm_limit=60)
    dataset = raw(tmp_path, topics=2)
    dataset.generate([slow], limit=1)
    dataset.generate([slow])
    assert len(fault_server.requests) == len(sends) == 2
    assert sends[1] - sends[0] >= 1.0


def test_tokens_per_minute_are_paced_by_what_replies_really_used(
    tmp_path: Path, fault_server: FaultServer, sends: list[float]
) -> None:
    """Each reply says that it used 18 tokens, however many were reserved for it: 0.1 s each at 10,800 a minute."""
    dataset = raw(tmp_path, topics=12, run={"max_concurrency": 1})
    dataset.generate([direct(fault_server, tpm_limit=10_800, max_completion_tokens=100)])
    assert len(fault_server.requests) == len(sends) == 12
    assert 11 * 0.1 - 0.05 <= sends[-1] - sends[0] < 8.0  # 9.9 s where what was reserved counts


def test_tokens_that_are_given_back_let_those_who_wait_go_sooner(
    tmp_path: Path, fault_server: FaultServer, sends: list[float]
) -> None:
    """Each request reserves about 1,050 tokens, which is 6 s; its reply says 18, which is 0.1 s."""
    dataset = raw(tmp_path, topics=12, run={"max_concurrency": 8})
    dataset.generate([direct(fault_server, tpm_limit=10_800, max_completion_tokens=1000)])
    assert len(fault_server.requests) == len(sends) == 12
    assert 11 * 0.1 - 0.05 <= sends[-1] - sends[0] < 30.0


def test_tokens_are_reserved_before_a_request_and_not_only_counted_after_it(
    tmp_path: Path, fault_server: FaultServer, sends: list[float]
) -> None:
    """With replies that take long, nothing is known yet of what the first ones used when the next ones would go."""
    three_are_there = threading.Event()

    def respond(request: Recorded) -> Answer:
        if len(fault_server.requests) == 3:
            three_are_there.set()
        return Answer(until=three_are_there.is_set)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=4, run={"max_concurrency": 4})
    dataset.generate([direct(fault_server, tpm_limit=60_000, max_completion_tokens=150)])
    # About 200 tokens each (a prompt of 60, a reply of up to 150): at least 0.15 s apart.
    assert min(later - earlier for earlier, later in itertools.pairwise(sends[:3])) >= 0.15


def test_tokens_of_refused_requests_are_given_back(
    tmp_path: Path, fault_server: FaultServer, short_waits: None
) -> None:
    fault_server.answer_next(*[Answer(status=429, headers={"Retry-After": "0"}) for _ in range(10)])
    dataset = raw(tmp_path, topics=1)
    dataset.generate([direct(fault_server, tpm_limit=60_000, max_completion_tokens=5000)])
    at = [request.at_s for request in fault_server.requests]
    # Eleven reservations of 5 s each would be a minute.
    assert len(at) == 11
    assert at[-1] - at[0] < 30.0


def test_the_pace_of_tokens_goes_on_after_a_restart(
    tmp_path: Path, fault_server: FaultServer, sends: list[float]
) -> None:
    slow = direct(fault_server, tpm_limit=1080, max_completion_tokens=10)  # a reply's 18 tokens: one second
    dataset = raw(tmp_path, topics=2)
    dataset.generate([slow], limit=1)
    dataset.generate([slow])
    assert len(fault_server.requests) == len(sends) == 2
    assert sends[1] - sends[0] >= 1.0


def test_what_an_earlier_run_sent_without_a_limit_holds_back_for_a_minute_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("datafast.engine.calls.admission.time.monotonic", lambda: 5000.0)
    gate = Gate(8, rpm=60, tpm=60_000, earlier=[(10.0, 5000)] * 1000)
    assert 5030.0 < gate.opens_at < 5061.0


@settings(max_examples=60)
@given(
    rpm=st.integers(1, 400),
    lateness=st.lists(st.floats(0.0, 0.45), min_size=5, max_size=40),
    waits=st.lists(st.floats(0.0, 3.0) | st.just(0.0), min_size=1, max_size=30),
)
def test_no_minute_at_the_server_holds_more_than_the_limit_although_the_way_takes_its_time(
    rpm: int, lateness: list[float], waits: list[float]
) -> None:
    """Each request arrives up to 0.45 s after it was sent, some at once: still never more than `rpm` in a minute."""
    pacer, now, arrived = Pacer(rpm), 1000.0, []
    for number in range(2 * rpm + 3):
        now += waits[number % len(waits)] / rpm
        now = max(now, pacer.book(1, now))
        arrived.append(now + lateness[number % len(lateness)])
    arrived.sort()
    for number in range(len(arrived) - rpm):
        assert arrived[number + rpm] - arrived[number] >= 60.0


# -- adaptive concurrency


def test_the_limit_falls_once_per_burst_and_climbs_back(
    tmp_path: Path, fault_server: FaultServer, short_waits: None
) -> None:
    fault_server.refuse_together(16)
    events: list[Event] = []
    dataset = raw(tmp_path, topics=300, run={"max_concurrency": 16})
    dataset.generate([direct(fault_server)], on_event=events.append)
    limits = [event.limit for event in events if event.type == "limit_changed"]
    assert limits == [12, 13, 14, 15, 16]
    assert assert_balanced(dataset.report).written == 300


def test_each_provider_has_its_own_limit(tmp_path: Path, fault_server: FaultServer, short_waits: None) -> None:
    # More than can be in flight: several refusals have come back before anything of this provider is answered.
    limited = iter([True] * 20)

    def respond(request: Recorded) -> Answer:
        refuse = request.json["model"] == "limited" and next(limited, False)
        return Answer(status=429, delay_s=0.05) if refuse else Answer(delay_s=0.005)

    fault_server.respond = respond
    events: list[Event] = []
    dataset = raw(tmp_path, topics=40, run={"max_concurrency": 16})
    dataset.generate([direct(fault_server, "limited"), direct(fault_server, "free")], on_event=events.append)
    changed = {event.provider for event in events if event.type == "limit_changed"}
    assert changed == {"openai_compatible/limited"}
    assert assert_balanced(dataset.report).written == 80


# -- limits that the server tells


@pytest.mark.parametrize("what", ["requests", "tokens"])
def test_a_quota_that_the_server_tells_is_used_without_a_refusal(
    tmp_path: Path, fault_server: FaultServer, what: str
) -> None:
    """A bucket of 20 requests, refilled with 30 a second. A reply of the server uses 18 tokens."""
    unit = 1 if what == "requests" else 18
    limit, per_s = 20 * unit, 30 * unit
    left, at, lock = float(limit), time.monotonic(), threading.Lock()

    def respond(request: Recorded) -> Answer:
        nonlocal left, at
        with lock:
            now = time.monotonic()
            left, at = min(limit, left + (now - at) * per_s), now
            taken = left >= unit
            left -= unit * taken
            headers = {
                f"x-ratelimit-limit-{what}": str(limit),
                f"x-ratelimit-remaining-{what}": str(int(left)),
                f"x-ratelimit-reset-{what}": f"{(limit - left) / per_s:.3f}s",
            }
        return Answer(delay_s=0.02, headers=headers) if taken else Answer(status=429, headers=headers)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=80, run={"max_concurrency": 8})
    started = time.monotonic()
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert report.written == 80
    assert time.monotonic() - started >= (80 - 20) / 30
    # It is told how much is left, so hardly one comes too early: 82 in a quiet hour, and 95 without that.
    assert len(fault_server.requests) <= 90


def test_a_limit_that_is_far_away_holds_nothing_back() -> None:
    gate = Gate(64)
    plenty = RateLimits(requests=RateLimit(500, 400, 12.0), tokens=RateLimit(10_000, 9_000, 6.0))
    for _ in range(20):
        gate.take(0, time.monotonic())
    gate.told(plenty, tokens=18)
    assert gate.opens_at <= time.monotonic()


def test_the_nearest_limit_counts_and_one_that_is_told_in_part_does_not() -> None:
    gate = Gate(64)
    gate.take(0, time.monotonic())
    gate.told(RateLimits(requests=RateLimit(60, 0, 60.0), input_tokens=RateLimit(1000, 0, 20.0)), tokens=100)
    assert gate.told_rate.per_s == pytest.approx(0.97 * 0.5)
    gate.told(RateLimits(requests=RateLimit(None, 0, 60.0)), tokens=100)
    assert gate.told_rate.per_s is None
