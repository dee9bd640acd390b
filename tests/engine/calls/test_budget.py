"""Budgets: never passed, counted over all runs of an output, refused where they could not be kept."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import RawDataset
from datafast.engine.events import Event
from datafast.errors import ConfigError, RunStopped
from datafast.llms import OpenAICompatibleProvider, OpenAIProvider
from datafast.schema.config import RawDatasetConfig, RunConfig
from tests.servers.fault_server import Answer, FaultServer
from tests.support import die_at, fork_server, raw

PRICE = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}


def dataset(tmp_path: Path, *, topics: int = 40, **run: Any) -> RawDataset:
    config = RawDatasetConfig(
        document_types=["note"],
        topics=[f"topic {number}" for number in range(topics)],
        num_samples_per_prompt=1,
        output_file=tmp_path / "out.jsonl",
        run=RunConfig(**{"max_concurrency": 8, **run}),
    )
    return RawDataset(config)


def priced(server: FaultServer, **options: Any) -> OpenAICompatibleProvider:
    options = {"price": PRICE, "max_completion_tokens": 200} | options
    return OpenAICompatibleProvider("m", api_base=server.url, **options)


def spent_usd(tmp_path: Path) -> float:
    with sqlite3.connect(tmp_path / "out.jsonl.ledger") as db:
        calls = db.execute("SELECT coalesce(sum(cost_usd), 0) FROM calls").fetchone()[0]
        charges = db.execute("SELECT coalesce(sum(usd), 0) FROM charges").fetchone()[0]
    db.close()
    return float(calls + charges)


def test_no_more_requests_are_sent_than_max_calls_allows(tmp_path: Path, fault_server: FaultServer) -> None:
    raw = dataset(tmp_path, max_calls=10)
    events: list[Event] = []
    with pytest.raises(RunStopped, match=r"max_calls: 10 of 10 used"):
        raw.generate([priced(fault_server)], on_event=events.append)
    assert len(fault_server.requests) == 10
    assert raw.report is not None
    assert (raw.report.written, raw.report.pending) == (10, 30)
    reached = [event for event in events if event.type == "budget_reached"]
    assert [(event.limit, event.used, event.allowed) for event in reached] == [("max_calls", 10, 10)]


def test_a_call_of_unknown_cost_hides_none_of_the_others_from_the_next_run(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    dataset(tmp_path, topics=6, budget_usd=1.0).generate([priced(fault_server)])
    with sqlite3.connect(tmp_path / "out.jsonl.ledger") as db:
        db.execute("UPDATE calls SET cost_usd = NULL WHERE id = 2")
        known = float(db.execute("SELECT sum(cost_usd) FROM calls").fetchone()[0])
    db.close()
    with pytest.raises(RunStopped, match="budget_usd"):
        dataset(tmp_path, topics=7, budget_usd=known).generate([priced(fault_server)])
    assert len(fault_server.requests) == 6


def test_requests_that_fail_count_as_calls(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=429, headers={"Retry-After": "0"})
    with pytest.raises(RunStopped, match="max_calls"):
        dataset(tmp_path, max_calls=5).generate([priced(fault_server)])
    assert len(fault_server.requests) == 5
    with pytest.raises(RunStopped, match="max_calls"):
        dataset(tmp_path, max_calls=5).generate([priced(fault_server)])
    assert len(fault_server.requests) == 5


def test_a_larger_budget_goes_on_where_the_smaller_one_stopped(tmp_path: Path, fault_server: FaultServer) -> None:
    for allowed in (10, 25):
        with pytest.raises(RunStopped):
            dataset(tmp_path, max_calls=allowed).generate([priced(fault_server)])
        assert len(fault_server.requests) == allowed
    raw = dataset(tmp_path, max_calls=40)
    raw.generate([priced(fault_server)])
    assert len(fault_server.requests) == 40
    assert len({row.uuid for row in raw.data_rows}) == 40


def test_the_cost_never_passes_the_budget_and_comes_near_it(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(delay_s=0.01)
    probe = dataset(tmp_path / "probe", topics=1)
    probe.generate([priced(fault_server)])
    assert probe.report is not None
    assert probe.report.cost_usd
    one = probe.report.cost_usd
    budget = 0.004 + 10 * one
    raw = dataset(tmp_path, topics=2000, budget_usd=budget)
    with pytest.raises(RunStopped, match="budget_usd"):
        raw.generate([priced(fault_server)])
    assert spent_usd(tmp_path) <= budget
    # What is left is less than the upper bound of one request.
    assert budget - spent_usd(tmp_path) < 0.004


def test_max_tokens_is_never_passed(tmp_path: Path, fault_server: FaultServer) -> None:
    raw = dataset(tmp_path, topics=2000, max_tokens=20_000)
    with pytest.raises(RunStopped, match="max_tokens"):
        raw.generate([priced(fault_server)])
    assert raw.report is not None
    assert 15_000 < raw.report.input_tokens + raw.report.output_tokens <= 20_000


def test_a_reply_without_usage_stays_charged_at_its_bound(tmp_path: Path, fault_server: FaultServer) -> None:
    body = {"choices": [{"message": {"content": '{"texts": ["x"]}'}, "finish_reason": "stop"}]}
    fault_server.respond = lambda request: Answer(body=body)
    with pytest.raises(RunStopped, match="budget_usd"):
        dataset(tmp_path, budget_usd=0.02).generate([priced(fault_server)])
    assert 0.015 < spent_usd(tmp_path) <= 0.02


def test_a_budget_with_an_unknown_price_is_refused_before_any_request(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    with pytest.raises(ConfigError, match="price of openai_compatible/m is not known"):
        dataset(tmp_path, budget_usd=1).generate([priced(fault_server, price=None)])
    assert fault_server.requests == []


def test_a_listed_model_needs_neither_price_nor_limit(tmp_path: Path, fault_server: FaultServer) -> None:
    raw = dataset(tmp_path, topics=2, budget_usd=50)
    raw.generate([OpenAIProvider("gpt-4.1-mini-2025-04-14", api_base=fault_server.url)])
    assert raw.report is not None
    assert raw.report.written == 2
    assert raw.report.cost_usd


SCRIPT = """
import os, sys, threading, time
from pathlib import Path
from datafast.datasets import RawDataset
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import RawDatasetConfig
config = RawDatasetConfig(document_types=["note"], topics=[f"topic {n}" for n in range(40)], num_samples_per_prompt=1,
    output_file=sys.argv[1], run={"max_concurrency": 4, "max_calls": 20})
threading.Timer(0.5, lambda: os._exit(9)).start()
RawDataset(config).generate([OpenAICompatibleProvider("m", api_base=sys.argv[2], max_completion_tokens=200)])
"""


def test_requests_in_flight_at_a_kill_stay_charged(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(delay_s=30)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "out.jsonl"), fault_server.url], env={**os.environ}, check=False
    )
    assert ended.returncode == 9
    assert len(fault_server.requests) == 4
    fault_server.respond = lambda request: Answer()
    with pytest.raises(RunStopped, match="max_calls"):
        dataset(tmp_path, max_calls=20).generate([priced(fault_server)])
    assert len(fault_server.requests) == 20
    with sqlite3.connect(tmp_path / "out.jsonl.ledger") as db:
        assert db.execute("SELECT count(*) FROM charges").fetchone() == (4,)
    db.close()


def charged_run(folder: str, url: str) -> None:
    """A run in which each reply breaks off, whose process is gone before that is in the ledger."""
    die_at("datafast.store.ledger:Ledger.put_charges", "before", 2)
    provider = OpenAICompatibleProvider("m", api_base=url, max_completion_tokens=200, price=PRICE)
    raw(Path(folder), topics=40, run={"max_concurrency": 1, "retry_delay_s": 0.01, "budget_usd": 1.0}).generate(
        [provider]
    )


def test_what_stays_charged_is_not_forgotten_at_a_kill(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(cut_after=10)
    with fork_server() as forks:
        assert forks.run(f"{__name__}:charged_run", folder=str(tmp_path), url=fault_server.url) == 9
    sent = len(fault_server.requests)
    fault_server.respond = lambda request: Answer()
    dataset(tmp_path, topics=1, budget_usd=1.0).generate([priced(fault_server)])
    with sqlite3.connect(tmp_path / "out.jsonl.ledger") as db:
        assert db.execute("SELECT count(*) FROM charges").fetchone() == (sent,)
    db.close()
