"""What the model is asked for when it writes conversations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datafast import Tree
from datafast.datasets.conversation.replies import Bounds, ReplyModels
from datafast.datasets.replies import texts_model
from tests.datasets.conversation.support import EXCHANGES, STYLES, generated, provider, said, talk
from tests.servers.fault_server import FaultServer


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
    assert "in Dutch: exactly 2." in prompt
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


@pytest.mark.parametrize("style", ["agent", "tools"])
def test_turns_and_steps_are_bounded_on_both_sides_in_words_and_in_the_schema(
    tmp_path: Path, fault_server: FaultServer, style: str
) -> None:
    generated(tmp_path, fault_server, min_turns=2, max_turns=3, max_steps=7, **STYLES[style])
    (request,) = fault_server.requests
    assert "at least 2 and at most 3 exchanges" in request.prompt
    assert "in 1 to 7 steps" in request.prompt
    definitions = request.json["response_format"]["json_schema"]["schema"]["$defs"]
    turns = definitions["Conversation"]["properties"]["exchanges"]
    assert (turns["minItems"], turns["maxItems"]) == (2, 3)
    steps = definitions["ToolExchange" if style == "tools" else "AgentExchange"]["properties"]["steps"]
    assert (steps["minItems"], steps["maxItems"]) == (1, 7)


def test_too_few_turns_are_asked_for_again(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(said(EXCHANGES["basic"]), said(EXCHANGES["basic"], EXCHANGES["basic"]))
    (row,) = generated(tmp_path, fault_server, min_turns=2, max_turns=2)
    assert len(fault_server.requests) == 2
    assert len(row["messages"]) == 1 + 4


def test_bounds_that_are_the_defaults_change_no_prompt(tmp_path: Path, fault_server: FaultServer) -> None:
    generated(tmp_path / "a", fault_server, max_turns=3, **STYLES["tools"])
    generated(tmp_path / "b", fault_server, min_turns=1, max_turns=3, max_steps=5, **STYLES["tools"])
    one, other = (request.json["messages"] for request in fault_server.requests)
    assert one == other
    assert "has 1 to 3 exchanges" in one[-1]["content"]


def test_a_schema_says_one_as_a_word_and_more_as_a_number() -> None:
    models = ReplyModels("basic", Bounds(), None)
    told = [
        [made(count).model_json_schema()["properties"][field]["description"] for count in (1, 3)]
        for made, field in ((models, "conversations"), (texts_model, "texts"))
    ]
    assert told == [["exactly one conversation", "exactly 3 conversations"], ["exactly one text", "exactly 3 texts"]]
