"""A budget without a limit of the user's on replies: a limit of our own is on the wire, and what is reserved is what can come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
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


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        ("claude-haiku-5-5", True),
        ("anthropic/claude-opus-5", True),
        ("claude-haiku-4-5", False),
        ("gpt-6-luna", True),
        ("gpt-4.1", False),
    ],
)
def test_a_model_that_thinks_unasked_begins_with_room_for_it(
    tmp_path: Path, fault_server: FaultServer, model: str, reasons: bool
) -> None:
    raw(tmp_path, topics=1, run={"budget_usd": 5.0}).generate([direct(fault_server, model)])
    assert (limit_of(fault_server.requests[0]) or 0) > 10_000 if reasons else limit_of(fault_server.requests[0]) == 2048


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
        ConfigError, match=r"run.budget_usd does not allow a single request: it is \$0.004, and one request may cost"
    ):
        raw(tmp_path, topics=3, run={"budget_usd": 0.004}).generate([direct(fault_server)])
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


def test_a_reply_that_is_cut_again_is_asked_for_with_a_still_higher_limit(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    def respond(request: Recorded) -> Answer:
        limit = limit_of(request) or 0
        return reply(40_000) if limit > 40_000 else reply(limit, finish_reason="length", text='{"texts": ["a te')

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=1, run={"max_parse_retries": 0, "budget_usd": 50.0})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 1
    assert [limit_of(request) for request in fault_server.requests] == [2048, 16_384, 65_536]


def test_a_reply_that_the_model_itself_cuts_fails_as_one(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        return reply(min(limit_of(request) or 0, 4000), finish_reason="length", text='{"texts": ["a te')

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=1, run={"budget_usd": 50.0})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).failures == {"truncated": 1}
    assert [limit_of(request) for request in fault_server.requests] == [2048, 16_384]


def test_a_cut_reply_that_the_budget_cannot_lift_stays_pending_and_is_done_with_a_larger_one(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    def respond(request: Recorded) -> Answer:
        limit = limit_of(request) or 0
        return reply(3000) if limit > 3000 else reply(limit, finish_reason="length", text='{"texts": ["a te')

    fault_server.respond = respond
    run = {"max_parse_retries": 0, "max_concurrency": 1}
    dataset = raw(tmp_path, topics=1, run={**run, "budget_usd": 0.03})
    with pytest.raises(RunStopped, match=r"budget_usd: \$0.0205 of \$0.0300 used"):
        dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).pending == 1
    dataset = raw(tmp_path, topics=1, run={**run, "budget_usd": 0.06})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 1
    first, second = (limit_of(request) or 0 for request in fault_server.requests)
    assert first == 2048
    assert 3000 < second < 4000  # all that the budget allows


@pytest.mark.parametrize("longest", [600, 1500, 3000, 10_000])
def test_a_limit_that_the_server_refuses_is_lowered(tmp_path: Path, fault_server: FaultServer, longest: int) -> None:
    """As servers do that count it with the prompt, and refuse more than their context."""

    def respond(request: Recorded) -> Answer:
        limit, needed = limit_of(request) or 0, int(longest * 0.8)
        if limit > longest:
            return Answer(status=400, body={"error": {"message": "too large", "type": "BadRequestError", "code": 400}})
        whole = needed <= limit
        return reply(needed) if whole else reply(limit, finish_reason="length", text='{"texts": ["a te')

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=12, run={"max_concurrency": 2, "max_parse_retries": 0, "budget_usd": 50.0})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 12
    refused = [request for request in fault_server.requests if (limit_of(request) or 0) > longest]
    assert len(refused) <= 14


def test_one_long_prompt_that_leaves_less_room_for_its_reply_does_not_fail(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    def respond(request: Recorded) -> Answer:
        if "topic 9" in request.prompt and (limit_of(request) or 0) > 600:
            return Answer(status=400, body={"error": {"message": "too long", "code": 400}})
        return reply(1000 if "topic 9" not in request.prompt else 300)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=10, run={"max_concurrency": 1, "budget_usd": 50.0})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 10


def test_the_last_of_a_budget_is_used_with_lower_limits(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: reply(300)
    dataset = raw(tmp_path, topics=10, run={"max_concurrency": 8, "max_tokens": 10 * 350 + 1200})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 10
    assert max(limit_of(request) or 0 for request in fault_server.requests) <= 2048


def test_a_request_that_waited_is_reserved_by_what_was_learned_meanwhile(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    """Beside a reply far beyond its limit, no more than what is in flight passes."""
    both_are_there = threading.Event()

    def respond(request: Recorded) -> Answer:
        if len(fault_server.requests) == 2:
            both_are_there.set()
        return Answer(body=reply(10_000).body, until=both_are_there.is_set)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=40, run={"max_concurrency": 2, "budget_usd": 0.35})
    with pytest.raises(RunStopped, match="budget_usd"):
        dataset.generate([direct(fault_server)])
    assert [limit_of(request) for request in fault_server.requests[:2]] == [2048, 2048]
    assert len(fault_server.requests) == 3  # the third one is reserved with 20,000 tokens


def test_more_requests_go_at_once_when_limits_fall(tmp_path: Path, fault_server: FaultServer) -> None:
    at_first, many_are_there = 0.18 / 0.021, threading.Event()

    def respond(request: Recorded) -> Answer:
        if fault_server.in_flight > 1.5 * at_first:
            many_are_there.set()
        learns = len(fault_server.requests) <= 2 * at_first
        return Answer(body=reply(100).body, until=lambda: learns or many_are_there.is_set())

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=120, run={"max_concurrency": 32, "budget_usd": 0.18})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 120
    assert fault_server.max_in_flight > 1.5 * at_first


def test_a_later_run_begins_with_the_lengths_and_surprises_of_the_earlier_ones(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.respond = lambda request: reply(800, given=5000)
    raw(tmp_path, topics=10, run={"max_concurrency": 1, "budget_usd": 50.0}).generate([direct(fault_server)])
    provider = direct(fault_server)
    dataset = raw(tmp_path, topics=13, run={"budget_usd": 0.165, "max_concurrency": 4})
    assert dataset.estimate([provider]).in_flight == 2
    fault_server.requests.clear()
    with pytest.raises(RunStopped, match="budget_usd"):
        dataset.generate([provider])
    assert {limit_of(request) for request in fault_server.requests} <= {1200, 800}
    spent = (10 + len(fault_server.requests)) * (5000e-6 + 800e-5)
    assert spent <= 0.165


def test_a_recorded_reply_that_was_cut_at_our_limit_is_no_try(tmp_path: Path, fault_server: FaultServer) -> None:
    cut = [True]

    def respond(request: Recorded) -> Answer:
        if cut[0]:
            return reply(2048, finish_reason="length", text='{"texts": ["a te')
        return reply(3000)

    fault_server.respond = respond
    run = {"max_parse_retries": 0, "max_concurrency": 1}
    with pytest.raises(RunStopped):  # it cannot be lifted
        raw(tmp_path, topics=1, run={**run, "budget_usd": 0.022}).generate([direct(fault_server)])
    cut[0] = False
    dataset = raw(tmp_path, topics=1, run={**run, "budget_usd": 50.0})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 1
    assert [limit_of(request) for request in fault_server.requests] == [2048, 16_384]


def test_a_plan_says_that_a_budget_allows_no_request(tmp_path: Path, fault_server: FaultServer) -> None:
    estimate = raw(tmp_path, topics=3, run={"budget_usd": 0.004}).estimate([direct(fault_server)])
    assert estimate.in_flight == 0
    (told,) = [text for name, text in estimate.lines() if name == "budget"]
    assert told == estimate.refusal
    # The last digits follow from the words of the prompt.
    assert (
        "run.budget_usd does not allow a single request: it is $0.004, and one request may cost up to $0.0060" in told
    )
    assert "Raise it above that" in told
    with pytest.raises(ConfigError) as refused:
        raw(tmp_path, topics=3, run={"budget_usd": 0.004}).generate([direct(fault_server)])
    assert str(refused.value) == told


def test_a_budget_above_the_estimate_hardly_slows_a_run_down(tmp_path: Path, fault_server: FaultServer) -> None:
    """As many requests are in flight as without one."""
    all_are_there = threading.Event()

    def respond(request: Recorded) -> Answer:
        if fault_server.in_flight == 32:
            all_are_there.set()
        return Answer(body=reply(300).body, until=all_are_there.is_set)

    fault_server.respond = respond
    needed = 400 * (50e-6 + 300e-5)
    dataset = raw(tmp_path, topics=400, run={"max_concurrency": 32, "budget_usd": needed * 1.3})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 400
    assert fault_server.max_in_flight == 32
    assert all_are_there.is_set()


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
        found.append(limits.surprises.hidden)
    assert found == [0, 0, 1, 40, 40]


def test_a_token_is_at_least_one_byte_of_the_prompt_and_the_schema_counts_twice() -> None:
    words = [{"role": "system", "content": "é"}, {"role": "user", "content": "half: \ud83d"}]
    assert most_given(Request(words)) == 2 + 9 + 2 * 16
    schema = ResponseSchema.of(Texts)
    with_schema = most_given(Request(words, schema=schema))
    assert with_schema == most_given(Request(words)) + len(schema.wire) + len(schema.instructions())
