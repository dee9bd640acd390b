"""Rows of other tools, whatever they hold: they are read, or left out with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import create_model

from datafast.errors import ConfigError
from datafast.export.files import export_rows, targets_of
from datafast.export.formats import FORMATS, format_names
from datafast.export.reading import Reader
from datafast.schema.data_rows import InstructionRow, PreferenceRow
from tests.export.test_kinds import TASK, assistant, exported, user

LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
NAMES = ("role", "content", "from", "value", "tool_calls", "function", "name", "arguments", "type")
WORDS = st.sampled_from(["user", "assistant", "system", "tool", "developer", "human", "gpt", "function_call", "{}"])
VALUES = st.recursive(
    LEAVES | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
COLUMNS = (
    *("messages", "conversations", "prompt", "completion", "chosen", "rejected", "question", "answer"),
    *("instruction", "input", "output", "system", "tools", "text", "label", "completions", "labels", "reasoning"),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.dictionaries(st.sampled_from(COLUMNS), VALUES, min_size=1, max_size=5))
def test_whatever_columns_hold_a_row_is_written_or_left_out_with_a_reason(tmp_path: Path, row: dict[str, Any]) -> None:
    fields: Any = dict.fromkeys(row, (Any, None))
    model = create_model("Row", **fields)
    for name in format_names(model):
        found = FORMATS.load(name)
        if (
            name in ("custom", "chat_template")
            or not isinstance(found, type)
            or (found.containers and "jsonl" not in found.containers)
        ):
            continue
        try:
            (done,) = export_rows([row], targets_of(tmp_path / "out.jsonl", [name]), row_model=model)
        except ConfigError as error:
            assert "alpaca has no place for calls" in str(error)  # noqa: PT017 - the only one that there may be
        else:
            assert (done.rows, bool(done.records)) == (1, not done.left_out)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": []}, "has no messages"),
        ({"messages": ["Why?"]}, "has a message that is not an object"),
        ({"messages": [{"content": "Why?"}]}, "has a message without a role"),
        ({"messages": [{"role": "user", "content": 5}]}, "has a message that is not text"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": 1}]}]}, "has a call without a function"),
        ({"messages": [user("Why?"), assistant("So.")], "tools": [5]}, "has a tool without a function"),
        ({"messages": [{"role": "critic", "content": "No."}]}, "has a message of the role critic"),
        ({"conversations": [{"from": "gpt", "value": None}]}, "has a message without a role"),
        ({"question": "Why?", "answer": None}, "has no answer"),
    ],
)
def test_a_row_that_cannot_be_read_says_why(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    fields: Any = dict.fromkeys(row, (Any, None))
    rows = [row]
    (done,) = export_rows(rows, targets_of(tmp_path / "a.jsonl", ["sharegpt"]), row_model=create_model("Row", **fields))
    assert dict(done.left_out) == {reason: 1}


def test_parts_of_a_message_are_joined_where_it_becomes_a_text(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Why?"}, {"type": "text", "text": "Now?"}]
    row = {"messages": [{"role": "user", "content": parts}, assistant("So.")]}
    (record,) = exported(tmp_path, row, "alpaca")
    assert record == {"instruction": "Why?\n\nNow?", "input": "", "output": "So."}


def test_the_reasoning_of_the_response_alone_stands_before_it(tmp_path: Path) -> None:
    class Thought(InstructionRow):
        reasoning: dict[str, str] | None = None

    row = Thought(**TASK.model_dump(), reasoning={"instruction": "What to ask?", "response": "Hm."})
    (record,) = exported(tmp_path, row, "prompt_completion")
    assert record["completion"] == [{"role": "assistant", "reasoning_content": "Hm.", "content": "3"}]
    (record,) = exported(tmp_path, row, "sharegpt")
    assert record["conversations"][1]["value"] == "<think>\nHm.\n</think>\n\n3"


def test_what_follows_from_other_ways_of_reading_need_not_be_said() -> None:
    assert list(Reader(PreferenceRow).can) == ["row", "messages", "prompt", "pair", "preference"]
    fields: Any = {"messages": (Any, None)}
    assert list(Reader(create_model("Row", **fields)).can) == ["row", "messages", "prompt", "pair"]
