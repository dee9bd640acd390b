"""Configs in DeepFabric's layout: what they ask whom, and how each mistake is named with its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast.cli.main import cli
from datafast.config_files.loader import load_project
from datafast.errors import ConfigError
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import rows_of

ENGINE = """\
data_engine:
  instructions: Explain with an example.
  generation_system_prompt: You teach.
  provider: openai
  model: engine-model
  temperature: 0.3
  default_batch_size: 5
"""
CREATION = """\
dataset:
  creation:
    num_steps: 6
    batch_size: 2
  save_as: rows.jsonl
"""
OTHER = CREATION.replace("batch_size: 2", "batch_size: 2\n    provider: anthropic\n    model: creation-model")
GROWN = """\
topic_tree:
  topic_prompt: sea
  degree: 2
  depth: 1
  save_as: sea.json
"""


def subtopics(request: Recorded) -> Answer:
    """Two subtopics where some are asked for."""
    if "subtopics" not in request.prompt:
        return Answer()
    return Answer(text=json.dumps({"subtopics": ["tides", "ice"]}))


@pytest.fixture
def engine(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FaultServer:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", fault_server.url)
    fault_server.respond = subtopics
    return fault_server


@pytest.fixture
def creation(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """The server of another provider."""
    with FaultServer() as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        yield server


def run(command: str, text: str, *options: str) -> Result:
    Path("c.yaml").write_text(text)
    return CliRunner().invoke(cli, [*command.split(), "c.yaml", *options])


def generated(text: str) -> list[dict[str, Any]]:
    result = run("generate", text)
    assert result.exit_code == 0, result.output
    return rows_of(Path("rows.jsonl"))


# -- who is asked what


def test_num_steps_is_rows_and_batch_size_rows_in_a_call(engine: FaultServer) -> None:
    rows = generated(ENGINE + CREATION + "topics: [tides, ice]\n")
    assert (len(rows), len(engine.requests)) == (6, 3)
    assert all(list(row) == ["messages"] for row in rows)
    assert rows[0]["messages"][0] == {"role": "system", "content": "You teach."}
    request = engine.requests[0].json
    assert (request["model"], request["temperature"]) == ("engine-model", 0.3)
    assert request["messages"][0] == {"role": "system", "content": "You teach."}
    assert "Explain with an example." in engine.requests[0].prompt


def test_the_default_batch_size_holds_where_the_creation_names_none(engine: FaultServer) -> None:
    generated(ENGINE + CREATION.replace("    batch_size: 2\n", ""))
    assert len(engine.requests) == 2


def test_provider_and_model_of_the_creation_are_the_ones_asked(engine: FaultServer, creation: FaultServer) -> None:
    assert len(generated(ENGINE + OTHER + "topics: [tides]\n")) == 6
    assert not engine.requests
    assert {request.json["model"] for request in creation.requests} == {"creation-model"}
    assert creation.requests[0].target.endswith("/messages")


def test_a_model_alone_is_another_model_of_the_same_provider(engine: FaultServer) -> None:
    generated(ENGINE + CREATION.replace("num_steps: 6", "num_steps: 6\n    model: other"))
    assert {request.json["model"] for request in engine.requests} == {"other"}


def test_topics_are_grown_by_the_engine_and_rows_written_by_the_creation(
    engine: FaultServer, creation: FaultServer
) -> None:
    rows = generated(ENGINE + OTHER + GROWN)
    assert ([request.json["model"] for request in engine.requests], len(creation.requests)) == (["engine-model"], 3)
    assert any("1. tides (within sea)\n2. ice (within sea)" in request.prompt for request in creation.requests)
    assert (len(rows), Path("sea.json").is_file()) == (6, True)


def test_topics_may_have_a_provider_of_their_own(engine: FaultServer, creation: FaultServer) -> None:
    creation.respond = subtopics
    generated(ENGINE + CREATION + GROWN + "  provider: anthropic\n  model: topic-model\n")
    assert [request.json["model"] for request in creation.requests] == ["topic-model"]
    assert {request.json["model"] for request in engine.requests} == {"engine-model"}


def test_a_topic_graph_is_grown_as_a_graph(engine: FaultServer) -> None:
    generated(ENGINE + CREATION + GROWN.replace("topic_tree", "topic_graph"))
    assert json.loads(Path("sea.json").read_bytes())["shape"] == "graph"


def test_topics_may_be_a_file_relative_to_the_config(engine: FaultServer, tmp_path: Path) -> None:
    Path("given.json").write_text('{"sea": ["tides"]}')
    generated(ENGINE + CREATION + "topics: given.json\n")
    assert "1. tides" in engine.requests[0].prompt


@pytest.mark.parametrize(("switch", "roles"), [("true", ["system", "user"]), ("false", ["user", "assistant"])])
def test_the_system_switch_of_the_creation_wins(engine: FaultServer, switch: str, roles: list[str]) -> None:
    text = ENGINE + CREATION.replace("num_steps: 6", f"num_steps: 6\n    sys_msg: {switch}")
    assert [message["role"] for message in generated(text)[0]["messages"][:2]] == roles


def test_request_timeout_and_retries_are_those_of_the_file(engine: FaultServer) -> None:
    """One request is given up and sent again; one that is refused in passing has no second try."""
    refused = Answer(status=400, body={"error": {"message": "the model wrote no JSON", "code": "json_validate_failed"}})
    engine.answer_next(Answer(delay_s=60), refused)
    text = ENGINE + "  request_timeout: 1.5\n  max_retries: 9\n"
    text += "  rate_limit: {max_retries: 0, initial_retry_delay: 0.01}\n"
    result = run("generate", text + CREATION.replace("num_steps: 6", "num_steps: 1"))
    assert (result.exit_code, len(engine.requests)) == (3, 2)


def test_the_rate_limit_holds_while_the_engine_grows_topics_too(engine: FaultServer) -> None:
    def divided(request: Recorded) -> Answer:
        found = re.search(r"subtopics? of '(.+?)'", request.prompt)
        return Answer(text=json.dumps({"subtopics": [f"{found[1]} 1", f"{found[1]} 2"]})) if found else Answer()

    engine.respond = divided
    text = ENGINE + "  rate_limit: {max_requests_per_minute: 240}\n" + CREATION + GROWN.replace("depth: 1", "depth: 2")
    assert run("topics build", text).exit_code == 0
    times = [request.at_s for request in engine.requests]
    assert len(times) == 3
    assert times[-1] - times[0] > 0.2


def test_running_it_again_asks_nothing(engine: FaultServer) -> None:
    rows = generated(ENGINE + CREATION + GROWN)
    asked = len(engine.requests)
    assert generated(ENGINE + CREATION + GROWN) == rows
    assert len(engine.requests) == asked


# -- other commands


def test_a_plan_shows_calls_and_rows_of_the_creation(engine: FaultServer, creation: FaultServer) -> None:
    result = run("plan", ENGINE + OTHER + "topics: [tides]\n", "--json")
    assert result.exit_code == 0, result.output
    plan = json.loads(result.output)
    assert (plan["rows"], plan["total_calls"], plan["rows_by_provider"][0]["provider"]) == (
        6,
        3,
        "anthropic/creation-model",
    )
    assert not engine.requests
    assert not creation.requests


def test_topics_are_built_and_shown_ahead_of_the_rows(engine: FaultServer) -> None:
    assert run("topics build", ENGINE + CREATION + GROWN).exit_code == 0
    shown = run("topics show", ENGINE + CREATION + GROWN, "--format", "paths")
    assert shown.output.split("\n")[:2] == ["sea > tides", "sea > ice"]
    assert len(engine.requests) == 1


# -- mistakes

MISTAKES = [
    (
        "unknown field",
        ENGINE + "  temprature: 1\n" + CREATION,
        "c.yaml:8: data_engine.temprature: There is no such field. Did",
    ),
    (
        "unknown section",
        ENGINE + CREATION + "topic_tre: {}\n",
        "c.yaml:13: topic_tre: There is no such field. Did you mean",
    ),
    ("no creation", ENGINE + "dataset: {save_as: a.jsonl}\n", "c.yaml:8: dataset.creation: The field is missing"),
    ("no dataset", ENGINE, "c.yaml:1: dataset: The field is missing"),
    ("no rows", ENGINE + CREATION.replace("6", "0"), "c.yaml:10: dataset.creation.num_steps: expected 1 or more"),
    (
        "batch",
        ENGINE + CREATION.replace(": 2", ": 200"),
        "c.yaml:11: dataset.creation.batch_size: expected 100 or less",
    ),
    ("unknown provider", ENGINE.replace("openai", "openia") + CREATION, "c.yaml:4: data_engine.provider: "),
    (
        "unknown provider of the creation",
        ENGINE + OTHER.replace("anthropic", "antropic"),
        "c.yaml:12: dataset.creation.provider: ",
    ),
    (
        "a provider without a model",
        ENGINE + OTHER.replace("    model: creation-model\n", ""),
        "c.yaml:12: dataset.creation.provider: anthropic needs a model",
    ),
    (
        "a provider of topics without a model",
        ENGINE + CREATION + GROWN + "  provider: anthropic\n",
        "c.yaml:18: topic_tree.provider: anthropic needs a model",
    ),
    (
        "an unknown provider of topics",
        ENGINE + CREATION + GROWN + "  provider: antropic\n  model: m\n",
        "c.yaml:18: topic_tree.provider: ",
    ),
    ("topics twice", ENGINE + CREATION + GROWN + "topics: [a]\n", "c.yaml:18: topics: Topics are given twice"),
    ("topics that are blank", ENGINE + CREATION + "topics: [a, ' ']\n", "c.yaml:13: topics[1]: must not be blank"),
    ("a file that is missing", ENGINE + CREATION + "topics: no.json\n", "c.yaml:13: topics: "),
    (
        "depth",
        ENGINE + CREATION + GROWN.replace("depth: 1", "depth: 0"),
        "c.yaml:16: topic_tree.depth: expected 1 or more",
    ),
    (
        "a type without a style",
        ENGINE + "  conversation_type: cot\n" + CREATION,
        "c.yaml:1: data_engine.reasoning_style: chain_of_thought needs one",
    ),
    (
        "a style without its type",
        ENGINE + "  reasoning_style: agent\n" + CREATION,
        "c.yaml:8: data_engine.reasoning_style: Basic conversations have no agent",
    ),
    (
        "an unknown type",
        ENGINE + "  conversation_type: chat\n" + CREATION,
        "c.yaml:8: data_engine.conversation_type: There is no type 'chat'. Known: basic, tools, structured, tool_calling,",
    ),
    (
        "tools without an agent",
        ENGINE + "  tools: [{name: a}]\n" + CREATION,
        "c.yaml:8: data_engine.tools: Only an agent calls tools",
    ),
    (
        "an unknown key of the rate limit",
        ENGINE + "  rate_limit: {max_request_per_minute: 3}\n" + CREATION,
        "c.yaml:8: data_engine.rate_limit.max_request_per_minute: There is no such field. Did you mean",
    ),
    (
        "examples that are missing",
        ENGINE + "  example_data: no.jsonl\n" + CREATION,
        "c.yaml:8: data_engine.example_data: ",
    ),
]


@pytest.mark.parametrize(("text", "expected"), [pytest.param(*m[1:], id=m[0]) for m in MISTAKES])
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_project(path)
    found = str(caught.value).replace(f"{path}:", "c.yaml:").splitlines()
    assert any(problem.startswith(expected) for problem in found), found


def test_a_mistake_stops_generate_before_anything_is_sent(engine: FaultServer) -> None:
    result = run("generate", ENGINE + "  temprature: 1\n" + CREATION)
    assert result.exit_code == 2
    assert "c.yaml:8" in result.output
    assert not engine.requests
