"""Conversations in the forms of trainers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from datafast.errors import ConfigError
from datafast.export.files import save_rows
from datafast.schema.data_rows import AgentConversationRow, ConversationRow, ReasonedConversationRow

SYSTEM = {"role": "system", "content": "Be kind."}
TURNS = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "So."},
    {"role": "user", "content": "Still?"},
    {"role": "assistant", "content": "Yes."},
]
CALL = {"id": "call00000", "type": "function", "function": {"name": "level", "arguments": {"at": "pier", "hour": 5}}}
CALLED = [
    {"role": "user", "content": "How high?"},
    {"role": "assistant", "content": "Look.", "tool_calls": [CALL]},
    {"role": "tool", "content": "0.7 m", "name": "level", "tool_call_id": "call00000"},
    {"role": "assistant", "content": "0.7 m."},
]
TOOL = {"type": "function", "function": {"name": "level", "description": "", "parameters": {"type": "object"}}}
ABOUT = {"model_id": "m", "language": "en", "uuid": "u", "metadata": {"topic": "tides"}}
ARGUMENTS = '{"at":"pier","hour":5}'


def written(folder: Path, form: str, row: dict[str, Any], model: type[BaseModel] = ConversationRow) -> dict[str, Any]:
    """The line that a row becomes."""
    (line,) = save_rows([row], folder / "rows.jsonl", form, row_model=model).read_text("utf-8").splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def of_an_agent() -> dict[str, Any]:
    return {"messages": [SYSTEM, *CALLED], "steps": [], "tools": [TOOL], **ABOUT}


def test_trl_has_messages_and_tools_alone(tmp_path: Path) -> None:
    row = of_an_agent()
    assert written(tmp_path, "trl", row, AgentConversationRow) == {"messages": row["messages"], "tools": [TOOL]}
    assert written(tmp_path, "trl", {"messages": TURNS, **ABOUT}) == {"messages": TURNS}


def test_openai_has_arguments_as_text_and_leaves_the_row_as_it_was(tmp_path: Path) -> None:
    row = of_an_agent()
    line = written(tmp_path, "openai", row, AgentConversationRow)
    assert line["messages"][2]["tool_calls"][0]["function"] == {"name": "level", "arguments": ARGUMENTS}
    assert line["messages"][3] == {"role": "tool", "content": "0.7 m", "tool_call_id": "call00000"}
    assert line["tools"] == [TOOL]
    assert row == of_an_agent()


def test_openai_has_no_reasoning(tmp_path: Path) -> None:
    messages = [TURNS[0], {**TURNS[1], "reasoning_content": "Two bulges."}]
    line = written(tmp_path, "openai", {"messages": messages, "reasoning": [], **ABOUT}, ReasonedConversationRow)
    assert line == {"messages": TURNS[:2]}


def test_sharegpt_says_who_speaks(tmp_path: Path) -> None:
    assert written(tmp_path, "sharegpt", {"messages": [SYSTEM, *TURNS], **ABOUT}) == {
        "conversations": [
            {"from": "human", "value": "Why?"},
            {"from": "gpt", "value": "So."},
            {"from": "human", "value": "Still?"},
            {"from": "gpt", "value": "Yes."},
        ],
        "system": "Be kind.",
    }


def test_sharegpt_has_turns_for_calls_and_their_results(tmp_path: Path) -> None:
    line = written(tmp_path, "sharegpt", of_an_agent(), AgentConversationRow)
    call = f'{{"name":"level","arguments":{ARGUMENTS}}}'
    assert [turn["from"] for turn in line["conversations"]] == ["human", "function_call", "observation", "gpt"]
    assert line["conversations"][1]["value"] == f"<think>\nLook.\n</think>\n\n{call}"
    assert json.loads(line["tools"]) == [TOOL["function"]]


def test_alpaca_has_the_last_question_and_what_came_before(tmp_path: Path) -> None:
    assert written(tmp_path, "alpaca", {"messages": [SYSTEM, *TURNS], **ABOUT}) == {
        "instruction": "Still?",
        "input": "",
        "output": "Yes.",
        "system": "Be kind.",
        "history": [["Why?", "So."]],
    }


def test_alpaca_refuses_calls(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="alpaca has no place for calls"):
        written(tmp_path, "alpaca", of_an_agent(), AgentConversationRow)
    assert not list(tmp_path.iterdir())


def test_chatml_is_one_text(tmp_path: Path) -> None:
    line = written(tmp_path, "chatml", {"messages": [SYSTEM, *TURNS[:2]], **ABOUT})
    assert line == {
        "text": "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n"
    }


def test_chatml_has_tools_calls_and_results_in_tags(tmp_path: Path) -> None:
    text = written(tmp_path, "chatml", of_an_agent(), AgentConversationRow)["text"]
    assert f'<tool_call>\n{{"name":"level","arguments":{ARGUMENTS}}}\n</tool_call><|im_end|>' in text
    assert "<|im_start|>user\n<tool_response>\n0.7 m\n</tool_response><|im_end|>" in text
    assert '<tools>\n{"type":"function"' in text


def test_reasoning_stands_before_the_answer_where_there_is_no_field_for_it(tmp_path: Path) -> None:
    row = {
        "messages": [TURNS[0], {**TURNS[1], "reasoning_content": "Two bulges."}],
        "reasoning": ["Two bulges."],
        **ABOUT,
    }
    said = "<think>\nTwo bulges.\n</think>\n\nSo."
    assert written(tmp_path, "sharegpt", row, ReasonedConversationRow)["conversations"][1]["value"] == said
    assert written(tmp_path, "alpaca", row, ReasonedConversationRow)["output"] == said
    assert (
        f"<|im_start|>assistant\n{said}<|im_end|>" in written(tmp_path, "chatml", row, ReasonedConversationRow)["text"]
    )


@pytest.mark.parametrize("form", ["trl", "openai", "sharegpt", "alpaca", "chatml"])
def test_rows_without_messages_are_refused(tmp_path: Path, form: str) -> None:
    class Text(BaseModel):
        text: str

    with pytest.raises(
        ConfigError, match=f"The format {form} is for rows with messages, .* Rows with text can be"
    ) as told:
        written(tmp_path, form, {"text": "a"}, Text)
    assert str(told.value).endswith("language_modeling, axolotl_pretraining, llama_factory_pretraining, custom.")


class ThoughtRow(ConversationRow):
    """A row with what the model thought in a field."""

    reasoning: str | None = None


def test_what_a_model_thought_stands_before_the_only_answer(tmp_path: Path) -> None:
    row = {"messages": TURNS[:2], "reasoning": "Hm.", **ABOUT}
    thought = "<think>\nHm.\n</think>\n\nSo."
    assert written(tmp_path, "sharegpt", row, ThoughtRow)["conversations"][1] == {"from": "gpt", "value": thought}
    assert written(tmp_path, "alpaca", row, ThoughtRow)["output"] == thought
    assert written(tmp_path, "openai", row, ThoughtRow) == {"messages": TURNS[:2]}
    assert written(tmp_path, "trl", row, ThoughtRow)["messages"][1]["reasoning_content"] == "Hm."


def test_what_a_model_thought_about_several_answers_is_given_to_none(tmp_path: Path) -> None:
    for row in ({"messages": TURNS, "reasoning": "Hm.", **ABOUT}, {"messages": TURNS[:2], "reasoning": None, **ABOUT}):
        assert written(tmp_path, "trl", row, ThoughtRow) == {"messages": row["messages"]}
