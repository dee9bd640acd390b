"""Configs of all versions of DeepFabric: what they ask whom, what they write, what has no effect, and what is refused."""

from __future__ import annotations

import json
import warnings
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast.cli.main import cli
from datafast.config_files.loader import load_project
from datafast.config_files.project import Project
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms.provider import LLMProvider
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import rows_of

FIRST = """\
system_prompt: You are a guide of the harbour.
topic_generator: tree
topic_tree:
  args:
    root_prompt: Harbours
    model_system_prompt: <system_prompt_placeholder>
    tree_degree: 2
    tree_depth: 1
    temperature: 0.6
    model_name: openai/topic-model
  save_as: harbours.jsonl
data_engine:
  args:
    instructions: Questions of visitors.
    system_prompt: <system_prompt_placeholder>
    model_name: openai/engine-model
    temperature: 0.9
    max_retries: 2
dataset:
  creation: {num_steps: 4, batch_size: 1, model_name: openai/engine-model, sys_msg: true}
  save_as: rows.jsonl
"""
SECOND = """\
dataset_system_prompt: You are a guide of the harbour.
topic_tree: {topic_prompt: Harbours, provider: openai, model: topic-model, degree: 2, depth: 1, temperature: 0.7, save_as: harbours.jsonl}
data_engine:
  generation_system_prompt: You write dialogues.
  instructions: Questions of visitors.
  provider: openai
  model: engine-model
  temperature: 0.3
dataset:
  creation: {num_steps: 4, batch_size: 2, sys_msg: true}
  save_as: rows.jsonl
"""
FOURTH = """\
llm: {provider: openai, model: shared-model, temperature: 0.5}
topics:
  prompt: Harbours
  mode: tree
  degree: 2
  depth: 1
  save_as: harbours.jsonl
generation:
  system_prompt: You write dialogues.
  instructions: Questions of visitors.
  llm: {temperature: 0.3}
output:
  system_prompt: You are a guide of the harbour.
  num_samples: 4
  batch_size: 3
  save_as: rows.jsonl
"""
LAYOUTS = {"1": FIRST, "2": SECOND, "4": FOURTH}
AGENT = FOURTH.replace(
    "  llm: {temperature: 0.3}\n",
    "  conversation: {type: cot, reasoning_style: agent}\n  tools: {components: {builtin: [read_file, list_files]}}\n",
)
TOOL = (
    "{name: tide, description: The level., parameters: [{name: station, type: str}, {name: hour, type: int, required: false}], "
    "returns: metres}"
)


@pytest.fixture
def server(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FaultServer:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", fault_server.url)
    numbers = count()

    def respond(request: Recorded) -> Answer:
        if "subtopics" not in request.prompt:
            return Answer()
        return Answer(text=json.dumps({"subtopics": [f"topic {next(numbers)}", f"topic {next(numbers)}"]}))

    fault_server.respond = respond
    return fault_server


def run(command: str, text: str, *options: str) -> Result:
    Path("c.yaml").write_text(text, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatafastWarning)
        return CliRunner().invoke(cli, [*command.split(), "c.yaml", *options])


def generated(text: str) -> list[dict[str, Any]]:
    result = run("generate", text)
    assert result.exit_code == 0, result.output
    return rows_of(Path("rows.jsonl"))


def loaded(text: str) -> tuple[Any, LLMProvider, list[str]]:
    """The config, the writer, and what is remarked on."""
    Path("c.yaml").write_text(text, encoding="utf-8")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DatafastWarning)
        project: Project = load_project(Path("c.yaml"))
    (_, writer), *_ = project.all_providers()
    return project.config, writer, [str(one.message) for one in caught if issubclass(one.category, DatafastWarning)]


def refused(text: str) -> str:
    Path("c.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_project(Path("c.yaml"))
    return str(caught.value)


# -- every layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_topics_are_grown_and_rows_written_with_the_system_message(server: FaultServer, layout: str) -> None:
    rows = generated(LAYOUTS[layout])
    assert len(rows) == 4
    assert {row["messages"][0]["content"] for row in rows} == {"You are a guide of the harbour."}
    grown, *written = server.requests
    assert "'Harbours'" in grown.prompt
    assert all("Questions of visitors." in request.prompt for request in written)
    asked = len(server.requests)
    assert len(generated(LAYOUTS[layout])) == 4
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("layout", "topics", "engine"),
    [
        ("1", ("topic-model", 0.6), ("engine-model", 0.9)),
        ("2", ("topic-model", 0.7), ("engine-model", 0.3)),
        ("4", ("shared-model", 0.5), ("shared-model", 0.3)),
    ],
)
def test_models_and_temperatures_are_those_of_the_sections(
    server: FaultServer, layout: str, topics: tuple[str, float], engine: tuple[str, float]
) -> None:
    generated(LAYOUTS[layout])
    first, *others = [(request.json["model"], request.json["temperature"]) for request in server.requests]
    assert first == topics
    assert set(others) == {engine}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_field_that_there_is_not_is_named_with_its_line(server: FaultServer, layout: str) -> None:
    message = refused(LAYOUTS[layout] + "more: 1\n")
    assert f"c.yaml:{LAYOUTS[layout].count(chr(10)) + 1}: more: There is no such field." in message


def test_the_placeholder_of_the_first_versions_is_the_system_prompt(server: FaultServer) -> None:
    generated(FIRST)
    assert server.requests
    for request in server.requests:
        assert request.json["messages"][0] == {"role": "system", "content": "You are a guide of the harbour."}


# -- types and tools


@pytest.mark.parametrize(
    ("conversation_type", "reasoning_style", "style", "has_tools"),
    [
        ("basic", "general", None, False),
        ("structured", None, None, False),
        ("cot_freetext", "mathematical", "freetext", False),
        ("cot_structured", "logical", "agent", False),
        ("cot_hybrid", None, "agent", False),
        ("agent_cot_tools", None, "agent", True),
        ("agent_cot_hybrid", None, "agent", True),
        ("agent_cot_multi_turn", None, "agent", True),
        ("xlam_multi_turn", None, "agent", True),
        ("tool_calling", None, "agent", True),
        ("chain_of_thought", "structured", "agent", False),
        ("chain_of_thought", "mathematical", "freetext", False),
    ],
)
def test_types_of_all_versions_have_their_style(
    server: FaultServer, conversation_type: str, reasoning_style: str | None, style: str | None, has_tools: bool
) -> None:
    more = f"  conversation_type: {conversation_type}\n" + (
        f"  reasoning_style: {reasoning_style}\n" if reasoning_style else ""
    )
    config, _, remarks = loaded(SECOND.replace("dataset:\n", more + "dataset:\n"))
    assert (config.reasoning_style, bool(config.tools)) == (style, has_tools)
    assert ("mathematical" in config.instructions) is (reasoning_style == "mathematical")
    assert config.max_turns == (4 if "multi_turn" in conversation_type else 1)
    assert remarks == []


def test_tools_are_chosen_by_name_and_missing_ones_remarked_on(server: FaultServer) -> None:
    more = "  conversation_type: agent_cot_tools\n  available_tools: [get_weather, calculator, fly]\n  max_tools_per_query: 2\n"
    config, _, (remark,) = loaded(SECOND.replace("dataset:\n", more + "dataset:\n"))
    assert [tool["function"]["name"] for tool in config.tools] == ["get_weather", "calculator"]
    assert config.max_steps == 2
    assert "available_tools: There is no tool fly" in remark


def test_a_name_of_no_tool_is_refused_with_the_nearest(server: FaultServer) -> None:
    more = "  conversation_type: agent_cot_tools\n  available_tools: [get_wether]\n"
    message = refused(SECOND.replace("dataset:\n", more + "dataset:\n"))
    assert (
        "c.yaml:10: data_engine.available_tools: There is no tool 'get_wether'. Did you mean 'get_weather'?" in message
    )


@pytest.mark.parametrize("place", ["custom_tools: [{}]", "tool_registry: [{}]", "tool_registry_path: tools.yaml"])
def test_tools_of_the_users_own_are_in_openais_schema(server: FaultServer, place: str) -> None:
    Path("tools.yaml").write_text(f"tools: [{TOOL}]", encoding="utf-8")
    more = f"  conversation_type: agent_cot_tools\n  {place.replace('{}', TOOL)}\n"
    rows = generated(SECOND.replace("dataset:\n", more + "dataset:\n"))
    assert rows[0]["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "tide",
                "description": "The level. Returns: metres",
                "parameters": {
                    "type": "object",
                    "properties": {"station": {"type": "string"}, "hour": {"type": "integer"}},
                    "required": ["station"],
                },
            },
        }
    ]


@pytest.mark.parametrize(
    ("tool", "problem"),
    [("7", "expected a tool, which is a mapping"), ("{name: a, parameters: [{type: str}]}", "parameters[0]: expected")],
)
def test_what_is_not_a_tool_is_refused_with_its_place(server: FaultServer, tool: str, problem: str) -> None:
    Path("tools.yaml").write_text(f"[{tool}]", encoding="utf-8")
    more = "  conversation_type: agent_cot_tools\n  tool_registry_path: tools.yaml\n"
    message = refused(SECOND.replace("dataset:\n", more + "dataset:\n"))
    assert "c.yaml:10: data_engine.tool_registry_path: tools.yaml[0]" in message
    assert problem in message


def test_tools_in_the_form_of_mcp_are_taken(server: FaultServer) -> None:
    tool = "{name: tide, description: d, inputSchema: {type: object, properties: {station: {type: string}}}}"
    text = AGENT.replace("components: {builtin: [read_file, list_files]}", f"custom: [{tool}]")
    config, *_ = loaded(text)
    assert config.tools[0]["function"]["parameters"]["properties"] == {"station": {"type": "string"}}


# -- the layout of 4.x


def test_a_graph_without_links_between_branches_is_a_tree(server: FaultServer) -> None:
    graph = FOURTH.replace("mode: tree", "mode: graph")
    for style, shape in (("default", "graph"), ("anchored", "tree"), ("isolated", "tree")):
        config, *_ = loaded(graph.replace("mode: graph", f"mode: graph\n  prompt_style: {style}"))
        assert config.topics.shape == shape


@pytest.mark.parametrize(("given", "rows"), [("4", 4), ("auto", None), ("'50%'", 1), ("150%", 3), ("'7'", 7)])
def test_the_number_of_samples_may_be_a_share_of_the_topics(server: FaultServer, given: str, rows: int | None) -> None:
    config, *_ = loaded(FOURTH.replace("num_samples: 4", f"num_samples: {given}"))
    assert config.num_rows == rows


@pytest.mark.parametrize("given", ["0", "-1", "half", "0%", "1.5"])
def test_another_number_of_samples_is_refused(server: FaultServer, given: str) -> None:
    message = refused(FOURTH.replace("num_samples: 4", f"num_samples: {given}"))
    assert "c.yaml:14: output.num_samples: expected a whole number" in message


def test_the_batch_size_is_how_many_samples_are_written_at_once(server: FaultServer) -> None:
    config, writer, _ = loaded(FOURTH)
    assert (config.examples_per_call, writer.max_concurrency) == (1, 3)


def test_limits_of_tokens_and_retries_are_kept(server: FaultServer) -> None:
    more = "  max_tokens: 900\n  max_retries: 7\n  sample_retries: 4\n"
    more += "  rate_limit: {base_delay: 2, max_delay: 9, backoff_strategy: exponential_jitter}\n"
    config, writer, remarks = loaded(FOURTH.replace("output:\n", more + "output:\n"))
    assert writer.max_completion_tokens == 900
    assert (config.run.max_retries, config.run.max_parse_retries) == (7, 4)
    assert (config.run.retry_delay_s, config.run.max_retry_delay_s) == (2, 9)
    assert remarks == []


def test_limits_of_tokens_hold_for_each_row_of_a_call(server: FaultServer) -> None:
    _, writer, _ = loaded(SECOND.replace("  temperature: 0.3\n", "  temperature: 0.3\n  max_tokens: 200\n"))
    assert writer.max_completion_tokens == 2 * 200


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_selection_of_topics_and_a_section_run_are_allowed(server: FaultServer, layout: str) -> None:
    config, _, remarks = loaded(LAYOUTS[layout] + "topic_selection: balanced\nrun: {budget_usd: 2, seed: 5}\n")
    assert (config.topic_selection, config.run.budget_usd, config.run.seed, remarks) == ("balanced", 2, 5, [])


@pytest.mark.parametrize(
    ("topics", "paths"),
    [("[tides, ice]", [["tides"], ["ice"]]), ("{sea: [tides, ice]}", [["sea", "tides"], ["sea", "ice"]])],
)
def test_topics_of_ones_own_may_be_a_list_or_nested(server: FaultServer, topics: str, paths: list[list[str]]) -> None:
    kept = [line for line in SECOND.splitlines(keepends=True) if not line.startswith("topic_tree")]
    generated("".join(kept) + f"topics: {topics}\n")
    assert len(server.requests) == 2
    asked = "\n".join(request.prompt for request in server.requests) + "\n"  # they come in any order
    for path in paths:
        within = f" (within {path[0]})" if len(path) > 1 else ""
        assert f". {path[-1]}{within}\n" in asked


@pytest.mark.parametrize("section", ["llm", "generation", "data_engine"])
def test_a_key_is_refused(server: FaultServer, section: str) -> None:
    if section == "data_engine":
        text = SECOND.replace("  model: engine-model\n", "  model: engine-model\n  api_key: sk-very-secret\n")
    elif section == "llm":
        text = FOURTH.replace("temperature: 0.5}", "temperature: 0.5, api_key: sk-very-secret}")
    else:
        text = FOURTH.replace("llm: {temperature: 0.3}", "llm: {temperature: 0.3, api_key: sk-very-secret}")
    message = refused(text)
    assert "api_key: " in message
    assert "sk-very-secret" not in message


@pytest.mark.parametrize("place", ["beside the config", "in the working directory"])
def test_a_file_of_tools_lies_beside_the_config_or_in_the_working_directory(server: FaultServer, place: str) -> None:
    folder = Path("configs")
    folder.mkdir()
    (folder / "tools.yaml" if place == "beside the config" else Path("tools.yaml")).write_text(f"[{TOOL}]", "utf-8")
    text = AGENT.replace(
        "components: {builtin: [read_file, list_files]}", "registry_path: tools.yaml, available: [tide]"
    )
    (folder / "c.yaml").write_text(text, "utf-8")
    config: Any = load_project(folder / "c.yaml").config
    assert [tool["function"]["name"] for tool in config.tools] == ["tide"]


def test_questions_of_a_conversation_are_bounded_as_the_config_says(server: FaultServer) -> None:
    turns = "min_turns: 3, max_turns: 5}"
    fourth = AGENT.replace("reasoning_style: agent}", f"reasoning_style: agent, agent_mode: multi_turn, {turns}")
    more = "  conversation_type: agent_cot_multi_turn\n  min_turns: 3\n  max_turns: 5\n"
    for text in (fourth, SECOND.replace("dataset:\n", more + "dataset:\n")):
        config, *_ = loaded(text)
        assert (config.min_turns, config.max_turns) == (3, 5)


def test_an_agent_has_the_tools_of_its_components(server: FaultServer) -> None:
    rows = generated(AGENT)
    assert [tool["function"]["name"] for tool in rows[0]["tools"]] == ["read_file", "list_files"]


def test_turns_and_steps_of_an_agent_are_bounded(server: FaultServer) -> None:
    text = AGENT.replace(
        "reasoning_style: agent}", "reasoning_style: agent, agent_mode: multi_turn, min_tool_calls: 2}"
    )
    config, *_ = loaded(text.replace("tools: {", "tools: {max_per_query: 2, max_agent_steps: 6, "))
    assert (config.min_turns, config.max_turns, config.max_steps) == (2, 4, 2)
    assert "2 times or more" in config.instructions


def test_tools_of_a_server_are_refused_with_what_to_do(server: FaultServer) -> None:
    text = AGENT.replace("builtin: [read_file, list_files]", "mock: [issues]")
    text = text.replace("tools: {", "tools: {tools_endpoint: 'http://localhost:3000/mock/list-tools', ")
    message = refused(text)
    assert "c.yaml:12: generation.tools.components.mock: The tools of a running server are not asked for" in message
    assert "generation.tools.registry_path" in message
    assert server.requests == []


def test_tools_of_a_component_may_be_defined_in_the_config(server: FaultServer) -> None:
    text = AGENT.replace("builtin: [read_file, list_files]", "mock: [tide]")
    config, *_ = loaded(text.replace("tools: {", f"tools: {{custom: [{TOOL}], "))
    assert [tool["function"]["name"] for tool in config.tools] == ["tide"]


def test_a_schema_of_the_rows_is_refused_with_what_to_do(server: FaultServer) -> None:
    message = refused(FOURTH.replace("output:\n", "  output_schema: {type: object}\noutput:\n"))
    assert "generation.output_schema: Rows in a schema of your own are a dataset of kind columns" in message


def test_a_section_without_a_model_takes_the_shared_one_or_that_of_the_generation(server: FaultServer) -> None:
    shared = "llm: {provider: openai, model: shared-model, temperature: 0.5}\n"
    text = FOURTH.replace(shared, "").replace("  llm: {temperature: 0.3}", "  llm: {provider: openai, model: m}")
    config, writer, _ = loaded(text)
    assert (config.topics.provider["model_id"], writer.model_id) == ("m", "m")
    assert "llm.provider: The field is missing" in refused(FOURTH.replace(shared, ""))


# -- what has no effect here, and other files


@pytest.mark.parametrize(
    ("more", "remark"),
    [
        ("huggingface: {repository: a/b, token: secret-token}\n", "huggingface: Nothing is pushed"),
        ("kaggle: {handle: a/b}\n", "kaggle: Nothing is"),
    ],
)
@pytest.mark.parametrize("layout", ["2", "4"])
def test_sections_of_other_services_are_remarked_on_with_their_line(
    server: FaultServer, layout: str, more: str, remark: str
) -> None:
    text = LAYOUTS[layout]
    _, _, (found,) = loaded(text + more)
    assert f"c.yaml:{text.count(chr(10)) + 1}: {remark}" in found
    assert "secret-token" not in found


@pytest.mark.parametrize(
    ("old", "new", "remark"),
    [
        ("llm: {", "evaluation: {metrics: [a]}\nllm: {", "evaluation: Models are not evaluated"),
        ("tools: {", "tools: {spin_endpoint: 'http://localhost:3000', ", "No tool is run"),
        ("tools: {", "tools: {scenario_seed: {files: {a: b}}, ", "no files to begin with"),
        ("tools: {", "tools: {strict: false, ", "asked for again"),
        ("  system_prompt: You write", "  save_as: other.jsonl\n  system_prompt: You write", "output.save_as alone"),
        ("output:\n", "  rate_limit: {backoff_strategy: linear}\noutput:\n", "backoff_strategy has no effect"),
    ],
)
def test_what_has_no_effect_is_remarked_on(server: FaultServer, old: str, new: str, remark: str) -> None:
    _, _, (found,) = loaded(AGENT.replace(old, new, 1))
    assert remark in found


def test_a_section_about_checkpoints_is_taken_without_a_remark(server: FaultServer) -> None:
    """Each run can be resumed."""
    _, _, remarks = loaded(FOURTH + "  checkpoint: {interval: 10, path: checkpoints}\n")
    assert remarks == []


FORMATTERS = """\
  formatters:
    - {name: trl, template: 'builtin://trl_sft_tools', output: trl.jsonl}
    - {name: text, template: builtin://chatml.py, output: chatml.jsonl}
    - {name: other, template: 'builtin://harmony', output: harmony.jsonl}
"""


@pytest.mark.parametrize("layout", ["2", "4"])
def test_the_files_of_formatters_are_written_where_there_is_such_a_form(server: FaultServer, layout: str) -> None:
    text = LAYOUTS[layout] + FORMATTERS
    _, _, (remark,) = loaded(text)
    assert "formatters[2]: The form builtin://harmony is not written by datafast" in remark
    rows = generated(text)
    assert rows_of(Path("trl.jsonl")) == rows
    assert [list(row) for row in rows_of(Path("chatml.jsonl"))] == [["text"]] * 4
    assert not Path("harmony.jsonl").exists()


def test_simulated_rows_are_not_written_into_files_of_formatters(server: FaultServer) -> None:
    assert run("generate", FOURTH + FORMATTERS, "--offline").exit_code == 0
    assert not Path("trl.jsonl").exists()


def test_a_file_of_formatters_that_is_the_output_is_refused(server: FaultServer) -> None:
    message = refused(FOURTH + FORMATTERS.replace("trl.jsonl", "rows.jsonl"))
    assert "rows.jsonl is also used as" in message


def test_a_form_without_a_place_for_calls_is_not_written_for_an_agent(server: FaultServer) -> None:
    text = AGENT + FORMATTERS.replace("trl_sft_tools", "alpaca")
    _, _, remarks = loaded(text)
    assert any("builtin://alpaca has no place for calls of tools" in remark for remark in remarks)
