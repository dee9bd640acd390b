"""A run that is paused, resumed, stopped, and given more or fewer requests in flight from outside."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import ConversationDataset
from datafast.engine.control import RunControl
from datafast.engine.events import (
    AlarmRaised,
    CallFinished,
    ConcurrencyChanged,
    Event,
    ProviderPaused,
    RunEnded,
    RunPaused,
    RunResumed,
    RunStarted,
)
from datafast.errors import ConfigError, ErrorKind, ProviderError, RunStopped
from datafast.llms import OpenAICompatibleProvider
from datafast.llms.base import Request
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import ConversationDatasetConfig
from datafast.types import StopCause
from tests.running import WAIT_S, HeldProvider, Running, stays, wait_for
from tests.servers.fault_server import Answer, FaultServer
from tests.support import CountingProvider, assert_balanced, fork_server, raw, requests_in, rows_of, same_rows


def counting(folder: Path, model: str = "m", **options: Any) -> CountingProvider:
    return CountingProvider(model, log=folder / f"requests-{model}", **{"latency_s": 0.02, **options})


def held(folder: Path, lands: float, model: str = "m", **options: Any) -> HeldProvider:
    """Of its requests, so many land until a test lets more land: a run is no further than a test takes it for."""
    return HeldProvider(model, log=folder / f"requests-{model}", lands=lands, **options)


# -- pausing


def test_a_pause_sends_nothing_more_and_keeps_what_lands(tmp_path: Path) -> None:
    one = held(tmp_path, lands=5)
    run = Running(raw(tmp_path, topics=60, run={"max_concurrency": 4}), [one])
    run.until(CallFinished, 5)
    wait_for(lambda: one.now == 4)
    run.control.pause()
    assert run.until(RunPaused).alarm is None
    one.lands = math.inf
    run.until(CallFinished, 9)
    run.until_landed()
    assert stays(lambda: len(requests_in(one.log)))
    assert run.count(CallFinished) == len(requests_in(one.log)) == 9
    assert run.control.is_paused
    run.control.resume()
    report = run.ended()
    resumed = run.until(RunResumed)
    assert (report.written, report.calls, len(requests_in(one.log))) == (60, 60, 60)
    assert 0.15 <= resumed.paused_s <= report.paused_s + 0.01 <= report.elapsed_s
    assert not run.control.is_paused


def test_a_run_may_begin_paused_and_pauses_come_again(tmp_path: Path) -> None:
    control, one = RunControl(), held(tmp_path, lands=0)
    control.pause()
    run = Running(raw(tmp_path, topics=30, run={"max_concurrency": 3}), [one], control=control)
    run.until(RunStarted)
    assert stays(lambda: len(requests_in(one.log)))
    assert not requests_in(one.log)
    for finished in (4, 8):
        one.lands = finished
        control.resume()
        run.until(CallFinished, finished)
        control.pause()
        run.until(RunPaused, 1 + finished // 4)
    one.lands = math.inf
    control.resume()
    assert (run.ended().written, run.count(RunPaused), run.count(RunResumed)) == (30, 3, 3)


def test_recorded_rows_are_not_written_while_it_is_paused(tmp_path: Path) -> None:
    raw(tmp_path, topics=20).generate([SimulatedProvider("m")])
    (tmp_path / "out.jsonl").unlink()
    control = RunControl()
    control.pause()
    run = Running(raw(tmp_path, topics=20), [SimulatedProvider("m")], control=control)
    run.until(RunStarted)
    assert stays(lambda: rows_of(tmp_path / "out.jsonl"))
    control.resume()
    report = run.ended()
    assert (report.written, report.calls) == (20, 0)


def test_a_pause_is_no_stall(tmp_path: Path) -> None:
    broken, faults_left = threading.Event(), iter(range(1))
    broken.set()

    def reply(request: Request) -> Any:
        if (
            broken.is_set() or next(faults_left, None) is not None
        ):  # one more after the pause, which a stall would end with
            return ProviderError("The server is down.", kind=ErrorKind.SERVER, status=503)
        return None

    settings = {"max_concurrency": 2, "max_stall_s": 1.5, "retry_delay_s": 0.05, "max_retry_delay_s": 0.05}
    control = RunControl()

    def pause_at_once(event: Event) -> None:
        if isinstance(event, ProviderPaused) and broken.is_set():
            control.pause()

    provider = counting(tmp_path, reply=reply, latency_s=0.0)
    run = Running(raw(tmp_path, topics=8, run=settings), [provider], control=control, also=pause_at_once)
    run.until(RunPaused)
    run.until_landed()
    time.sleep(1.7)
    broken.clear()
    run.control.resume()
    report = run.ended()
    assert (report.written, report.stop_cause) == (8, None)


def test_waits_after_rate_limiting_pass_and_nothing_is_sent(tmp_path: Path, fault_server: FaultServer) -> None:
    limited, is_paused = Counter[str](), threading.Event()

    def respond(request: Any) -> Answer:
        limited["all"] += 1
        if limited["all"] <= 4:
            return Answer(status=429, headers={"Retry-After": "0"}, body=b"{}", until=is_paused.is_set)
        return Answer(text='{"texts": ["A note."]}')

    fault_server.respond = respond
    one = OpenAICompatibleProvider("m", api_base=fault_server.url, api_key="none")
    control = RunControl()
    run = Running(raw(tmp_path, topics=12, run={"max_concurrency": 4}), [one], control=control)
    wait_for(lambda: len(fault_server.requests) == 4)
    control.pause()
    run.until(RunPaused)
    is_paused.set()
    run.until_landed()
    assert stays(lambda: len(fault_server.requests), 0.3)
    assert len(fault_server.requests) == 4
    control.resume()
    assert run.ended().written == 12


def test_a_budget_holds_over_a_pause(tmp_path: Path) -> None:
    settings = {"max_concurrency": 3, "max_calls": 10}
    one = held(tmp_path, lands=3)
    run = Running(raw(tmp_path, topics=40, run=settings), [one])
    wait_for(lambda: len(requests_in(one.log)) == 6)
    run.control.pause()
    run.until(RunPaused)
    one.lands = math.inf
    run.until(CallFinished, 6)
    run.until_landed()
    (limit,) = run.control.limits.budget
    assert (limit.name, limit.limit, limit.used) == ("max_calls", 10, 6)
    run.control.resume()
    report = run.ended()
    assert (report.calls, report.stop_cause) == (10, StopCause.BUDGET)


# -- stopping


def test_a_stop_leaves_what_a_later_run_goes_on_with(tmp_path: Path) -> None:
    one = held(tmp_path, lands=6)
    run = Running(raw(tmp_path, topics=40, run={"max_concurrency": 4}), [one])
    wait_for(lambda: len(requests_in(one.log)) == 10)
    run.control.stop()
    one.lands = math.inf  # what was told the loop before comes before
    report = run.ended()
    assert (report.stop_cause, report.stop_reason) == (StopCause.INTERRUPTED, "interrupted")
    assert report.pending
    assert report.written == report.calls == len(requests_in(one.log)) == 10
    raw(tmp_path, topics=40).generate([one])
    assert Counter(requests_in(one.log)).most_common(1)[0][1] == 1
    assert len(rows_of(tmp_path / "out.jsonl")) == len(requests_in(one.log)) == 40


def test_a_paused_run_can_be_stopped(tmp_path: Path) -> None:
    one = held(tmp_path, lands=2)
    run = Running(raw(tmp_path, topics=40, run={"max_concurrency": 4}), [one])
    run.until(CallFinished, 2)
    run.control.pause()
    run.until(RunPaused)
    run.control.stop()
    one.lands = math.inf
    assert run.ended().stop_cause is StopCause.INTERRUPTED
    assert not run.count(RunResumed)


def test_a_control_that_was_told_to_stop_lets_no_run_begin(tmp_path: Path) -> None:
    control, one = RunControl(), counting(tmp_path)
    control.stop()
    with pytest.raises(RunStopped):
        raw(tmp_path, topics=4).generate([one], control=control)
    assert not requests_in(one.log)


def test_it_works_below_a_loop_and_in_callbacks(tmp_path: Path) -> None:
    control = RunControl()

    def on_event(event: Event) -> None:
        if isinstance(event, RunStarted):
            control.pause()
        elif isinstance(event, RunPaused):
            control.resume()

    dataset = raw(tmp_path, topics=4)
    asyncio.run(dataset.generate_async([SimulatedProvider("m")], on_event=on_event, control=control))
    assert dataset.report is not None
    assert dataset.report.written == 4


def test_a_run_in_front_is_steered_too(tmp_path: Path) -> None:
    """Growing topics, of which rows are made then."""
    control = RunControl()
    control.pause()
    topics = {"topic_prompt": "harbours", "depth": 2, "degree": 3}
    config = ConversationDatasetConfig(topics=topics, output_file=tmp_path / "out.jsonl")
    run = Running(ConversationDataset(config), [SimulatedProvider("m")], control=control)
    run.until(RunPaused)
    assert stays(lambda: run.count(CallFinished))
    assert not run.count(CallFinished)
    control.stop()
    run.join()
    assert isinstance(run.error, RunStopped)
    assert run.error.report.stop_cause is StopCause.INTERRUPTED
    assert not run.count(CallFinished)


# -- killed while it is paused


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_a_paused_run_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    with fork_server() as server:
        code = server.run("tests.engine.test_control:paused_and_killed", folder=str(tmp_path))
    assert code == -signal.SIGKILL
    one = counting(tmp_path)
    sent = len(requests_in(one.log))
    assert sent == 7
    report = assert_balanced(raw(tmp_path, topics=30).generate([one]).report)
    assert (report.written, report.calls, len(requests_in(one.log))) == (30, 30 - sent, 30)
    raw(tmp_path / "other", topics=30).generate([SimulatedProvider("m")])
    assert same_rows(rows_of(tmp_path / "out.jsonl"), rows_of(tmp_path / "other" / "out.jsonl"))


def paused_and_killed(folder: str) -> None:
    """Never returns."""
    one = held(Path(folder), lands=5)
    run = Running(raw(Path(folder), topics=30, run={"max_concurrency": 2}), [one])
    wait_for(lambda: len(requests_in(one.log)) == 7)
    run.control.pause()
    run.until(RunPaused)
    one.lands = math.inf
    run.until(CallFinished, 7)
    run.until_landed()
    os.kill(os.getpid(), signal.SIGKILL)


# -- how many are in flight


def test_more_and_fewer_requests_in_flight_at_one_provider(tmp_path: Path) -> None:
    one, other = held(tmp_path, 0, "one"), held(tmp_path, 0, "other")
    run = Running(raw(tmp_path, topics=200, run={"max_concurrency": 8}), [one, other])
    wait_for(lambda: one.now == other.now == 4)
    run.control.set_concurrency("simulated/one", 24)
    changed = run.until(ConcurrencyChanged)
    assert (changed.provider, changed.concurrency) == ("simulated/one", 24)
    wait_for(lambda: one.now == 24)
    run.control.set_concurrency("simulated/one", 2)
    run.until(ConcurrencyChanged, 2)
    one.lands = 22
    wait_for(lambda: one.now == 2)
    one.most = 0
    one.lands, other.lands = 40, 18
    run.until(CallFinished, 58)
    assert (one.most, other.most) == (2, 4)
    limits = {found.name: found for found in run.control.limits.providers}
    assert (limits["simulated/one"].concurrency, limits["simulated/other"].concurrency) == (2, 4)
    run.control.set_concurrency("simulated/one", 40)
    one.lands = other.lands = math.inf
    assert run.ended().written == 400


def test_one_of_more_providers_than_the_run_has_requests(tmp_path: Path) -> None:
    providers = [held(tmp_path, 8, f"m{number}") for number in range(6)]
    run = Running(raw(tmp_path, topics=30, run={"max_concurrency": 3}), providers)
    run.until(CallFinished, 6)
    run.control.set_concurrency("simulated/m2", 5)
    run.until(ConcurrencyChanged)
    wait_for(lambda: providers[2].most > 1)
    for one in providers:
        one.lands = math.inf
    assert run.ended().written == 180


def test_rows_in_order_keep_up_with_more_requests(tmp_path: Path) -> None:
    one = held(tmp_path, 2, "one")
    run = Running(raw(tmp_path, topics=300, run={"max_concurrency": 1, "ordered": True}), [one])
    run.until(CallFinished, 2)
    run.control.set_concurrency("simulated/one", 30)
    wait_for(lambda: one.now == 30)
    one.lands = math.inf
    run.ended()
    topics = [row["metadata"]["topic"] for row in rows_of(tmp_path / "out.jsonl")]
    assert topics == [f"topic {number}" for number in range(300)]


def test_a_number_that_was_set_ends_the_search_for_a_better_one(tmp_path: Path) -> None:
    one = held(tmp_path, 1, "one", max_concurrency="auto", latency_s=0.01)
    run = Running(raw(tmp_path, topics=400), [one])
    run.until(CallFinished)
    run.control.set_concurrency("simulated/one", 21)
    run.until(ConcurrencyChanged)
    one.lands = 300  # enough for some tries
    run.until(CallFinished, 300)
    (limits,) = run.control.limits.providers
    assert (limits.concurrency, limits.limit) == (21, 21)
    one.lands = math.inf
    assert run.ended().written == 400


def test_more_requests_have_as_many_connections(tmp_path: Path, fault_server: FaultServer) -> None:
    """By two connections, no third request would come before the first ones are answered."""
    all_are_there = threading.Event()
    fault_server.respond = lambda request: Answer(text='{"texts": ["A note."]}', until=all_are_there.is_set)
    one = OpenAICompatibleProvider("m", api_base=fault_server.url, api_key="none", max_concurrency=2)
    run = Running(raw(tmp_path, topics=12), [one])
    wait_for(lambda: len(fault_server.requests) == 2)
    run.control.set_concurrency("openai_compatible/m", 12)
    wait_for(lambda: len(fault_server.requests) == 12)
    assert run.count(CallFinished) == 0
    all_are_there.set()
    assert run.ended().written == 12


def test_a_provider_that_is_not_there_and_numbers_that_are_none(tmp_path: Path) -> None:
    one = held(tmp_path, lands=1)
    run = Running(raw(tmp_path, topics=40, run={"max_concurrency": 2}), [one])
    run.until(CallFinished)
    with pytest.raises(ConfigError, match=r"'simulated/n' is not a provider of this run. Did you mean 'simulated/m'"):
        run.control.set_concurrency("simulated/n", 3)
    for wrong in (0, -1, True, 2.5, "3", 100_001):
        with pytest.raises(ConfigError, match="concurrency: expected a whole number"):
            run.control.set_concurrency("simulated/m", wrong)  # type: ignore[arg-type]
    run.control.stop()
    one.lands = math.inf
    run.ended()


# -- alarms pause by the same means


def alarmed(folder: Path, **options: Any) -> Running:
    cut = {"alarms": {"failure_rate": 0.3, "after": 10, "action": "pause"}}
    return Running(raw(folder, topics=40, run={"max_concurrency": 2}, **cut), [counting(folder, reply=bad)], **options)


def bad(request: Request) -> str:
    return "no JSON"


def test_an_alarm_pauses_until_somebody_resumes(tmp_path: Path) -> None:
    run = alarmed(tmp_path)
    assert run.until(AlarmRaised).action == "pause"
    assert run.until(RunPaused).alarm == "failure_rate"
    assert run.control.is_paused
    run.control.resume()
    run.until(RunResumed)
    assert run.until(AlarmRaised, 2).action == "pause"  # measured anew
    run.control.stop()
    report = run.ended()
    assert report.stop_cause is StopCause.INTERRUPTED
    assert report.pending


def test_an_answer_that_comes_after_a_resumption_changes_nothing(tmp_path: Path) -> None:
    asked, answered = threading.Event(), threading.Event()

    def on_alarm(_: AlarmRaised) -> bool:
        asked.set()
        assert answered.wait(WAIT_S)
        return False

    control = RunControl()

    def pause_at_once(event: Event) -> None:
        if isinstance(event, RunResumed):
            control.pause()

    run = alarmed(tmp_path, on_alarm=on_alarm, control=control, also=pause_at_once)
    assert asked.wait(WAIT_S)
    run.control.resume()
    run.until(RunResumed)
    run.until(RunPaused, 2)
    answered.set()
    assert stays(lambda: run.count(RunEnded))
    run.control.stop()
    assert run.ended().stop_cause is StopCause.INTERRUPTED


def test_an_answer_to_an_alarm_leaves_a_pause_that_somebody_made(tmp_path: Path) -> None:
    asked, answered = threading.Event(), threading.Event()

    def on_alarm(_: AlarmRaised) -> bool:
        asked.set()
        assert answered.wait(WAIT_S)
        return True

    run = alarmed(tmp_path, on_alarm=on_alarm)
    assert asked.wait(WAIT_S)
    run.control.pause()
    wait_for(lambda: run.control._pauses)
    time.sleep(0.05)
    answered.set()
    assert stays(lambda: run.count(RunResumed))
    assert not run.count(RunResumed)
    run.control.stop()
    run.ended()
