"""The conversation kind: how many rows and calls there are, what a changed config buys, what is refused, and publishing."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from datafast import PromptExpansionConfig, Tree
from datafast.cli.main import cli
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms import SimulatedProvider
from datafast.schema.config import ConversationDatasetConfig
from tests.datasets.conversation.support import SHOWN, STYLES, TOOLS, every_style, provider, talk
from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import HubServer
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of, same_rows

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
    asked = [re.search(r"exactly (\d+)\.", request.prompt) for request in fault_server.requests]
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


def many_ways(tmp_path: Path, topics: int, **fields: Any) -> Any:
    return talk(
        tmp_path,
        topics,
        languages={"en": "English", "nl": "Dutch"},
        instructions="For <<who>>.",
        prompts=["{num_samples} {topic} {language_name}", "In {language_name}: {num_samples} on {topic}."],
        expansion=PromptExpansionConfig(placeholders={"who": ["a child", "a mayor"]}),
        **fields,
    )


def test_rows_are_multiplied_by_languages_prompts_placeholders_and_providers(tmp_path: Path) -> None:
    dataset = many_ways(tmp_path, 3)
    models = [SimulatedProvider("a"), SimulatedProvider("b")]
    assert dataset.get_num_expected_rows(models) == 3 * 2 * 2 * 2 * 2
    dataset.generate(models)
    assert assert_balanced(dataset.report).written == 48
    rows = rows_of(tmp_path / "out.jsonl")
    of = Counter((r["language"], r["metadata"]["who"], r["metadata"]["prompt_index"], r["model_id"]) for r in rows)
    assert len(of) == 16
    assert set(of.values()) == {3}


@pytest.mark.parametrize("how", ["sequential", "shuffle", "balanced"])
@pytest.mark.parametrize(("num_rows", "size"), [(5, 1), (50, 1), (53, 3), (200, 4)])
def test_a_number_of_rows_is_that_of_all_rows_spread_evenly(tmp_path: Path, how: str, num_rows: int, size: int) -> None:
    dataset = many_ways(tmp_path, 6, num_rows=num_rows, examples_per_call=size, topic_selection=how)
    models = [SimulatedProvider("a"), SimulatedProvider("b")]
    assert dataset.get_num_expected_rows(models) == num_rows
    dataset.generate(models)
    assert assert_balanced(dataset.report).written == num_rows
    rows = rows_of(tmp_path / "out.jsonl")

    def span(values: list[Any], number: int) -> int:
        counts = Counter(values)
        return max(counts.values()) - (min(counts.values()) if len(counts) == number else 0)

    assert span([row["metadata"]["topic"] for row in rows], 6) <= 1
    assert span([row["model_id"] for row in rows], 2) <= size
    assert span([row["language"] for row in rows], 2) <= 2 * size
    assert span([row["metadata"]["who"] for row in rows], 2) <= 2 * size
    assert span([row["metadata"]["prompt_index"] for row in rows], 2) <= size
    if num_rows >= 200:  # and no topic is written about in one language alone
        pairs = Counter((row["metadata"]["topic"], row["language"]) for row in rows)
        assert len(pairs) == 12
        assert max(pairs.values()) <= 2 * min(pairs.values())


@pytest.mark.parametrize(("fewer", "more"), [(5, 7), (5, 6), (6, 11), (1, 12)])
@pytest.mark.parametrize("how", ["shuffle", "balanced"])
def test_a_last_call_that_is_not_full_is_filled_up_later(
    tmp_path: Path, counting: CountingProvider, how: str, fewer: int, more: int
) -> None:
    def made(number: int) -> list[dict[str, Any]]:
        dataset = many_ways(tmp_path, 4, num_rows=number, examples_per_call=3, topic_selection=how)
        assert assert_balanced(dataset.generate([counting]).report).written == number
        return rows_of(tmp_path / "out.jsonl")

    first = made(fewer)
    assert [row for row in made(more) if row in first] == first
    asked = [len(re.findall(r"^\d\. ", prompt, re.MULTILINE)) or 1 for _, prompt in requests_in(counting.log)]
    assert sum(asked) == more
    made(fewer)
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)
    (tmp_path / "out.jsonl").unlink()
    assert same_rows(made(fewer), first)
    assert len(requests_in(counting.log)) == len(asked)


def test_an_output_that_was_begun_with_rows_for_each_language_goes_on_so(
    tmp_path: Path, counting: CountingProvider
) -> None:
    """Version 0.1.0 counted so, and noted nothing about it."""

    def ledger(statement: str) -> list[Any]:
        with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database, database:
            return database.execute(statement).fetchall()

    languages = {"en": "English", "nl": "Dutch"}
    talk(tmp_path, 3, languages=languages).generate([counting])
    ledger("DELETE FROM meta WHERE name IN ('num_rows', 'routes')")
    dataset = talk(tmp_path, 3, num_rows=3, languages=languages)
    with pytest.warns(DatafastWarning, match="6 rows. Start over with --fresh"):
        assert assert_balanced(dataset.generate([counting]).report).written == 6
    assert len(requests_in(counting.log)) == 6
    dataset = talk(tmp_path, 3, num_rows=4, languages=languages)
    with pytest.warns(DatafastWarning, match="num_rows"):
        assert assert_balanced(dataset.generate([counting]).report).written == 8
    assert assert_balanced(dataset.generate([counting], fresh=True).report).written == 4
    assert dataset.get_num_expected_rows([counting]) == 4


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
        ({"reasoning_style": "agent"}, "Basic conversations have no agent reasoning"),
        ({"conversation_type": "cot"}, "needs one. Set freetext or agent"),
        ({"conversation_type": "chain-of-thought"}, "conversation_type"),
        ({"conversation_type": "cot", "reasoning_style": "hybrid"}, "reasoning_style"),
        ({"tools": TOOLS}, "Only an agent calls tools"),
        ({**STYLES["freetext"], "tools": TOOLS}, "Only an agent calls tools"),
        ({**STYLES["agent"], "tools": []}, "tools"),
        ({**STYLES["agent"], "tools": [{}]}, r"tools\[0\]: expected a function with a name"),
        ({**STYLES["agent"], "tools": [TOOLS[0], TOOLS[0]]}, r"tools\[1\]: The tool 'tide_level' is given twice"),
        ({**STYLES["agent"], "tools": [{"name": "a", "parameters": {"type": "list"}}]}, "of type object"),
        ({"output_format": "instruction", "max_turns": 2}, "one question and its answer"),
        ({"output_format": "alpaca"}, "output_format"),
        ({"output_format": {}}, "The mapping is empty"),
        ({"num_rows": 0}, "num_rows"),
        ({"examples_per_call": 101}, "examples_per_call"),
        ({"max_turns": 0}, "max_turns"),
        ({"min_turns": 2}, "min_turns: There are at most 1 questions"),
        ({"max_steps": 3}, "max_steps: Only an agent takes steps"),
        ({"example_data": []}, "example_data"),
        ({"example_data": "missing.jsonl"}, "missing.jsonl"),
        ({"topics": []}, "The list is empty"),
        ({"topics": ["a", " "]}, "must not be blank"),
        ({"prompts": ["On {topic}."]}, r"prompts\[0\]: \{num_samples\} is missing"),
        (
            {"languages": {"en": "English", "nl": "Dutch"}, "prompts": ["{num_samples} on {topic}"]},
            r"prompts\[0\]: There are several languages",
        ),
        ({"topic": ["a"]}, "Did you mean 'topics'"),
        ({"num_example": 3}, "Did you mean 'num_examples'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises((ConfigError, ValidationError), match=problem):
        ConversationDatasetConfig(**{"topics": ["a"], **fields})


@pytest.mark.parametrize("blank", ["", "  \n"])
@pytest.mark.parametrize("field", ["dataset_system_prompt", "generation_system_prompt"])
def test_a_blank_system_message_is_refused(field: str, blank: str) -> None:
    with pytest.raises(ValidationError, match="must not be blank"):
        ConversationDatasetConfig(topics=["a"], **{field: blank})


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
    rows = [row for table in tables for row in table.to_pylist()]
    for row in rows:
        if "metadata" in row:
            row["metadata"] = json.loads(row["metadata"])  # published as one text
        if "tools" in row:
            assert isinstance(json.loads(row["tools"]), list)  # trainers parse the text of this column
    assert len(rows) == 6
    read = [dataset.row_model.model_validate(row).model_dump(mode="json") for row in rows]
    assert read == rows_of(tmp_path / "out.jsonl")
