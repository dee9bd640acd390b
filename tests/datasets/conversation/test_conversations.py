"""Conversations about topics: what the model is asked, which replies count, how rows look, and what a changed config buys."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datafast import ConversationDataset, PromptExpansionConfig, RunConfig, Tree
from datafast.cli.main import cli
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms import OpenAICompatibleProvider, SimulatedProvider
from datafast.schema.config import ConversationDatasetConfig
from tests.servers.fault_server import Answer, FaultServer
from tests.servers.hub_server import HubServer
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of, same_rows

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "tide_level",
            "description": "The level of the water.",
            "parameters": {
                "type": "object",
                "properties": {"station": {"type": "string"}, "hour": {"type": "integer", "minimum": 0, "maximum": 23}},
                "required": ["station"],
            },
        },
    },
    {"name": "wind", "parameters": {"type": "object", "properties": {"place": {"enum": ["pier", "buoy"]}}}},
]
STYLES: dict[str, dict[str, Any]] = {
    "basic": {},
    "freetext": {"conversation_type": "chain_of_thought", "reasoning_style": "freetext"},
    "agent": {"conversation_type": "cot", "reasoning_style": "agent"},
    "tools": {"conversation_type": "cot", "reasoning_style": "agent", "tools": TOOLS},
}
CALL = {"name": "tide_level", "arguments": {"station": "Husum"}}
EXCHANGES: dict[str, dict[str, Any]] = {
    "basic": {"user": "Why?", "assistant": "Because."},
    "freetext": {"user": "Why?", "reasoning": "Two bulges.", "assistant": "Because."},
    "agent": {
        "user": "Why?",
        "steps": [{"thought": "Look.", "action": "Open the almanac", "observation": "It says so."}],
        "assistant": "Because.",
    },
    "tools": {
        "user": "Why?",
        "steps": [{"thought": "Look.", "action": CALL, "observation": "0.7 m"}],
        "assistant": "Because.",
    },
}
every_style = pytest.mark.parametrize("style", STYLES)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


@pytest.fixture
def counting(log: Path) -> CountingProvider:
    return CountingProvider("m", log=log)


def talk(folder: Path, topics: Any = 4, **fields: Any) -> ConversationDataset:
    names = [f"topic {number}" for number in range(topics)] if isinstance(topics, int) else topics
    return ConversationDataset(
        ConversationDatasetConfig(topics=names, **{"output_file": folder / "out.jsonl", **fields})
    )


def provider(server: FaultServer, model: str = "m", **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider(model, api_base=server.url, **options)


def said(*exchanges: dict[str, Any], count: int = 1) -> Answer:
    return Answer(text=json.dumps({"conversations": [{"exchanges": list(exchanges)}] * count}))


def generated(folder: Path, server: FaultServer, **fields: Any) -> list[dict[str, Any]]:
    """The rows of one topic."""
    talk(folder, 1, **fields).generate([provider(server)])
    return rows_of(folder / "out.jsonl")


def spoken(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row["messages"]]


# -- what the model is asked


def test_the_generation_system_prompt_is_sent_in_the_system_role_and_only_there(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    generated(tmp_path, fault_server, generation_system_prompt="You write dialogues.")
    (request,) = fault_server.requests
    assert [message["role"] for message in request.json["messages"]] == ["system", "user"]
    assert request.json["messages"][0]["content"] == "You write dialogues."
    assert "You write dialogues." not in request.prompt


def test_without_a_generation_system_prompt_there_is_no_system_message_in_the_call(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    generated(tmp_path, fault_server)
    assert [message["role"] for message in fault_server.requests[0].json["messages"]] == ["user"]


def test_a_prompt_says_number_language_topic_and_wishes_once(tmp_path: Path, fault_server: FaultServer) -> None:
    topics = Tree.from_paths([["sea", "tides"], ["sea", "ice"]])
    config = {"languages": {"nl": "Dutch"}, "instructions": "Be brief.", "examples_per_call": 2}
    talk(tmp_path, topics, **config).generate([provider(fault_server)])
    prompt = fault_server.requests[0].prompt
    assert "exactly 2 conversations in Dutch" in prompt
    assert prompt.count("Be brief.") == 1
    assert "1. tides (within sea)\n2. ice (within sea)" in prompt


def test_the_system_message_of_the_rows_is_told_to_the_writing_model(tmp_path: Path, fault_server: FaultServer) -> None:
    generated(tmp_path / "with", fault_server, dataset_system_prompt="You are a pilot.")
    generated(tmp_path / "without", fault_server, dataset_system_prompt="You are a pilot.", sys_msg=False)
    assert ["You are a pilot." in request.prompt for request in fault_server.requests] == [True, False]


def test_tools_are_in_the_prompt_and_in_the_schema(tmp_path: Path, fault_server: FaultServer) -> None:
    generated(tmp_path, fault_server, **STYLES["tools"])
    (request,) = fault_server.requests
    assert '"name":"tide_level"' in request.prompt
    assert '"enum": ["tide_level"]' in json.dumps(request.json["response_format"])


def test_the_schema_bounds_conversations_and_turns(tmp_path: Path, fault_server: FaultServer) -> None:
    talk(tmp_path, 3, examples_per_call=3, max_turns=4).generate([provider(fault_server)])
    schema = fault_server.requests[0].json["response_format"]["json_schema"]["schema"]
    listed = schema["properties"]["conversations"]
    assert (listed["minItems"], listed["maxItems"]) == (3, 3)
    turns = schema["$defs"]["Conversation"]["properties"]["exchanges"]
    assert (turns["minItems"], turns["maxItems"]) == (1, 4)


def test_a_tool_that_takes_any_names_may_be_given_some(tmp_path: Path, fault_server: FaultServer) -> None:
    free = {"name": "label", "parameters": {"type": "object", "additionalProperties": {"type": "string"}}}
    generated(tmp_path, fault_server, **{**STYLES["agent"], "tools": [free]})
    wire = fault_server.requests[0].json["response_format"]["json_schema"]
    arguments = wire["schema"]["$defs"]["ToolStep"]["properties"]["action"]["properties"]["arguments"]
    assert arguments["additionalProperties"] == {"type": "string"}
    assert wire["strict"] is False


# -- examples

SHOWN = [{"user": f"u{number}", "n": number, "tags": ["a", None]} for number in range(9)]


def shown_in(prompt: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]


def as_jsonl(folder: Path) -> Path:
    path = folder / "shown.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in SHOWN))
    return path


def as_hf_dataset(folder: Path) -> Any:
    import datasets

    return datasets.Dataset.from_list(SHOWN)


def as_hf_dict(folder: Path) -> Any:
    import datasets

    return datasets.DatasetDict(train=datasets.Dataset.from_list(SHOWN))


@pytest.mark.parametrize("form", [lambda folder: SHOWN, as_jsonl, as_hf_dataset, as_hf_dict])
def test_examples_of_any_source_are_shown_as_json(
    tmp_path: Path, fault_server: FaultServer, form: Callable[[Path], Any]
) -> None:
    generated(tmp_path, fault_server, example_data=form(tmp_path), num_examples=9)
    assert shown_in(fault_server.requests[0].prompt) == SHOWN


def examples_by_prompt(folder: Path, log: Path, **fields: Any) -> list[list[int]]:
    talk(folder, 5, example_data=SHOWN, **fields).generate([CountingProvider("m", log=log)])
    prompts = sorted(prompt for _, prompt in requests_in(log))
    return [[row["n"] for row in shown_in(prompt)] for prompt in prompts]


def test_each_prompt_shows_other_examples_and_the_seed_says_which(tmp_path: Path) -> None:
    first = examples_by_prompt(tmp_path / "a", tmp_path / "log-a", num_examples=2)
    again = examples_by_prompt(tmp_path / "b", tmp_path / "log-b", num_examples=2)
    other = examples_by_prompt(tmp_path / "c", tmp_path / "log-c", num_examples=2, run=RunConfig(seed=1))
    assert first == again != other
    assert all(len(set(numbers)) == 2 for numbers in first)
    assert len({tuple(numbers) for numbers in first}) > 1


def test_more_examples_than_there_are_shows_all_and_none_shows_none(tmp_path: Path) -> None:
    assert examples_by_prompt(tmp_path / "a", tmp_path / "log-a", num_examples=50)[0] == list(range(9))
    assert examples_by_prompt(tmp_path / "b", tmp_path / "log-b", num_examples=0)[0] == []


def test_examples_with_gaps_in_braces_are_text(tmp_path: Path, fault_server: FaultServer) -> None:
    generated(tmp_path, fault_server, example_data=[{"user": "{topic} <<who>> {num_samples}"}])
    assert shown_in(fault_server.requests[0].prompt) == [{"user": "{topic} <<who>> {num_samples}"}]


def test_other_examples_are_other_prompts_and_unshown_ones_are_not(tmp_path: Path, counting: CountingProvider) -> None:
    talk(tmp_path, example_data=SHOWN, num_examples=0).generate([counting])
    talk(tmp_path).generate([counting])
    assert len(requests_in(counting.log)) == 4
    report = talk(tmp_path, example_data=SHOWN[:3]).generate([counting]).report
    assert report is not None
    assert report.calls == 4


# -- which replies count


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


def refused_then_taken(folder: Path, server: FaultServer, style: str, bad: dict[str, Any], **fields: Any) -> list[Any]:
    """The messages of the second request, after a bad reply and before a good one."""
    server.answer_next(said(bad), said(EXCHANGES[style]))
    dataset = talk(folder, 1, **STYLES[style], **fields).generate([provider(server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls, report.failed) == (1, 2, 0)
    messages: list[Any] = server.requests[1].json["messages"]
    return messages


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


def calling(call: Any) -> dict[str, Any]:
    return {**EXCHANGES["tools"], "steps": [{"thought": "Look.", "action": call, "observation": "0.7 m"}]}


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"name": "depth", "arguments": {}}, "there is no tool 'depth'"),
        ({"name": "tide_level", "arguments": {}}, "'station' is a required property"),
        ({"name": "tide_level", "arguments": {"station": "Husum", "hour": 24}}, "arguments of tide_level.hour"),
        ({"name": "tide_level", "arguments": {"station": 7}}, "arguments of tide_level.station"),
        ({"name": "wind", "arguments": {"place": "moon"}}, "arguments of wind.place"),
        ({"name": "tide_level", "arguments": '{"station": "Husum"}'}, "arguments of tide_level"),
        ({"arguments": {"station": "Husum"}}, "there is no tool None"),
        ({"name": ["wind"], "arguments": {}}, "there is no tool"),
        ("look", "action"),
        (None, "action"),
    ],
)
def test_a_call_that_does_not_fit_the_tools_is_refused_with_the_reason(
    tmp_path: Path, fault_server: FaultServer, call: Any, reason: str
) -> None:
    messages = refused_then_taken(tmp_path, fault_server, "tools", calling(call))
    assert reason in messages[-1]["content"]


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity", str(2**70)])
def test_a_number_that_no_file_can_hold_is_refused_in_a_call(
    tmp_path: Path, fault_server: FaultServer, number: str
) -> None:
    tools = [{"name": "wait", "parameters": {"type": "object", "properties": {"s": {"type": "number"}}}}]
    good = json.dumps({"conversations": [{"exchanges": [calling({"name": "wait", "arguments": {"s": 7}})]}]})
    fault_server.answer_next(Answer(text=good.replace("7}", number + "}")), Answer(text=good))
    (row,) = generated(tmp_path, fault_server, **{**STYLES["tools"], "tools": tools})
    assert len(fault_server.requests) == 2
    assert json.loads(row["steps"][0]["action"])["arguments"] == {"s": 7}


def with_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    return {**STYLES["agent"], "tools": [{"name": "t", "parameters": {"type": "object", **parameters}}]}


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"properties": {"a": {"pattern": "["}}}, "no JSON Schema: '\\[' is not a 'regex'"),
        ({"patternProperties": {"(": {}}}, "no JSON Schema: '\\(' is not a 'regex'"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "the reference '#/\\$defs/b' leads nowhere"),
        ({"properties": {"a": {"$ref": "https://example.org/s"}}}, "leads nowhere in this schema"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "the schema refers to itself"),
        ({"properties": {"a": {"type": "strin"}}}, "this is no JSON Schema"),
        ({"required": "a"}, "this is no JSON Schema"),
    ],
)
def test_parameters_of_a_tool_that_cannot_be_checked_are_refused(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ConversationDatasetConfig(topics=["a"], **with_parameters(parameters))


@pytest.mark.parametrize("name", ["definitions", "$defs", "$id", "$schema", "$ref", "properties", "enum"])
def test_a_parameter_may_be_called_like_a_keyword_of_schemas(
    tmp_path: Path, fault_server: FaultServer, name: str
) -> None:
    fields = with_parameters({"properties": {name: {"type": "integer"}}, "required": [name]})
    for wrong in ({}, {name: "x"}):
        fault_server.answer_next(said(calling({"name": "t", "arguments": wrong})))
    fault_server.answer_next(said(calling({"name": "t", "arguments": {name: 5}})))
    (row,) = generated(tmp_path, fault_server, **fields)
    assert json.loads(row["steps"][0]["action"]) == {"name": "t", "arguments": {name: 5}}
    assert len(fault_server.requests) == 3


def test_references_within_the_parameters_of_a_tool_are_followed(tmp_path: Path, fault_server: FaultServer) -> None:
    fields = with_parameters(
        {
            "properties": {"at": {"$ref": "#/$defs/place"}},
            "required": ["at"],
            "$defs": {
                "place": {"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}},
                "n": {"type": "integer"},
            },
        }
    )
    fault_server.answer_next(said(calling({"name": "t", "arguments": {"at": {"x": "no"}}})))
    fault_server.answer_next(said(calling({"name": "t", "arguments": {"at": {"x": 1}}})))
    (row,) = generated(tmp_path, fault_server, **fields)
    assert json.loads(row["steps"][0]["action"])["arguments"] == {"at": {"x": 1}}
    assert "$ref" not in json.dumps(
        [
            step
            for name, step in fault_server.requests[0].json["response_format"]["json_schema"]["schema"]["$defs"].items()
            if name == "ToolStep"
        ]
    )


def test_a_nameless_call_is_no_call_of_a_tool_that_is_called_none(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(*[said(calling({"name": None, "arguments": {}}))] * 3)
    dataset = talk(tmp_path, 1, **{**STYLES["tools"], "tools": [{"name": "None"}]}).generate([provider(fault_server)])
    assert assert_balanced(dataset.report).failures == {"invalid_reply": 1}


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
    assert "exactly 2 conversations" in asked_again
    assert "1. topic 2\n2. topic 3" in asked_again
    assert [row["metadata"]["topic"] for row in rows_of(tmp_path / "out.jsonl")] == [f"topic {n}" for n in range(4)]


def test_too_many_conversations_are_cut_to_what_was_asked(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said(EXCHANGES["basic"], count=5))
    assert len(generated(tmp_path, fault_server)) == 1


# -- what rows look like

SYSTEM = {"role": "system", "content": "You are a pilot."}
USER = {"role": "user", "content": "Why?"}
ANSWER = {"role": "assistant", "content": "Because."}
STEPS_AS_TEXT = "Thought: Look.\nAction: Open the almanac\nObservation: It says so."
FUNCTION = {"name": "tide_level", "arguments": '{"station":"Husum"}'}
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
            "tool_calls": [{"id": "call_0", "type": "function", "function": FUNCTION}],
        },
        {"role": "tool", "content": "0.7 m", "tool_call_id": "call_0"},
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
        "tools": [
            orjson.dumps(TOOLS[0]).decode(),
            orjson.dumps({"type": "function", "function": TOOLS[1]}).decode(),
        ],
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
def test_conversational_rows_are_messages_and_nothing_else(
    tmp_path: Path, fault_server: FaultServer, style: str
) -> None:
    row = piloted(tmp_path, fault_server, style, output_format="conversational")
    assert row == {"messages": MESSAGES[style]}


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
    assert json.loads(row["with space"]) == [json.loads(tool) for tool in MORE["tools"]["tools"] if style == "tools"]
    assert bool(row["schema"]) is (style != "basic")


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
    with pytest.raises((ConfigError, ValidationError), match="output_format: a field cannot be called"):
        ConversationDatasetConfig(topics=["a"], output_format={name: "{response}"})


def test_ids_of_calls_are_counted_over_the_whole_conversation(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said(EXCHANGES["tools"], EXCHANGES["tools"]))
    (row,) = generated(tmp_path, fault_server, max_turns=2, **STYLES["tools"])
    assert [m["tool_call_id"] for m in row["messages"] if m["role"] == "tool"] == ["call_0", "call_1"]
    assert [step["exchange"] for step in row["steps"]] == [0, 1]


def test_a_call_is_kept_as_name_and_arguments_alone(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said(calling({**CALL, "id": "x"})))
    (row,) = generated(tmp_path, fault_server, **STYLES["tools"])
    assert json.loads(row["steps"][0]["action"]) == CALL


# Of the control characters, these alone are blanks to Python and none to Unicode.
_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x1c\x1d\x1e\x1f"), min_size=1, max_size=30
).filter(lambda text: text.strip())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


@pytest.mark.parametrize("blank", ["", "  \n"])
@pytest.mark.parametrize("field", ["dataset_system_prompt", "generation_system_prompt"])
def test_a_blank_system_message_is_refused(field: str, blank: str) -> None:
    with pytest.raises(ValidationError, match="must not be blank"):
        ConversationDatasetConfig(topics=["a"], **{field: blank})


# -- how many


@pytest.mark.parametrize(
    ("topics", "num_rows", "size", "sizes"),
    [
        (4, None, 1, [1, 1, 1, 1]),
        (4, None, 3, [3, 1]),
        (3, 7, 3, [3, 3, 1]),
        (5, 2, 1, [1, 1]),
        (2, 4, 100, [4]),
        (1, 1, 2, [1]),
    ],
)
def test_rows_and_calls_come_to_what_was_asked(
    tmp_path: Path, fault_server: FaultServer, topics: int, num_rows: int | None, size: int, sizes: list[int]
) -> None:
    dataset = talk(tmp_path, topics, num_rows=num_rows, examples_per_call=size, **STYLES["freetext"])
    assert dataset.get_num_expected_rows([provider(fault_server)]) == sum(sizes)
    dataset.generate([provider(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls) == (sum(sizes), len(sizes))
    asked = [re.search(r"exactly (\d+) conversation", request.prompt) for request in fault_server.requests]
    assert sorted(int(found[1]) for found in asked if found) == sorted(sizes)


def test_no_prompt_is_sent_twice_when_rows_exceed_topics(tmp_path: Path, counting: CountingProvider) -> None:
    talk(tmp_path, 3, num_rows=60).generate([counting])
    prompts = [prompt for _, prompt in requests_in(counting.log)]
    assert len(set(prompts)) == len(prompts) == 60
    rows = rows_of(tmp_path / "out.jsonl")
    assert Counter(row["metadata"]["topic"] for row in rows) == {f"topic {n}": 20 for n in range(3)}
    assert {row["metadata"]["variation"] for row in rows} == set(range(20))


def test_no_topic_is_asked_for_twice_alike_within_a_call(tmp_path: Path, fault_server: FaultServer) -> None:
    talk(tmp_path, 1, num_rows=4, examples_per_call=4).generate([provider(fault_server)])
    lines = re.findall(r"^\d\. (.+)$", fault_server.requests[0].prompt, re.MULTILINE)
    assert len(set(lines)) == len(lines) == 4


def test_rows_are_multiplied_by_languages_prompts_placeholders_and_providers(tmp_path: Path) -> None:
    dataset = talk(
        tmp_path,
        2,
        num_rows=3,
        languages={"en": "English", "nl": "Dutch"},
        instructions="For <<who>>.",
        prompts=["{num_samples} {topic} {language_name}", "In {language_name}: {num_samples} on {topic}."],
        expansion=PromptExpansionConfig(placeholders={"who": ["a child", "a mayor"]}),
    )
    models = [SimulatedProvider("a"), SimulatedProvider("b")]
    assert dataset.get_num_expected_rows(models) == 3 * 2 * 2 * 2 * 2
    dataset.generate(models)
    assert assert_balanced(dataset.report).written == 48
    rows = rows_of(tmp_path / "out.jsonl")
    of = Counter((r["language"], r["metadata"]["who"], r["metadata"]["prompt_index"], r["model_id"]) for r in rows)
    assert len(of) == 16
    assert set(of.values()) == {3}


@pytest.mark.parametrize("name", ["topic_path", "variation", "prompt_index"])
def test_a_placeholder_cannot_take_the_place_of_what_rows_say_about_themselves(tmp_path: Path, name: str) -> None:
    with pytest.raises((ConfigError, ValidationError), match=name):
        talk(
            tmp_path,
            instructions=f"<<{name}>>",
            expansion=PromptExpansionConfig(placeholders={name: ["x"]}),
        )


def test_a_placeholder_cannot_mean_two_things_in_a_template_of_rows(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "instructions": "Give a <<response>>.",
        "expansion": PromptExpansionConfig(placeholders={"response": ["short one"]}),
    }
    talk(tmp_path, **fields)
    with pytest.raises((ConfigError, ValidationError), match="response"):
        talk(tmp_path, output_format={"a": "{response}"}, **fields)


@pytest.mark.parametrize("how", ["sequential", "shuffle", "balanced"])
def test_branches_of_different_size_get_even_shares_only_where_balanced(tmp_path: Path, how: str) -> None:
    topics = Tree.from_dict({"sea": {"A": [f"a{n}" for n in range(10)], "B": ["b0", "b1"]}})
    talk(tmp_path, topics, num_rows=12, topic_selection=how).generate([SimulatedProvider("m")])
    branches = Counter(row["metadata"]["topic_path"].split(" > ")[-2] for row in rows_of(tmp_path / "out.jsonl"))
    assert branches == ({"A": 6, "B": 6} if how == "balanced" else {"A": 10, "B": 2})


# -- what a change buys


def test_more_rows_buy_what_is_new_alone(tmp_path: Path, counting: CountingProvider) -> None:
    talk(tmp_path, 3, num_rows=4).generate([counting])
    first = rows_of(tmp_path / "out.jsonl")
    report = assert_balanced(talk(tmp_path, 3, num_rows=7).generate([counting]).report)
    assert (report.calls, report.written) == (3, 7)
    assert [row for row in rows_of(tmp_path / "out.jsonl") if row in first] == first


def test_fewer_rows_move_the_others_aside_and_coming_back_is_free(tmp_path: Path, counting: CountingProvider) -> None:
    talk(tmp_path, 6).generate([counting])
    first = rows_of(tmp_path / "out.jsonl")
    assert assert_balanced(talk(tmp_path, 6, num_rows=2).generate([counting]).report).written == 2
    assert assert_balanced(talk(tmp_path, 6).generate([counting]).report).calls == 0
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)


def test_a_further_topic_buys_its_row_alone(tmp_path: Path, counting: CountingProvider) -> None:
    talk(tmp_path, ["a", "b"]).generate([counting])
    report = assert_balanced(talk(tmp_path, ["a", "c", "b"]).generate([counting]).report)
    assert (report.calls, report.written) == (1, 3)


@pytest.mark.parametrize("other", ["conversational", "instruction", {"q": "{instruction}", "a": "{response}"}])
def test_another_output_format_buys_nothing(tmp_path: Path, counting: CountingProvider, other: Any) -> None:
    talk(tmp_path, **STYLES["freetext"]).generate([counting])
    first = rows_of(tmp_path / "out.jsonl")
    report = talk(tmp_path, output_format=other, **STYLES["freetext"]).generate([counting]).report
    assert report is not None
    assert (report.calls, report.written) == (0, 4)
    questions = sorted(row["messages"][1]["content"] for row in first)
    rows = rows_of(tmp_path / "out.jsonl")
    asked = [row.get("q") or row.get("instruction") or row["messages"][1]["content"] for row in rows]
    assert sorted(asked) == questions


def test_switching_the_system_message_off_buys_nothing(tmp_path: Path, counting: CountingProvider) -> None:
    talk(tmp_path, generation_system_prompt="G").generate([counting])
    report = assert_balanced(talk(tmp_path, generation_system_prompt="G", sys_msg=False).generate([counting]).report)
    assert report.calls == 0
    assert {row["messages"][0]["role"] for row in rows_of(tmp_path / "out.jsonl")} == {"user"}


@pytest.mark.parametrize(
    "change",
    [
        {"generation_system_prompt": "Other."},
        {"instructions": "Other."},
        {"max_turns": 2},
        {"conversation_type": "cot", "reasoning_style": "freetext"},
        {"languages": {"nl": "Dutch"}},
    ],
)
def test_what_changes_the_prompt_is_asked_anew(
    tmp_path: Path, counting: CountingProvider, change: dict[str, Any]
) -> None:
    talk(tmp_path).generate([counting])
    assert assert_balanced(talk(tmp_path, **change).generate([counting]).report).calls == 4


# -- wrong configs


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"reasoning_style": "agent"}, "agent has no place in basic conversations"),
        ({"conversation_type": "cot"}, "needs one: freetext or agent"),
        ({"conversation_type": "chain-of-thought"}, "conversation_type"),
        ({"conversation_type": "cot", "reasoning_style": "hybrid"}, "reasoning_style"),
        ({"tools": TOOLS}, "only an agent calls tools"),
        ({**STYLES["freetext"], "tools": TOOLS}, "only an agent calls tools"),
        ({**STYLES["agent"], "tools": []}, "tools"),
        ({**STYLES["agent"], "tools": [{}]}, r"tools\[0\]: expected a function with a name"),
        ({**STYLES["agent"], "tools": [TOOLS[0], TOOLS[0]]}, r"tools\[1\]: the tool 'tide_level' is there twice"),
        ({**STYLES["agent"], "tools": [{"name": "a", "parameters": {"type": "list"}}]}, "of type object"),
        ({"output_format": "instruction", "max_turns": 2}, "one question and its answer"),
        ({"output_format": "alpaca"}, "output_format"),
        ({"output_format": {}}, "there is no field"),
        ({"num_rows": 0}, "num_rows"),
        ({"examples_per_call": 101}, "examples_per_call"),
        ({"max_turns": 0}, "max_turns"),
        ({"example_data": []}, "example_data"),
        ({"example_data": "missing.jsonl"}, "missing.jsonl"),
        ({"topics": []}, "the list is empty"),
        ({"topics": ["a", " "]}, "must not be blank"),
        ({"prompts": ["On {topic}."]}, r"prompts\[0\]: \{num_samples\} is missing"),
        (
            {"languages": {"en": "English", "nl": "Dutch"}, "prompts": ["{num_samples} on {topic}"]},
            r"prompts\[0\]: there are several languages",
        ),
        ({"topic": ["a"]}, "Did you mean 'topics'"),
        ({"num_example": 3}, "Did you mean 'num_examples'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises((ConfigError, ValidationError), match=problem):
        ConversationDatasetConfig(**{"topics": ["a"], **fields})


def test_a_config_written_and_read_back_is_the_same(tmp_path: Path) -> None:
    for fields in STYLES.values():
        config = talk(tmp_path, example_data=SHOWN, output_format={"a": "{response}"}, **fields).config
        again = ConversationDatasetConfig.model_validate_json(config.model_dump_json())
        assert again.model_dump() == config.model_dump()


# -- planning, estimating, publishing


def test_an_estimate_counts_the_calls_that_are_left(tmp_path: Path) -> None:
    dataset = talk(tmp_path, 10, examples_per_call=2)
    model = [SimulatedProvider("m")]
    assert (dataset.estimate(model).calls, dataset.estimate(model).rows) == (5, 10)
    dataset.generate(model, limit=2)
    assert (dataset.estimate(model).calls, dataset.estimate(model).rows) == (3, 6)


YAML = """\
kind: conversation
output_file: out.jsonl
topics: {sea: {tides: [spring, neap], ice: [floes]}}
num_rows: 7
examples_per_call: 2
generation_system_prompt: You write dialogues.
providers: [openai/gpt-4.1-mini-2025-04-14]
"""


def test_a_plan_shows_dimensions_calls_rows_and_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(YAML)
    result = CliRunner().invoke(cli, ["plan", "c.yaml", "--json"])
    assert result.exit_code == 0, result.output
    plan = json.loads(result.output)
    assert (plan["rows"], plan["total_calls"]) == (7, 4)
    assert plan["rows_by_provider"] == [{"provider": "openai/gpt-4.1-mini-2025-04-14", "rows": 7}]
    assert plan["examples"][0]["messages"][0] == {"role": "system", "content": "You write dialogues."}
    assert not Path("out.jsonl").exists()


@every_style
def test_a_preview_shows_who_says_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str) -> None:
    monkeypatch.chdir(tmp_path)
    config = {**STYLES[style], "kind": "conversation", "topics": ["tides"], "providers": ["openai"]}
    Path("c.yaml").write_bytes(orjson.dumps(config))
    result = CliRunner().invoke(cli, ["preview", "c.yaml", "--offline", "-n", "1"])
    assert result.exit_code == 0, result.output
    assert "[user]" in result.output
    assert "[assistant]" in result.output
    assert ("tide_level(" in result.output or "wind(" in result.output) is (style == "tools")


@every_style
@pytest.mark.parametrize("output_format", [None, "conversational", {"with space": "{response}"}])
@pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
def test_rows_of_every_style_are_published_whole(
    tmp_path: Path, hub: HubServer, style: str, output_format: Any
) -> None:
    import pyarrow.parquet as pq

    dataset = talk(tmp_path, 6, max_turns=2, output_format=output_format, **STYLES[style])
    dataset.generate([SimulatedProvider("m")])
    dataset.push_to_hub("someone/things", shuffle=False)
    files = hub.repos["someone/things"].files
    tables = [pq.read_table(io.BytesIO(files[path])) for path in files if path.endswith(".parquet")]
    rows = [plain(row) for table in tables for row in table.to_pylist()]
    for row in rows:
        if "metadata" in row:
            row["metadata"] = json.loads(row["metadata"])  # published as one text
    assert len(rows) == 6
    assert rows == [plain(row) for row in rows_of(tmp_path / "out.jsonl")]


def plain(value: Any) -> Any:
    """Without what a table has to hold as null because other rows have it."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items() if part is not None}
    return [plain(part) for part in value] if isinstance(value, list) else value


def test_a_warning_about_templates_of_rows_is_never_given(recwarn: pytest.WarningsRecorder) -> None:
    ConversationDatasetConfig(topics=["a"], output_format={"a": "{response} {x} f{value}"})
    assert not [warning for warning in recwarn if issubclass(warning.category, DatafastWarning)]
