"""The commands, called in this process: what they print where, what they leave behind, how they end."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast import __version__, logger_config
from datafast._util.notify import plain_text
from datafast.amounts import money
from datafast.cli.main import cli
from datafast.registry import BUILT_IN, kind_names
from tests.servers.fault_server import Answer, FaultServer
from tests.support import ROOT

TEMPLATES = ROOT / "datafast" / "config_files" / "starters"
CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual, leaflet]
topics: [pumps, valves, seals]
num_samples_per_prompt: 1
providers:
  - {provider: simulated, model_id: a%s}
  - {provider: simulated, model_id: b}
"""

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """A command sets up logging and may load keys; the next test starts without either."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    for sink_id in logger_config._sink_ids:
        logger_config.logger.remove(sink_id)
    logger_config._sink_ids.clear()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls `datafast` in an empty folder that holds c.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG % "", encoding="utf-8")
    return lambda *arguments: CliRunner().invoke(cli, [str(argument) for argument in arguments])


def with_faults(**faults: float) -> None:
    shares = ", ".join(f"{name}: {share}" for name, share in faults.items())
    Path("c.yaml").write_text(CONFIG % f", faults: {{{shares}}}", encoding="utf-8")


def rows(name: str = "rows.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text(encoding="utf-8").splitlines()]


# -- generate


def test_generate_makes_all_rows_and_says_so_on_stderr_alone(run: Run) -> None:
    result = run("generate", "c.yaml")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "12 rows requested: 12 written, 0 filtered, 0 failed, 0 pending" in result.stderr
    assert len(rows()) == 12


def test_generate_json_prints_the_report_and_nothing_else_on_stdout(run: Run) -> None:
    report = json.loads(run("generate", "c.yaml", "--json").stdout)
    assert report["requested"] == report["written"] + report["filtered"] + report["failed"] + report["pending"] == 12
    assert report["output_file"] == "rows.jsonl"
    assert report["stop_reason"] is None


def test_generate_again_makes_no_call(run: Run) -> None:
    run("generate", "c.yaml")
    assert json.loads(run("generate", "c.yaml", "--json").stdout)["calls"] == 0


def test_generate_with_a_limit_ends_well_and_names_the_command_for_the_rest(run: Run) -> None:
    result = run("generate", "c.yaml", "--limit", 4)
    assert result.exit_code == 0
    assert len(rows()) == 4
    assert {row["model_id"] for row in rows()} == {"simulated/a", "simulated/b"}
    assert "datafast generate c.yaml   (make the rest" in result.stderr


def test_generate_offline_needs_no_key_and_marks_its_rows(run: Run) -> None:
    Path("c.yaml").write_text(CONFIG.split("providers")[0] + "providers: [openai/gpt-5-mini]\n", encoding="utf-8")
    result = run("generate", "c.yaml", "--offline")
    assert result.exit_code == 0
    assert "these rows are simulated" in result.stderr
    assert {row["model_id"] for row in rows()} == {"simulated/gpt-5-mini"}


def test_generate_without_keys_names_all_of_them_and_sends_nothing(run: Run) -> None:
    providers = "providers:\n  - openai/gpt-5-mini\n  - mistral\n  - openai/gpt-5\n"
    Path("c.yaml").write_text(CONFIG.split("providers")[0] + providers, encoding="utf-8")
    result = run("generate", "c.yaml")
    assert result.exit_code == 2
    assert "c.yaml:7: providers[0]: openai/gpt-5-mini needs an API key, and OPENAI_API_KEY is not set" in result.stderr
    assert "c.yaml:8: providers[1]: mistral/mistral-small-latest needs an API key, and MISTRAL_API_KEY" in result.stderr
    assert "--offline" in result.stderr
    assert not Path("rows.jsonl").exists()


def test_generate_writes_where_it_is_told(run: Run) -> None:
    run("generate", "c.yaml", "--output", "deep/er/other.jsonl")
    assert len(rows("deep/er/other.jsonl")) == 12
    assert not Path("rows.jsonl").exists()


def test_generate_fresh_moves_what_is_there_aside_and_names_it(run: Run) -> None:
    run("generate", "c.yaml")
    result = run("generate", "c.yaml", "--fresh")
    assert result.exit_code == 0
    assert len(list(Path().glob("rows.jsonl.2*.bak"))) == 1
    assert re.search(r"set aside +rows\.jsonl\.\w+\.bak", result.stderr)


def test_rows_that_fail_for_good_end_with_3_and_can_be_tried_again(run: Run) -> None:
    with_faults(refused=1.0)
    result = run("generate", "c.yaml")
    assert result.exit_code == 3
    assert "6 refused" in result.stderr
    assert "datafast generate c.yaml --retry-failed" in result.stderr
    Path("c.yaml").write_text(CONFIG % "", encoding="utf-8")
    assert run("generate", "c.yaml").exit_code == 3
    assert run("generate", "c.yaml", "--retry-failed").exit_code == 0
    assert len(rows()) == 12


def test_a_run_without_any_row_ends_with_3(run: Run) -> None:
    text = "kind: columns\noutput_file: none.jsonl\nnum_rows: 0\ncolumns: {a: {type: constant, value: 1}}\n"
    Path("c.yaml").write_text(text, encoding="utf-8")
    assert run("generate", "c.yaml").exit_code == 3


def test_a_refused_key_ends_with_4_and_the_other_provider_finishes(run: Run) -> None:
    with_faults(authentication=1.0)
    result = run("generate", "c.yaml", "--json")
    assert result.exit_code == 4
    report = json.loads(result.stdout)
    assert (report["written"], report["pending"]) == (6, 6)
    assert "simulated/a" in report["stop_reason"]
    assert "(go on; nothing is paid for twice)" in result.stderr


def test_generate_works_on_a_real_endpoint(run: Run, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=json.dumps({"texts": ["A pump moves water."]}))
    provider = f'{{provider: openai_compatible, model_id: m, api_base: "{fault_server.url}"}}'
    Path("c.yaml").write_text(CONFIG.split("providers")[0] + f"providers: [{provider}]\n", encoding="utf-8")
    result = run("generate", "c.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["cost_usd"] is None
    assert "unknown" in result.stderr
    assert {row["text"] for row in rows()} == {"A pump moves water."}


def test_the_roles_of_a_preference_config_are_generated(run: Run) -> None:
    result = run("generate", ROOT / "examples" / "preference.yaml", "--offline", "--output", "p.jsonl")
    assert result.exit_code == 0, result.stderr
    assert len(rows("p.jsonl")) == 12
    assert all(row["judge_model_id"].startswith("simulated/") for row in rows("p.jsonl"))


def test_verbose_logs_what_happens(run: Run) -> None:
    assert "12 rows requested from simulated/a, simulated/b" in run("generate", "c.yaml", "-v").stderr


@pytest.mark.parametrize("arguments", [["generate"], ["generate", "c.yaml", "--limit", "0"], ["genrate"]])
def test_a_wrong_command_ends_with_2(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_misspelt_command_is_named(run: Run) -> None:
    assert "Did you mean 'generate'?" in run("genrate").stderr


@pytest.mark.parametrize("command", ["generate", "preview", "plan"])
def test_a_wrong_config_ends_with_2_one_message_and_no_traceback(run: Run, command: str) -> None:
    Path("c.yaml").write_text("kind: raw\ntopisc: []\n", encoding="utf-8")
    result = run(command, "c.yaml")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "error: c.yaml:" in result.stderr
    assert "Traceback" not in result.stderr


def test_rows_without_their_ledger_end_with_2(run: Run) -> None:
    Path("rows.jsonl").write_text('{"text": "mine"}\n', encoding="utf-8")
    result = run("generate", "c.yaml")
    assert result.exit_code == 2
    assert "rows.jsonl" in result.stderr
    assert rows() == [{"text": "mine"}]


def test_simulated_rows_and_real_ones_do_not_mix(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("c.yaml").write_text(CONFIG.split("providers")[0] + "providers: [openai]\n", encoding="utf-8")
    run("generate", "c.yaml", "--offline")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    result = run("generate", "c.yaml")
    assert result.exit_code == 2
    assert "--fresh" in result.stderr


# -- preview


def test_preview_shows_rows_of_different_providers_that_generate_then_has(run: Run) -> None:
    shown = json.loads(run("preview", "c.yaml", "-n", 2, "--json").stdout)
    assert {row["model_id"] for row in shown["rows"]} == {"simulated/a", "simulated/b"}
    assert shown["report"]["written"] == 2
    assert json.loads(run("generate", "c.yaml", "--json").stdout)["calls"] == 10
    again = json.loads(run("preview", "c.yaml", "-n", 2, "--json").stdout)
    assert again["rows"] == shown["rows"]
    assert again["report"]["calls"] == 0


def test_preview_prints_the_text_on_stdout(run: Run) -> None:
    result = run("preview", "c.yaml", "-n", 1, "--offline")
    assert result.exit_code == 0
    assert "prompt 1 of 1" in result.stdout
    assert " ".join(rows()[0]["text"].split()) in " ".join(result.stdout.split())


# -- plan


def test_plan_counts_prompts_calls_and_rows_without_a_key(run: Run) -> None:
    plan = json.loads(run("plan", ROOT / "examples" / "space_engineering.yaml", "--json").stdout)
    counts = {dimension["name"]: dimension["count"] for dimension in plan["dimensions"]}
    assert counts == {"document_type": 3, "topic": 8, "language": 2}
    assert plan["prompts_per_combination"] == 3
    assert plan["rows"] == plan["total_calls"] == 288
    assert [entry["rows"] for entry in plan["rows_by_provider"]] == [144, 144]


def test_plan_tells_personas_and_how_they_meet_prompts(run: Run) -> None:
    paired = "personas: [a nurse, a clerk]\nseed_texts: [It hums., It drips., It rests.]\npair: {personas: random}\n"
    Path("c.yaml").write_text(paired + CONFIG % "", encoding="utf-8")
    plain = json.loads(run("plan", ROOT / "examples" / "space_engineering.yaml", "--json").stdout)
    assert plain["paired"] == []
    plan = json.loads(run("plan", "c.yaml", "--json").stdout)
    assert {dimension["name"]: dimension["count"] for dimension in plan["dimensions"]}["seed_text"] == 3
    (persona,) = plan["paired"]
    assert persona == {"name": "persona", "count": 2, "first_values": ["a nurse", "a clerk"], "pair": "random"}
    assert "each prompt with a drawn one: a nurse, a clerk" in run("plan", "c.yaml").stdout


def test_plan_tells_equal_providers_apart(run: Run) -> None:
    Path("c.yaml").write_text(CONFIG.replace("model_id: b", "model_id: a") % "", encoding="utf-8")
    plan = json.loads(run("plan", "c.yaml", "--json").stdout)
    assert [row["provider"] for row in plan["rows_by_provider"]] == ["simulated/a", "simulated/a#2"]


def test_plan_counts_the_calls_of_each_role(run: Run) -> None:
    plan = json.loads(run("plan", ROOT / "examples" / "preference.yaml", "--json").stdout)
    calls = {entry["role"]: entry["calls"] for entry in plan["calls"]}
    assert calls == {"question": 4, "chosen": 12, "rejected": 12, "evolution": 12, "judge": 24}
    assert plan["rows"] == 12


def test_plan_and_its_estimate_count_the_same_calls_where_rows_differ_in_them(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        """\
kind: columns
num_rows: 60
output_file: out.jsonl
providers: {m: {provider: simulated, model_id: a}}
columns:
  level: {type: choice, values: {easy: 3, hard: 1}}
  question: {type: text, provider: m, prompt: "Ask something {level}."}
  hint: {type: text, provider: m, prompt: "Help with {question}", when: level == 'hard'}
""",
        encoding="utf-8",
    )
    shown = json.loads(CliRunner().invoke(cli, ["plan", str(tmp_path / "c.yaml"), "--json"]).stdout)
    assert 60 < shown["total_calls"] < 120
    assert shown["total_calls"] == shown["estimate"]["calls"]


def test_plan_shows_prompts_as_they_will_be_sent(run: Run) -> None:
    plan = json.loads(run("plan", "c.yaml", "-n", 2, "--json").stdout)
    assert len(plan["examples"]) == 2
    for example in plan["examples"]:
        assert example["values"]["topic"] in example["messages"][0]["content"]
    assert not Path("rows.jsonl").exists()


def test_plan_of_more_prompts_than_could_ever_be_sent_costs_nothing(run: Run) -> None:
    names = [f"p{number}" for number in range(17)]
    placeholders = ", ".join(f"{name}: [a, b, c, d, e, f, g, h, i, j]" for name in names)
    gaps = " ".join(f"<<{name}>>" for name in names)
    prompt = f'prompts: ["{{num_samples}} {{document_type}} {{topic}} {{language_name}} {gaps}"]'
    expansion = f"expansion: {{max_samples: {10**18}, placeholders: {{{placeholders}}}}}"
    Path("c.yaml").write_text(f"{CONFIG % ''}{prompt}\n{expansion}\n", encoding="utf-8")
    plan = json.loads(run("plan", "c.yaml", "-n", 2, "--json").stdout)
    assert plan["rows"] == 12 * 10**17
    assert len(plan["examples"]) == 2


@pytest.mark.parametrize("fan_out", ["split", "fallback"])
def test_plan_of_providers_that_share_the_work_counts_each_prompt_once(run: Run, fan_out: str) -> None:
    Path("c.yaml").write_text(f"{CONFIG % ''}run: {{fan_out: {fan_out}}}\n", encoding="utf-8")
    plan = json.loads(run("plan", "c.yaml", "--json").stdout)
    assert plan["rows"] == plan["total_calls"] == 6
    assert plan["calls"][0]["provider"] == "simulated/a or simulated/b"
    assert run("generate", "c.yaml").exit_code == 0
    assert len(rows()) == 6


def test_plan_prints_a_table(run: Run) -> None:
    out = run("plan", "c.yaml", "-n", 1).stdout
    assert re.search(r"topic +3 +pumps, valves, seals", out)
    assert re.search(r"rows +6 +simulated/a\n", out)
    assert re.search(r"rows in all +12\n", out)
    assert "prompt 1, to" in out


# -- status


def test_status_shows_counts_and_the_command_that_goes_on(run: Run) -> None:
    run("generate", "c.yaml", "--limit", 3, "--max-concurrency", 2)
    out = run("status", "rows.jsonl").stdout
    assert "12 requested: 3 written, 0 filtered, 0 failed, 9 pending" in out
    assert "datafast generate c.yaml --max-concurrency 2" in out


def test_status_shows_failures_with_an_example_and_how_to_retry(run: Run) -> None:
    with_faults(refused=1.0)
    run("generate", "c.yaml")
    status = json.loads(run("status", "rows.jsonl", "--json").stdout)
    assert status["failures"]["refused"]["rows"] == status["failed"] == 6
    assert "refused" in status["failures"]["refused"]["example"]
    out = run("status", "rows.jsonl").stdout
    assert "6 refused, for example at simulated/a" in out
    assert "datafast generate c.yaml --retry-failed" in out


def test_status_leaves_nothing_behind(run: Run) -> None:
    run("generate", "c.yaml")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    assert run("status", "rows.jsonl").exit_code == 0
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_status_of_rows_whose_jsonl_is_gone_says_that_they_come_back(run: Run) -> None:
    run("generate", "c.yaml")
    Path("rows.jsonl").unlink()
    assert "the JSONL is gone; the next run writes its rows again" in run("status", "rows.jsonl").stdout
    assert "The file lacks rows that were written; the next run" in " ".join(run("stats", "rows.jsonl").stdout.split())


def test_rows_whose_jsonl_and_replies_are_gone_are_not_said_to_come_back_at_no_cost(run: Run) -> None:
    run("generate", "c.yaml")
    assert run("compact", "rows.jsonl", "--replies", "drop", "--yes").exit_code == 0
    Path("rows.jsonl").unlink()
    for command in ("status", "stats"):
        told = " ".join(run(command, "rows.jsonl").stdout.split())
        assert "at no cost" not in told
        assert "buy_again: true" in told


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda: None, "There is no file rows.jsonl"),
        (lambda: Path("rows.jsonl").write_text("{}\n"), "rows.jsonl has no ledger beside it"),
        (lambda: Path("rows.jsonl").mkdir(), "rows.jsonl is a folder"),
        (lambda: Path("rows.jsonl.ledger").write_bytes(b""), "Cannot read the ledger rows.jsonl.ledger"),
        (lambda: Path("rows.jsonl.ledger").write_bytes(b"no database at all" * 99), "Cannot read the ledger"),
    ],
    ids=["no file", "no ledger", "a folder", "an empty ledger", "a broken ledger"],
)
def test_status_of_what_it_cannot_read_ends_with_2(run: Run, prepare: Callable[[], object], expected: str) -> None:
    prepare()
    result = run("status", "rows.jsonl")
    assert result.exit_code == 2
    assert expected in result.stderr


@pytest.mark.parametrize("command", ["status", "failures"])
@pytest.mark.parametrize("folder", [".", "/", ""])
def test_a_folder_in_place_of_an_output_is_refused(run: Run, command: str, folder: str) -> None:
    result = run(command, folder)
    assert result.exit_code == 2
    assert "is a folder. Give the " in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name of a file is text")
def test_a_file_whose_name_is_not_text_is_shown_escaped(run: Run) -> None:
    events = os.fsdecode(b"e\xff.jsonl")
    assert run("generate", "c.yaml", "--limit", "1", "--events", events).exit_code == 0
    assert "--events 'e\\udcff.jsonl'" in run("status", "rows.jsonl").stdout


# -- schema


@pytest.mark.parametrize("kind", [None, *kind_names()])
def test_schema_describes_configs_of_a_kind_or_of_all(run: Run, kind: str | None) -> None:
    schema = json.loads(run("schema", *([kind] if kind else [])).stdout)
    assert schema["properties"]["kind"]["enum"] == ([kind] if kind else kind_names())
    assert len(schema["oneOf"]) == len(schema["properties"]["kind"]["enum"])
    definitions = schema["$defs"]
    for reference in re.findall(r"#/\$defs/([^\"]+)", json.dumps(schema)):
        assert reference in definitions
    for entry in schema["oneOf"]:
        described = definitions[entry["$ref"].rpartition("/")[2]]
        assert "kind" in described["required"]
        assert {"kind", "providers", "output_file", "run"} <= set(described["properties"])


def test_schema_of_a_kind_that_does_not_exist_ends_with_2(run: Run) -> None:
    assert "There is no kind 'prefrence'. Did you mean 'preference'?" in run("schema", "prefrence").stderr


# -- topics


TOPICS_THAT_FAIL = """
kind: conversation
topics: {topic_prompt: Bees, degree: 4, depth: 2}
output_file: bees.jsonl
providers: [{provider: simulated, model_id: any, faults: {refused: 1.0}}]
"""


def test_failed_topics_are_shown_with_what_tries_them_again(run: Run) -> None:
    Path("bees.yaml").write_text(TOPICS_THAT_FAIL, encoding="utf-8")
    assert run("generate", "bees.yaml").exit_code == 4
    assert run("topics", "build", "bees.yaml").exit_code == 3
    for shown in (run("failures", "bees.jsonl.topics.json"), run("status", "bees.jsonl.topics.json")):
        assert shown.exit_code == 0
        assert "datafast topics build CONFIG.yaml" in shown.output
        assert "retry_failed" not in shown.output


# -- init


@pytest.mark.parametrize("kind", kind_names())
def test_init_writes_a_config_that_works_at_once(run: Run, kind: str) -> None:
    assert run("init", kind).exit_code == 0
    assert run("plan", f"{kind}.yaml").exit_code == 0
    assert run("generate", f"{kind}.yaml", "--offline").exit_code == 0


def test_help_and_docs_name_every_kind_that_init_knows(run: Run) -> None:
    kinds = {path.stem for path in TEMPLATES.glob("*.yaml")}
    assert kinds == set(kind_names())
    said = run("init", "--help").stdout
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8").partition("## init")[2]
    for kind in kinds:
        assert re.search(rf"\b{kind}\b", said)
        assert f"`{kind}`" in page
        assert kind in (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")


def test_init_overwrites_nothing(run: Run) -> None:
    run("init")
    Path("raw.yaml").write_text("mine", encoding="utf-8")
    Path("secrets.env").write_text("MY_KEY=1", encoding="utf-8")
    refused = run("init")
    assert refused.exit_code == 2
    assert "raw.yaml is there already" in refused.stderr
    forced = json.loads(run("init", "--force", "--json").stdout)
    assert forced["written"] == ["raw.yaml"]
    assert Path("secrets.env").read_text(encoding="utf-8") == "MY_KEY=1"
    assert Path(forced["kept"][0]).read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_init_keeps_the_keys_from_other_users(run: Run) -> None:
    run("init")
    assert Path("secrets.env").stat().st_mode & 0o077 == 0


def test_init_of_an_unknown_kind_names_the_nearest(run: Run) -> None:
    assert "Did you mean 'classification'?" in run("init", "clasification").stderr


def test_every_kind_has_a_starter() -> None:
    assert {path.stem for path in TEMPLATES.glob("*.yaml")} == BUILT_IN["datafast.kinds"].keys()


@pytest.mark.parametrize("kind", BUILT_IN["datafast.kinds"])
def test_a_starter_runs_as_it_comes_and_init_says_that_there_is_one(run: Run, kind: str) -> None:
    assert run("init", kind).exit_code == 0
    assert f" {kind}" in run("init", "--help").stdout
    done = run("generate", f"{kind}.yaml", "--offline", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["requested"] == report["written"] > 0


@pytest.mark.parametrize(
    ("template", "copy"),
    [
        ("raw.yaml", "examples/space_engineering.yaml"),
        ("classification.yaml", "examples/classification.yaml"),
        ("document_qa.yaml", "examples/document_qa.yaml"),
        ("generic_pipeline.yaml", "examples/generic_pipeline.yaml"),
        ("instruction.yaml", "examples/instruction.yaml"),
        ("judgement.yaml", "examples/judgement.yaml"),
        ("mcq.yaml", "examples/mcq.yaml"),
        ("preference.yaml", "examples/preference.yaml"),
        ("ultrachat.yaml", "examples/ultrachat.yaml"),
        ("../../cli/commands/templates/secrets.env.example", "secrets.env.example"),
    ],
)
def test_the_starters_are_the_examples(template: str, copy: str) -> None:
    assert (TEMPLATES / template).read_text(encoding="utf-8") == (ROOT / copy).read_text(encoding="utf-8")


# -- the rest


def test_the_version_is_the_package_s(run: Run) -> None:
    assert __version__ in run("--version").stdout


@pytest.mark.parametrize("text", ["a\x1b[31mred", "bell\x07", "turned \u202e around", "half \ud800", "line\rover"])
def test_control_characters_of_models_are_shown_escaped(text: str) -> None:
    shown = plain_text(text)
    assert shown.isprintable()
    assert "\\" in shown


def test_text_in_any_script_and_its_line_breaks_stay_as_they_are() -> None:
    text = "Ünïcode, 漢字 and emoji 🚀,\n\ttabs [bold]not markup[/bold]"
    assert plain_text(text) == text


@pytest.mark.parametrize(
    ("cost", "shown"),
    [(None, "unknown"), (0.0, "$0.00"), (0.00001, "under $0.0001"), (0.00123, "$0.0012"), (12.345, "$12.35")],
)
def test_money_is_shown_with_the_digits_that_matter(cost: float | None, shown: str) -> None:
    assert money(cost) == shown


# -- commands of other packages


def test_a_command_of_another_package_is_one_of_datafast_s(run: Run, offer: Callable[..., None]) -> None:
    code = "import click\n\n@click.command('hello')\ndef command():\n    click.echo('hello')\n"
    offer("greeter", {"greeter.py": code}, entry_points="[datafast.commands]\nhello = greeter:command")
    assert "hello" in run("--help").stdout
    assert run("hello").stdout == "hello\n"


def test_a_command_that_cannot_be_loaded_leaves_the_others_as_they_are(run: Run, offer: Callable[..., None]) -> None:
    offer("broken", {"broken.py": "raise SystemExit(7)"}, entry_points="[datafast.commands]\nhello = broken:command")
    listed = run("--help")
    assert listed.exit_code == 0
    assert re.search(r"hello +\(cannot be loaded\)", listed.stdout)
    called = run("hello", "there", "--loud")
    assert called.exit_code == 2
    assert "The command 'hello' of the package broken cannot be loaded from broken:command" in called.stderr
    assert run("hello", "--help").stderr == called.stderr
    assert run("plan", "c.yaml").exit_code == 0


@pytest.mark.parametrize(
    "command",
    [[], ["topics"], ["topics", "build"], ["topics", "show"], *([name] for name in BUILT_IN["datafast.commands"])],
)
def test_help_fits_a_terminal_of_80_columns(run: Run, command: list[str]) -> None:
    shown = run(*command, "--help").stdout.splitlines()[1:]  # without the usage, whose dots are meant
    assert [line for line in shown if len(line) > 80 or line.endswith("...")] == []


def test_an_unknown_command_is_refused_with_the_nearest_one(run: Run) -> None:
    refused = run("genrate")
    assert refused.exit_code == 2
    assert "There is no command 'genrate'. Did you mean 'generate'?" in refused.stderr
