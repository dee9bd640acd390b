"""Anthropic's prompt cache: what is marked, who goes first, and what it costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from datafast._util import background
from datafast.errors import ConfigError
from datafast.llms import AnthropicProvider
from datafast.llms.base import Request
from datafast.llms.registry import provider_from_spec
from datafast.llms.schema import ResponseSchema
from datafast.types import Message, Usage
from tests.llms.providers.test_anthropic import Entries, Free
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.servers.vendors import anthropic_error, anthropic_message
from tests.support import assert_balanced, raw

LONG = "You write for a museum of clocks. " * 600  # some 5,000 tokens, more than any model's least
SHORT = "You write for a museum of clocks. " * 60


class CachingServer:
    """Answers as Anthropic's servers do: a prefix can be read once the answer to the request that wrote it has begun."""

    def __init__(self, server: FaultServer) -> None:
        self.written = self.read = 0
        self._ready_at: dict[str, float] = {}
        self.requests = server.requests
        server.respond = self._respond

    def _respond(self, request: Recorded) -> Answer:
        system, now = request.json.get("system"), time.monotonic()
        usage: dict[str, Any] = {"input_tokens": 11}
        if isinstance(system, list):
            (block,) = system
            assert block["cache_control"] == {"type": "ephemeral"}
            if self._ready_at.setdefault(block["text"], now + 0.2) <= now:
                self.read += 1
                usage["cache_read_input_tokens"] = 5000
            else:
                self.written += 1
                usage["cache_creation_input_tokens"] = 5000
        text = '{"texts": ["a text of its own"]}'
        return Answer(delay_s=0.2, body=anthropic_message(text, usage=usage))

    @property
    def marked(self) -> int:
        return sum(isinstance(request.json.get("system"), list) for request in self.requests)


@pytest.fixture
def caching(fault_server: FaultServer) -> CachingServer:
    return CachingServer(fault_server)


def provider(server: FaultServer, model: str = "claude-haiku-4-5", **options: Any) -> AnthropicProvider:
    return AnthropicProvider(model, **{"api_base": server.url, "prompt_cache": "auto", **options})


def test_one_request_writes_the_prefix_and_the_others_read_it(
    tmp_path: Path, fault_server: FaultServer, caching: CachingServer
) -> None:
    dataset = raw(tmp_path, topics=40, system_prompt=LONG, run={"max_concurrency": 16})
    dataset.generate([provider(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls) == (40, 40)
    assert (caching.written, caching.read, caching.marked) == (1, 38, 39)
    expected = Usage(11 * 40 + 5000 * 39, 7 * 40, cached_tokens=5000 * 38, cache_write_tokens=5000)
    assert report.cost_usd == pytest.approx(provider(fault_server).cost_usd(expected))
    assert {request.json["messages"][0]["role"] for request in caching.requests} == {"user"}


@pytest.mark.parametrize(
    ("model", "system_prompt", "options"),
    [
        ("claude-haiku-4-5", SHORT, {}),
        ("claude-haiku-4-5", LONG, {"prompt_cache": "off"}),
        ("claude-haiku-4-5", LONG, {"prompt_cache": None}),
        ("claude-haiku-4-5", None, {}),
    ],
)
def test_nothing_is_marked_without_a_long_prefix_or_without_being_asked(
    tmp_path: Path,
    fault_server: FaultServer,
    caching: CachingServer,
    model: str,
    system_prompt: str | None,
    options: dict[str, Any],
) -> None:
    dataset = raw(tmp_path, topics=4, system_prompt=system_prompt)
    dataset.generate([provider(fault_server, model, **options)])
    assert assert_balanced(dataset.report).written == 4
    assert caching.marked == 0


def test_the_least_length_is_the_models(tmp_path: Path, fault_server: FaultServer, caching: CachingServer) -> None:
    middling = "You write for a museum of clocks. " * 200  # some 1,700 tokens
    for number, (model, marked) in enumerate([("claude-haiku-4-5", 0), ("claude-sonnet-4-6", 3)]):
        (tmp_path / str(number)).mkdir()
        raw(tmp_path / str(number), topics=4, system_prompt=middling).generate([provider(fault_server, model)])
        assert caching.marked == marked


def test_rows_come_in_the_order_of_the_plan_all_the_same(
    tmp_path: Path, fault_server: FaultServer, caching: CachingServer
) -> None:
    names = [f"topic {number:02}" for number in range(20)]
    dataset = raw(tmp_path, topics=names, system_prompt=LONG, run={"max_concurrency": 8, "ordered": True})
    dataset.generate([provider(fault_server)], limit=6)
    dataset.generate([provider(fault_server)])
    topics = [row.metadata["topic"] for row in dataset.data_rows]
    assert sorted(topics) == names
    assert topics[:6] == sorted(topics[:6])
    assert topics[6:] == sorted(topics[6:])
    assert caching.written == 1  # also for the second run, whose first request reads what stands there


def test_another_schema_is_another_prefix(fault_server: FaultServer) -> None:
    """The API tells the model the schema before the system prompt ends."""
    schemas = [ResponseSchema.of(model) for model in (Entries, Free, Entries, Free, Entries)]
    system = Message(role="system", content=LONG)

    async def one_after_the_other() -> None:
        backend = provider(fault_server).open(max_connections=1)
        for schema in schemas:
            await backend.complete(Request([system, Message(role="user", content="Hello")], schema))
        await backend.aclose()

    background.run(one_after_the_other())
    marked = [isinstance(request.json["system"], list) for request in fault_server.requests]
    assert marked == [False, False, True, True, True]


def test_a_first_request_that_fails_is_followed_by_another_first_one(
    tmp_path: Path, fault_server: FaultServer, caching: CachingServer
) -> None:
    answer, failed = fault_server.respond, 0

    def respond(request: Recorded) -> Answer:
        nonlocal failed
        if isinstance(request.json.get("system"), list) and failed < 2:
            failed += 1
            return Answer(status=529, delay_s=0.05, body=anthropic_error("overloaded_error"))
        return answer(request)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=12, system_prompt=LONG, run={"max_concurrency": 6, "retry_delay_s": 0.01})
    dataset.generate([provider(fault_server)])
    assert assert_balanced(dataset.report).written == 12
    assert caching.written == 1


def test_a_budget_reserves_the_price_of_writing(
    tmp_path: Path, fault_server: FaultServer, caching: CachingServer
) -> None:
    """A budget that is enough for plain input alone does not send what may cost more."""
    plain = provider(fault_server, prompt_cache="off", max_completion_tokens=10)
    caching_one = provider(fault_server, max_completion_tokens=10)
    given = len(LONG.encode())
    between = (plain.most_usd(given, 10) or 0.0) * 1.2
    assert (caching_one.most_usd(given, 10) or 0.0) > between
    with pytest.raises(ConfigError, match="does not allow a single request"):
        raw(tmp_path, topics=2, system_prompt=LONG, run={"budget_usd": between}).generate([caching_one])
    assert caching.requests == []


def test_what_extra_marks_is_bounded_too() -> None:
    def most(**extra: Any) -> float:
        return AnthropicProvider("claude-haiku-4-5", extra=extra).most_usd(1_000_000, 0) or 0.0

    assert most() == pytest.approx(1.0)
    assert most(cache_control={"type": "ephemeral"}) == pytest.approx(1.25)
    assert most(cache_control={"type": "ephemeral", "ttl": "1h"}) == pytest.approx(2.0)


def test_the_setting_changes_no_key_and_is_checked() -> None:
    assert (
        provider_from_spec({"provider": "anthropic", "prompt_cache": "auto"}).identity == AnthropicProvider().identity
    )
    assert "prompt_cache='auto'" in repr(AnthropicProvider(prompt_cache="auto"))
    with pytest.raises(ConfigError, match="prompt_cache: expected auto or off") as caught:
        AnthropicProvider(prompt_cache="on")
    assert caught.value.key == "prompt_cache"
