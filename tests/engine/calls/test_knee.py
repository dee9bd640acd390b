"""`max_concurrency: auto`: the number of requests in flight that a server can use is found, on a simulated clock and at a server."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from datafast.datasets import RawDataset
from datafast.engine.calls.admission import Gate
from datafast.engine.calls.knee import Knee
from datafast.engine.events import Event
from datafast.errors import ConfigError
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import RawDatasetConfig
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import assert_balanced, raw


def simulated(
    knee_at: Callable[[float], float], *, replies: int, noise: float = 0.0, ceiling: int = 512, offered: int = 10_000
) -> tuple[Knee, float, list[tuple[float, int]]]:
    """So many replies of about 100 tokens in 0.2 s, longer in proportion beyond the knee.

    Returns:
        what was found; tokens a second over the second half; the limits, each with its moment.
    """
    chance, knee = random.Random(1), Knee(ceiling)
    now, in_flight, sent = 0.0, 0, 0
    ends: list[tuple[float, int, float, int]] = []
    limits, tokens, since = [(0.0, knee.limit)], 0, 0.0
    for done in range(replies):
        while in_flight < min(knee.limit, offered):
            in_flight, sent = in_flight + 1, sent + 1
            length = max(1, int(chance.gauss(100, 100 * noise)))
            takes = 0.2 * length / 100 * max(1.0, in_flight / knee_at(now))
            heapq.heappush(ends, (now + takes, sent, now, length))
        now, _, sent_at, length = heapq.heappop(ends)
        if done == replies // 2:
            tokens, since = 0, now
        tokens += length
        in_flight -= 1
        # Whoever waits has the slot at once.
        busy = in_flight + 1 if offered > knee.limit else in_flight
        if knee.replied(length, sent_at=sent_at, now=now, in_flight=busy):
            limits.append((now, knee.limit))
    return knee, tokens / (now - since), limits


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("at", [2, 8, 24, 100])
def test_the_knee_is_found_and_its_throughput_reached(at: int, noise: float) -> None:
    knee, rate, limits = simulated(lambda now: at, replies=12_000, noise=noise)
    assert rate >= 0.9 * at * 100 / 0.2
    settled = [limit for _, limit in limits[len(limits) // 2 :]]
    assert min(settled) >= 0.6 * at - 1
    assert knee.limit <= 2 * at + 4


def test_a_server_without_a_knee_gets_as_many_as_are_allowed() -> None:
    assert max(limit for _, limit in simulated(lambda now: 1e9, replies=12_000)[2]) == 512
    knee, _, limits = simulated(lambda now: 1e9, replies=3_000, ceiling=20)
    assert max(limit for _, limit in limits) == 20
    assert knee.limit >= 16


@pytest.mark.parametrize(("before", "after"), [(16, 64), (64, 16)])
def test_a_knee_that_moves_is_followed(before: int, after: int) -> None:
    knee, rate, _ = simulated(lambda now: before if now < 20 else after, replies=40_000, noise=0.2)
    assert 0.6 * after <= knee.limit <= 2 * after
    assert rate >= 0.85 * after * 100 / 0.2


def test_times_with_too_little_to_do_tell_nothing() -> None:
    knee, _, limits = simulated(lambda now: 1e9, replies=5_000, offered=3)
    assert limits == [(0.0, 8)]
    assert knee.limit == 8


def test_a_ceiling_that_falls_takes_the_limit_along() -> None:
    gate = Gate(100, auto=True)
    assert (gate.most, gate.limit) == (100, 8)
    gate.set_limit(5)
    assert (gate.limit, gate.setting) == (5, 5)
    gate.set_limit(50)
    assert gate.limit == 5  # it rises when replies show that this helps


def test_a_run_finds_it_up_to_more_than_its_default(tmp_path: Path, fault_server: FaultServer) -> None:
    # So long that twice as many requests bring clearly more on a busy machine too.
    fault_server.respond = lambda request: Answer(delay_s=0.2)
    events: list[Event] = []
    dataset = RawDataset(
        RawDatasetConfig(
            topics=[f"topic {number}" for number in range(200)],
            document_types=["note"],
            num_samples_per_prompt=1,
            output_file=tmp_path / "out.jsonl",
        )
    )
    dataset.generate(
        [OpenAICompatibleProvider("m", api_base=fault_server.url, max_concurrency="auto")], on_event=events.append
    )
    limits = [event.limit for event in events if event.type == "limit_changed"]
    assert limits[:2] == [16, 32]
    assert assert_balanced(dataset.report).written == 200


def test_the_setting_of_the_run_is_its_ceiling(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        learns = len(fault_server.requests) <= 44  # of the eight that it begins with
        return Answer(delay_s=0.02, until=lambda: learns or fault_server.max_in_flight >= 10)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=200, run={"max_concurrency": 10})
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url, max_concurrency="auto")])
    assert fault_server.max_in_flight == 10
    assert assert_balanced(dataset.report).written == 200


def test_another_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a whole number of at least 1, or \"auto\", got 'automatic'"):
        OpenAICompatibleProvider("m", api_base="http://127.0.0.1:1", max_concurrency="automatic")  # type: ignore[arg-type]
