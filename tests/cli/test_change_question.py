"""`generate` after a change of the config: it says what it does to the output, and asks on a terminal before paid rows leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from tests.servers.batch_server import KEY, BatchServer
from tests.servers.fault_server import FaultServer
from tests.support import ROOT, rows_of, snapshot

CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [{topics}]
num_samples_per_prompt: 1
prompts: ["{word} {{num_samples}} text in {{language_name}} as {{document_type}} about {{topic}}."]
providers:
  - provider: openai_compatible
    model_id: m
    api_base: {url}
    price: {{input_usd_per_million: 1.0, output_usd_per_million: 10.0}}
"""
QUESTION = "Go on? [y/N]"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")


class Config:
    """The config in the working directory, over a server on loopback."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.write()

    def write(self, *, topics: str = "a, b, c, d", word: str = "Write", more: str = "") -> None:
        text = CONFIG.format(topics=topics, word=word, url=self.server.url) + more
        Path("c.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_server: FaultServer) -> Config:
    """A config whose four rows are bought."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = Config(fault_server)
    assert run("generate", "c.yaml").exit_code == 0
    return made


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, list(arguments))


def on_terminal(*arguments: str, answer: bytes | None = None, interrupt: bool = False) -> tuple[int, str, str]:
    """Runs the command with its input and its messages on a terminal; returns exit code, stdout and what the terminal showed."""
    controller, terminal = os.openpty()
    command = [sys.executable, "-m", "datafast", *arguments]
    # A session of its own, so that Ctrl-C is that of this terminal.
    process = subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, start_new_session=True, text=True
    )
    os.close(terminal)
    shown, answered = b"", False
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
        if not answered and QUESTION.encode() in shown:
            answered = True
            if interrupt:
                process.send_signal(signal.SIGINT)
            elif answer is not None:
                os.write(controller, answer)
    stdout, _ = process.communicate(timeout=30)
    os.close(controller)
    return process.returncode, stdout, shown.decode("utf-8", "replace")


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04", None])
def test_a_no_ends_with_2_and_leaves_every_byte(config: Config, tmp_path: Path, answer: bytes | None) -> None:
    config.write(topics="a, new")
    before = snapshot(tmp_path)
    code, stdout, shown = on_terminal("generate", "c.yaml", answer=answer, interrupt=answer is None)
    assert (code, stdout) == (2, "")
    assert "The config has changed: 1 row stays, 3 leave." in shown
    assert "Recorded replies that are not used any more: 3, cost $0.0002." in shown
    assert "rows.jsonl stays as it is, and nothing was sent." in " ".join(shown.split())
    assert snapshot(tmp_path) == before
    assert len(config.server.requests) == 4


def test_a_yes_goes_on(config: Config, tmp_path: Path) -> None:
    config.write(word="Compose")
    code, stdout, shown = on_terminal("generate", "c.yaml", "--json", answer=b"what\nYes\n")
    assert (code, shown.count(QUESTION)) == (0, 2)
    report = json.loads(stdout)
    assert (report["calls"], report["written"]) == (4, 4)
    (stale,) = map(Path, report["set_aside"])
    assert len(rows_of(stale)) == 4
    assert "To make: 4 rows with 4 calls, cost $" in shown


@pytest.mark.parametrize("arguments", [("generate", "c.yaml", "--yes"), ("preview", "c.yaml", "-y")])
def test_yes_on_the_command_line_asks_nothing(config: Config, arguments: tuple[str, ...]) -> None:
    config.write(topics="a")
    code, _, shown = on_terminal(*arguments)
    assert code == 0
    assert QUESTION not in shown
    assert "1 row stays, 3 leave." in shown


def test_what_costs_nothing_is_not_asked(config: Config) -> None:
    config.write(topics="a, b, c, d, e")
    code, _, shown = on_terminal("generate", "c.yaml")
    assert code == 0
    assert QUESTION not in shown
    assert "4 rows stay, 0 leave." in shown
    config.write(topics="a, b, c, d, e", more="run: {max_retries: 3}\n")
    assert "The config has changed" not in on_terminal("generate", "c.yaml")[2]


def test_without_a_terminal_it_is_said_and_done(config: Config) -> None:
    config.write(topics="a, new")
    result = run("generate", "c.yaml", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["written"] == 2
    assert result.stderr.index("1 row stays, 3 leave.") < result.stderr.index("2 rows requested")
    assert QUESTION not in result.stderr


def test_plan_says_it_too_and_changes_nothing(config: Config, tmp_path: Path) -> None:
    config.write(topics="a, new")
    before = snapshot(tmp_path)
    shown = run("plan", "c.yaml", "-n", "0").stdout
    assert "change              The config has changed: 1 row stays, 3 leave." in shown
    assert "left to do          1 row from 1 prompt, 1 call" in shown
    change = json.loads(run("plan", "c.yaml", "--json").stdout)["estimate"]["change"]
    assert (change["rows_kept"], change["rows_leaving"], change["calls_unused"]) == (1, 3, 3)
    assert snapshot(tmp_path) == before
    config.write()
    assert json.loads(run("plan", "c.yaml", "--json").stdout)["estimate"]["change"] is None


def test_offline_and_other_outputs_say_nothing_of_this_one(config: Config) -> None:
    config.write(topics="a, new")
    assert "The config has changed" not in run("generate", "c.yaml", "--offline", "--output", "x.jsonl").stderr
    assert "add simulated ones" in run("generate", "c.yaml", "--offline").stderr


def test_it_is_asked_before_calls_in_batches_are_not_used_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BATCH_KEY", KEY)
    with BatchServer() as server:
        server.faults.polls = 100
        options = f"    api_base: {server.url}\n    api_key_env: BATCH_KEY\n    price: "
        text = CONFIG.replace("    api_base: {url}\n    price: ", options)
        Path("c.yaml").write_text(text.format(topics="a, b, c", word="Write"), encoding="utf-8")
        assert run("generate", "c.yaml", "--batch", "--no-wait").exit_code == 4
        Path("c.yaml").write_text(text.format(topics="a, new", word="Write"), encoding="utf-8")
        code, _, shown = on_terminal("generate", "c.yaml", "--no-wait", answer=b"n\n")
    assert (code, server.online) == (2, 0)
    told = " ".join(shown.split())
    assert "Calls in batches under way that are not used any more: 2." in told
    assert "They are paid for once they are answered; if the config changes back, their replies are used." in told
