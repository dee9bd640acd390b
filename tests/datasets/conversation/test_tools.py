"""Tools: how they are described, and which calls fit them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datafast.schema.config import ConversationDatasetConfig
from tests.datasets.conversation.support import STYLES, calling, generated, provider, refused_then_taken, said, talk
from tests.servers.fault_server import Answer, FaultServer
from tests.support import assert_balanced


def with_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    return {**STYLES["agent"], "tools": [{"name": "t", "parameters": {"type": "object", **parameters}}]}


def test_a_tool_that_takes_any_names_may_be_given_some(tmp_path: Path, fault_server: FaultServer) -> None:
    free = {"name": "label", "parameters": {"type": "object", "additionalProperties": {"type": "string"}}}
    generated(tmp_path, fault_server, **{**STYLES["agent"], "tools": [free]})
    wire = fault_server.requests[0].json["response_format"]["json_schema"]
    arguments = wire["schema"]["$defs"]["ToolStep"]["properties"]["action"]["properties"]["arguments"]
    assert arguments["additionalProperties"] == {"type": "string"}
    assert wire["strict"] is False


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


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"properties": {"a": {"pattern": "["}}}, "not a JSON Schema: '\\[' is not a 'regex'"),
        ({"patternProperties": {"(": {}}}, "not a JSON Schema: '\\(' is not a 'regex'"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "The reference '#/\\$defs/b' has no target"),
        ({"properties": {"a": {"$ref": "https://example.org/s"}}}, "has no target in this schema"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "The schema refers to itself"),
        ({"properties": {"a": {"type": "strin"}}}, "This is not a JSON Schema"),
        ({"required": "a"}, "This is not a JSON Schema"),
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
