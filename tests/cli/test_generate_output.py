"""What `datafast generate` prints around a run: at once that it is at work, at the end a row and what to do next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from datafast.cli.main import cli
from tests.servers.fault_server import Answer, FaultServer

CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual, leaflet]
topics: [pumps, valves, seals]
num_samples_per_prompt: 1
providers:
  - {provider: simulated, model_id: a}
  - {provider: simulated, model_id: b}
"""
OPENING = ["reading   c.yaml", "rows      12 in all, of the kind raw", "asking    simulated/a, simulated/b"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG, encoding="utf-8")


def generate(*options: Any) -> Result:
    return CliRunner().invoke(cli, ["generate", "c.yaml", *map(str, options)])


def lines(result: Result) -> list[str]:
    return [line.rstrip() for line in result.stderr.splitlines()]


def test_the_first_lines_say_what_is_read_asked_and_written() -> None:
    assert lines(generate())[:4] == [*OPENING, "into      rows.jsonl"]


def test_a_limit_is_said_at_the_beginning() -> None:
    assert "rows      12 in all, of the kind raw, up to 2 prompts for now" in lines(generate("--limit", 2))


def test_the_first_line_is_there_before_the_config_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    def load(*_: Any, **__: Any) -> Any:
        said.append(capsys.readouterr().err)
        raise SystemExit(0)

    monkeypatch.setattr("datafast.cli.session.load_project", load)
    with pytest.raises(SystemExit):
        cli.main(["generate", "c.yaml"])
    assert said == ["reading   c.yaml\n"]


def test_the_rows_and_models_are_said_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("datafast.config_files.project.Project.generate", fail)
    assert lines(generate())[:3] == OPENING


AT_THE_FIRST_LINE = """
import os, sys
import click

def echo(message, *, err):
    os.write(1, "\\n".join([message, str(err), *sys.modules]).encode())
    os._exit(0)

click.echo = echo
from datafast.cli.main import main
sys.argv = ["datafast", "generate", "c.yaml"]
main()
"""


def test_the_first_line_comes_before_anything_slow_is_imported() -> None:
    command = [sys.executable, "-c", AT_THE_FIRST_LINE]
    line, is_error, *modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert (line, is_error) == ("reading   c.yaml", "True")
    assert "datafast.cli.commands.generate" in modules
    slow = {"aiohttp", "asyncio", "datasets", "litellm", "loguru", "numpy", "pydantic", "ruamel", "sqlite3"}
    assert not slow & {name.partition(".")[0] for name in modules}


def test_the_end_shows_one_row_the_file_and_what_to_do_next() -> None:
    shown = lines(generate())
    start = shown.index("a row")
    fields = [line.split(":")[0].strip() for line in shown[start + 1 :] if line.startswith("  ")]
    assert fields[:3] == ["text", "text_source", "model_id"]
    assert "file      rows.jsonl (these rows are simulated)" in shown
    assert "next      datafast status rows.jsonl   (rows, calls and cost of all runs)" in shown
    assert "          datafast report rows.jsonl   (a page with charts, duplicates and rows)" in shown


def test_rows_of_simulated_models_lead_to_the_real_ones() -> None:
    Path("c.yaml").write_text(CONFIG.split("providers")[0] + "providers: [openai/gpt-5-mini]\n", encoding="utf-8")
    assert "datafast plan c.yaml" in generate("--offline").stderr


def test_the_real_models_get_a_file_of_their_own_or_the_simulated_rows_move_aside() -> None:
    Path("c.yaml").write_text(CONFIG.split("providers")[0] + "providers: [openai/gpt-5-mini]\n", encoding="utf-8")
    assert (
        "datafast generate c.yaml --fresh   (do it; the simulated rows are moved aside)" in generate("--offline").stderr
    )
    elsewhere = generate("--offline", "--output", "other.jsonl").stderr
    assert "datafast generate c.yaml   (do it, into the file of the config)" in elsewhere
    assert "--fresh" not in elsewhere


def test_failed_rows_lead_to_why_and_to_another_try() -> None:
    Path("c.yaml").write_text(CONFIG.replace("model_id: a", "model_id: a, faults: {refused: 1.0}"), encoding="utf-8")
    shown = generate().stderr
    assert "datafast failures rows.jsonl" in shown
    assert "datafast generate c.yaml --retry-failed" in shown


@pytest.mark.parametrize("width", [30, 60, 200])
def test_the_row_fits_the_terminal_line_by_line(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    Path("c.yaml").write_text(CONFIG.replace("pumps", "\u65e5\u672c\u8a9e " * 40), encoding="utf-8")
    shown = lines(generate())
    row = [line for line in shown[shown.index("a row") + 1 :] if line.startswith("  ") and "datafast" not in line]
    assert row
    assert all(cell_len(line) < width for line in row)


def test_what_a_model_wrote_cannot_move_the_cursor_or_add_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    generate()
    hostile = '{"text": "a\\u001b[2Jb\\nfile      elsewhere.jsonl [bold]c[/bold] \\u202e"}\n'
    monkeypatch.setattr("datafast.cli.session.last_line", lambda _: hostile.strip().encode())
    shown = lines(generate())
    assert "  text: a\\x1b[2Jb file elsewhere.jsonl [bold]c[/bold] \\u202e" in shown


def test_with_json_nothing_is_printed_but_the_summary_as_before() -> None:
    result = generate("--json")
    assert result.stderr.startswith("rows      12 rows requested")
    assert "a row" not in result.stderr
    assert "datafast status" not in result.stderr


def test_without_any_row_there_is_none_to_show() -> None:
    Path("c.yaml").write_text(CONFIG.replace("model_id:", "faults: {refused: 1.0}, model_id:"), encoding="utf-8")
    shown = lines(generate())
    assert "a row" not in shown
    assert "12 failed" in "".join(shown)


def test_what_is_wrong_with_a_provider_is_said_once(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=401, body={"error": {"message": "Incorrect key."}})
    one = f"  - {{provider: openai_compatible, model_id: m, api_base: '{fault_server.url}'}}\n"
    Path("c.yaml").write_text(CONFIG[: CONFIG.index("  - ")] + one, encoding="utf-8")
    result = generate()
    assert result.exit_code == 4
    assert result.stderr.count("HTTP 401") == 1
    assert "stopped   openai_compatible/m (see the error above)" in lines(result)
