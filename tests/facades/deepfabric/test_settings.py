"""`DataSetGenerator`: the names that are promised, and what is refused."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from datafast import DataSetGenerator, DataSetGeneratorError
from tests.datasets.conversation.tool_server import Cast
from tests.facades.deepfabric.making import BAD, TREE, generator
from tests.servers.fault_server import FaultServer


def test_the_constructor_has_the_documented_names_and_defaults() -> None:
    found = {name: p.default for name, p in inspect.signature(DataSetGenerator).parameters.items()}
    documented = {
        "instructions": "",
        "temperature": 0.7,
        "max_retries": 3,
        "request_timeout": 30,
        "default_batch_size": 5,
        "default_num_examples": 3,
        "conversation_type": "basic",
        "reasoning_style": None,
        "sys_msg": True,
        "rate_limit": None,
        "example_data": None,
    }
    assert {name: found[name] for name in documented} == documented


def test_parameters_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        DataSetGenerator("You teach.", provider="openai", model_name="m-1")  # type: ignore[misc]


def test_max_tokens_are_those_of_each_row_of_a_call(server: FaultServer) -> None:
    made = generator(max_tokens=100)
    for num_steps, batch_size in ((1, 1), (6, 3), (5, None)):
        made.create_data(num_steps, batch_size, TREE)
    assert [request.json["max_completion_tokens"] for request in server.requests] == [100, 300, 300, 500]


@pytest.mark.parametrize("method", ["create_data", "create_data_async", "create_data_with_events_async"])
def test_every_way_to_create_takes_the_same_names(method: str) -> None:
    names = list(inspect.signature(getattr(DataSetGenerator, method)).parameters)
    assert names[:6] == ["self", "num_steps", "batch_size", "topic_model", "model_name", "sys_msg"]
    assert names[6:] == ["num_example_demonstrations", "topic_tree", "retry_failed"]


@pytest.mark.parametrize("name", ["generation_system_prompt", "provider", "model_name"])
@pytest.mark.parametrize("given", ["left out", "None"])
def test_what_is_needed_is_named(name: str, given: str) -> None:
    fields = {"generation_system_prompt": "You teach.", "provider": "openai", "model_name": "m-1", name: None}
    if given == "left out":
        del fields[name]
    with pytest.raises(DataSetGeneratorError, match=f"{name}: The parameter is missing. A DataSetGenerator needs"):
        DataSetGenerator(**fields)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"instruction": "x"}, "instruction: .*Did you mean 'instructions'"),
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"timeout_s": 1}, "Did you mean 'timeout'"),
        ({"api_bse": "x"}, "Did you mean 'api_base'"),
        ({"rate_limit": {"max_request_per_minute": 1}}, "Did you mean 'max_requests_per_minute'"),
        ({"rate_limit": {"max_retries": -1}}, "max_retries: expected 0 or more, got -1"),
        ({"rate_limit": "fast"}, "rate_limit"),
        ({"temperature": 2.5}, "temperature"),
        ({"request_timeout": 0}, "request_timeout: "),
        ({"model_name": ""}, "model_name: "),
        ({"rate_limit": {"initial_retry_delay": 9000}}, "initial_retry_delay: "),
        ({"run": {"budget": 1}}, "budget: There is no such field. Did you mean 'budget_usd'"),
        ({"agent_mode": "many"}, "agent_mode: There is no mode 'many'"),
        (
            {"conversation_type": "tools", "reasoning_style": "agent"},
            "reasoning_style: Conversations with tools have none",
        ),
        ({"model": "m-2"}, "model: This is also given as model_name"),
        ({"max_retries": -1}, "max_retries"),
        ({"default_batch_size": 0}, "default_batch_size"),
        ({"default_batch_size": 1000}, "batch_size"),
        ({"default_num_examples": -1}, "default_num_examples"),
        ({"provider": "openia"}, "openia"),
        ({"generation_system_prompt": " "}, "generation_system_prompt: must not be blank"),
        ({"model_name": ""}, "model"),
        ({"conversation_type": "chain_of_thought"}, "freetext or agent"),
        ({"reasoning_style": "agent"}, "Basic conversations have no"),
        ({"conversation_type": "cot", "reasoning_style": "agent", "tools": [{"nme": 1}]}, r"tools\[0\]"),
    ],
)
def test_what_is_wrong_is_refused_with_its_name(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataSetGeneratorError, match=problem):
        generator(**fields)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ({"num_steps": 0}, "num_steps"),
        ({"num_steps": True}, "num_steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 101}, "batch_size"),
        ({"topic_model": []}, "topic_model"),
        ({"topic_model": 7}, "topic_model"),
        ({"topic_tree": ["ice"]}, r"^topic_tree: This is also given as topic_model\. Keep one of them\.$"),
        ({"topic_model": "missing.json"}, "missing.json"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_sent(
    server: FaultServer, call: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DataSetGeneratorError, match=problem):
        generator().create_data(**{"topic_model": TREE, **call})
    assert not server.requests


def test_create_batch_says_what_to_use() -> None:
    with pytest.raises(DataSetGeneratorError, match="create_data"):
        generator().create_batch()


def test_names_of_other_versions_are_taken(server: FaultServer) -> None:
    made = DataSetGenerator(
        system_prompt="You teach.",
        model="openai/m-1",
        base_url=server.url,
        prompt_template=None,
        conversation_type="agent_cot_tools",
        available_tools=["get_time"],
        max_tools_per_query=2,
        max_agent_steps=4,
        max_tokens=700,
    )
    (row,) = made.create_data(1, 1, TREE)
    request = server.requests[0]
    assert (request.json["model"], request.json["max_completion_tokens"]) == ("m-1", 700)
    assert "in 1 to 2 steps" in request.prompt
    assert [tool["function"]["name"] for tool in row["tools"]] == ["get_time"]


def test_conversations_with_tools_have_results_of_their_own_and_no_thoughts(server: FaultServer) -> None:
    server.respond = Cast(calls=[[{"name": "get_time", "arguments": {"timezone": "UTC"}}]], results=["12:00"])
    made = generator(conversation_type="tools", available_tools=["get_time"], max_agent_steps=1)
    (row,) = made.create_data(1, 1, TREE)
    assert [message["role"] for message in row["messages"]][-4:] == ["user", "assistant", "tool", "assistant"]
    assert row["messages"][-2]["content"] == "12:00"
    assert [tool["function"]["name"] for tool in row["tools"]] == ["get_time"]


@pytest.mark.parametrize(
    ("output_format", "keys"), [("instruction", ["instruction", "response"]), ({"q": "{instruction}"}, ["q"])]
)
def test_rows_may_have_another_form(server: FaultServer, output_format: Any, keys: list[str]) -> None:
    (row,) = generator(output_format=output_format).create_data(1, 1, TREE)
    assert list(row) == keys


def test_tools_come_from_a_file_and_turns_and_repetitions_are_bounded(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text('[{"name": "tide", "parameters": [{"name": "station", "type": "str"}]}]')
    server.respond = lambda request: BAD
    made = generator(
        conversation_type="chain_of_thought",
        agent_mode="multi_turn",
        tool_registry_path=tmp_path / "tools.json",
        sample_retries=1,
    )
    made.create_data(1, 1, TREE)
    assert len(server.requests) == 2
    first = server.requests[0].prompt
    assert '"name":"tide"' in first
    assert "at least 2 and at most 4 exchanges" in first
