"""Structured replies against servers that enforce them, refuse them, ignore them, or get them nearly right."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.calls.reply_modes import ReplyModes
from datafast.errors import RunStopped
from datafast.llms import (
    AnthropicProvider,
    GeminiProvider,
    LiteLLMProvider,
    LLMProvider,
    OpenAICompatibleProvider,
    OpenAIProvider,
)
from datafast.llms.base import ReplyMode
from tests import support
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import ROOT, assert_balanced, columns, raw

MakeProvider = Callable[..., LLMProvider]
GOOD = '{"texts": ["a text"]}'


def direct(server: FaultServer, model: str = "m", **options: Any) -> LLMProvider:
    return OpenAICompatibleProvider(model, api_base=server.url, **options)


def litellm(server: FaultServer, model: str = "m", **options: Any) -> LLMProvider:
    return LiteLLMProvider(f"openai/{model}", api_base=server.url, **options)


def anthropic(server: FaultServer, model: str = "claude-m", **options: Any) -> LLMProvider:
    return AnthropicProvider(model, api_base=server.url, **options)


def gemini(server: FaultServer, model: str = "m", **options: Any) -> LLMProvider:
    return GeminiProvider(model, api_base=server.url, **options)


every_back_end = pytest.mark.parametrize("make", [direct, litellm])
every_wire_format = pytest.mark.parametrize("make", [direct, anthropic, gemini, litellm])


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


def way(request: Recorded) -> str:
    """How a request asks for structure, by the names of chat completions."""
    asked, settings = request.json, request.json.get("generationConfig", {})
    if "output_config" in asked or "responseJsonSchema" in settings:
        return "json_schema"
    if "tools" in asked or "responseMimeType" in settings:
        return "json_object"
    return asked.get("response_format", {}).get("type") or (
        "prompt" if "JSON Schema" in request.raw.decode() else "text"
    )


def ways(server: FaultServer) -> Counter[str]:
    return Counter(way(request) for request in server.requests)


def texts(dataset: Any) -> list[str]:
    return [row.text for row in dataset.data_rows]


def calls_in_ledger(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as db, db:
        (found,) = db.execute("SELECT count(*) FROM calls").fetchone()
    db.close()
    return int(found)


# -- which way of asking works


REFUSED = {"error": {"message": "no such format", "param": "response_format"}}
# What a server does with a way of asking that it does not know.
UNWILLING = {
    "refuses": Answer(status=400, body=REFUSED),
    "refuses without saying what": Answer(status=422, body={"detail": "bad request"}),
    "breaks": Answer(status=500, body={"error": {"message": "internal error"}}),
    "ignores": Answer(text="Certainly! Here is a text for you."),
}


@every_wire_format
@pytest.mark.parametrize("unwilling", UNWILLING)
@pytest.mark.parametrize("works", ["json_schema", "json_object", "prompt"])
def test_the_way_that_works_is_found_and_kept(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider, unwilling: str, works: str
) -> None:
    order = ["json_schema", "json_object", "prompt"]
    fault_server.respond = lambda request: Answer(text=GOOD) if way(request) == works else UNWILLING[unwilling]
    dataset = raw(tmp_path, topics=12, run={"max_concurrency": 1})
    dataset.generate([make(fault_server)])
    assert assert_balanced(dataset.report).written == 12
    # Finding out costs one request for each way that does not work; one more where another item is asked for while the
    # first one waits for its retry, or where a schema that was refused is sent again without its bounds on texts.
    seen, most = ways(fault_server), 1 if unwilling == "ignores" else 2
    assert seen.pop(works) == 12
    assert list(seen) == order[: order.index(works)]
    assert all(1 <= wasted <= most for wasted in seen.values())


@pytest.mark.parametrize("unwilling", UNWILLING)
def test_a_format_that_does_not_work_wastes_a_round_of_requests_at_most(
    tmp_path: Path, fault_server: FaultServer, unwilling: str
) -> None:
    def respond(request: Recorded) -> Answer:
        answer = Answer(text=GOOD) if way(request) == "json_object" else UNWILLING[unwilling]
        return Answer(status=answer.status, body=answer.body, text=answer.text, delay_s=0.01)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=300, run={"max_concurrency": 32})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 300
    seen = ways(fault_server)
    # A schema that is refused is sent once more, without its bounds on texts.
    assert seen["json_schema"] <= (2 * 32 if "refuses" in unwilling else 32 + 4)
    assert seen["prompt"] <= 2
    assert seen["json_object"] <= 300 + 2


def test_replies_in_plain_text_prove_no_way_of_asking_for_structure(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        if way(request) == "text":
            return Answer(text="plain")
        return Answer(text='{"n": 1}') if way(request) == "json_object" else UNWILLING["refuses"]

    fault_server.respond = respond
    form = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    schema = {
        "first": {"type": "text", "prompt": "say"},
        "then": {"type": "structured", "prompt": "{first}", "json_schema": form},
    }
    dataset = columns(tmp_path, schema, rows=4, run={"max_concurrency": 1})
    dataset.generate({"default": direct(fault_server)})
    assert assert_balanced(dataset.report).written == 4
    assert ways(fault_server) == {"text": 4, "json_object": 4, "json_schema": 1}


def test_bounds_on_texts_go_to_servers_that_may_decode_by_them(tmp_path: Path, fault_server: FaultServer) -> None:
    raw(tmp_path, topics=3).generate([direct(fault_server)])
    assert len(fault_server.requests) == 3
    assert all('"minLength": 1' in json.dumps(request.json) for request in fault_server.requests)


def test_a_server_that_refuses_bounds_on_texts_is_sent_none_from_then_on(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    def respond(request: Recorded) -> Answer:
        if '"minLength": 1' in json.dumps(request.json):
            return Answer(status=400, body={"error": {"message": "minLength is not permitted"}})
        return Answer(text=GOOD)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=12, run={"max_concurrency": 1})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 12
    assert ways(fault_server) == {"json_schema": 13}


# -- what a later run begins with


def answering_in(mode: str) -> Callable[[Recorded], Answer]:
    return lambda request: Answer(text=GOOD) if way(request) == mode else UNWILLING["ignores"]


def test_a_run_that_was_stopped_on_its_way_through_the_ways_goes_on_with_the_next(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.respond = answering_in("prompt")
    with pytest.raises(RunStopped):
        raw(tmp_path, topics=1, run={"max_calls": 2}).generate([direct(fault_server)])
    dataset = raw(tmp_path, topics=1)
    dataset.generate([direct(fault_server)])
    assert [way(request) for request in fault_server.requests] == ["json_schema", "json_object", "prompt"]
    assert assert_balanced(dataset.report).written == 1


@pytest.mark.parametrize("works", ["json_schema", "json_object", "prompt"])
def test_a_later_run_begins_with_the_way_that_worked(tmp_path: Path, fault_server: FaultServer, works: str) -> None:
    fault_server.respond = answering_in(works)
    raw(tmp_path, topics=2).generate([direct(fault_server)])
    fault_server.requests.clear()
    dataset = raw(tmp_path, topics=12)
    dataset.generate([direct(fault_server)])
    assert ways(fault_server) == {works: 10}
    assert assert_balanced(dataset.report).written == 12


@pytest.mark.parametrize("other", [{"temperature": 0.5}, {"api_base": "/v1"}, {"model": "n"}])
def test_what_was_learned_of_another_model_or_address_does_not_count(
    tmp_path: Path, fault_server: FaultServer, other: dict[str, Any]
) -> None:
    fault_server.respond = answering_in("prompt")
    raw(tmp_path, topics=1).generate([direct(fault_server)])
    fault_server.requests.clear()
    base = other.pop("api_base", "")
    model = OpenAICompatibleProvider(other.pop("model", "m"), api_base=fault_server.url + base, **other)
    raw(tmp_path, topics=["another"]).generate([model], on_change=lambda ahead: True)
    assert [way(request) for request in fault_server.requests] == ["json_schema", "json_object", "prompt"]


def test_a_server_that_has_learned_a_better_way_is_noticed(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=GOOD) if way(request) == "prompt" else UNWILLING["refuses"]
    raw(tmp_path, topics=2).generate([direct(fault_server)])
    fault_server.respond = lambda request: Answer(text=GOOD)
    fault_server.requests.clear()
    raw(tmp_path, topics=60, run={"max_concurrency": 1}).generate([direct(fault_server)])
    assert ways(fault_server)["json_schema"] > 30


@pytest.mark.parametrize("found", ["", "[]", "{", '{"a": 1}', 7, None])
def test_what_stands_there_instead_keeps_no_output_from_opening(
    tmp_path: Path, fault_server: FaultServer, found: Any
) -> None:
    raw(tmp_path, topics=1).generate([direct(fault_server)])
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as db, db:
        db.execute("INSERT OR REPLACE INTO meta VALUES('learned', ?)", (found,))
    db.close()
    dataset = raw(tmp_path, topics=2)
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 2


def test_openais_own_api_is_sent_no_bounds_on_texts(
    tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    raw(tmp_path, topics=1).generate([OpenAIProvider(api_base=fault_server.url)])
    assert '"minLength"' not in json.dumps(fault_server.requests[0].json)


def test_what_is_learned_is_learned_for_each_provider_and_model(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        if request.json["model"] == "old" and way(request) == "json_schema":
            return UNWILLING["refuses"]
        return Answer(text=GOOD)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=20, run={"max_concurrency": 2})
    dataset.generate([direct(fault_server, "old"), direct(fault_server, "new")])
    seen = Counter((request.json["model"], way(request)) for request in fault_server.requests)
    assert seen == {("old", "json_schema"): 2, ("old", "json_object"): 20, ("new", "json_schema"): 20} or seen == {
        ("old", "json_schema"): 1,
        ("old", "json_object"): 20,
        ("new", "json_schema"): 20,
    }


@pytest.mark.parametrize("concurrency", [1, 32])
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("bad", [Answer(text="sorry, no"), Answer(status=500, body="oops")], ids=["invalid", "500"])
def test_a_server_that_mostly_works_keeps_its_best_way(
    tmp_path: Path, fault_server: FaultServer, concurrency: int, seed: int, bad: Answer
) -> None:
    """Also where the very first answers are the bad ones."""
    chance, first = random.Random(seed), iter([True, True, True])

    def respond(request: Recorded) -> Answer:
        if way(request) == "json_schema" and (next(first, False) or chance.random() < 0.05):
            return bad
        return Answer(text=GOOD)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=300, run={"max_concurrency": concurrency, "max_parse_retries": 4})
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 300
    last = Counter(way(request) for request in fault_server.requests[-150:])
    assert last["json_schema"] >= 135


def test_a_way_that_was_refused_by_name_is_not_tried_again() -> None:
    modes = ReplyModes()
    modes.met_error(ReplyMode.JSON_SCHEMA, refused=True)
    for _ in range(1000):
        assert modes.choose() is ReplyMode.JSON_OBJECT
        modes.worked(ReplyMode.JSON_OBJECT)


def test_a_way_that_only_failed_is_tried_again_ever_more_rarely() -> None:
    modes, tried = ReplyModes(), []
    modes.failed(ReplyMode.JSON_SCHEMA)
    for number in range(1000):
        mode = modes.choose()
        if mode is ReplyMode.JSON_SCHEMA:
            tried.append(number)
            modes.failed(mode)
        else:
            modes.worked(mode)
    assert tried == [19, 59, 139, 299, 619]


def test_errors_say_nothing_about_a_way_that_has_worked() -> None:
    modes = ReplyModes()
    modes.worked(ReplyMode.JSON_SCHEMA)
    for _ in range(100):
        modes.met_error(ReplyMode.JSON_SCHEMA, refused=True)
    assert modes.choose() is ReplyMode.JSON_SCHEMA
    assert modes.next_after(ReplyMode.JSON_SCHEMA, set()) is None


def test_a_call_goes_back_to_the_way_that_works_for_others_meanwhile() -> None:
    modes, tried = ReplyModes(), set(ReplyMode)
    for mode in ReplyMode:
        modes.failed(mode)
    assert modes.next_after(ReplyMode.PROMPT, tried) is None
    modes.worked(ReplyMode.JSON_SCHEMA)
    assert modes.next_after(ReplyMode.PROMPT, tried) is ReplyMode.JSON_SCHEMA
    # After a refusal it must not go round in circles.
    assert modes.next_after(ReplyMode.PROMPT, tried, refused=True) is None


def test_what_is_learned_of_ways_is_noted_once_and_proven_by_a_reply() -> None:
    modes = ReplyModes()
    assert (modes.changed, modes.proven) == (False, False)
    modes.worked(ReplyMode.JSON_SCHEMA)
    assert (modes.changed, modes.proven) == (True, True)
    modes.changed = False  # it is noted
    modes.worked(ReplyMode.JSON_SCHEMA)
    assert modes.changed is False
    modes.failed(ReplyMode.JSON_OBJECT)
    assert modes.changed is True
    assert ReplyModes(ReplyMode.PROMPT, proven=True).proven
    assert not ReplyModes(ReplyMode.PROMPT).proven
    assert ReplyModes(ReplyMode.PROMPT).usual is ReplyMode.PROMPT


def test_a_way_that_has_not_worked_or_mostly_fails_is_not_gone_back_to() -> None:
    modes, tried = ReplyModes(), {ReplyMode.JSON_OBJECT}
    modes.failed(ReplyMode.JSON_OBJECT)
    assert modes.next_after(ReplyMode.JSON_OBJECT, tried) is ReplyMode.PROMPT
    modes.worked(ReplyMode.JSON_SCHEMA)
    assert modes.next_after(ReplyMode.JSON_OBJECT, tried) is ReplyMode.JSON_SCHEMA
    for _ in range(2):
        modes.failed(ReplyMode.JSON_SCHEMA)
    assert modes.next_after(ReplyMode.JSON_OBJECT, tried) is ReplyMode.PROMPT


def test_of_ways_that_all_mostly_fail_the_one_that_works_most_often_is_taken() -> None:
    modes = ReplyModes()
    for mode, worked in zip(ReplyMode, (0, 2, 1), strict=True):
        for _ in range(worked):
            modes.worked(mode)
        for _ in range(worked + 1):
            modes.failed(mode)
    assert modes.usual is ReplyMode.JSON_SCHEMA
    modes.worked(ReplyMode.PROMPT)
    assert modes.usual is ReplyMode.PROMPT


def test_a_server_where_no_way_has_worked_is_asked_in_the_best_way_first() -> None:
    modes = ReplyModes()
    for mode in ReplyMode:
        modes.met_error(mode, refused=True)
    assert modes.choose() is ReplyMode.JSON_SCHEMA
    modes.worked(ReplyMode.JSON_SCHEMA)
    assert modes.next_after(ReplyMode.JSON_SCHEMA, set()) is None


# -- what is accepted


ACCEPTED = {
    "plain": (GOOD, "a text"),
    "in a fence": (f"```json\n{GOOD}\n```", "a text"),
    "in chatter": (f"Here you are:\n\n{GOOD}\n\nI hope this helps!", "a text"),
    "behind reasoning": (f'<think>maybe {{"texts": ["no"]}} or [1, {{</think>\n{GOOD}', "a text"),
    "behind reasoning that was never opened": (f"so I would say {{ x\n</think>\n{GOOD}", "a text"),
    "with a byte order mark": (f"\ufeff{GOOD}", "a text"),
    "a bare list": ('["a text"]', "a text"),
    "a tag within a string": ('{"texts": ["it ends with </think> and <think>"]}', "it ends with </think> and <think>"),
    "a fence within a string": ('{"texts": ["use ```json\\n{}\\n``` here"]}', "use ```json\n{}\n``` here"),
    "NUL and line separators": ('{"texts": ["a\\u0000b\\u2028c\\u0085d"]}', "a\x00b\u2028c\x85d"),
    "a trailing comma": ('{"texts": ["a text",],}', "a text"),
}


@every_back_end
@pytest.mark.parametrize("reply", ACCEPTED)
def test_a_reply_that_says_what_was_asked_is_taken_as_it_is(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider, reply: str
) -> None:
    said, text = ACCEPTED[reply]
    fault_server.respond = lambda request: Answer(text=said)
    dataset = raw(tmp_path, topics=1)
    dataset.generate([make(fault_server)])
    assert texts(dataset) == [text]
    assert len(fault_server.requests) == 1


REJECTED = {
    "prose": ("I would rather not.", "invalid_reply"),
    "another structure": ('{"text": "a text"}', "invalid_reply"),
    "a wrong type": ('{"texts": [1, {}]}', "invalid_reply"),
    "two different objects": ('{"texts": ["a"]} or {"texts": ["b"]}', "invalid_reply"),
    "an unclosed string": ('{"texts": ["a tex', "invalid_reply"),
    "nothing": ("   ", "empty_reply"),
    "reasoning only": ("<think>hm, hm</think>", "empty_reply"),
    "reasoning without an end": ("<think>hm, hm", "empty_reply"),
}


@every_back_end
@pytest.mark.parametrize("reply", REJECTED)
def test_a_reply_that_is_not_what_was_asked_is_asked_for_again_and_never_made_up(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider, reply: str
) -> None:
    said, category = REJECTED[reply]
    fault_server.respond = lambda request: Answer(text=said)
    dataset = raw(tmp_path, topics=1, run={"max_parse_retries": 1})
    dataset.generate([make(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures) == (0, {category: 1})
    assert len(fault_server.requests) == report.calls == calls_in_ledger(tmp_path) == 2


# -- truncation and short replies


@every_back_end
@pytest.mark.parametrize("limit", [None, 50])
def test_truncation_is_told_from_bad_json(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider, limit: int | None
) -> None:
    fault_server.respond = lambda request: Answer(text='{"texts": ["half a te', finish_reason="length")
    dataset = raw(tmp_path, topics=1)
    options = {"max_completion_tokens": limit} if limit else {}
    dataset.generate([make(fault_server, **options)])
    assert assert_balanced(dataset.report).failures == {"truncated": 1}
    # With a limit of the user's never again; without one, once with room to spare.
    assert len(fault_server.requests) == (1 if limit else 2)


def test_a_reply_that_ends_at_the_limit_and_is_whole_is_taken(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=GOOD, finish_reason="length")
    dataset = raw(tmp_path, topics=1)
    dataset.generate([direct(fault_server, max_completion_tokens=50)])
    assert texts(dataset) == ["a text"]


@every_back_end
def test_short_lists_are_counted_and_topped_up_a_bounded_number_of_times(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider
) -> None:
    fault_server.respond = lambda request: Answer(text=GOOD)
    dataset = raw(tmp_path, topics=2, num_samples_per_prompt=10, keep_repeats=True, run={"top_up": True})
    dataset.generate([make(fault_server)])
    report = assert_balanced(dataset.report)
    # One request and three more for each item, one row from each.
    assert len(fault_server.requests) == 8
    assert (report.requested, report.written, report.failures) == (20, 8, {"short_reply": 12})


def test_more_rows_than_asked_for_are_not_written(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=json.dumps({"texts": [f"text {n}" for n in range(50)]}))
    dataset = raw(tmp_path, topics=2, num_samples_per_prompt=3)
    dataset.generate([direct(fault_server)])
    assert assert_balanced(dataset.report).written == 6


# -- asking again


@every_back_end
@pytest.mark.parametrize("max_parse_retries", [0, 1, 3])
def test_a_model_is_asked_again_exactly_max_parse_retries_times(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider, max_parse_retries: int
) -> None:
    fault_server.respond = lambda request: Answer(text='{"texts": 5}')
    dataset = raw(tmp_path, topics=3, run={"max_parse_retries": max_parse_retries, "max_concurrency": 1})
    dataset.generate([make(fault_server)])
    report = assert_balanced(dataset.report)
    assert len(fault_server.requests) == 3 * (max_parse_retries + 1)
    # Each was paid for, and each is kept.
    assert report.calls == calls_in_ledger(tmp_path) == len(fault_server.requests)
    assert report.failures == {"invalid_reply": 3}


@every_back_end
def test_asking_again_says_what_was_wrong_and_costs_are_added_up(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider
) -> None:
    fault_server.answer_next(Answer(text='{"texts": ["", " "]}'))
    fault_server.respond = lambda request: Answer(text=GOOD)
    dataset = raw(tmp_path, topics=1)
    dataset.generate([make(fault_server)])
    question, said, wrong = fault_server.requests[1].json["messages"][-3:]
    assert (question["role"], said["role"], wrong["role"]) == ("user", "assistant", "user")
    assert said["content"] == '{"texts": ["", " "]}'
    assert "texts" in wrong["content"]
    assert "blank" in wrong["content"]
    report = assert_balanced(dataset.report)
    assert (report.calls, report.input_tokens, report.output_tokens, report.retries) == (2, 22, 14, 1)


KILLED = """
import os, sys
from pathlib import Path
from datafast.llms import OpenAICompatibleProvider, OpenAIProvider
from tests.support import raw

def kill_at_reply(event):
    if event.type == "call_finished":
        os._exit(9)

dataset = raw(Path(sys.argv[1]), topics=1, run={"max_parse_retries": 2})
dataset.generate([OpenAICompatibleProvider("m", api_base=sys.argv[2])], on_event=kill_at_reply)
"""


def test_a_kill_between_two_tries_does_not_start_the_count_anew(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text="no JSON here")
    command = [sys.executable, "-c", KILLED, tmp_path, fault_server.url]
    for tries in (1, 2):
        ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
        assert ended.returncode == 9
        assert len(fault_server.requests) == tries
    dataset = raw(tmp_path, topics=1, run={"max_parse_retries": 2})
    dataset.generate([direct(fault_server)])
    report = assert_balanced(dataset.report)
    assert len(fault_server.requests) == calls_in_ledger(tmp_path) == 3
    assert (report.failures, report.calls, report.replayed, report.retries) == ({"invalid_reply": 1}, 1, 2, 1)
