"""Runs with faults, settings and interruptions drawn by chance: they end, no row is left out, and the books agree.

`DATAFAST_FUZZ=20` tries twenty times as many.
"""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import RunStopped
from datafast.llms import OpenAIProvider
from datafast.types import StopCause
from tests.servers.batch_server import KEY, BatchServer, Outcome
from tests.servers.fault_server import Answer
from tests.support import assert_balanced, preference, raw, roles

RUNS = 16 * int(os.environ.get("DATAFAST_FUZZ", "1"))
_PASSING = {"error": {"message": "later"}}


class Online(OpenAIProvider):
    def open_batches(self) -> None:
        return None


def break_things(server: BatchServer, chance: random.Random) -> None:
    faults = server.faults
    faults.polls, faults.partly = chance.randint(1, 3), chance.random()
    faults.no_metadata, faults.shuffled = chance.random() < 0.3, chance.random() < 0.5
    faults.expire, faults.duplicates = chance.choice([0, 0, 2]), chance.choice([0, 0, 1])
    faults.lose_submit, faults.lose_upload = chance.choice([0, 0, 1]), chance.choice([0, 0, 1])
    faults.cut_downloads.extend(chance.choices([50, 500, 5_000], k=chance.randint(0, 2)))
    faults.fail.extend([("token_limit_exceeded", "too much")] * chance.choice([0, 0, 1]))
    statuses = [429, 429, 500, 503]
    faults.refuse_submit.extend(
        Answer(status=chance.choice(statuses), body=_PASSING) for _ in range(chance.choice([0, 0, 2]))
    )
    spoilt = chance.random() * 0.15

    def outcome(prompt: str) -> Outcome:
        if chance.random() > spoilt:
            return Outcome()
        return chance.choice([Outcome(expires=True), Outcome(status=500), Outcome(status=429), Outcome(text="no")])

    server.outcome = outcome


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_whatever_happens_the_run_ends_and_the_books_agree(tmp_path: Path, server: BatchServer, seed: int) -> None:
    chance = random.Random(seed)
    break_things(server, chance)
    address: dict[str, Any] = {"api_base": f"{server.url}/v1", "api_key": KEY}
    providers = [OpenAIProvider("tiny", **address), chance.choice([OpenAIProvider, Online])("other", **address)]
    run: dict[str, Any] = {
        "mode": "batch",
        "max_concurrency": chance.choice([1, 3, 16]),
        "ordered": chance.random() < 0.4,
        "max_retries": 50,
        "max_parse_retries": 20,
        "retry_delay_s": 0.01,
        "max_retry_delay_s": 0.02,
        **({"max_calls": chance.randint(5, 60)} if chance.random() < 0.4 else {}),
    }
    if chance.random() < 0.5:
        run["fan_out"] = chance.choice(["all", "split", "fallback"])
        dataset: Any = raw(tmp_path, topics=chance.randint(1, 12), run=run)
        given: Any = providers
    else:
        dataset = preference(tmp_path, documents=chance.randint(1, 4), run=run)
        given = roles(providers[0], judge=providers[1], rejected=chance.choice(providers))
    cause: StopCause | None = StopCause.BATCH
    for _ in range(60):
        mode: Any = chance.choice(["batch", "batch", "online"])
        dataset.config.run = dataset.config.run.model_copy(update={"mode": mode})
        with contextlib.suppress(RunStopped):
            dataset.generate(given, wait=chance.random() < 0.6)
        cause = dataset.report.stop_cause
        if cause is not StopCause.BATCH:
            break
    report = assert_balanced(dataset.report)
    assert cause is StopCause.BUDGET or not report.pending, report.stop_reason
    assert max(server.bought_ids.values(), default=0) <= 1
    if "max_calls" in run:
        assert sum(server.bought.values()) <= run["max_calls"]
