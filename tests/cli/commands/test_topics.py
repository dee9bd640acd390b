"""Topics in YAML and on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from datafast import Graph
from datafast.cli.main import cli
from tests import support
from tests.servers.fault_server import FaultServer
from tests.support import rows_of
from tests.topics.support import GROWN, LEAVES, ROOT, asked, refusing, subtopics

Run = Callable[..., Result]
CONFIG = """\
kind: conversation
output_file: rows.jsonl
topics: %s
providers:
  - {provider: openai_compatible, model_id: m, api_base: "%s"}
"""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


@pytest.fixture
def server(fault_server: FaultServer) -> FaultServer:
    fault_server.respond = subtopics
    return fault_server


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FaultServer) -> Run:
    """Writes c.yaml with some topics into an empty folder and calls `datafast`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: Any, topics: Any = None, more: str = "") -> Result:
        shown = json.dumps(topics if topics is not None else GROWN)
        Path("c.yaml").write_text(CONFIG % (shown, server.url) + more, encoding="utf-8")
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return call


@pytest.mark.parametrize(
    ("topics", "leaves"),
    [
        (["a", "b"], ["a", "b"]),
        ({"Sea": ["a", "b"], "Sky": {"Clouds": ["c"]}}, ["a", "b", "c"]),
        ("given.json", ["x", "y"]),
        ("given.jsonl", ["x", "y"]),
    ],
)
def test_topics_are_given_in_yaml_as_a_list_nested_or_as_a_file_beside_it(
    run: Run, tmp_path: Path, topics: Any, leaves: list[str]
) -> None:
    (tmp_path / "given.json").write_text('{"root": ["x", "y"]}')
    (tmp_path / "given.jsonl").write_text('{"path": ["root", "x"]}\n{"path": ["root", "y"]}\n')
    result = run("generate", "c.yaml", topics=topics)
    assert result.exit_code == 0, result.stderr
    assert sorted(row["metadata"]["topic"] for row in rows_of(Path("rows.jsonl"))) == leaves


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        ([], "c.yaml:3: topics: The list is empty"),
        (["a", " "], r"c.yaml:3: topics\[1\]: must not be blank"),
        (["a", 3], r"c.yaml:3: topics\[1\]: expected a text"),
        (
            {"topic_promt": "sea", "degree": 2},
            "c.yaml:3: topics.topic_promt: There is no such field. Did you mean 'topic_prompt'",
        ),
        ({"topic_prompt": "sea", "degree": 0}, r"c.yaml:3: topics\.degree: "),
        ({"topic_prompt": "sea", "provider": "opnai/x"}, r"c.yaml:3: topics\.provider: .*openai"),
        ({"topic_prompt": "s", "degree": 100, "depth": 9}, "c.yaml:3: topics: .*Lower one of them"),
        ({"Sea": 5}, r"c.yaml:3: topics\.Sea: expected a mapping"),
        ("nowhere.json", "c.yaml:3: topics: Cannot read .*nowhere.json"),
    ],
)
def test_wrong_topics_in_yaml_are_named_with_their_line(run: Run, topics: Any, message: str) -> None:
    result = run("plan", "c.yaml", topics=topics)
    assert result.exit_code == 2
    assert re.search(message, result.stderr), result.stderr
    assert "Traceback" not in result.stderr


def test_build_grows_the_topics_and_generate_finds_them(run: Run, server: FaultServer) -> None:
    result = run("topics", "build", "c.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["file"], told["report"]["calls"]) == ("rows.jsonl.topics.json", 3)
    assert told["topics"]["topics"][0]["topic"] == ROOT
    assert run("generate", "c.yaml").exit_code == 0
    assert len(asked(server)) == 3
    assert len(rows_of(Path("rows.jsonl"))) == 4


def test_build_says_what_there_is(run: Run) -> None:
    assert "7 topics, 4 leaves, depth 2" in run("topics", "build", "c.yaml").stderr
    again = run("topics", "build", "c.yaml")
    assert again.exit_code == 0
    assert "7 topics, 4 leaves, depth 2" in again.stderr


def test_build_fresh_grows_anew_and_moves_the_old_ones_aside(run: Run, server: FaultServer) -> None:
    for arguments in ([], ["--fresh"]):
        assert run("topics", "build", "c.yaml", *arguments).exit_code == 0
    assert len(asked(server)) == 6
    assert list(Path().glob("rows.jsonl.topics.json.*.bak"))


def test_build_offline_needs_no_server(run: Run, server: FaultServer) -> None:
    assert run("topics", "build", "c.yaml", "--offline").exit_code == 0
    assert not server.requests
    mixed = run("topics", "build", "c.yaml")
    assert mixed.exit_code == 2
    assert "simulated" in mixed.stderr


def test_build_ends_with_3_where_topics_cannot_be_divided_and_goes_on(run: Run, server: FaultServer) -> None:
    server.respond = refusing(f"{ROOT} 1")
    result = run("topics", "build", "c.yaml", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["topics"] is None
    assert "1 of 2 topics could not be divided" in result.stderr
    server.respond = subtopics
    del server.requests[:]
    assert run("topics", "build", "c.yaml").exit_code == 0
    assert asked(server) == [f"{ROOT} 1"]


def test_build_names_what_was_left_undivided(run: Run, server: FaultServer) -> None:
    server.respond = refusing(f"{ROOT} 1")
    result = run("topics", "build", "c.yaml", topics={**GROWN, "on_error": "leaf"})
    assert result.exit_code == 0
    assert f"{ROOT} > {ROOT} 1" in result.stderr


def test_build_ends_with_4_where_it_is_stopped(run: Run, server: FaultServer) -> None:
    result = run("topics", "build", "c.yaml", more="run: {max_calls: 2}\n")
    assert result.exit_code == 4
    assert "The same command goes on" in result.stderr
    assert run("topics", "build", "c.yaml").exit_code == 0
    assert len(server.requests) == 3


def test_build_ends_with_2_where_a_key_is_missing_or_the_kind_has_no_topics(run: Run) -> None:
    result = run("topics", "build", "c.yaml", topics={**GROWN, "provider": "openai/gpt-x"})
    assert (result.exit_code, "OPENAI_API_KEY" in result.stderr) == (2, True)
    Path("raw.yaml").write_text(
        "kind: raw\ndocument_types: [a]\ntopics: [b]\nproviders: [simulated]\noutput_file: r.jsonl\n"
    )
    result = run("topics", "build", "raw.yaml")
    assert (result.exit_code, "'raw' has no topic model" in result.stderr) == (2, True)


def test_generate_ends_with_4_where_its_topics_fail(run: Run, server: FaultServer) -> None:
    server.respond = refusing(ROOT)
    result = run("generate", "c.yaml")
    assert result.exit_code == 4
    assert "Growing the topic tree of 'sea'" in result.stderr


def test_given_topics_need_no_building(run: Run, server: FaultServer) -> None:
    result = run("topics", "build", "c.yaml", topics=["a", "b"])
    assert (result.exit_code, "nothing to grow" in result.stderr) == (0, True)
    assert not server.requests


def test_show_prints_the_topics_in_every_form(run: Run) -> None:
    topics = {"Sea": {"Tides": ["a\x1b[2J", "b\nc"]}}
    assert run("topics", "show", "c.yaml", topics=topics).stdout == "Sea\n  Tides\n    a\\x1b[2J\n    b c\n"
    assert run("topics", "show", "c.yaml", "--format", "paths", topics=topics).stdout.split("\n") == [
        *("Sea > Tides > a\\x1b[2J", "Sea > Tides > b c", "")
    ]
    assert run("topics", "show", "c.yaml", "--format", "mermaid", topics=topics).stdout.startswith("graph LR\n")
    assert json.loads(run("topics", "show", "c.yaml", "--format", "json", topics=topics).stdout)["shape"] == "tree"


def test_show_reads_a_file_of_topics(run: Run) -> None:
    Graph.from_paths([["a", "b"], ["c", "b"]]).save("g.json")
    assert run("topics", "show", "g.json").stdout == "a\n  b\nc\n  b\n"


def test_show_of_topics_that_are_not_grown_names_the_command_that_grows_them(run: Run) -> None:
    result = run("topics", "show", "c.yaml")
    assert (result.exit_code, "datafast topics build c.yaml" in result.stderr) == (2, True)
    run("topics", "build", "c.yaml")
    assert run("topics", "show", "c.yaml").stdout.startswith("sea\n  sea 1\n    sea 1 1\n")


def test_a_budget_counts_rows_whose_ledger_lies_elsewhere(run: Run, server: FaultServer) -> None:
    more = "run: {max_calls: 7, ledger: deep/l.db}\n"
    assert run("generate", "c.yaml", more=more).exit_code == 0
    result = run("topics", "build", "c.yaml", "--fresh", more=more.replace("7", "5"))
    assert result.exit_code == 4
    assert len(server.requests) == 7 + 1


def test_plan_says_what_has_to_be_grown_first_and_sends_nothing(run: Run, server: FaultServer) -> None:
    result = run("plan", "c.yaml")
    assert result.exit_code == 0, result.stderr
    assert "Growing the topic tree of 'sea', about 3 calls" in result.stdout
    told = json.loads(run("plan", "c.yaml", "--json").stdout)
    assert (told["rows"], told["total_calls"], len(told["first"])) == (4, 4, 1)
    assert not server.requests
    run("topics", "build", "c.yaml")
    told = json.loads(run("plan", "c.yaml", "--json").stdout)
    assert (told["rows"], told["first"]) == (4, [])
    assert {example["values"]["topic"] for example in told["examples"]} <= {path[-1] for path in LEAVES}


def test_preview_grows_the_topics_and_shows_rows(run: Run, server: FaultServer) -> None:
    result = run("preview", "c.yaml", "-n", "2", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout)["rows"]) == 2
    assert len(asked(server)) == 3


def test_the_record_of_a_grown_model_says_what_it_was_grown_from_and_by_whom(run: Run) -> None:
    run("topics", "build", "c.yaml")
    record = orjson.loads(Path("rows.jsonl.topics.json").read_bytes())
    assert record["model_id"] == "m"
    assert record["grown_from"] == {**GROWN, "shape": "tree", "topic_system_prompt": None}
