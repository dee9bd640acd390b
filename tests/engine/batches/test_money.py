"""What batches cost, and budgets over them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import DatafastWarning, RunStopped
from datafast.llms import OpenAIProvider
from datafast.store.reader import LedgerReader
from datafast.types import StopCause
from tests.servers.batch_server import KEY, BatchServer, Outcome
from tests.support import assert_balanced, preference, raw, roles

BATCH = {"mode": "batch"}
PRICED: dict[str, Any] = {"price": {"input_usd_per_million": 100.0, "output_usd_per_million": 100.0}}


class HalfPrice(OpenAIProvider):
    """As OpenAI's own, at the address of the tests."""

    @property
    def batch_discount(self) -> float | None:
        return 0.5


class UnknownDiscount(OpenAIProvider):
    @property
    def batch_discount(self) -> float | None:
        return None


def priced(server: BatchServer, sort: type[OpenAIProvider] = HalfPrice, **options: Any) -> OpenAIProvider:
    return sort("tiny", api_base=f"{server.url}/v1", api_key=KEY, **PRICED | options)


def list_usd(report: Any) -> float:
    return float((report.input_tokens + report.output_tokens) * 100.0 / 1e6)


def test_a_batch_costs_the_list_price_without_the_discount(tmp_path: Path, server: BatchServer) -> None:
    dataset = raw(tmp_path, topics=5, run=BATCH)
    dataset.generate([priced(server)])
    report = assert_balanced(dataset.report)
    assert report.cost_usd == pytest.approx(list_usd(report) / 2)
    assert report.usage_by_provider["openai/tiny"].calls == 5
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        assert reader.calls.totals().cost_usd == pytest.approx(report.cost_usd)
        (batch,) = reader.batches.all()
        assert (batch.answered, batch.failed, batch.cost_usd) == (5, 0, pytest.approx(report.cost_usd))


def test_an_unknown_discount_is_an_unknown_cost_that_a_budget_counts_in_full(
    tmp_path: Path, server: BatchServer
) -> None:
    dataset = raw(tmp_path, topics=5, run={**BATCH, "budget_usd": 100.0})
    dataset.generate([priced(server, UnknownDiscount)])
    report = assert_balanced(dataset.report)
    assert report.cost_usd is None
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        assert reader.calls.spent(Path()).usd == pytest.approx(list_usd(report))
        assert reader.batches.all()[0].cost_usd is None


def test_what_is_under_way_counts_in_the_next_run(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 3
    provider = priced(server, max_completion_tokens=1000)
    with pytest.raises(RunStopped, match="1 batch is under way"):
        raw(tmp_path, topics=4, run=BATCH).generate([provider], wait=False)
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        spent = reader.calls.spent(Path())
    assert spent.calls == spent.open_calls == 4
    assert spent.usd > 4 * 1000 * 100.0 / 1e6 / 2
    dataset = raw(tmp_path, topics=8, run={"budget_usd": spent.usd * 1.01})
    with pytest.raises(RunStopped) as stopped:
        dataset.generate([provider], wait=False)
    assert stopped.value.report.stop_cause is StopCause.BATCH  # the batch may leave some room
    assert server.online == 0
    dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 8
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        assert reader.calls.spent(Path()).open_calls == 0


@pytest.mark.parametrize("limit", ["max_calls", "max_tokens", "budget_usd"])
def test_a_limit_holds_over_waves_and_runs(tmp_path: Path, server: BatchServer, limit: str) -> None:
    allowed: dict[str, Any] = {"max_calls": 20, "max_tokens": 1_500, "budget_usd": 0.075}
    provider = priced(server, max_completion_tokens=20)
    dataset = preference(tmp_path, documents=6, run={**BATCH, limit: allowed[limit]})
    for _ in range(3):
        with pytest.raises(RunStopped, match=f"The budget is reached: run.{limit}") as stopped:
            dataset.generate(roles(provider))
        assert stopped.value.report.stop_cause is StopCause.BUDGET
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        totals, spent = reader.calls.totals(), reader.calls.spent(Path())
    used = {
        "max_calls": totals.calls,
        "max_tokens": totals.input_tokens + totals.output_tokens,
        "budget_usd": totals.cost_usd,
    }
    assert used[limit] <= allowed[limit]
    assert totals.calls == sum(server.bought.values()) > 5
    assert spent.open_calls == 0


def test_a_reply_without_usage_stays_charged_at_its_bound(tmp_path: Path, server: BatchServer) -> None:
    body = {"model": "tiny", "choices": [{"message": {"content": '{"texts": ["a text"]}'}, "finish_reason": "stop"}]}
    server.outcome = lambda prompt: Outcome(body=body)
    dataset = raw(tmp_path, topics=3, run={**BATCH, "budget_usd": 10.0})
    dataset.generate([priced(server, max_completion_tokens=1000)])
    assert assert_balanced(dataset.report).written == 3
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        assert reader.calls.spent(Path()).usd > 3 * 1000 * 100.0 / 1e6 / 2


def test_what_expires_leaves_its_room(tmp_path: Path, server: BatchServer) -> None:
    server.faults.expire, server.faults.partly = 3, 0.0
    provider = priced(server, max_completion_tokens=1000)
    dataset = raw(tmp_path, topics=4, run={**BATCH, "budget_usd": 0.5})
    dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 4


@pytest.mark.parametrize("why", ["no service", "expired", "deadline", "refused"])
def test_what_nobody_was_asked_is_no_request(tmp_path: Path, server: BatchServer, why: str) -> None:
    run: dict[str, Any] = {**BATCH, "max_calls": 5}
    match why:
        case "no service":
            server.faults.no_service = True
        case "expired":
            server.faults.expire, server.faults.partly = 2, 0.0
        case "deadline":
            run["batch_deadline"] = "0.00001m"
        case "refused":
            server.faults.fail.append(("model_not_found", "no such model"))
            with pytest.raises(RunStopped, match="no such model"):
                raw(tmp_path, topics=5, run=run).generate([priced(server)])
    dataset = raw(tmp_path, topics=5, run=run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatafastWarning)
        dataset.generate([priced(server)])
    assert assert_balanced(dataset.report).written == 5
    assert sum(server.bought.values()) == 5
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        assert reader.calls.spent(Path()).calls == 5


def test_answers_that_are_lost_stay_charged(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 2
    provider = priced(server, max_completion_tokens=1000)
    dataset = raw(tmp_path, topics=3, run={**BATCH, "budget_usd": 10.0})
    with pytest.raises(RunStopped, match="1 batch is under way"):
        dataset.generate([provider], wait=False)
    server.faults.lose_results = 1
    with pytest.warns(DatafastWarning, match="Requests whose replies are lost are asked again"):
        dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 3
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        spent = reader.calls.spent(Path())
    assert spent.usd > 3 * 1000 * 100.0 / 1e6 / 2
    assert spent.calls == 6


@pytest.mark.parametrize("mode", ["online", "batch"])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_rows_that_batches_have_paid_for_are_written_before_a_budget_ends_the_run(
    tmp_path: Path, server: BatchServer, mode: str, concurrency: int
) -> None:
    server.faults.polls = 3
    with pytest.raises(RunStopped, match="1 batch is under way"):
        raw(tmp_path, topics=5, run={**BATCH, "max_calls": 5}).generate([priced(server)], wait=False)
    run = {"mode": mode, "max_calls": 6, "max_concurrency": concurrency}
    dataset = raw(tmp_path, topics=9, run=run)
    with pytest.raises(RunStopped, match="The budget is reached: run") as stopped:
        dataset.generate([priced(server)])
    report = assert_balanced(stopped.value.report)
    assert (report.written, report.pending) == (6, 3)
    assert sum(server.bought.values()) == 6
