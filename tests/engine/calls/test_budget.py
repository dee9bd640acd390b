"""Budgets: never passed, counted over all runs of an output, refused where they could not be kept."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import RawDataset
from datafast.engine.calls.budget import Budget, headroom, upper_bound
from datafast.engine.calls.reply_limits import ReplyLimits, Surprises
from datafast.engine.events import Event
from datafast.errors import ConfigError, DatafastWarning, RunStopped
from datafast.llms import OpenAICompatibleProvider, OpenAIProvider
from datafast.llms.base import Request
from datafast.schema.config import RawDatasetConfig, RunConfig
from datafast.store.records import Bound, Spent
from datafast.types import Usage
from tests.running import wait_for
from tests.servers.fault_server import Answer, FaultServer
from tests.support import die_at, fork_server, raw, short_waits

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
        (raw := dataset(tmp_path, budget_usd=0.02)).generate([priced(fault_server)])
    assert 0.015 < spent_usd(tmp_path) <= 0.02
    assert raw.report is not None
    assert (raw.report.failed, raw.report.written) == (0, len(fault_server.requests))


def test_replies_that_were_bought_without_a_budget_and_state_no_usage_are_told(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    body = {"choices": [{"message": {"content": '{"texts": ["x"]}'}, "finish_reason": "stop"}]}
    fault_server.respond = lambda request: Answer(body=body)
    dataset(tmp_path, topics=3).generate([priced(fault_server)])
    with pytest.warns(
        DatafastWarning, match=r"^3 replies of earlier runs without a budget do not say what they used\."
    ):
        dataset(tmp_path, topics=5, budget_usd=1.0).generate([priced(fault_server)])
    with pytest.warns(DatafastWarning, match=r"^3 replies"):  # those under the budget have their charges
        dataset(tmp_path, topics=6, budget_usd=1.0).generate([priced(fault_server)])


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body='data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n'),
        Answer(body="<html>a proxy's page</html>"),
        Answer(body='{"choices": [{"message": {"con'),
        Answer(body={"choices": []}),
        Answer(cut_after=40),
    ],
    ids=["events", "HTML", "JSON that is cut", "no choice", "a connection that is cut"],
)
def test_an_answer_that_cannot_be_read_stays_charged_at_its_bound(
    tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    short_waits(monkeypatch)
    fault_server.respond = lambda request: answer
    with pytest.raises(RunStopped, match="budget_usd"):
        dataset(tmp_path, budget_usd=0.02, max_concurrency=1).generate([priced(fault_server)])
    assert 0.015 < spent_usd(tmp_path) <= 0.02
    assert 0 < len(fault_server.requests) < 20


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
import sys
from datafast.datasets import RawDataset
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import RawDatasetConfig
config = RawDatasetConfig(document_types=["note"], topics=[f"topic {n}" for n in range(40)], num_samples_per_prompt=1,
    output_file=sys.argv[1], run={"max_concurrency": 4, "max_calls": 20})
RawDataset(config).generate([OpenAICompatibleProvider("m", api_base=sys.argv[2], max_completion_tokens=200)])
"""


def test_requests_in_flight_at_a_kill_stay_charged(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(delay_s=30)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "out.jsonl"), fault_server.url]
    with subprocess.Popen(command, env={**os.environ}) as process:
        try:
            wait_for(lambda: len(fault_server.requests) == 4, 120)
        finally:
            process.kill()
    fault_server.respond = lambda request: Answer()
    with pytest.raises(RunStopped, match="max_calls"):
        dataset(tmp_path, max_calls=20).generate([priced(fault_server)])
    assert len(fault_server.requests) == 20
    with sqlite3.connect(tmp_path / "out.jsonl.ledger") as db:
        assert db.execute("SELECT count(*) FROM charges").fetchone() == (4,)
    db.close()


def charged_run(folder: str, url: str) -> None:
    """A run in which each reply breaks off, whose process is gone before that is in the ledger."""
    die_at("datafast.store.calls:CallTables.put_charges", "before", 2)
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
        (charged,) = db.execute("SELECT count(*) FROM charges").fetchone()
        assert sent <= charged <= sent + 1  # at its death it may just have been about to send one
    db.close()


# -- the arithmetic


ROOMY = Spent(0.0, 0, 0)


def test_a_request_may_use_a_limit_up_and_not_pass_it() -> None:
    budget = Budget(RunConfig(max_calls=2, max_tokens=300), Spent(9.0, 1, 100))
    assert budget.passed_by(Bound(50.0, 200)) is None
    assert budget.passed_by(Bound(0.0, 201)) == "max_tokens"
    budget.reserve(Bound(0.0, 10))
    assert budget.passed_by(Bound(0.0, 1)) == "max_calls"
    assert Budget(RunConfig(budget_usd=1.0), Spent(0.75, 0, 0)).passed_by(Bound(0.25, 10**9)) is None
    assert Budget(RunConfig(budget_usd=1.0), Spent(0.75, 0, 0)).passed_by(Bound(0.26, 0)) == "budget_usd"


@pytest.mark.parametrize(
    ("usage", "cost_usd", "charged", "used"),
    [
        (Usage(30, 20), 0.125, False, (0.125, 50)),
        (Usage(30, 20), None, False, (0.5, 50)),  # its price is not known: as much as it can have been
        (Usage(30, 20), 0.0, True, (0.0, 50)),
        (None, None, True, (0.5, 400)),
        (None, None, False, (0.0, 0)),
    ],
)
def test_what_a_request_really_used_takes_the_place_of_what_was_reserved(
    usage: Usage | None, cost_usd: float | None, charged: bool, used: tuple[float, int]
) -> None:
    budget = Budget(RunConfig(budget_usd=8.0, max_tokens=5000, max_calls=9), Spent(1.0, 2, 1000))
    bound = Bound(0.5, 400)
    budget.reserve(bound)
    assert budget.num_reserved == 1
    assert [budget.state(name)[0] for name in ("budget_usd", "max_tokens", "max_calls")] == [1.5, 1400, 3]
    budget.settle(bound, usage, cost_usd, charged=charged)
    assert budget.num_reserved == 0
    assert budget.state("budget_usd") == (1.0 + used[0], 8.0)
    assert budget.state("max_tokens") == (1000 + used[1], 5000)
    assert budget.state("max_calls") == (3, 9)


def test_a_budget_of_an_output_that_has_calls_was_used_and_a_new_one_when_the_first_is_booked() -> None:
    assert Budget(RunConfig(max_calls=5), Spent(0.0, 1, 0)).was_used
    budget = Budget(RunConfig(max_calls=5), ROOMY)
    assert not budget.was_used
    budget.reserve(Bound(0.0, 1))
    assert budget.was_used


def test_a_limit_that_is_reached_is_told_in_its_unit_with_what_helps() -> None:
    budget = Budget(RunConfig(budget_usd=2.0, max_tokens=20_000, max_calls=3000), Spent(1.25, 2500, 12_345))
    one = Bound(0.125, 1500)
    assert budget.describe("budget_usd", one) == (
        "The budget is reached: run.budget_usd: $1.2500 of $2.0000 used, and the next request could exceed it: it may cost up to $0.125. "
        "Raise it to go on, or lower max_completion_tokens of the providers."
    )
    assert "run.max_tokens: 12,345 of 20,000 used" in budget.describe("max_tokens", one)
    assert "it may use up to 1,500 tokens." in budget.describe("max_tokens", one)
    assert budget.describe("max_calls", one).endswith("run.max_calls: 2,500 of 3,000 used. Raise it to go on.")
    assert "it is $2, and one request may cost up to $0.125." in budget.describe_too_small("budget_usd", one)
    assert "it is 20,000 tokens, and one request may use up to 1,500 tokens." in budget.describe_too_small(
        "max_tokens", one
    )


@pytest.mark.parametrize(
    ("limits", "spent", "expected"),
    [
        ({}, ROOMY, None),
        ({"max_calls": 7}, ROOMY, 7),
        ({"max_calls": 7}, Spent(0.0, 5, 0), 2),
        ({"max_calls": 7}, Spent(0.0, 9, 0), 0),
        ({"max_tokens": 1000}, ROOMY, 2),
        ({"budget_usd": 1.0}, ROOMY, 4),
        ({"budget_usd": 1.0}, Spent(0.6, 0, 0), 1),
        ({"budget_usd": 1.0, "max_tokens": 1000, "max_calls": 3}, ROOMY, 2),
        ({"budget_usd": 1.0, "max_tokens": 1200, "max_calls": 2}, ROOMY, 2),
    ],
)
def test_so_many_requests_may_be_in_flight_at_first(limits: dict[str, Any], spent: Spent, expected: int | None) -> None:
    room = headroom(RunConfig(**limits), spent, Bound(0.25, 400), Bound(0.25, 400))
    assert (room and room.requests) == expected
    assert room is None or bool(room.refusal) == (expected == 0)


def test_a_request_that_can_be_limited_further_may_be_in_flight_alone() -> None:
    assert headroom(RunConfig(budget_usd=0.2), ROOMY, Bound(0.25, 400), Bound(0.1, 100)) == (1, "")
    room = headroom(RunConfig(budget_usd=0.2), ROOMY, Bound(0.5, 400), Bound(0.25, 200))
    assert room is not None
    assert (room.requests, room.refusal[:51]) == (0, "run.budget_usd does not allow a single request: it ")


def test_requests_that_cost_nothing_are_not_limited_by_money() -> None:
    free = Bound(0.0, 400)
    assert headroom(RunConfig(budget_usd=1.0), ROOMY, free, free) is None
    assert headroom(RunConfig(budget_usd=1.0, max_calls=5), ROOMY, free, free) == (5, "")


def test_the_bound_of_a_request_is_all_that_it_gives_and_all_that_may_come() -> None:
    provider = OpenAICompatibleProvider("m", api_base="http://127.0.0.1:9", price=PRICE, max_completion_tokens=200)
    request = Request([{"role": "user", "content": "x" * 84}])
    limits = ReplyLimits(provider)
    assert upper_bound(request, provider, limits) == Bound(pytest.approx(100 * 1e-6 + 200 * 1e-5), 300)
    limits.surprises = Surprises(hidden=50)
    assert upper_bound(request, provider, limits).tokens == 350
    free = OpenAICompatibleProvider("m", api_base="http://127.0.0.1:9", max_completion_tokens=200)
    assert upper_bound(request, free, ReplyLimits(free)) == Bound(0.0, 300)
    assert upper_bound(replace(request, token_limit=70), provider, ReplyLimits(provider)).tokens == 170
