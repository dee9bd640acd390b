"""The `datafast` command itself: how errors end it, as text and with `--json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from datafast.cli.main import cli

WRONG = "kind: raw\noutput_file: rows.jsonl\ntopcs: [pumps]\nproviders: [{provider: simulated}]\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text(WRONG, encoding="utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["generate", "wrong.yaml"], "ConfigError", "topcs: There is no such field"),
        (["generate", "missing.yaml"], "ConfigError", "missing.yaml"),
        (["preview", "wrong.yaml"], "ConfigError", "topcs: There is no such field"),
        (["plan", "wrong.yaml"], "ConfigError", "topcs: There is no such field"),
        (["status", "rows.jsonl"], "ConfigError", "rows.jsonl"),
        (["failures", "rows.jsonl"], "ConfigError", "rows.jsonl"),
        (["topics", "build", "wrong.yaml"], "ConfigError", "topcs: There is no such field"),
        (["init", "bicycles"], "ConfigError", "'bicycles'"),
        (["generate", "wrong.yaml", "--limit", "none"], "UsageError", "none"),
        (["generate", "wrong.yaml", "--no-such-option"], "UsageError", "--no-such-option"),
        (["generate"], "UsageError", "CONFIG.yaml"),
        (["generrate", "wrong.yaml"], "UsageError", "generrate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_with_json_an_error_is_one_json_document_on_stdout_and_a_message_on_stderr(
    arguments: list[str], kind: str, words: str
) -> None:
    result = run(*arguments, "--json")
    error = json.loads(result.stdout)["error"]
    assert (error["type"], error["exit_code"], result.exit_code) == (kind, 2, 2)
    assert words in error["message"]
    assert words in result.stderr


@pytest.mark.parametrize("arguments", [["--no-such-option", "--json"], ["--json", "plan", "wrong.yaml"], ["--json=1"]])
def test_an_error_before_the_name_of_a_command_is_told_as_json_too(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "UsageError"


def test_with_json_a_started_output_that_cannot_be_used_is_told_as_json() -> None:
    Path("c.yaml").write_text(WRONG.replace("topcs", "document_types: [note]\ntopics"), encoding="utf-8")
    Path("rows.jsonl").write_text("{}\n", encoding="utf-8")
    result = run("generate", "c.yaml", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "OutputChangedError"


def test_with_json_an_interruption_is_told_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("datafast.config_files.loader.load_project", interrupt)
    result = run("plan", "wrong.yaml", "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["error"]["exit_code"] == 130


def test_without_json_an_error_leaves_stdout_empty() -> None:
    result = run("generate", "wrong.yaml")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (
            ["generate"],
            "Missing argument 'CONFIG.yaml'. Give the file that describes the dataset. `datafast init` writes",
        ),
        (
            ["status"],
            "Missing argument 'FILE.jsonl'. Give the file with the rows, which a config names as output_file.",
        ),
        (["status", "wrong.yaml"], "wrong.yaml looks like a config. Give the file with the rows"),
        (["plan", "wrong.yaml"], "document_types: The field is missing. It says: Types of document"),
    ],
)
def test_an_error_says_what_to_do(arguments: list[str], hint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert hint in result.stderr
