"""Which replies of conversations count, and what becomes of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast.llms import SimulatedProvider
from tests.datasets.conversation.support import (
    EXCHANGES,
    STYLES,
    calling,
    every_style,
    generated,
    provider,
    refused_then_taken,
    said,
    spoken,
    talk,
)
from tests.servers.fault_server import Answer, FaultServer
from tests.support import assert_balanced, rows_of, same_rows


@every_style
@pytest.mark.parametrize("turns", [1, 3])
def test_every_simulated_row_alternates_and_says_something(tmp_path: Path, style: str, turns: int) -> None:
    dataset = talk(tmp_path, 20, max_turns=turns, examples_per_call=3, **STYLES[style])
    dataset.generate([SimulatedProvider("m")])
    assert assert_balanced(dataset.report).written == 20
    for row in rows_of(tmp_path / "out.jsonl"):
        roles = [role for role, _ in spoken(row) if role != "tool"]
        assert roles[0] == "system"
        assert [role for role, _ in zip(roles[1:], ["user"], strict=False)] == ["user"]
        assert roles[-1] == "assistant"
        assert 1 <= roles.count("user") <= turns
        assert all(content.strip() for _, content in spoken(row))


def without(name: str, style: str) -> dict[str, Any]:
    return {key: value for key, value in EXCHANGES[style].items() if key != name}


@pytest.mark.parametrize(
    ("style", "bad"),
    [
        ("freetext", without("reasoning", "freetext")),
        ("freetext", {**EXCHANGES["freetext"], "reasoning": "  "}),
        ("agent", without("steps", "agent")),
        ("agent", {**EXCHANGES["agent"], "steps": []}),
        ("agent", {**EXCHANGES["agent"], "steps": [{"thought": "", "action": "a", "observation": "o"}]}),
        ("basic", without("assistant", "basic")),
        ("basic", {**EXCHANGES["basic"], "assistant": "\n"}),
    ],
)
def test_a_reply_that_lacks_what_was_asked_for_is_asked_for_again_with_the_reason(
    tmp_path: Path, fault_server: FaultServer, style: str, bad: dict[str, Any]
) -> None:
    messages = refused_then_taken(tmp_path, fault_server, style, bad)
    assert messages[-1]["role"] == "user"
    assert "exchanges" in messages[-1]["content"]


def test_a_reply_that_stays_wrong_is_a_failure_with_its_topic(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: said(EXCHANGES["basic"])
    dataset = talk(tmp_path, ["Neap tides"], **STYLES["freetext"]).generate([provider(fault_server)])
    assert assert_balanced(dataset.report).failures == {"invalid_reply": 1}
    (item,) = dataset.failed_items
    assert item.values["topic"] == "Neap tides"
    assert "reasoning" in item.error


def test_more_turns_than_allowed_are_refused(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said(*[EXCHANGES["basic"]] * 3), said(*[EXCHANGES["basic"]] * 2))
    (row,) = generated(tmp_path, fault_server, max_turns=2)
    assert [role for role, _ in spoken(row)] == ["system", *["user", "assistant"] * 2]


def test_too_few_conversations_fail_the_last_topics_and_a_retry_asks_for_these_alone(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.answer_next(said(EXCHANGES["basic"], count=2))
    dataset = talk(tmp_path, examples_per_call=4).generate([provider(fault_server)])
    assert assert_balanced(dataset.report).failures == {"short_reply": 2}
    dataset.generate([provider(fault_server)], retry_failed=True)
    assert assert_balanced(dataset.report).written == 4
    asked_again = fault_server.requests[-1].prompt
    assert "exactly 2." in asked_again
    assert "1. topic 2\n2. topic 3" in asked_again
    assert [row["metadata"]["topic"] for row in rows_of(tmp_path / "out.jsonl")] == [f"topic {n}" for n in range(4)]


def test_too_many_conversations_are_cut_to_what_was_asked(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said(EXCHANGES["basic"], count=5))
    assert len(generated(tmp_path, fault_server)) == 1


# -- some of the conversations in a reply are not right


def of_topics(style: str, *answers: dict[str, Any] | None, first: int = 0) -> Answer:
    """A conversation for each, whose answer is its place, counted from `first`; None for one that is right."""
    right = [{**EXCHANGES[style], "assistant": f"answer {first + number}"} for number in range(len(answers))]
    exchanges = [right[number] if wrong is None else wrong for number, wrong in enumerate(answers)]
    return Answer(text=json.dumps({"conversations": [{"exchanges": [exchange]} for exchange in exchanges]}))


def answers_by_topic(folder: Path) -> dict[str, str]:
    return {row["metadata"]["topic"]: row["messages"][-1]["content"] for row in rows_of(folder / "out.jsonl")}


WRONG = {
    "blank": ("basic", {**EXCHANGES["basic"], "user": " "}),
    "nothing said": ("basic", {}),
    "no steps": ("agent", {**EXCHANGES["agent"], "steps": []}),
    "no such tool": ("tools", calling({"name": "sing", "arguments": {}})),
    "wrong arguments": ("tools", calling({"name": "tide_level", "arguments": {"station": "Husum", "hour": 99}})),
    "no number": ("tools", calling({"name": "tide_level", "arguments": {"station": "Husum", "hour": True}})),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_conversation_that_is_not_right_costs_no_other_its_row_or_its_topic(
    tmp_path: Path, fault_server: FaultServer, name: str
) -> None:
    style, wrong = WRONG[name]
    fault_server.respond = lambda request: of_topics(style, None, wrong, None, wrong, None)
    dataset = talk(tmp_path, 5, examples_per_call=5, **STYLES[style]).generate([provider(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.calls, report.written, report.failures) == (1, 3, {"short_reply": 2})
    kept = {"topic 0": "answer 0", "topic 2": "answer 2", "topic 4": "answer 4"}
    assert answers_by_topic(tmp_path) == kept
    (failed,) = dataset.failed_items
    assert "conversations.1.exchanges.0" in failed.error
    uuids = {row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}

    fault_server.respond = lambda request: of_topics(style, None, None, first=5)
    dataset.generate([provider(fault_server)], retry_failed=True)
    assert "1. topic 1\n2. topic 3" in fault_server.requests[-1].prompt
    assert "exactly 2" in fault_server.requests[-1].prompt
    assert answers_by_topic(tmp_path) == {**kept, "topic 1": "answer 5", "topic 3": "answer 6"}
    assert assert_balanced(dataset.report).failed == 0
    assert uuids < {row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}

    rows, sent = rows_of(tmp_path / "out.jsonl"), len(fault_server.requests)
    (tmp_path / "out.jsonl").unlink()
    dataset.generate([provider(fault_server)])
    assert same_rows(rows_of(tmp_path / "out.jsonl"), rows)
    assert len(fault_server.requests) == sent


@pytest.mark.parametrize("keep_repeats", [False, True])
def test_a_conversation_that_comes_again_counts_as_missing_for_its_topic(
    tmp_path: Path, fault_server: FaultServer, keep_repeats: bool
) -> None:
    other = {**EXCHANGES["basic"], "assistant": "answer 0"}
    fault_server.respond = lambda request: of_topics("basic", None, other, None)
    dataset = talk(tmp_path, 3, examples_per_call=3, keep_repeats=keep_repeats).generate([provider(fault_server)])
    repeated = {"topic 1": "answer 0"} if keep_repeats else {}
    assert answers_by_topic(tmp_path) == {"topic 0": "answer 0", **repeated, "topic 2": "answer 2"}
    assert assert_balanced(dataset.report).failed == (0 if keep_repeats else 1)


def test_topping_up_goes_on_until_every_topic_has_its_conversation(tmp_path: Path, fault_server: FaultServer) -> None:
    wrong = WRONG["blank"][1]
    fault_server.answer_next(
        of_topics("basic", wrong, None, wrong),
        of_topics("basic", wrong, None, first=3),
        of_topics("basic", None, first=5),
    )
    dataset = talk(tmp_path, 3, examples_per_call=3, run={"top_up": True}).generate([provider(fault_server)])
    assert answers_by_topic(tmp_path) == {"topic 0": "answer 5", "topic 1": "answer 1", "topic 2": "answer 4"}
    assert assert_balanced(dataset.report).failed == 0
    assert "topic 0" in fault_server.requests[2].prompt
    assert "topic 2" not in fault_server.requests[2].prompt


def test_conversations_before_a_cut_are_kept(tmp_path: Path, fault_server: FaultServer) -> None:
    whole = str(of_topics("basic", None, WRONG["blank"][1], None, None).text)
    fault_server.respond = lambda request: Answer(text=whole[:-20], finish_reason="length")
    dataset = talk(tmp_path, 4, examples_per_call=4).generate([provider(fault_server, max_completion_tokens=9)])
    assert answers_by_topic(tmp_path) == {"topic 0": "answer 0", "topic 2": "answer 2"}
    assert assert_balanced(dataset.report).failures == {"short_reply": 2}


def test_rows_are_in_plan_order_with_some_missing(tmp_path: Path, fault_server: FaultServer) -> None:
    wrong = WRONG["blank"][1]
    fault_server.respond = lambda request: of_topics("basic", wrong, None)
    dataset = talk(tmp_path, 6, examples_per_call=2, run={"ordered": True}).generate([provider(fault_server)])
    topics = [row["metadata"]["topic"] for row in rows_of(tmp_path / "out.jsonl")]
    assert topics == ["topic 1", "topic 3", "topic 5"]
    fault_server.respond = lambda request: of_topics("basic", None)
    dataset.generate([provider(fault_server)], retry_failed=True)
    topics = [row["metadata"]["topic"] for row in rows_of(tmp_path / "out.jsonl")]
    assert topics == [f"topic {number}" for number in range(6)]


def test_a_conversation_too_many_is_not_taken_for_a_topic_that_is_added_later(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.answer_next(of_topics("basic", None, None, None), of_topics("basic", None, None, first=3))
    talk(tmp_path, 4, num_rows=2, examples_per_call=4).generate([provider(fault_server)])
    talk(tmp_path, 4, num_rows=4, examples_per_call=4).generate([provider(fault_server)])
    assert "1. topic 2\n2. topic 3" in fault_server.requests[1].prompt
    assert answers_by_topic(tmp_path) == {
        "topic 0": "answer 0",
        "topic 1": "answer 1",
        "topic 2": "answer 3",
        "topic 3": "answer 4",
    }
