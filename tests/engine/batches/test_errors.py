"""Requests that come back from a batch with an error: changed, asked again, failed, or the provider is stopped."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.events import Event, Retry
from datafast.errors import DatafastWarning, RunStopped
from datafast.llms import OpenAIProvider
from datafast.types import StopCause
from tests.servers.batch_server import KEY, BatchServer, Outcome
from tests.servers.fault_server import Answer
from tests.support import assert_balanced, raw

BATCH = {"mode": "batch"}
ANSWERED = Outcome()


def provider(server: BatchServer, **options: Any) -> OpenAIProvider:
    return OpenAIProvider("tiny", api_base=f"{server.url}/v1", api_key=KEY, **options)


def error(status: int, message: str = "the server's own words", **fields: Any) -> Outcome:
    return Outcome(status=status, body={"error": {"message": message, "code": None, **fields}})


def once(outcome: Outcome, times: int = 1, about: str = "topic 3") -> Callable[[str], Outcome]:
    """An outcome for the first requests about a topic; the others are answered."""
    met: Counter[str] = Counter()

    def found(prompt: str) -> Outcome:
        if about not in prompt:
            return ANSWERED
        met[prompt] += 1
        return outcome if met[prompt] <= times else ANSWERED

    return found


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_among_answers_is_asked_again(tmp_path: Path, server: BatchServer, status: int) -> None:
    server.outcome = once(error(status), times=2)
    dataset = raw(tmp_path, topics=6, run=BATCH)
    events: list[Event] = []
    dataset.generate([provider(server)], on_event=events.append)
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls) == (6, 6)
    assert report.retries == sum(isinstance(event, Retry) for event in events) >= 1
    assert set(server.bought.values()) == {1}


def test_a_fault_that_comes_again_and_again_fails_the_item(tmp_path: Path, server: BatchServer) -> None:
    server.outcome = once(error(500), times=100)
    dataset = raw(tmp_path, topics=6, run={**BATCH, "max_retries": 2})
    dataset.generate([provider(server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed) == (5, 1)


def test_an_outage_in_the_middle_of_a_batch_fails_no_item(tmp_path: Path, server: BatchServer) -> None:
    asked = itertools.count()
    server.outcome = lambda prompt: error(500) if next(asked) in range(3, 20) else ANSWERED
    dataset = raw(tmp_path, topics=6, run={**BATCH, "max_retries": 2})
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 6
    assert set(server.bought.values()) == {1}


@pytest.mark.parametrize("status", [400, 403])
def test_what_is_refused_among_answers_fails_its_item(tmp_path: Path, server: BatchServer, status: int) -> None:
    server.outcome = once(error(status), times=100)
    dataset = raw(tmp_path, topics=6, run=BATCH)
    dataset.generate([provider(server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed) == (5, 1)


def test_a_content_filter_fails_its_item_also_if_nothing_was_answered(tmp_path: Path, server: BatchServer) -> None:
    server.outcome = once(error(400, code="content_filter"), times=100)
    dataset = raw(tmp_path, topics=["topic 3"], run=BATCH)
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).failures == {"content_filter": 1}


def test_a_refused_parameter_is_left_out(tmp_path: Path, server: BatchServer) -> None:
    """The server of the tests does not look into requests: it refuses the first of each prompt."""
    met: Counter[str] = Counter()

    def refuses(prompt: str) -> Outcome:
        met[prompt] += 1
        return ANSWERED if met[prompt] > 1 else error(400, "no 'temperature' here", param="temperature")

    server.outcome = refuses
    dataset = raw(tmp_path, topics=12, run=BATCH)
    with pytest.warns(DatafastWarning, match="refuses the parameter 'temperature'"):
        dataset.generate([provider(server, temperature=0.5)])
    assert assert_balanced(dataset.report).written == 12
    first, second = server.jobs.values()
    assert all("temperature" in body for _, body in first.requests)
    assert not any("temperature" in body for _, body in second.requests)


def test_a_batch_of_refusals_stops_its_provider_and_is_asked_again_later(tmp_path: Path, server: BatchServer) -> None:
    server.outcome = lambda prompt: error(400)
    dataset = raw(tmp_path, topics=12, run=BATCH)
    with pytest.raises(RunStopped, match="the server's own words") as stopped:
        dataset.generate([provider(server)])
    report = assert_balanced(stopped.value.report)
    assert (report.pending, report.stop_cause) == (12, StopCause.PROVIDER)
    server.outcome = lambda prompt: ANSWERED
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 12


def test_credit_that_runs_out_in_the_middle_stops_the_provider(tmp_path: Path, server: BatchServer) -> None:
    left = [4]

    def outcome(prompt: str) -> Outcome:
        left[0] -= 1
        return ANSWERED if left[0] >= 0 else error(429, code="insufficient_quota")

    server.outcome = outcome
    dataset = raw(tmp_path, topics=10, run=BATCH)
    with pytest.raises(RunStopped) as stopped:
        dataset.generate([provider(server)])
    report = assert_balanced(stopped.value.report)
    assert (report.written, report.pending, report.stop_cause) == (4, 6, StopCause.PROVIDER)
    left[0] = 100
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 10


def test_a_wrong_key_stops_the_provider_before_anything_is_submitted(tmp_path: Path, server: BatchServer) -> None:
    server.key = "another"
    dataset = raw(tmp_path, topics=3, run=BATCH)
    with pytest.raises(RunStopped, match="Incorrect API key") as stopped:
        dataset.generate([provider(server)])
    assert assert_balanced(stopped.value.report).pending == 3
    server.key = KEY
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 3
    assert len(server.jobs) == 1


def test_a_job_that_is_refused_for_good_stops_the_provider(tmp_path: Path, server: BatchServer) -> None:
    server.faults.fail.append(("model_not_found", "no such model"))
    dataset = raw(tmp_path, topics=3, run=BATCH)
    with pytest.raises(RunStopped, match="no such model"):
        dataset.generate([provider(server)])
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 3


def test_an_unusable_reply_is_asked_for_again_with_the_reason(tmp_path: Path, server: BatchServer) -> None:
    server.outcome = once(Outcome(text="not json"))
    dataset = raw(tmp_path, topics=6, run=BATCH)
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 6
    last = list(server.jobs.values())[-1]
    assert len(last.requests) == 1
    assert len(last.requests[0][1]["messages"]) > 1  # with the correction


def test_a_reply_that_is_no_completion_is_kept_and_asked_for_again(tmp_path: Path, server: BatchServer) -> None:
    server.outcome = once(Outcome(body={"choices": []}))
    dataset = raw(tmp_path, topics=6, run=BATCH)
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 6


def test_an_outage_in_the_middle_is_waited_out(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 3
    server.faults.refuse_upload.extend([Answer(status=503, body={})] * 2)
    dataset = raw(tmp_path, topics=4, run={**BATCH, "max_stall_s": 0.01})
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    assert set(server.bought.values()) == {1}


def test_a_failed_item_is_retried_without_what_it_has_met_before(tmp_path: Path, server: BatchServer) -> None:
    server.outcome = once(error(400), times=100)
    dataset = raw(tmp_path, topics=6, run=BATCH)
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).failed == 1
    dataset.generate([provider(server)])
    assert len(server.jobs) == 1
    server.outcome = lambda prompt: ANSWERED
    dataset.generate([provider(server)], retry_failed=True)
    assert assert_balanced(dataset.report).written == 6
    assert set(server.bought.values()) == {1}
