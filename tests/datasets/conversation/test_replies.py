"""Which replies of conversations count, and what becomes of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datafast.llms import SimulatedProvider
from tests.datasets.conversation.support import (
    EXCHANGES,
    STYLES,
    every_style,
    generated,
    provider,
    refused_then_taken,
    said,
    spoken,
    talk,
)
from tests.servers.fault_server import FaultServer
from tests.support import assert_balanced, rows_of


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
