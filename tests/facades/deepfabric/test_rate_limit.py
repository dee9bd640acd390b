"""`DataSetGenerator`: how long a request may take, how often it is repeated, and the pace that is kept."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

from tests import support
from tests.facades.deepfabric.making import MANY, TREE, generator
from tests.servers.fault_server import Answer, FaultServer, Recorded


def test_a_request_that_takes_too_long_is_given_up(server: FaultServer) -> None:
    server.respond = lambda request: Answer(delay_s=30 if "zeppelin" in request.prompt else 0.0)
    made = generator(request_timeout=0.8, max_retries=0, max_concurrency=2)
    assert len(made.create_data(12, 1, MANY)) == 11
    assert made.summarize_failures()["failure_types"] == {"timeout": 1}


def down_for_zeppelins(request: Recorded) -> Answer:
    return (
        Answer(status=500, body={"error": {"message": "down"}})
        if "zeppelin" in request.prompt
        else Answer(delay_s=0.01)
    )


def about_zeppelins(server: FaultServer) -> list[Recorded]:
    return [request for request in server.requests if "zeppelin" in request.prompt]


@pytest.mark.parametrize(
    ("fields", "requests"),
    [({}, 4), ({"max_retries": 1}, 2), ({"max_retries": 1, "rate_limit": {"max_retries": 2}}, 3)],
)
def test_a_request_is_repeated_so_often_and_the_rate_limit_wins(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], requests: int
) -> None:
    support.short_waits(monkeypatch)
    server.respond = down_for_zeppelins
    generator(max_concurrency=1, **fields).create_data(12, 1, MANY)
    assert len(about_zeppelins(server)) == requests


def test_waiting_after_a_429_uses_up_no_retries(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)
    server.answer_next(Answer(), *[Answer(status=429, body={"error": {"message": "slow down"}})] * 3)
    assert len(generator(max_concurrency=1, max_retries=0).create_data(4, 1, TREE)) == 4
    assert len(server.requests) == 4 + 3


def test_the_delays_of_repeats_begin_and_end_where_they_are_told(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest: list[float] = []

    def uniform(low: float, high: float) -> float:
        longest.append(high)
        return high  # a wait of next to nothing would let a repeat go before anyone else's request

    monkeypatch.setattr(random, "uniform", uniform)
    server.respond = down_for_zeppelins
    limits = {"initial_retry_delay": 0.02, "max_retry_delay": 0.03, "max_retries": 6}
    # Others have to be answered between any two repeats, or else the server is taken to be down for all.
    topics = ["zeppelin", *(f"wave {number}" for number in range(80))]
    generator(max_concurrency=1, rate_limit=limits).create_data(topic_model=topics, batch_size=1)
    assert len(about_zeppelins(server)) == 7
    assert longest == [0.02, *[0.03] * 5]


def test_requests_per_minute_are_kept(server: FaultServer) -> None:
    begun = time.monotonic()
    generator(rate_limit={"max_requests_per_minute": 120}).create_data(4, 1, TREE)
    assert len(server.requests) == 4
    assert time.monotonic() - begun > 1.4  # two a second


def test_tokens_per_minute_are_kept(server: FaultServer) -> None:
    text = json.dumps({"conversations": [{"exchanges": [{"user": "u", "assistant": "a"}]}]})
    costly = {
        "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 100, "total_tokens": 600},
    }
    server.answer_next(Answer(body=costly))
    limits = {"max_tokens_per_minute": 24_000}
    begun = time.monotonic()
    generator(max_concurrency=1, max_completion_tokens=100, rate_limit=limits).create_data(2, 1, TREE)
    assert time.monotonic() - begun > 1.4  # 600 tokens, at 400 a second
