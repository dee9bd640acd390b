"""An outage costs time, not rows: a provider that does not work is paused, probed, and at last stopped with its items pending."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.events import Event
from datafast.errors import RunStopped
from datafast.llms import LLMProvider, OpenAICompatibleProvider
from tests import support
from tests.llms.contract.backends import ONE_OF_EACH, ONE_OF_EACH_STREAMED, BackEnd
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import assert_balanced, raw


def direct(server: FaultServer, **options: Any) -> LLMProvider:
    return OpenAICompatibleProvider("m", api_base=server.url, **options)


every_back_end = pytest.mark.parametrize("make", ONE_OF_EACH, ids=str)

STREAM = 'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n'
DEAD = {
    "500": Answer(status=500, body="oops"),
    "503": Answer(status=503, body="busy"),
    "reset": Answer(drop=True),
    "cut": Answer(cut_after=20),
    "slow": Answer(delay_s=2.0),
    "no choices": Answer(body={"choices": []}),
    "error in the choice": Answer(
        body={"choices": [{"message": {"content": ""}, "error": {"message": "upstream broke", "code": 502}}]}
    ),
    "429 in the choice": Answer(
        body={"choices": [{"message": {"content": ""}, "error": {"message": "slow down", "code": 429}}]}
    ),
    "nothing said": Answer(body={"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}),
    "broken off": Answer(body={"choices": [{"message": {"content": ""}, "finish_reason": "error"}]}),
    "html": Answer(body="<html>at maintenance</html>", headers={"Content-Type": "text/html"}),
    "stream": Answer(body=STREAM, headers={"Content-Type": "text/event-stream"}),
    "cut json": Answer(body='{"choices": [{"message": {"con'),
    "credit": Answer(
        status=400, body={"error": {"type": "invalid_request_error", "message": "Your balance is too low."}}
    ),
    "quota": Answer(status=429, body={"error": {"code": "insufficient_quota", "message": "no"}}),
    "key revoked": Answer(status=401, body={"error": {"message": "no"}}),
    "forbidden": Answer(status=403, body="<html>not from here</html>", headers={"Content-Type": "text/html"}),
    "model gone": Answer(status=404, body={"error": {"message": "no such model"}}),
}
ONE_AT_A_TIME = ("503", "slow", "credit", "key revoked")
# Shapes in which the wire format matters.
OF_WIRES = ("no reply", "cut", "503", "credit")
CHAT, *NATIVE, LITELLM = ONE_OF_EACH
DYING = [
    *((CHAT, 8, shape) for shape in [*DEAD, "no reply"]),
    *((CHAT, 1, shape) for shape in ONE_AT_A_TIME),
    *((LITELLM, 8, shape) for shape in DEAD),
    *((make, 8, shape) for make in (*NATIVE, *ONE_OF_EACH_STREAMED) for shape in OF_WIRES),
]


def dead(make: BackEnd, shape: str) -> Answer:
    """What a dead server of this format answers."""
    return Answer(body=make.wire.hollow()) if shape == "no reply" else DEAD[shape]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch, 0.02)


def _asked(request: Recorded) -> str:
    return request.raw.decode()


# -- for good


@pytest.mark.parametrize(("make", "concurrency", "shape"), DYING, ids=str)
def test_a_provider_that_dies_for_good_fails_nothing_and_gets_few_requests(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd, shape: str, concurrency: int
) -> None:
    fault_server.respond = lambda request: Answer() if len(fault_server.requests) <= 30 else dead(make, shape)
    run = {"max_concurrency": concurrency, "max_stall_s": 0.2}
    dataset = raw(tmp_path, topics=90, run=run)
    timeout = 0.4 if shape == "slow" else 20.0
    with pytest.raises(RunStopped):
        dataset.generate([make(fault_server.url, timeout=timeout)])
    report = assert_balanced(dataset.report)
    assert report.failed == 0
    if shape == "slow":  # on a busy machine a good answer may be too late as well
        assert 0 < report.written <= 30
    else:
        assert report.written == 30
    assert len(fault_server.requests) - 30 <= 3 * concurrency + 20

    fault_server.respond = lambda request: Answer()
    dataset.generate([make(fault_server.url)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (90, 0, 0)


# -- for a while


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        *((CHAT, shape) for shape in ("500", "reset", "no reply", "html")),
        *((LITELLM, shape) for shape in ("503", "reset", "error in the choice", "html")),
        *((make, shape) for make in (*NATIVE, *ONE_OF_EACH_STREAMED) for shape in ("503", "no reply")),
    ],
    ids=str,
)
def test_an_outage_that_passes_loses_no_row(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd, shape: str
) -> None:
    is_over = threading.Event()

    def respond(request: Recorded) -> Answer:
        is_up = len(fault_server.requests) <= 40 or is_over.is_set()
        return Answer() if is_up else dead(make, shape)

    fault_server.respond = respond
    seen: list[Event] = []

    def watch(event: Event) -> None:
        seen.append(event)
        if [one.type for one in seen].count("provider_paused") == 4:  # a probe goes every now and then
            is_over.set()

    dataset = raw(tmp_path, topics=80, run={"max_concurrency": 8, "max_retries": 1})
    dataset.generate([make(fault_server.url)], on_event=watch)
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (80, 0, 0)
    kinds = [event.type for event in seen]
    assert kinds.count("provider_resumed") >= 1
    paused = [event for event in seen if event.type == "provider_paused"]
    assert all(event.wait_s > 0 and event.reason.endswith(".") for event in paused)
    assert len(fault_server.requests) <= 80 + 8 + 40  # few probes


@every_back_end
def test_a_server_that_is_started_late_is_waited_for(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also names that are not found for a while: whatever keeps a connection from coming about."""
    is_there = threading.Event()
    real = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **named: Any) -> Any:
        if host == "localhost" and not is_there.is_set():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    provider = make(fault_server.url.replace("127.0.0.1", "localhost"))
    dataset = raw(tmp_path, topics=20, run={"max_concurrency": 4, "max_retries": 1})
    seen: list[str] = []

    def watch(event: Event) -> None:
        seen.append(event.type)
        if seen.count("provider_paused") == 4:
            is_there.set()

    dataset.generate([provider], on_event=watch)
    assert assert_balanced(dataset.report).written == 20
    assert seen.count("provider_paused") == 4
    assert len(fault_server.requests) == 20


def test_one_probe_at_a_time_reopens_a_paused_provider_and_then_the_limit_rises(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    dead = threading.Event()

    def respond(request: Recorded) -> Answer:
        return DEAD["503"] if dead.is_set() else Answer(delay_s=0.01)

    fault_server.respond = respond
    in_outage: list[int] = []
    seen: list[Event] = []

    def watch(event: Event) -> None:
        seen.append(event)
        if event.type == "call_finished" and len(seen) > 40 and not in_outage:
            dead.set()
            in_outage.append(len(fault_server.requests))
        if event.type == "provider_paused" and [one.type for one in seen].count("provider_paused") == 4:
            dead.clear()

    dataset = raw(tmp_path, topics=300, run={"max_concurrency": 16})
    dataset.generate([direct(fault_server)], on_event=watch)
    assert assert_balanced(dataset.report).written == 300
    at = next(number for number, event in enumerate(seen) if event.type == "provider_resumed")
    limits = [event.limit for event in seen[at:] if event.type == "limit_changed"]
    assert limits[:15] == list(range(2, 17))
    pauses = [event for event in seen[:at] if event.type == "provider_paused"]
    assert len(pauses) == 4  # each probe that failed put the next one off
    sent = len([event for event in seen[:at] if event.type == "retry"])
    assert sent <= 16 + 3 + len(pauses)


def test_slow_replies_are_no_stall(tmp_path: Path, fault_server: FaultServer) -> None:
    """429s all around, while the replies of earlier requests take longer than a stall may."""
    slow = iter([True, True])

    def respond(request: Recorded) -> Answer:
        if next(slow, False):
            return Answer(delay_s=1.0)
        return Answer(status=429) if request.at_s < fault_server.requests[0].at_s + 0.9 else Answer()

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=12, run={"max_concurrency": 4, "max_stall_s": 0.3})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 12


def test_a_fallback_takes_over_while_the_first_provider_is_down(tmp_path: Path, fault_server: FaultServer) -> None:
    with FaultServer() as second:

        def respond(request: Recorded) -> Answer:
            return Answer() if len(fault_server.requests) <= 20 else DEAD["503"]

        fault_server.respond = respond
        dataset = raw(tmp_path, topics=100, run={"max_concurrency": 4, "fan_out": "fallback", "max_stall_s": 60.0})
        started = time.monotonic()
        dataset.generate([direct(fault_server), OpenAICompatibleProvider("second", api_base=second.url)])
        report = assert_balanced(dataset.report)
        assert (report.written, report.failed, report.pending) == (100, 0, 0)
        assert time.monotonic() - started < 30.0
        assert len(second.requests) == 80


# -- whose fault it is


@pytest.mark.parametrize(("shape", "concurrency"), [("credit", 1), ("forbidden", 8)])
@pytest.mark.parametrize("place", [0, 7, 19])
def test_one_refused_prompt_fails_alone(
    tmp_path: Path, fault_server: FaultServer, shape: str, concurrency: int, place: int
) -> None:
    fault_server.respond = lambda request: DEAD[shape] if f"topic {place}." in _asked(request) else Answer()
    topics = [f"topic {number}." for number in range(20)]
    dataset = raw(tmp_path, topics=topics, run={"max_concurrency": concurrency})
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (19, 1, 0)
    again = len(fault_server.requests)
    dataset.generate([direct(fault_server)])
    assert len(fault_server.requests) == again


def test_prompts_that_were_refused_at_first_go_last_in_the_next_run_and_fail_when_refused_again(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    """The first run is cut off before anything tells whose fault it is."""
    poison = {f"topic {number}." for number in range(4)}
    everything_refused = True

    def respond(request: Recorded) -> Answer:
        bad = everything_refused or any(name in _asked(request) for name in poison)
        return DEAD["credit"] if bad else Answer()

    fault_server.respond = respond
    topics = [f"topic {number}." for number in range(30)]
    dataset = raw(tmp_path, topics=topics, run={"max_concurrency": 1})
    with pytest.raises(RunStopped, match="balance is too low"):
        dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).pending == 30
    refused = {name for name in topics if any(name in _asked(request) for request in fault_server.requests)}
    assert poison <= refused

    everything_refused = False
    before = len(fault_server.requests)
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (26, 4, 0)
    later = [_asked(request) for request in fault_server.requests[before:]]
    first_refused = min(number for number, asked in enumerate(later) if any(name in asked for name in refused))
    assert first_refused == 30 - len(refused)
    assert 30 <= len(later) <= 30 + 6  # few are asked twice, and one that was answered


def test_a_key_that_is_refused_in_passing_costs_no_row(tmp_path: Path, fault_server: FaultServer) -> None:
    refused = iter([False] * 10 + [True, False, True, True] + [False] * 5 + [True])
    fault_server.respond = lambda request: DEAD["key revoked"] if next(refused, False) else Answer()
    dataset = raw(tmp_path, topics=40, run={"max_concurrency": 2})
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (40, 0, 0)


@pytest.mark.parametrize(("bad", "concurrency"), [("500", 1), ("no choices", 4)])
def test_a_prompt_that_the_server_cannot_answer_fails_although_it_is_the_last_one(
    tmp_path: Path, fault_server: FaultServer, bad: str, concurrency: int
) -> None:
    fault_server.respond = lambda request: DEAD[bad] if "topic 3." in _asked(request) else Answer(delay_s=0.03)
    dataset = raw(
        tmp_path,
        topics=[f"topic {number}." for number in range(8)],
        run={"max_concurrency": concurrency, "max_retries": 4},
    )
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (7, 1, 0)


def test_answers_that_are_no_replies_are_recorded_and_never_held_against_an_item(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    """They may have been paid for. Replayed after a restart, they fail nothing either."""
    fault_server.respond = lambda request: DEAD["no choices"]
    dataset = raw(tmp_path, topics=3, run={"max_concurrency": 1, "max_stall_s": 0.2, "max_parse_retries": 0})
    for _ in range(3):
        with pytest.raises(RunStopped, match="without a choice"):
            dataset.generate([direct(fault_server)])
        assert assert_balanced(dataset.report).pending == 3
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as ledger, ledger:
        assert ledger.execute("SELECT count(*) FROM calls").fetchone() == (len(fault_server.requests),)
    fault_server.respond = lambda request: Answer()
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 3


def test_credit_that_runs_out_while_slow_replies_are_on_their_way_fails_nothing(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    """Those were sent before, so they tell nothing about what was refused since."""

    def respond(request: Recorded) -> Answer:
        number = len(fault_server.requests)
        return Answer(delay_s=0.1 * (number % 4)) if number <= 16 else DEAD["credit"]

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=150, run={"max_concurrency": 16})
    with pytest.raises(RunStopped, match="balance is too low"):
        dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (16, 0, 134)
    assert len(fault_server.requests) - 16 <= 3 * 16 + 20


def test_a_provider_is_probed_while_a_reply_hangs_and_no_more_often_than_otherwise(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    """It is not given up while that reply is out."""
    is_probed = threading.Event()
    fault_server.respond = lambda request: (
        Answer(until=is_probed.is_set) if len(fault_server.requests) == 1 else DEAD["503"]
    )
    pauses: list[float] = []

    def watch(event: Event) -> None:
        if event.type == "provider_paused":  # before the first probe, and with each that fails
            pauses.append(time.monotonic())
            if len(pauses) == 4:
                is_probed.set()

    dataset = raw(tmp_path, topics=12, run={"max_concurrency": 4, "max_stall_s": 0.3})
    with pytest.raises(RunStopped, match="Nothing else came"):
        dataset.generate([direct(fault_server)], on_event=watch)
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (1, 0, 11)
    assert pauses[3] - pauses[0] >= 0.02 + 0.04 + 0.08  # each after twice the wait


def test_replies_that_were_on_their_way_do_not_reopen_a_paused_provider(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    is_paused, have_landed = threading.Event(), threading.Event()

    def respond(request: Recorded) -> Answer:
        if len(fault_server.requests) <= 12:
            return Answer(until=is_paused.is_set)
        return Answer() if have_landed.is_set() else DEAD["503"]

    fault_server.respond = respond
    seen: list[Event] = []

    def watch(event: Event) -> None:
        seen.append(event)
        if event.type == "provider_paused":
            is_paused.set()
        if event.type == "call_finished" and [one.type for one in seen].count("call_finished") == 12:
            have_landed.set()

    dataset = raw(tmp_path, topics=60, run={"max_concurrency": 15})
    dataset.generate([direct(fault_server)], on_event=watch)
    assert assert_balanced(dataset.report).written == 60
    kinds = [event.type for event in seen]
    paused, resumed = kinds.index("provider_paused"), kinds.index("provider_resumed")
    assert kinds[paused:resumed].count("call_finished") == 13  # the last one is the probe's
    assert "limit_changed" not in kinds[paused:resumed]


@pytest.mark.parametrize(("bad", "concurrency"), [("500", 1), ("no choices", 4)])
def test_a_prompt_that_the_server_cannot_answer_fails_where_no_other_is_left_to_tell(
    tmp_path: Path, fault_server: FaultServer, bad: str, concurrency: int
) -> None:
    fault_server.respond = lambda request: DEAD[bad] if "topic 7." in _asked(request) else Answer()
    topics = [f"topic {number}." for number in range(8)]
    dataset = raw(tmp_path, topics=topics, run={"max_concurrency": concurrency, "max_stall_s": 0.3})
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (7, 1, 0)


def test_two_prompts_that_the_server_cannot_answer_are_few_enough_to_be_to_blame_themselves(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.respond = lambda request: DEAD["500"] if "bad" in _asked(request) else Answer()
    topics = [*(f"topic {number}" for number in range(6)), "bad 1", "bad 2"]
    dataset = raw(tmp_path, topics=topics, run={"max_concurrency": 2, "max_stall_s": 0.3})
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (6, 2, 0)


def test_a_provider_that_is_merely_unreliable_is_soon_paused_no_more(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: DEAD["500"] if len(fault_server.requests) % 4 == 0 else Answer()
    dataset = raw(tmp_path, topics=300, run={"max_concurrency": 8, "max_retries": 20})
    seen: list[str] = []
    dataset.generate([direct(fault_server)], on_event=lambda event: seen.append(event.type))
    assert assert_balanced(dataset.report).written == 300
    assert 1 <= seen.count("provider_paused") <= 4


@pytest.mark.parametrize("name", ["code", "param"])
def test_refusals_that_differ_in_their_words_stop_a_provider_too(
    tmp_path: Path, fault_server: FaultServer, name: str
) -> None:
    def respond(request: Recorded) -> Answer:
        return Answer(status=400, body={"error": {name: f"n{len(fault_server.requests)}", "message": "no"}})

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=60, run={"max_concurrency": 2})
    with pytest.raises(RunStopped, match="in a row"):
        dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).pending == 60
    assert len(fault_server.requests) <= 40  # with those that ask for structure in another way


def test_requests_that_wait_for_their_turn_in_the_minute_are_no_probes(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    together: list[int] = []

    def respond(request: Recorded) -> Answer:
        if len(fault_server.requests) <= 20 or together[-2:] == [1, 1]:
            return Answer()
        together.append(fault_server.in_flight)
        return Answer(status=503, delay_s=0.1)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=60, run={"max_concurrency": 12})
    dataset.generate([direct(fault_server, rpm_limit=3000)])
    assert assert_balanced(dataset.report).written == 60
    assert 2 <= len(together) <= 14


@pytest.mark.parametrize("second_hangs", [True, False])
def test_in_a_fallback_the_first_provider_goes_on_where_the_next_one_does_not_work_either(
    tmp_path: Path, fault_server: FaultServer, second_hangs: bool
) -> None:
    with FaultServer() as second:
        second.respond = lambda request: Answer(delay_s=8.0) if second_hangs else DEAD["503"]

        def respond(request: Recorded) -> Answer:
            out = len(fault_server.requests) > 10 and request.at_s < fault_server.requests[10].at_s + 0.3
            return DEAD["503"] if out else Answer()

        fault_server.respond = respond
        run = {"max_concurrency": 4, "fan_out": "fallback", "max_stall_s": 3.0, "max_retries": 1}
        dataset = raw(tmp_path, topics=60, run=run)
        other = OpenAICompatibleProvider("second", api_base=second.url, timeout=0.5)
        dataset.generate([direct(fault_server), other])
        report = assert_balanced(dataset.report)
        assert (report.written, report.failed, report.pending) == (60, 0, 0)
        assert not report.stopped_providers


def _poisoned(server: FaultServer, poison: int, shape: str, topics: int = 40) -> list[str]:
    """Topics of which the last so many are never answered."""
    names = [f"topic {number}." for number in range(topics)]
    bad = names[topics - poison :]
    server.respond = lambda request: DEAD[shape] if any(name in _asked(request) for name in bad) else Answer()
    return names


@every_back_end
@pytest.mark.parametrize("poison", [1, 4, 25])
def test_refused_prompts_that_alone_are_left_fail(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd, poison: int
) -> None:
    topics = _poisoned(fault_server, poison, "credit")
    dataset = raw(tmp_path, topics=topics, run={"max_concurrency": 4})
    dataset.generate([make(fault_server.url)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (40 - poison, poison, 0)
    assert report.calls - report.written <= 1 + poison // 4  # requests that were answered before and are sent again


def test_refused_prompts_fail_in_a_run_that_has_nothing_else_to_ask(tmp_path: Path, fault_server: FaultServer) -> None:
    """What an earlier run was answered tells whose fault it is."""
    topics = _poisoned(fault_server, 15, "credit")
    dataset = raw(tmp_path, topics=topics, run={"max_concurrency": 4})
    dataset.generate([direct(fault_server)])
    before = len(fault_server.requests)
    dataset.generate([direct(fault_server)], retry_failed=True)
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (25, 15, 0)
    assert 1 <= report.calls <= 4
    sent = len(fault_server.requests)
    assert sent - before <= 15 * 2 + 4
    dataset.generate([direct(fault_server)])
    assert len(fault_server.requests) == sent


@pytest.mark.parametrize("second_works", [True, False])
def test_in_a_fallback_refused_prompts_that_alone_are_left_end_the_run(
    tmp_path: Path, fault_server: FaultServer, second_works: bool
) -> None:
    topics = _poisoned(fault_server, 12, "credit")
    with FaultServer() as second:
        second.respond = lambda request: Answer() if second_works else DEAD["quota"]
        dataset = raw(tmp_path, topics=topics, run={"max_concurrency": 4, "fan_out": "fallback"})
        dataset.generate([direct(fault_server), OpenAICompatibleProvider("second", api_base=second.url)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == ((40, 0, 0) if second_works else (28, 12, 0))


@pytest.mark.parametrize("left", [1, 2, 12])
def test_credit_that_runs_out_just_before_the_last_items_fails_none_of_them(
    tmp_path: Path, fault_server: FaultServer, left: int
) -> None:
    """At each start, as long as the credit is used up."""
    answered = 40 - left
    paid = True
    fault_server.respond = lambda request: (
        Answer() if paid and len(fault_server.requests) <= answered else DEAD["credit"]
    )
    dataset = raw(tmp_path, topics=40, run={"max_concurrency": 4})
    for _ in range(3):
        with pytest.raises(RunStopped, match="one of which it had answered before"):
            dataset.generate([direct(fault_server)])
        report = assert_balanced(dataset.report)
        assert (report.written, report.failed, report.pending) == (answered, 0, left)
        paid = False
    fault_server.respond = lambda request: Answer()
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 40


@pytest.mark.parametrize("shape", ["500", "no choices", "reset"])
@pytest.mark.parametrize("poison", [1, 3, 12])
def test_prompts_that_only_meet_faults_and_alone_are_left_fail(
    tmp_path: Path, fault_server: FaultServer, poison: int, shape: str
) -> None:
    topics = _poisoned(fault_server, poison, shape, topics=20)
    dataset = raw(tmp_path, topics=topics, run={"max_concurrency": 4, "max_retries": 2})
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (20 - poison, poison, 0)


@pytest.mark.parametrize("left", [1, 6])
def test_a_provider_that_dies_just_before_the_last_items_fails_none_of_them(
    tmp_path: Path, fault_server: FaultServer, left: int
) -> None:
    fault_server.respond = lambda request: Answer() if len(fault_server.requests) <= 20 - left else DEAD["500"]
    dataset = raw(tmp_path, topics=20, run={"max_concurrency": 4, "max_stall_s": 0.5, "max_retries": 1})
    with pytest.raises(RunStopped, match="Nothing else came"):
        dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (20 - left, 0, left)


@pytest.mark.parametrize("max_retries", [0, 1])
def test_an_outage_that_begins_among_answers_loses_no_row_without_retries(
    tmp_path: Path, fault_server: FaultServer, max_retries: int
) -> None:
    """Replies of before go on arriving, while new requests meet faults."""

    def respond(request: Recorded) -> Answer:
        number, began = len(fault_server.requests), fault_server.requests[0].at_s
        if number <= 24:
            return Answer(delay_s=0.01 * number)
        return DEAD["503"] if request.at_s < began + 0.6 else Answer()

    fault_server.respond = respond
    run = {"max_concurrency": 16, "max_retries": max_retries}
    dataset = raw(tmp_path, topics=60, run=run)
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (60, 0, 0)


@pytest.mark.parametrize("shape", ["500", "503", "html"])
def test_an_outage_before_the_first_reply_does_not_teach_that_schemas_are_refused(
    tmp_path: Path, fault_server: FaultServer, shape: str
) -> None:
    """A 500 may mean that, so other ways are tried, and soon the schema again."""

    def respond(request: Recorded) -> Answer:
        number = len(fault_server.requests)
        out = request.at_s < fault_server.requests[0].at_s + 0.2
        return DEAD[shape] if out else Answer(text=f'{{"texts": ["Text number {number}."]}}')

    fault_server.respond = respond
    raw(tmp_path, topics=120, run={"max_concurrency": 8}).generate([direct(fault_server)])
    forms = [request.json.get("response_format", {}).get("type") for request in fault_server.requests]
    assert forms[-60:] == ["json_schema"] * 60
    before = len(forms)
    dataset = raw(tmp_path, topics=140, run={"max_concurrency": 8})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 140
    later = [request.json.get("response_format", {}).get("type") for request in fault_server.requests[before:]]
    assert later == ["json_schema"] * 20


def test_a_provider_with_429_alone_gets_ever_fewer_requests(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer() if len(fault_server.requests) <= 30 else Answer(status=429)
    dataset = raw(tmp_path, topics=400, run={"max_concurrency": 64, "max_stall_s": 0.5})
    with pytest.raises(RunStopped, match="rate limited"):
        dataset.generate([direct(fault_server)])
    assert len(fault_server.requests) - 30 <= 3 * 64 + 20
