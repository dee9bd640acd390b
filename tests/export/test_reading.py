"""Rows of other tools, whatever they hold: they are read, or left out with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import create_model

from datafast import load
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
        ({"messages": [{"role": "critic", "content": "No."}, assistant("So.")]}, "has a message of the role critic"),
        ({"conversations": [{"from": "gpt", "value": None}]}, "has a message that is not text"),
        ({"messages": [{"role": "user", "content": None}, assistant("So.")]}, "has a message that is not text"),
        ({"messages": [user("Why?")]}, "ends without an answer"),
        ({"prompt": "Why?", "completion": "So.", "label": False}, "has an answer that its label calls a bad one"),
        (
            {"instruction": "Why?", "output": "So.", "history": [["Hm?"]]},
            "has a history that is no list of questions and answers",
        ),
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


HI, GOOD, BAD = user("Hi"), assistant("Good"), assistant("Bad")


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Good", "rejected": "Bad"},
        {"prompt": [HI], "chosen": [GOOD], "rejected": [BAD]},
        {
            "prompt": "Hi",
            "chosen": [HI, GOOD],
            "rejected": [HI, BAD],
            "messages": [HI, GOOD],
        },  # as UltraFeedback has them
        {"chosen": [HI, GOOD], "rejected": [HI, BAD]},
        {"prompt": "Hi", "chosen": GOOD, "rejected": BAD},
        {
            "conversations": [{"from": "human", "value": "Hi"}],  # as LLaMA-Factory has them
            "chosen": {"from": "gpt", "value": "Good"},
            "rejected": {"from": "gpt", "value": "Bad"},
        },
        {
            "input": {"messages": [HI], "tools": [], "parallel_tool_calls": True},
            "preferred_output": [GOOD],
            "non_preferred_output": [BAD],
        },
    ],
)
def test_preferences_of_other_tools_are_a_prompt_and_two_answers(tmp_path: Path, row: dict[str, Any]) -> None:
    for told in (row, {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}):
        assert exported(tmp_path, told, "dpo") == [{"prompt": [HI], "chosen": [GOOD], "rejected": [BAD]}]
        assert exported(tmp_path, told, "trl") == [{"messages": [HI, GOOD]}]
        assert exported(tmp_path, told, "prompt_only") == [{"prompt": [HI]}]


@pytest.mark.parametrize(
    "turns",
    [
        [{"from": "human", "value": "Hi"}, {"from": "chatgpt", "value": "Good"}],
        [{"from": "user", "value": "Hi"}, {"from": "model", "value": "Good"}],
        [{"role": "human", "content": "Hi"}, {"role": "gpt", "content": "Good"}],
        [{"role": "user", "value": "Hi"}, {"role": "assistant", "value": "Good"}],
        [{"from": "human", "content": "Hi"}, {"from": "gpt", "content": "Good"}],
    ],
)
def test_mixtures_of_forms_of_messages_are_read(tmp_path: Path, turns: list[dict[str, str]]) -> None:
    for told in (turns, json.dumps(turns)):
        assert exported(tmp_path, {"conversations": told}, "trl") == [{"messages": [HI, GOOD]}]


def test_a_question_without_an_answer_is_a_prompt(tmp_path: Path) -> None:
    row = {"messages": [HI, GOOD, user("More?")]}
    assert exported(tmp_path, row, "prompt_only") == [{"prompt": row["messages"]}]


def test_what_was_said_before_an_instruction_comes_before_it(tmp_path: Path) -> None:
    row = {"instruction": "Add.", "input": "1, 2", "output": "3", "system": "Be kind.", "history": [["Hi", "Good"]]}
    asked = [{"role": "system", "content": "Be kind."}, HI, GOOD, user("Add.\n\n1, 2")]
    assert exported(tmp_path, row, "openai") == [{"messages": [*asked, assistant("3")]}]
    assert exported(tmp_path, row, "alpaca") == [row]


def test_calls_in_the_form_before_tool_calls_are_read(tmp_path: Path) -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": '{"a": 1}'}}
    row = {"messages": [HI, called, {"role": "function", "name": "add", "content": "3"}, GOOD]}
    ((_, call, result, _),) = [record["messages"] for record in exported(tmp_path, row, "trl")]
    assert call["tool_calls"] == [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]
    assert (call["content"], result) == ("", {"role": "tool", "name": "add", "content": "3"})


def test_a_name_that_nothing_is_read_by_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"read_as: Nothing is read by the name 'promt'. Did you mean 'prompt'"):
        Reader(PreferenceRow, read_as={"promt": "question"})


def test_texts_beside_parts_are_refused_where_columns_are_typed(tmp_path: Path) -> None:
    """They would be JSON texts, with quotes that a trainer takes for said."""
    row = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, GOOD]}
    fields: Any = {"messages": (Any, None)}
    with pytest.raises(
        ConfigError, match=r"Row 1: The column 'messages' .* Save as jsonl or csv, or make the value a text\."
    ):
        export_rows([row], targets_of(tmp_path / "a.parquet", ["trl"]), row_model=create_model("Row", **fields))
    assert exported(tmp_path, row, "trl") == [row]


def test_texts_and_objects_in_lists_of_a_column_are_kept_as_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": "t"}\n{"a": [{"k": 1}]}\n{"a": []}\n', encoding="utf-8")
    load(tmp_path / "a.jsonl").export(tmp_path / "a.parquet", "parquet")
    found = [row["a"] for row in load(tmp_path / "a.parquet").rows_to_export()]
    assert list(map(json.loads, found)) == ["t", [{"k": 1}], []]
