"""`datafast compare`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.llms import SimulatedProvider
from datafast.statistics import Comparison
from tests.support import CountingProvider, raw


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, topics in (("old", ["ice", "tides", "reefs"]), ("new", ["ice", "tides", "fog"])):
        languages = {"en": "English", "fr": "French"}
        raw(
            tmp_path, topics=topics, languages=languages, output_file=Path(f"{name}.jsonl"), num_samples_per_prompt=3
        ).generate([CountingProvider(name, log=tmp_path / "log")])
    return tmp_path


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, ["compare", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_what_differs_is_told_line_by_line() -> None:
    lines = run("old.jsonl", "new.jsonl").stdout.splitlines()
    told = {line.split()[0]: line for line in lines if line.strip()}
    assert "old.jsonl: 18 rows, 0 filtered, 0 failed, 6 calls" in told["a"]
    assert told["config"].endswith('topics: ["reefs"] -> ["fog"]')
    assert told["rows"].endswith("18 only in a, 18 only in b, 0 the same, 0 changed")
    assert "fog 0% -> 33%" in told["topic"]
    assert "total variation 0.33" in told["topic"]
    assert "the same in both (2 values)" in told["language"]
    assert "delta" in told["characters"]
    assert "compression ratio" in told["diversity"]
    assert "verdict" not in told


def test_a_ledger_that_lies_elsewhere_is_named() -> None:
    Path("new.jsonl.ledger").rename("elsewhere")
    assert Comparison.model_validate_json(run("old.jsonl", "new.jsonl", "--json").stdout).b.has_ledger is False
    named = ["old.jsonl", "new.jsonl", "--ledger-b", "elsewhere", "--json"]
    found = Comparison.model_validate_json(run(*named).stdout)
    assert (found.a.has_ledger, found.b.has_ledger, found.b.calls) == (True, True, 6)
    told = run("old.jsonl", "new.jsonl", "--ledger-a", "missing", code=2).output
    assert "There is no ledger missing of old.jsonl." in told


def test_json_has_everything() -> None:
    found = Comparison.model_validate_json(run("old.jsonl", "new.jsonl", "--json").stdout)
    assert found.a.file == "old.jsonl"
    assert found.verdicts is None


def test_simulated_judges_show_how_it_goes_and_are_not_asked_twice() -> None:
    command = [
        "old.jsonl",
        "new.jsonl",
        "--judge",
        "openai/gpt-4.1",
        "--offline",
        "--max-pairs",
        "8",
        "--match",
        "random",
    ]
    result = run(*command)
    assert "neither is clearly preferred" in result.stdout
    assert "simulated/gpt-4.1: 16 calls" in result.stdout
    assert "matched at random" in result.stdout
    assert "old-vs-new.jsonl" in result.stdout
    assert Path("old-vs-new.jsonl").read_text(encoding="utf-8").count("\n") == 8
    again = json.loads(run(*command, "--json").stdout)
    assert again["verdicts"]["calls"] == 16


def test_verdicts_have_the_file_that_is_named() -> None:
    run("old.jsonl", "new.jsonl", "--judge", "openai/gpt-4.1", "--offline", "--max-pairs", "2", "--verdicts", "v.jsonl")
    assert Path("v.jsonl").exists()
    assert not Path("old-vs-new.jsonl").exists()


def test_a_missing_key_and_options_without_a_judge_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert "OPENAI_API_KEY" in run("old.jsonl", "new.jsonl", "--judge", "openai/gpt-4.1", code=2).output
    for option in ("--rubric x", "--max-pairs 200", "--match uuid", "--field text", "--offline", "--max-concurrency 2"):
        told = run("old.jsonl", "new.jsonl", *option.split(), code=2).output
        assert f"{option.split()[0]} is about judging. Name a model with --judge." in told
    assert "nowhere.jsonl" in run("old.jsonl", "nowhere.jsonl", code=2).output
    assert not Path("old-vs-new.jsonl").exists()


@pytest.mark.parametrize("file", ["old.jsonl", "new.jsonl", "third.jsonl"])
def test_verdicts_never_take_the_place_of_other_rows(file: str, tmp_path: Path) -> None:
    raw(tmp_path, topics=["ice"], output_file=Path("third.jsonl")).generate([SimulatedProvider()])
    before = Path(file).read_bytes(), Path(f"{file}.ledger").read_bytes()
    told = run("old.jsonl", "new.jsonl", "--judge", "openai/gpt-4.1", "--offline", "--verdicts", file, code=2).output
    assert told.startswith(f"error: verdicts: {file} is ")
    assert (Path(file).read_bytes(), Path(f"{file}.ledger").read_bytes()) == before


def test_a_long_name_of_a_field_stands_apart_from_what_is_said_of_it() -> None:
    for name, kind in (("old", "essay"), ("new", "haiku")):
        rows = [{"text": f"text {number} of {name}", "document_type": kind} for number in range(30)]
        Path(f"{name}-kinds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert "\ndocument_type essay 100% -> 0%" in run("old-kinds.jsonl", "new-kinds.jsonl").stdout


def test_a_folder_is_no_file() -> None:
    for files in ([".", "new.jsonl"], ["new.jsonl", "/"]):
        assert "is a folder. Give the file in it." in run(*files, code=2).output


def test_a_judge_that_stops_early_says_that_the_same_command_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = SimulatedProvider("judge", faults={"authentication": 1.0})
    with monkeypatch.context() as patch:
        patch.setattr("datafast.llms.spec.named_provider", lambda spec: broken)
        result = run("old.jsonl", "new.jsonl", "--judge", "simulated/judge", code=4)
    assert "The same command goes on." in result.output
    assert "0 failed" in run("old.jsonl", "new.jsonl", "--judge", "simulated/judge", "--max-pairs", "4").stdout
