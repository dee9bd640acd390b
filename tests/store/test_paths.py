"""No file of a run is two things at once, whatever its names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from datafast.logger_config import configure_logger
from tests.support import raw

RAW = "kind: raw\ndocument_types: [note]\ntopics: [a, b]\nproviders: [openai/gpt-5-mini]\n"
COLUMNS = "kind: columns\nnum_rows: 1\n"
CONVERSATION = "kind: conversation\nnum_rows: 2\nproviders: [openai/gpt-5-mini]\n"
GROWN = "topics: {topic_prompt: The sea, degree: 2, depth: 1, file: "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    (tmp_path / "topics.json").write_text('["Tides", "Ice"]', encoding="utf-8")
    if sys.platform != "win32":
        (tmp_path / "link").symlink_to("out.jsonl")
        (tmp_path / "config-link").symlink_to("c.yaml")
        (tmp_path / "here").symlink_to(".")
    return tmp_path


LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (
            f"{RAW}output_file: out.jsonl\nrun: {{ledger: out.jsonl}}",
            "",
            "c.yaml:6: run.ledger: out.jsonl is also used as output_file.",
        ),
        (
            f"{RAW}output_file: x-wal\nrun: {{ledger: x}}",
            "",
            "c.yaml:6: run.ledger: x-wal is also used as output_file.",
        ),
        pytest.param(
            f"{RAW}output_file: out.jsonl\nrun: {{ledger: here/out.jsonl}}",
            "",
            "run.ledger: here/out.jsonl is also used as output_file.",
            marks=LINKS,
        ),
        (f"{RAW}output_file: c.yaml", "--fresh", "c.yaml:5: output_file: c.yaml is also used as the config."),
        (f"{RAW}output_file: out.jsonl", "--output c.yaml --fresh", "--output: c.yaml is also used as the config."),
        (
            f"{RAW}output_file: out.jsonl\nrun: {{ledger: secrets.env}}",
            "--fresh",
            "run.ledger: secrets.env is also used as the file of the keys.",
        ),
        (f"{RAW}output_file: out.jsonl", "--events c.yaml", "--events: c.yaml is also used as the config."),
        (f"{RAW}output_file: out.jsonl", "--events out.jsonl", "--events: out.jsonl is also used as output_file."),
        (
            f"{RAW}output_file: out.jsonl",
            "--events out.jsonl.ledger-replies",
            "--events: out.jsonl.ledger-replies is also used as output_file.",
        ),
        pytest.param(
            f"{RAW}output_file: out.jsonl", "--events link", "--events: link is also used as output_file.", marks=LINKS
        ),
        pytest.param(
            f"{RAW}output_file: config-link",
            "--fresh",
            "c.yaml:5: output_file: config-link is also used as the config.",
            marks=LINKS,
        ),
        (
            f"{COLUMNS}columns: {{a: {{type: source, source: rows.jsonl, column: a}}}}\noutput_file: rows.jsonl",
            "--fresh",
            "c.yaml:4: output_file: rows.jsonl is also used as a source.",
        ),
        (
            f"{CONVERSATION}topics: topics.json\noutput_file: topics.json",
            "--fresh",
            "c.yaml:5: output_file: topics.json is also used as topics.",
        ),
        (
            f"{CONVERSATION}topics: [a]\nexample_data: rows.jsonl\noutput_file: rows.jsonl",
            "--fresh",
            "c.yaml:6: output_file: rows.jsonl is also used as example_data.",
        ),
        (
            f"{CONVERSATION}{GROWN}out.jsonl}}\noutput_file: out.jsonl",
            "",
            "c.yaml:4: topics.file: out.jsonl is also used as output_file.",
        ),
        (
            f"{CONVERSATION}{GROWN}out.jsonl.ledger}}\noutput_file: out.jsonl",
            "",
            "c.yaml:4: topics.file: out.jsonl.ledger is also used as output_file.",
        ),
    ],
)
def test_two_uses_of_one_file_are_refused_before_anything_moves(
    folder: Path, config: str, options: str, message: str
) -> None:
    (folder / "secrets.env").write_text("MY_KEY=1\n", encoding="utf-8")
    (folder / "c.yaml").write_text(config + "\n", encoding="utf-8")
    before = {path: path.is_symlink() or path.is_dir() or path.read_bytes() for path in folder.iterdir()}
    result = CliRunner().invoke(cli, ["generate", "c.yaml", "--offline", *options.split()])
    assert message in result.output
    assert result.exit_code == 2
    assert {path: path.is_symlink() or path.is_dir() or path.read_bytes() for path in folder.iterdir()} == before


def test_a_source_may_be_read_more_than_once(folder: Path) -> None:
    column = "{type: source, source: %s, column: a}"
    config = f"{COLUMNS}columns: {{a: {column % 'rows.jsonl'}, b: {column % './rows.jsonl'}}}\noutput_file: out.jsonl\n"
    (folder / "c.yaml").write_text(config, encoding="utf-8")
    assert CliRunner().invoke(cli, ["generate", "c.yaml", "--offline"]).exit_code == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda folder: {"run": {"ledger": folder / "out.jsonl"}}, "run.ledger: .* is also used as output_file"),
        (lambda folder: {"output_file": folder / "run.log"}, "log_file: .* is also used as output_file"),
    ],
)
def test_the_same_holds_in_python(folder: Path, given: Callable[[Path], dict[str, Any]], message: str) -> None:
    configure_logger(log_file=folder / "run.log")
    with pytest.raises(ConfigError, match=message):
        raw(folder, **given(folder)).generate([SimulatedProvider("m")], fresh=True)
    assert not list(folder.glob("*.bak"))
