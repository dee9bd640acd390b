"""Tuning files of providers. The rules that are checked are those of their documentation, of which `vendors.py` names the addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import ConfigError
from tests.export.test_kinds import CALLED, PAIR, TALK, TOOL, assistant, user
from tests.export.test_trainers import TWO_CALLS, written
from tests.support import rows_of

SYSTEM = {"role": "system", "content": "Be kind."}
TURNS = [user("Why?"), assistant("So."), user("Still?"), assistant("Yes.")]
ALL = ["together", "mistral", "gemini", "bedrock", "bedrock_anthropic"]


def record(folder: Path, row: Any, form: str) -> Any:
    (found,) = rows_of(written(folder / "a.jsonl", row, form).path)
    return found


def left_out(folder: Path, row: Any, form: str) -> list[str]:
    done = written(folder / "a.jsonl", row, form)
    assert done.records == 0
    return [*done.left_out]


def test_conversations_in_each_form(tmp_path: Path) -> None:
    assert record(tmp_path, TALK, "together") == {"messages": [SYSTEM, *TURNS]}
    assert record(tmp_path, TALK, "mistral") == {"messages": [SYSTEM, *TURNS]}
    assert record(tmp_path, TALK, "bedrock_anthropic") == {"system": "Be kind.", "messages": TURNS}
    assert record(tmp_path, TALK, "bedrock") == {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be kind."}],
        "messages": [{"role": turn["role"], "content": [{"text": turn["content"]}]} for turn in TURNS],
    }
    assert record(tmp_path, TALK, "gemini") == {
        "systemInstruction": {"role": "system", "parts": [{"text": "Be kind."}]},
        "contents": [
            {"role": role, "parts": [{"text": text}]}
            for role, text in [("user", "Why?"), ("model", "So."), ("user", "Still?"), ("model", "Yes.")]
        ],
    }


@pytest.mark.parametrize("form", ALL)
def test_rows_that_a_provider_would_refuse_are_left_out(tmp_path: Path, form: str) -> None:
    for messages, reason in [
        ([user("Why?")], "ends without an answer"),
        ([user("Why?"), user("Why?"), assistant("So.")], "does not take turns between user and assistant"),
        ([assistant("Hello."), user("Why?"), assistant("So.")], "does not take turns between user and assistant"),
        ([*TURNS, {"role": "critic", "content": "No."}], "has a message of the role critic"),
    ]:
        assert left_out(tmp_path, {"messages": messages}, form) == [reason]


@pytest.mark.parametrize("form", [*ALL, "together_dpo"])
def test_they_are_json_lines_alone(tmp_path: Path, form: str) -> None:
    with pytest.raises(ConfigError, match=f"The format {form} is not for the container parquet, but for jsonl"):
        written(tmp_path / "a.parquet", TALK if form in ALL else PAIR, form)


def test_together_takes_calls_of_tools_and_reasoning(tmp_path: Path) -> None:
    found = record(tmp_path, CALLED, "together")
    assert found["tools"] == [TOOL]
    assert found["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"at":"pier"}'
    assert found["messages"][2] == {"role": "tool", "content": "0.7 m", "tool_call_id": "call00000"}
    thought = {"messages": [user("Why?"), {**assistant("So."), "reasoning_content": "Hm."}]}
    assert record(tmp_path, thought, "together") == thought


def test_together_takes_preferences_with_tools_in_their_input(tmp_path: Path) -> None:
    assert record(tmp_path, PAIR, "together_dpo") == {
        "input": {"messages": [user("Why?")]},
        "preferred_output": [assistant("So.")],
        "non_preferred_output": [assistant("No.")],
    }
    row = {"prompt": "Why?", "chosen": "So.", "rejected": "No.", "tools": [TOOL]}
    assert record(tmp_path, row, "together_dpo")["input"] == {"messages": [user("Why?")], "tools": [TOOL]}
    twice = {"prompt": "Why?", "chosen": [assistant("So."), user("And?")], "rejected": "No."}
    assert left_out(tmp_path, twice, "together_dpo") == ["has an answer of more than one message"]


def test_mistral_has_ids_of_nine_letters_and_digits(tmp_path: Path) -> None:
    found = record(tmp_path, CALLED, "mistral")["messages"]
    call = {"id": "call00000", "type": "function", "function": {"name": "level", "arguments": '{"at":"pier"}'}}
    assert found[1:3] == [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "0.7 m", "tool_call_id": "call00000"},
    ]
    _, called, *results, _ = record(tmp_path, TWO_CALLS, "mistral")["messages"]
    ids = [call["id"] for call in called["tool_calls"]]
    assert ids == [result["tool_call_id"] for result in results]
    assert len(set(ids)) == 2
    assert all(len(name) == 9 and name.isalnum() for name in ids)


def test_results_belong_to_calls_by_their_ids_or_else_by_their_places(tmp_path: Path) -> None:
    row = json.loads(json.dumps(TWO_CALLS))
    row["messages"][2]["tool_call_id"], row["messages"][3]["tool_call_id"] = "1", "0"
    _, called, first, second, _ = record(tmp_path, row, "mistral")["messages"]
    assert [first["tool_call_id"], second["tool_call_id"]] == [call["id"] for call in called["tool_calls"]][::-1]
    for message in row["messages"]:
        message.pop("tool_call_id", None)
        for call in message.get("tool_calls", ()):
            del call["id"]
    _, called, first, second, _ = record(tmp_path, row, "mistral")["messages"]
    assert [first["tool_call_id"], second["tool_call_id"]] == [call["id"] for call in called["tool_calls"]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: row["messages"].pop(3), "has another number of results than of calls"),
        (
            lambda row: row["messages"][1].update(content="Let me look."),
            "has text beside a call, for which there is no place",
        ),
        (
            lambda row: row["tools"][0]["function"].update(name="the level"),
            "has a tool whose name is not letters, digits, _ and -",
        ),
    ],
)
def test_calls_that_mistral_refuses_are_left_out(tmp_path: Path, change: Any, reason: str) -> None:
    row = json.loads(json.dumps(TWO_CALLS))
    change(row)
    assert left_out(tmp_path, row, "mistral") == [reason]


def test_gemini_has_calls_as_parts_and_types_in_capitals(tmp_path: Path) -> None:
    parameters = {
        "type": "object",
        "properties": {"at": {"type": ["string", "null"]}, "days": {"type": "array", "items": {"type": "integer"}}},
        "required": ["at"],
    }
    row = {**TWO_CALLS, "tools": [{"type": "function", "function": {"name": "level", "parameters": parameters}}]}
    row["messages"] = json.loads(json.dumps(row["messages"]))
    row["messages"][3]["content"] = '{"metres": 0.2}'
    found = record(tmp_path, row, "gemini")
    assert found["contents"][1]["parts"] == [
        {"functionCall": {"name": "level", "args": {"at": "pier"}}},
        {"functionCall": {"name": "level", "args": {"at": "beach"}}},
    ]
    assert found["contents"][2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "level", "response": {"output": "0.7 m"}}},
            {"functionResponse": {"name": "level", "response": {"metres": 0.2}}},
        ],
    }
    (declared,) = found["tools"][0]["functionDeclarations"]
    assert declared == {
        "name": "level",
        "parameters": {
            "type": "OBJECT",
            "properties": {
                "at": {"type": "STRING", "nullable": True},
                "days": {"type": "ARRAY", "items": {"type": "INTEGER"}},
            },
            "required": ["at"],
        },
    }


@pytest.mark.parametrize("form", ["bedrock", "bedrock_anthropic"])
def test_bedrock_has_no_place_for_calls(tmp_path: Path, form: str) -> None:
    assert left_out(tmp_path, CALLED, form) == ["has calls of tools, for which there is no place"]


@pytest.mark.parametrize("row", [TALK, CALLED, TWO_CALLS], ids=["talk", "call", "two calls"])
def test_what_mistral_is_given_passes_its_own_checks(tmp_path: Path, row: Any) -> None:
    pytest.importorskip("mistral_common", reason="mistral_common is not installed")
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.protocol.instruct.validator import MistralRequestValidatorV3, ValidationMode

    request: Any = ChatCompletionRequest.from_openai(**record(tmp_path, row, "mistral"))
    MistralRequestValidatorV3(ValidationMode.finetuning).validate_request(request)
