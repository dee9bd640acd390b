"""The limit on replies that Anthropic's API wants in each request, for models of which none is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datafast.errors import DatafastWarning, RunStopped
from datafast.llms import AnthropicProvider
from tests import support
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.servers.vendors import anthropic_error
from tests.support import assert_balanced, raw


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


def limits(server: FaultServer) -> list[int]:
    return [request.json["max_tokens"] for request in server.requests]


def takes(most: int) -> Any:
    def respond(request: Recorded) -> Answer:
        limit = request.json["max_tokens"]
        if limit <= most:
            return Answer(delay_s=0.01)
        said = f"max_tokens: {limit} > {most}, which is the maximum allowed number of output tokens for this model"
        return Answer(status=400, body=anthropic_error("invalid_request_error", said))

    return respond


def provider(server: FaultServer, **options: Any) -> AnthropicProvider:
    return AnthropicProvider("a-model-of-a-gateway", api_base=server.url, **options)


@pytest.mark.parametrize("in_flight", [1, 8])
def test_a_limit_of_ours_is_halved_until_the_server_takes_it(
    tmp_path: Path, fault_server: FaultServer, in_flight: int
) -> None:
    fault_server.respond = takes(3000)
    dataset = raw(tmp_path, topics=30, run={"max_concurrency": in_flight})
    with pytest.warns(
        DatafastWarning, match=r"refuses a max_completion_tokens of 8,192.*Set max_completion_tokens"
    ) as caught:
        dataset.generate([provider(fault_server)])
    assert len(caught) == 1
    assert assert_balanced(dataset.report).written == 30
    assert set(limits(fault_server)) == {8192, 4096, 2048}
    assert limits(fault_server).count(2048) == 30
    assert len(fault_server.requests) <= 30 + 2 * in_flight


def test_below_the_least_limit_nothing_is_tried(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = takes(10)
    with pytest.raises(RunStopped, match="maximum allowed"), pytest.warns(DatafastWarning, match="8,192"):
        raw(tmp_path, topics=30, run={"max_concurrency": 1}).generate([provider(fault_server)])
    assert min(limits(fault_server)) == 1024


def test_a_limit_of_the_users_is_theirs(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = takes(3000)
    with pytest.raises(RunStopped, match="maximum allowed"):
        raw(tmp_path, topics=12, run={"max_concurrency": 1}).generate(
            [provider(fault_server, max_completion_tokens=5000)]
        )
    assert set(limits(fault_server)) == {5000}


def test_another_refusal_lowers_no_limit(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        if "output_config" in request.json:
            return Answer(status=400, body=anthropic_error("invalid_request_error", "output_config: unknown"))
        return Answer()

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=5, run={"max_concurrency": 1})
    dataset.generate([provider(fault_server)])
    assert assert_balanced(dataset.report).written == 5
    assert set(limits(fault_server)) == {8192}


def test_under_a_budget_the_limit_is_lowered_too(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = takes(1000)
    dataset = raw(tmp_path, topics=5, run={"max_concurrency": 1, "budget_usd": 1.0})
    price = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
    dataset.generate([provider(fault_server, price=price)])
    assert assert_balanced(dataset.report).written == 5
