"""A budget without a limit of the user's on replies: a limit of our own is on the wire, and what is reserved is what can come."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from datafast.engine.calls.reply_limits import ReplyLimits, most_given
from datafast.errors import ConfigError, RunStopped
from datafast.llms import LiteLLMProvider, LLMProvider, OpenAICompatibleProvider
from datafast.llms.base import Request
from datafast.llms.schema import ResponseSchema
from datafast.types import Usage
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import assert_balanced, raw

PRICE = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}
GOOD = '{"texts": ["a text"]}'


def direct(server: FaultServer, model: str = "m", **options: Any) -> LLMProvider:
    return OpenAICompatibleProvider(model, api_base=server.url, price=PRICE, **options)


def litellm(server: FaultServer, model: str = "m", **options: Any) -> LLMProvider:
    return LiteLLMProvider(f"openai/{model}", api_base=server.url, price=PRICE, **options)


every_back_end = pytest.mark.parametrize("make", [direct, litellm])


def reply(written: int, *, given: int = 50, finish_reason: str = "stop", text: str = GOOD, **usage: Any) -> Answer:
    counts = {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written, **usage}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return Answer(body={"model": "m", "choices": [choice], "usage": counts})


def limit_of(request: Recorded) -> int | None:
    return request.json.get("max_tokens") or request.json.get("max_completion_tokens")


@every_back_end
def test_a_limit_of_our_own_is_sent_only_under_a_budget_and_where_the_user_has_set_none(
    tmp_path: Path, fault_server: FaultServer, make: Callable[..., LLMProvider]
) -> None:
    raw(tmp_path / "1", topics=1).generate([make(fault_server)])
    raw(tmp_path / "2", topics=1, run={"max_calls": 5}).generate([make(fault_server)])
    raw(tmp_path / "3", topics=1, run={"budget_usd": 5.0}).generate([make(fault_server)])
    raw(tmp_path / "4", topics=1, run={"max_tokens": 50_000}).generate([make(fault_server)])
    raw(tmp_path / "5", topics=1, run={"budget_usd": 5.0}).generate([make(fault_server, max_completion_tokens=77)])
    raw(tmp_path / "6", topics=1, run={"budget_usd": 5.0}).generate([make(fault_server, "gpt-oss-20b")])
    assert [limit_of(request) for request in fault_server.requests] == [None, None, 2048, 2048, 77, 16_384]


def test_the_limit_follows_the_replies(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: reply(100 if len(fault_server.requests) < 15 else 1000)
    dataset = raw(tmp_path, topics=20, run={"max_concurrency": 1, "budget_usd": 5.0})
    dataset.generate([direct(fault_server)])
    limits = [limit_of(request) for request in fault_server.requests]
    assert limits == [2048] * 8 + [512] * 7 + [1500] * 5


def test_reasoning_that_is_seen_raises_the_limit(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: reply(900, completion_tokens_details={"reasoning_tokens": 800})
    dataset = raw(tmp_path, topics=12, run={"max_concurrency": 1, "budget_usd": 5.0})
    dataset.generate([direct(fault_server)])
    limits = [limit_of(request) for request in fault_server.requests]
    assert limits == [2048] + [16_384] * 7 + [4096] * 4


@every_back_end
def test_a_cut_at_our_own_limit_never_fails_an_item(
    tmp_path: Path, fault_server: FaultServer, make: Callable[..., LLMProvider]
) -> None:
    def respond(request: Recorded) -> Answer:
        limit = limit_of(request)
        assert limit is not None
        return reply(3000) if limit > 3000 else reply(limit, finish_reason="length", text='{"texts": ["a te')

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=10, run={"max_concurrency": 1, "max_parse_retries": 0, "budget_usd": 50.0})
    dataset.generate([make(fault_server)])
    assert assert_balanced(dataset.report).written == 10
    limits = [limit_of(request) for request in fault_server.requests]
    assert limits[:4] == [2048, 16_384, 4500, 4500]
    assert len(limits) == 11


def test_a_budget_that_does_not_allow_one_request_is_refused_with_the_numbers(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    with pytest.raises(
        ConfigError, match=r"run.budget_usd does not allow a single request: it is \$0.01, and one request may cost"
    ):
        raw(tmp_path, topics=3, run={"budget_usd": 0.01}).generate([direct(fault_server)])
    with pytest.raises(
        ConfigError, match=r"run.max_tokens does not allow a single request: it is 1,000 tokens, and one"
    ):
        raw(tmp_path, topics=3, run={"max_tokens": 1000}).generate([direct(fault_server)])
    assert fault_server.requests == []
    # An output that has used its budget is told so, as before.
    fault_server.respond = lambda request: reply(300)
    dataset = raw(tmp_path, topics=40, run={"budget_usd": 0.03, "max_concurrency": 1})
    with pytest.raises(RunStopped, match="The budget is reached"):
        dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written > 0


# -- never passed, by the server's own count


_SHAPES = st.sampled_from(["plain", "outside", "inside", "zero", "missing", "cached", "hidden"])


class _Bank:
    """Answers with usage of many shapes, and counts what it would charge at list price."""

    def __init__(self, seed: int, shapes: list[str], *, obeys: bool) -> None:
        self._rng = random.Random(seed)
        self._shapes = shapes
        self._obeys = obeys
        self.charged = 0.0
        self.largest = 0.0
        self._lock = threading.Lock()

    def __call__(self, request: Recorded) -> Answer:
        rng, shape = self._rng, self._rng.choice(self._shapes)
        limit = limit_of(request) or 0
        given = sum(len(message["content"]) for message in request.json["messages"]) // rng.choice([2, 4, 6])
        given += 3000 if shape == "hidden" else 0
        written = rng.choice([rng.randint(1, 400), limit])
        if not self._obeys and rng.random() < 0.2:
            written = rng.randint(limit, 8 * limit)
        cost = given * 1e-6 + written * 1e-5
        with self._lock:
            self.charged += cost
            self.largest = max(self.largest, cost)
        thought = written // 2
        counts: dict[str, Any] | None = {
            "prompt_tokens": given,
            "completion_tokens": written,
            "total_tokens": given + written,
        }
        if shape == "outside":
            counts = {"prompt_tokens": given, "completion_tokens": written - thought, "total_tokens": given + written}
        elif shape == "inside":
            counts = {**counts, "completion_tokens_details": {"reasoning_tokens": thought}}  # type: ignore[dict-item]
        elif shape == "zero":
            counts = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        elif shape == "missing":
            counts = None
        elif shape == "cached":
            counts = {**counts, "prompt_tokens_details": {"cached_tokens": given // 2}}  # type: ignore[dict-item]
        answer = reply(1)
        body: dict[str, Any] = {**answer.body, "usage": counts}  # type: ignore[dict-item]
        return Answer(body=body)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    shapes=st.lists(_SHAPES, min_size=1, max_size=4, unique=True),
    concurrency=st.sampled_from([1, 4, 16]),
    budget=st.floats(0.1, 0.6),
    obeys=st.booleans(),
)
def test_a_budget_is_never_passed_by_the_servers_own_count(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shapes: list[str], concurrency: int, budget: float, obeys: bool
) -> None:
    """Beyond what was in flight when a server first disregarded a limit, or put in texts of its own."""
    with FaultServer() as server:
        bank = _Bank(seed, shapes, obeys=obeys)
        server.respond = bank
        dataset = raw(
            tmp_path_factory.mktemp("bank"), topics=400, run={"budget_usd": budget, "max_concurrency": concurrency}
        )
        with contextlib.suppress(RunStopped):
            dataset.generate([direct(server)])
        assert dataset.report is not None
        assert dataset.report.stop_cause in {None, "budget"}
        surprises = 0 if obeys and "hidden" not in shapes else 2 * concurrency * bank.largest
        assert bank.charged <= budget + surprises + 1e-9


def test_a_budget_above_the_estimate_hardly_slows_a_run_down(tmp_path: Path, fault_server: FaultServer) -> None:
    """As many requests are in flight as without one."""
    fault_server.respond = lambda request: Answer(body=reply(300).body, delay_s=0.05)
    needed = 400 * (50e-6 + 300e-5)
    dataset = raw(tmp_path, topics=400, run={"max_concurrency": 32, "budget_usd": needed * 1.3})
    began = time.monotonic()
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 400
    assert fault_server.max_in_flight == 32
    assert time.monotonic() - began < 30


def test_the_estimate_says_how_many_requests_the_budget_lets_be_in_flight(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    provider = direct(fault_server)
    assert raw(tmp_path, topics=99).estimate([provider]).in_flight is None
    assert (
        raw(tmp_path, topics=99, run={"budget_usd": 100.0, "max_concurrency": 32}).estimate([provider]).in_flight == 32
    )
    few = raw(tmp_path, topics=99, run={"budget_usd": 0.1, "max_concurrency": 50}).estimate([provider])
    assert few.in_flight in {3, 4}
    assert ("budget", f"lets {few.in_flight} requests be in flight at first") in list(few.lines())
    assert raw(tmp_path, topics=99, run={"max_calls": 7}).estimate([provider]).in_flight == 7


# -- what is learned from the usage of replies


class Texts(BaseModel):
    """The structure of a reply."""

    texts: list[str]


def limits_of(model: str = "m", **options: Any) -> ReplyLimits:
    return ReplyLimits(OpenAICompatibleProvider(model, api_base="http://127.0.0.1:9", price=PRICE, **options))


def asked(text: str = "x" * 84, *, token_limit: int | None = 100) -> Request:
    """A request that gives 100 tokens at most: 84 bytes, and 16 for what stands around a message."""
    return Request([{"role": "user", "content": text}], token_limit=token_limit)


def test_the_first_limit_grows_with_the_rows_that_are_asked_for_and_not_for_reasoning() -> None:
    limits = limits_of()
    assert [limits.limit("writer", rows) for rows in (1, 2, 6)] == [2048, 2648, 5048]
    assert [limits_of("qwq").limit("writer", rows) for rows in (1, 6)] == [16_384, 16_384]
    assert limits_of("m", reasoning_effort="none").limit("writer", 1) == 2048
    assert limits_of("m", reasoning_effort="low").limit("writer", 1) == 16_384
    assert limits_of("qwq", reasoning_effort="none").limit("writer", 1) == 2048


def test_each_role_learns_for_itself_and_the_largest_reply_counts() -> None:
    limits = limits_of()
    for written in (1000, 4001, 10):
        limits.saw("writer", asked(token_limit=5000), Usage(50, written))
    assert limits.limit("writer", 1) == 6002  # half as much again, rounded up
    assert limits.limit("judge", 1) == 2048
    thinking = limits_of("qwq")
    thinking.saw("writer", asked(token_limit=50_000), Usage(50, 20_000))
    assert thinking.limit("writer", 1) == 40_000


def test_no_limit_is_longer_than_the_longest_reply_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenAICompatibleProvider, "longest_reply", 4000)
    limits = limits_of()
    assert limits.limit("writer", 9) == 4000
    assert limits.lifted(900) == 4000
    assert limits.bound(None) == 4000
    limits.saw("writer", asked(), Usage(50, 101))
    assert limits.bound(100) == 202
    limits.saw("writer", asked(), Usage(50, 500))
    assert limits.bound(100) == 4000  # now all that it can write is possible


def test_a_reply_that_was_cut_off_gets_four_times_as_much_and_no_less_than_a_model_needs_to_think() -> None:
    limits = limits_of()
    assert [limits.lifted(cut_at) for cut_at in (0, 4096, 4097, 10_000)] == [16_384, 16_384, 16_388, 40_000]


def test_what_a_server_writes_beyond_a_limit_is_reserved_twice_over_from_then_on() -> None:
    limits = limits_of()
    limits.saw("writer", asked(), Usage(50, 100))
    assert (limits.bound(100), limits.bound(None)) == (100, 16_384)
    limits.saw("writer", asked(), Usage(50, 101))
    assert (limits.bound(100), limits.bound(1000)) == (202, 1000)
    # What is within what was reserved by then is no surprise any more.
    limits.saw("writer", asked(), Usage(50, 202))
    assert limits.bound(100) == 202
    limits.saw("writer", asked(), Usage(50, 203))
    assert limits.bound(100) == 406
    own = limits_of(max_completion_tokens=77)
    own.saw("writer", asked(token_limit=None), Usage(50, 78))
    assert own.bound(77) == 156
    assert not own.are_ours


def test_tokens_that_a_server_adds_to_a_prompt_are_those_beyond_the_most_that_was_given() -> None:
    limits = limits_of()
    found = []
    for counted in (99, 100, 101, 140, 120):
        limits.saw("writer", asked(), Usage(counted, 10))
        found.append(limits.hidden_tokens)
    assert found == [0, 0, 1, 40, 40]


def test_a_token_is_at_least_one_byte_of_the_prompt_and_the_schema_counts_twice() -> None:
    words = [{"role": "system", "content": "é"}, {"role": "user", "content": "half: \ud83d"}]
    assert most_given(Request(words)) == 2 + 9 + 2 * 16
    schema = ResponseSchema.of(Texts)
    with_schema = most_given(Request(words, schema=schema))
    assert with_schema == most_given(Request(words)) + len(schema.wire) + len(schema.instructions())
