"""Columns in YAML: every fault with file, line, column and field; sources beside the config; the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from datafast.cli.main import cli
from datafast.config_files.loader import load_project
from datafast.errors import ConfigError

HEAD = "kind: columns\nnum_rows: 4\noutput_file: rows.jsonl\n"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(body: str, name: str = "c.yaml") -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD + body, encoding="utf-8")
    return path


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


FAULTS = {
    "a: {type: choise}": "c.yaml:5: columns.a.type: There is no type of column 'choise'. Did you mean 'choice'?",
    "a:\n    type: choice\n    valuse: [x]": "c.yaml:7: columns.a.valuse: There is no such field. Did you mean 'values'?",
    "a:\n    type: choice\n    values: [x]\n    mode: balnced": (
        "c.yaml:8: columns.a.mode: expected 'random', 'balanced' or 'round_robin'"
    ),
    "topic: {type: uuid}\n  a:\n    type: text\n    prompt: about {topci}": (
        "c.yaml:8: columns.a.prompt: {topci}: There is no column 'topci'. Did you mean 'topic'?"
    ),
    "a: {type: text, prompt: '{bee}'}\n  bee: {type: text, prompt: '{a}'}": (
        "c.yaml:5: columns.a: The columns need one another in a circle: a -> bee -> a"
    ),
    "a: {type: source, source: none.csv, column: x}": "c.yaml:5: columns.a.source: There is no file none.csv",
    "a: 3": "c.yaml:5: columns.a: expected a mapping like {type: choice",
    "a: {type: text, prompt: x, provider: writer}\nproviders:\n  writr: simulated": (
        "c.yaml:7: providers.writr: This config has no use for this role. Did you mean 'writer'?"
    ),
    "a: {type: text, prompt: x}": "c.yaml:1: providers: expected one provider for all columns",
}


@pytest.mark.parametrize(("body", "expected"), FAULTS.items())
def test_a_fault_is_named_with_its_place(body: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(write(f"columns:\n  {body}\n"))
    assert expected in str(caught.value)


def test_every_fault_of_the_columns_is_named_at_once() -> None:
    body = "columns:\n  a: {type: text, prompt: '{unknown}'}\n  b: {type: choice, values: []}\n  c: {type: text, prompt: x, when: nobody}\n"
    with pytest.raises(ConfigError) as caught:
        load_project(write(body + "providers: {default: simulated}\n"))
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == ["c.yaml:5", "c.yaml:6", "c.yaml:7"]


def test_a_source_lies_beside_the_config_from_wherever_it_is_run() -> None:
    path = write("columns:\n  q: {type: source, source: seeds.jsonl, column: q, mode: once}\n", "deep/c.yaml")
    Path("deep/seeds.jsonl").write_text("".join(f'{{"q": {number}}}\n' for number in range(4)))
    assert run("generate", str(path)).exit_code == 0
    assert sorted(json.loads(line)["q"] for line in Path("rows.jsonl").read_text().splitlines()) == [0, 1, 2, 3]


def test_a_schema_without_models_needs_no_providers() -> None:
    path = write("columns:\n  id: {type: uuid}\n")
    for words in (["plan", str(path)], ["generate", str(path)], ["status", "rows.jsonl"], ["preview", str(path)]):
        done = run(*words)
        assert done.exit_code == 0, done.output


def test_plan_counts_what_conditions_leave_out_and_preview_shows_rows() -> None:
    body = (
        "columns:\n  n: {type: choice, values: [1, 2], mode: round_robin}\n  x: {type: text, when: n == 1, prompt: '{n}'}\n"
        "  y: {type: text, prompt: 'y {n}'}\nproviders: {default: openai/gpt-5-mini}\n"
    )
    path = write(body)
    plan = json.loads(run("plan", str(path), "--json").stdout)
    assert (plan["rows"], plan["calls"][0]["calls"]) == (4, 6)
    preview = json.loads(run("preview", str(path), "--offline", "--json", "-n", "2").stdout)
    assert [list(row) for row in preview["rows"]] == [["n", "x", "y"]] * 2
    report = json.loads(run("generate", str(path), "--offline", "--json").stdout)
    assert (report["written"], report["requested"]) == (4, 4)


def test_the_schema_of_a_config_describes_every_type_that_a_file_can_hold() -> None:
    schema = json.loads(run("schema", "columns").stdout)
    columns = schema["$defs"]["ColumnsDatasetConfig"]["properties"]["columns"]["additionalProperties"]["oneOf"]
    described = [schema["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else entry for entry in columns]
    types = {entry["properties"]["type"]["const"] for entry in described}
    assert {"choice", "text", "judge", "source"} <= types
    assert "function" not in types


def test_one_provider_in_a_list_answers_in_every_role() -> None:
    path = write(
        "columns:\n  a: {type: text, prompt: x}\n  b: {type: judge, prompt: x, provider: j}\nproviders: [simulated/m]\n"
    )
    project = load_project(path)
    assert [provider.label for _, provider in project.all_providers()] == ["simulated/m"]
    assert run("generate", str(path)).exit_code == 0


def test_providers_that_nobody_asks_and_columns_with_faults_bring_one_problem_each() -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(write("columns:\n  a: {type: uuid}\nproviders: {w: simulated/m}\n"))
    assert "providers.w: This config has no use for this role. It asks no model: leave providers out." in str(
        caught.value
    )
    for providers in ("", "providers: [simulated/m]\n"):
        with pytest.raises(ConfigError) as caught:
            load_project(write(f"columns:\n  a: {{type: text, promt: x}}\n{providers}"))
        assert "providers" not in str(caught.value)


FORM = """columns:
  topic: {type: choice, values: [tides, ice]}
  form:
    type: structured
    prompt: About {topic}.
    json_schema:
      type: object
      properties:
        code: {type: string, %s}
      required: [code]
providers: [{provider: openai, model_id: m, price: {input_usd_per_million: 1, output_usd_per_million: 1}}]
"""
DEEP = "^" + "(" * 60 + "a" + ")" * 60 + "$"  # nested deeper than simulated texts are made for


@pytest.mark.parametrize(
    "given", ["pattern: '^(a+)+$'", "pattern: '^[a-z]+-[0-9]+$'", f"pattern: {DEEP}, examples: [a]"]
)
def test_plan_of_a_pattern_needs_no_model(given: str) -> None:
    write(FORM % given)
    done = run("plan", "c.yaml", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["total_calls"] == 4
    assert run("generate", "c.yaml", "--offline").exit_code == 0
    assert len(Path("rows.jsonl").read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.parametrize("given", ["pattern: '^a$', minLength: 3", f"pattern: {DEEP}"])
def test_plan_of_a_pattern_that_no_simulated_text_matches_says_where_and_what_helps(given: str) -> None:
    write(FORM % given)
    done = run("plan", "c.yaml")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: form: No simulated text matches the pattern '")
    assert "' of 'code', and calls" in done.stderr
    assert done.stderr.endswith("or give 'code' examples that match: examples: [...] beside it.\n")
