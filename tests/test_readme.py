"""The numbers and names in README.md. That its blocks run is tested with the pages of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.llms import OpenAICompatibleProvider
from datafast.registry import KINDS
from datafast.schema.config import RunConfig
from tests.servers.fault_server import Answer, FaultServer
from tests.support import ROOT, assert_balanced, raw, rows_of, short_waits

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, words: str) -> str:
    """The one block with these words."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (found,) = [text for text in blocks if words in text]
    return found


def test_the_kinds_that_are_built_in_are_counted_and_named() -> None:
    named = {
        "raw": "raw text",
        "classification": "classification",
        "mcq": "multiple-choice questions",
        "document_qa": "questions about documents",
        "instruction": "instructions with responses",
        "preference": "preference pairs",
        "conversation": "conversations",
        "ultrachat": "chats with personas",
        "columns": "columns that you define yourself",
        "judgement": "judgements of rows that you have",
        "generic_pipeline": "pipelines that add columns to a table",
    }
    said = re.search(r"(\w+) kinds of dataset are built in: (.*?)\.", " ".join(README.split()))
    assert said is not None
    assert said[1] == {9: "Nine", 10: "Ten", 11: "Eleven"}[len(KINDS.loaded())]
    assert [kind for kind in KINDS.loaded() if named[kind] not in said[2]] == []


def test_the_rows_that_the_first_script_expects_are_those_that_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block("python", "RawDatasetConfig("), "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["96", "96 rows requested: 96 written, 0 filtered, 0 failed, 0 pending"]
    assert "= 96" in README


def test_topics_and_rows_of_the_conversations_are_as_many_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bicycle.yaml").write_text(block("yaml", "# bicycle.yaml"), encoding="utf-8")
    assert CliRunner().invoke(cli, ["generate", "bicycle.yaml", "--offline"]).exit_code == 0
    assert len(rows_of(Path("bicycle.jsonl"))) == 32
    shown = CliRunner().invoke(cli, ["topics", "show", "bicycle.yaml", "--format", "paths"])
    assert len(shown.stdout.splitlines()) == 16
    assert "# 16 topics" in README


def test_waits_and_repeats_are_those_of_the_defaults() -> None:
    run = RunConfig()
    assert (f"get up to {run.grace_s:.0f} seconds to finish" in README, run.max_parse_retries) == (True, 2)
    assert "asked again, twice by default" in README


def test_a_provider_that_limits_its_rate_keeps_its_rows_and_holds_back_no_other(
    tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_waits(monkeypatch)
    with FaultServer() as other:
        # It answers once the other has been asked for all its rows.
        fault_server.respond = lambda request: (
            Answer() if len(other.requests) == 12 else Answer(status=429, headers={"Retry-After": "0.01"})
        )
        dataset = raw(tmp_path, topics=12, run={"max_concurrency": 4})
        limited = OpenAICompatibleProvider("limited", api_base=fault_server.url)
        dataset.generate([limited, OpenAICompatibleProvider("other", api_base=other.url)])
        assert assert_balanced(dataset.report).written == 24
        assert len(other.requests) == 12
