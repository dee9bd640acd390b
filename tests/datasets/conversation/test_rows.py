"""What rows of conversations look like."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datafast import PromptExpansionConfig
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms import SimulatedProvider
from datafast.schema.config import ConversationDatasetConfig
from tests.datasets.conversation.support import (
    CALL,
    EXCHANGES,
    STYLES,
    TOOLS,
    calling,
    every_style,
    generated,
    said,
    spoken,
    talk,
)
from tests.servers.fault_server import FaultServer
from tests.support import CountingProvider, assert_balanced, rows_of

SYSTEM = {"role": "system", "content": "You are a pilot."}
USER = {"role": "user", "content": "Why?"}
ANSWER = {"role": "assistant", "content": "Because."}
STEPS_AS_TEXT = "Thought: Look.\nAction: Open the almanac\nObservation: It says so."
FUNCTION = {"name": "tide_level", "arguments": {"station": "Husum"}}
MESSAGES: dict[str, list[dict[str, Any]]] = {
    "basic": [SYSTEM, USER, ANSWER],
    "freetext": [SYSTEM, USER, {**ANSWER, "reasoning_content": "Two bulges."}],
    "agent": [SYSTEM, USER, {**ANSWER, "reasoning_content": STEPS_AS_TEXT}],
    "tools": [
        SYSTEM,
        USER,
        {
            "role": "assistant",
            "content": "Look.",
            "tool_calls": [{"id": "call00000", "type": "function", "function": FUNCTION}],
        },
        {"role": "tool", "content": "0.7 m", "name": "tide_level", "tool_call_id": "call00000"},
        ANSWER,
    ],
}
CALL_TEXT = '{"name":"tide_level","arguments":{"station":"Husum"}}'
STEP = {"exchange": 0, "thought": "Look."}
MORE: dict[str, dict[str, Any]] = {
    "basic": {},
    "freetext": {"reasoning": ["Two bulges."]},
    "agent": {"steps": [{**STEP, "action": "Open the almanac", "observation": "It says so."}], "tools": []},
    "tools": {
        "steps": [{**STEP, "action": CALL_TEXT, "observation": "0.7 m"}],
        "tools": [TOOLS[0], {"type": "function", "function": {"description": "", **TOOLS[1]}}],
    },
}


def piloted(folder: Path, server: FaultServer, style: str, **fields: Any) -> dict[str, Any]:
    server.answer_next(said(EXCHANGES[style]))
    (row,) = generated(folder, server, dataset_system_prompt="You are a pilot.", **STYLES[style], **fields)
    return row


@every_style
def test_a_row_has_exactly_these_fields(tmp_path: Path, fault_server: FaultServer, style: str) -> None:
    row = piloted(tmp_path, fault_server, style)
    assert re.fullmatch(r"[0-9a-f-]{36}", row.pop("uuid"))
    about = {"topic": "topic 0", "topic_path": "topic 0", "variation": 0, "prompt_index": 0}
    plain = {"messages": MESSAGES[style], "model_id": "m", "language": "en", "metadata": about}
    assert row == {**plain, **MORE[style]}


@every_style
def test_conversational_rows_are_messages_and_the_tools_where_there_are_any(
    tmp_path: Path, fault_server: FaultServer, style: str
) -> None:
    row = piloted(tmp_path, fault_server, style, output_format="conversational")
    assert row == {"messages": MESSAGES[style], **({"tools": MORE["tools"]["tools"]} if style == "tools" else {})}


@pytest.mark.parametrize(
    ("style", "thinking"),
    [
        ("basic", ""),
        ("freetext", "Two bulges.\n\n"),
        ("agent", STEPS_AS_TEXT + "\n\n"),
        ("tools", f"Thought: Look.\nAction: {CALL_TEXT}\nObservation: 0.7 m\n\n"),
    ],
)
def test_instruction_rows_are_two_texts_and_nothing_else(
    tmp_path: Path, fault_server: FaultServer, style: str, thinking: str
) -> None:
    row = piloted(tmp_path, fault_server, style, output_format="instruction")
    assert row == {"instruction": "Why?", "response": f"{thinking}Because."}


@every_style
def test_rows_of_the_users_own_fields_are_filled_in_templates(
    tmp_path: Path, fault_server: FaultServer, style: str
) -> None:
    template = "{instruction}|{response}|{system}|{topic}|{topic_path}|{language}"
    fields = {"text": template, "json": "{messages}", "schema": "{reasoning}", "with space": "{tools}"}
    row = piloted(tmp_path, fault_server, style, output_format=fields)
    assert list(row) == list(fields)
    assert row["text"] == "Why?|Because.|You are a pilot.|topic 0|topic 0|en"
    assert json.loads(row["json"]) == MESSAGES[style]
    assert json.loads(row["with space"]) == (MORE["tools"]["tools"] if style == "tools" else [])
    assert bool(row["schema"]) is (style != "basic")


# -- templates of rows


def test_a_template_of_a_row_takes_the_placeholders_of_the_prompts(tmp_path: Path, fault_server: FaultServer) -> None:
    rows = generated(
        tmp_path,
        fault_server,
        instructions="For <<who>>.",
        expansion=PromptExpansionConfig(placeholders={"who": ["a child", "a mayor"]}),
        output_format={"to": "{who}"},
    )
    assert sorted(row["to"] for row in rows) == ["a child", "a mayor"]


def test_the_text_of_a_reply_is_never_a_template(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said({"user": "What is {response}?", "assistant": "<<who>> {topic}"}))
    (row,) = generated(tmp_path, fault_server, output_format={"text": "{instruction} {response}"})
    assert row == {"text": "What is {response}? <<who>> {topic}"}


def test_an_output_format_may_have_the_tags_of_a_chat_template(tmp_path: Path, fault_server: FaultServer) -> None:
    text = "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\n{instruction} [/INST] {response} </s>"
    (row,) = generated(tmp_path, fault_server, output_format={"text": text})
    assert row["text"].startswith("<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\n")


def test_a_template_with_an_unknown_name_names_the_nearest_and_where_it_is() -> None:
    with pytest.raises((ConfigError, ValidationError), match=r"output_format\.text: .*\{respones\}.*\{response\}"):
        ConversationDatasetConfig(topics=["a"], output_format={"text": "{instruction} {respones}"})


def test_a_template_with_a_name_unlike_any_lists_what_there_is() -> None:
    with pytest.raises((ConfigError, ValidationError), match=r"output_format\.a: .*\{zzz\}.*\{instruction\}.*\{who\}"):
        ConversationDatasetConfig(
            topics=["a"],
            instructions="<<who>>",
            expansion=PromptExpansionConfig(placeholders={"who": ["x"]}),
            output_format={"a": "{zzz}"},
        )


def test_braces_of_code_and_json_in_a_template_are_text(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said(EXCHANGES["basic"]))
    text = 'f{x} ${HOME} \\frac{a}{bc} {"q": "{instruction}"} { response } {}'
    (row,) = generated(tmp_path, fault_server, output_format={"text": text.replace("{ response }", "{x}")})
    assert row["text"] == 'f{x} ${HOME} \\frac{a}{bc} {"q": "Why?"} {x} {}'


@pytest.mark.parametrize("name", ["", " ", "_private", "model_config"])
def test_a_field_that_cannot_be_called_so_is_refused(name: str) -> None:
    with pytest.raises((ConfigError, ValidationError), match="output_format: A field cannot be called"):
        ConversationDatasetConfig(topics=["a"], output_format={name: "{response}"})


def test_a_warning_about_templates_of_rows_is_never_given(recwarn: pytest.WarningsRecorder) -> None:
    ConversationDatasetConfig(topics=["a"], output_format={"a": "{response} {x} f{value}"})
    assert not [warning for warning in recwarn if issubclass(warning.category, DatafastWarning)]


# -- what is said


def test_ids_of_calls_are_counted_over_the_whole_conversation(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said(EXCHANGES["tools"], EXCHANGES["tools"]))
    (row,) = generated(tmp_path, fault_server, max_turns=2, **STYLES["tools"])
    assert [m["tool_call_id"] for m in row["messages"] if m["role"] == "tool"] == ["call00000", "call00001"]
    assert [step["exchange"] for step in row["steps"]] == [0, 1]


def test_a_call_is_kept_as_name_and_arguments_alone(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said(calling({**CALL, "id": "x"})))
    (row,) = generated(tmp_path, fault_server, **STYLES["tools"])
    assert json.loads(row["steps"][0]["action"]) == CALL


# Of the control characters, these alone are blanks to Python and none to Unicode.
_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x1c\x1d\x1e\x1f"), min_size=1, max_size=30
).filter(lambda text: text.strip())


@settings(max_examples=25)
@given(user=_text, answer=_text, thought=_text, style=st.sampled_from(list(STYLES)))
def test_whatever_is_said_stands_in_the_row_to_the_letter(
    tmp_path_factory: pytest.TempPathFactory, user: str, answer: str, thought: str, style: str
) -> None:
    folder = tmp_path_factory.mktemp("said")
    exchange = {**EXCHANGES[style], "user": user, "assistant": answer}
    if "steps" in exchange:
        exchange["steps"] = [{**exchange["steps"][0], "thought": thought}]
    if "reasoning" in exchange:
        exchange["reasoning"] = thought
    reply = json.dumps({"conversations": [{"exchanges": [exchange]}]})
    dataset = talk(folder, [user], **STYLES[style])
    dataset.generate([CountingProvider("m", log=folder / "log", reply=lambda request: reply)])
    assert assert_balanced(dataset.report).calls == 1
    (row,) = rows_of(folder / "out.jsonl")
    assert row["messages"][1]["content"] == user.strip()
    assert row["messages"][-1]["content"] == answer.strip()
    assert row["metadata"]["topic"] == user.strip()
    if style != "basic":
        assert (row["reasoning"][0] if style == "freetext" else row["steps"][0]["thought"]) == thought.strip()
    assert [found.model_dump(mode="json", exclude_none=True) for found in dataset.data_rows] == [
        {name: value for name, value in row.items() if value is not None}
    ]


def test_rows_read_back_are_those_in_the_file(tmp_path: Path) -> None:
    for style, fields in STYLES.items():
        dataset = talk(tmp_path / style, max_turns=2, **fields).generate([SimulatedProvider("m")])
        read = [row.model_dump(mode="json") for row in dataset.data_rows]
        assert len(read) == dataset.get_num_expected_rows([SimulatedProvider("m")]) > 0
        assert read == rows_of(tmp_path / style / "out.jsonl")


# -- the system message of rows


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dataset_system_prompt": "D", "generation_system_prompt": "G"}, ["D"]),
        ({"generation_system_prompt": "G"}, ["G"]),
        ({}, ["You are a helpful assistant."]),
        ({"dataset_system_prompt": "D", "sys_msg": False}, []),
    ],
)
@pytest.mark.parametrize("output_format", [None, "conversational"])
def test_the_system_message_of_a_row(
    tmp_path: Path, fault_server: FaultServer, fields: dict[str, Any], expected: list[str], output_format: Any
) -> None:
    (row,) = generated(tmp_path, fault_server, output_format=output_format, **fields)
    assert [content for role, content in spoken(row) if role == "system"] == expected
