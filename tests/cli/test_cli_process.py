"""The command line as a process: exit codes, streams, interruptions, and what starting it costs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

COMMAND = [sys.executable, "-m", "datafast"]
SLOW = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [a, b, c, d, e, f, g, h, i, j]
num_samples_per_prompt: 2
providers:
  - {provider: simulated, model_id: slow, latency_s: %s}
run: {max_concurrency: 2}
"""

HELD = (
    SLOW.partition("providers:")[0]
    + """\
providers:
  - {provider: simulated, model_id: quick, max_concurrency: 2}
  - {provider: simulated, model_id: held, max_concurrency: 2, latency_s: %s}
run: {max_concurrency: 4}
"""
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, encoding="utf-8", check=False)


@contextlib.contextmanager
def running(config: str, rows: int) -> Iterator[subprocess.Popen[str]]:
    """A run of which so many rows are there."""
    Path("c.yaml").write_text(config, encoding="utf-8")
    with subprocess.Popen(
        [*COMMAND, "generate", "c.yaml", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            wait_for_rows(process, rows)
            yield process
        finally:
            process.kill()


@pytest.fixture
def started() -> Iterator[subprocess.Popen[str]]:
    """A slow run of which some rows are there and two calls are in flight, which land soon."""
    with running(SLOW % 2.0, 2) as process:
        yield process


@pytest.fixture
def held() -> Iterator[subprocess.Popen[str]]:
    """A run of which half the rows are there, with 10 calls, and two calls are in flight, which do not land."""
    with running(HELD % 3600, 20) as process:
        yield process


def wait_for_rows(process: subprocess.Popen[str], rows: int) -> None:
    deadline = time.monotonic() + 60
    while not Path("rows.jsonl").exists() or Path("rows.jsonl").read_bytes().count(b"\n") < rows:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def modules_after(*arguments: str) -> set[str]:
    """The top-level modules that a command has imported when it ends."""
    script = (
        "import sys\nfrom datafast.cli.main import cli\n"
        f"try:\n    cli.main({list(arguments)!r}, prog_name='datafast')\nexcept SystemExit:\n    pass\n"
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


HEAVY = {"aiohttp", "datasets", "genai_prices", "litellm", "loguru", "numpy", "openai", "pydantic", "rich", "ruamel"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in ("generate", "plan", "status", "init"))]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not modules_after(*arguments) & (HEAVY | {"asyncio", "sqlite3"})


def test_what_is_told_before_the_log_is_set_up_looks_as_in_the_log(
    offer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    offer("shadow", {}, entry_points="[datafast.commands]\ngenerate = shadow:command\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(Path("site-shadow").resolve())]))
    shown = run("--help")
    assert shown.stderr.startswith(
        "WARNING: The command 'generate' of the package shadow (shadow:command) cannot be used"
    )
    assert len(shown.stderr.splitlines()) == 1


def test_a_simulated_run_imports_no_network_client() -> None:
    Path("c.yaml").write_text(SLOW % 0, encoding="utf-8")
    assert not modules_after("generate", "c.yaml") & {"aiohttp", "datasets", "huggingface_hub", "litellm", "openai"}


def test_a_run_that_ends_well_exits_0_with_one_json_document_on_stdout() -> None:
    Path("c.yaml").write_text(SLOW % 0, encoding="utf-8")
    done = run("generate", "c.yaml", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["written"] == 20
    assert "20 rows requested" in done.stderr


def test_a_wrong_config_exits_2_without_a_traceback() -> None:
    Path("c.yaml").write_text("kind: raw\n\tx: 1\n", encoding="utf-8")
    done = run("generate", "c.yaml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "error: c.yaml:2: This is not YAML" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers no signals to a child like this")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_lands_what_is_in_flight_and_the_next_run_goes_on(
    started: subprocess.Popen[str], number: signal.Signals
) -> None:
    started.send_signal(number)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130
    report = json.loads(out)
    assert report["stop_reason"] == "interrupted"
    assert report["written"] == 2 * report["calls"] == len(Path("rows.jsonl").read_text().splitlines())
    assert report["pending"] == 20 - report["written"] > 0
    assert "in flight land. Ctrl-C again leaves now." in err
    assert "datafast generate c.yaml   (go on" in err
    Path("c.yaml").write_text(SLOW % 0, encoding="utf-8")
    again = run("generate", "c.yaml", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["calls"] == 10 - report["calls"]


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers no signals to a child like this")
def test_a_second_interruption_leaves_at_once_and_loses_no_paid_reply(held: subprocess.Popen[str]) -> None:
    held.send_signal(signal.SIGINT)
    assert held.stderr is not None
    assert any("Ctrl-C again leaves now." in line for line in iter(held.stderr.readline, ""))
    held.send_signal(signal.SIGINT)
    out, _ = held.communicate(timeout=60)
    assert held.returncode == 130
    assert out == ""
    Path("c.yaml").write_text(HELD % 0, encoding="utf-8")
    report = json.loads(run("generate", "c.yaml", "--json").stdout)
    assert (report["written"], report["calls"]) == (40, 10)


def test_status_tells_of_a_run_that_is_writing(held: subprocess.Popen[str]) -> None:
    status = json.loads(run("status", "rows.jsonl", "--json").stdout)
    assert status["running"] is True
    assert 0 < status["written"] < 40
    assert "a run is writing to it now" in run("status", "rows.jsonl").stdout
    second = run("generate", "c.yaml")
    assert second.returncode == 2
    assert "Another run is writing" in second.stderr


def test_status_after_a_kill_shows_where_it_stands_and_the_next_run_finishes(held: subprocess.Popen[str]) -> None:
    held.kill()
    held.wait()
    status = json.loads(run("status", "rows.jsonl", "--json").stdout)
    assert status["running"] is False
    assert status["requested"] == status["written"] + status["failed"] + status["pending"] == 40
    Path("c.yaml").write_text(HELD % 0, encoding="utf-8")
    assert run("generate", "c.yaml").returncode == 0
    assert json.loads(run("status", "rows.jsonl", "--json").stdout)["written"] == 40


@pytest.mark.parametrize("budget", ["", ", max_calls: 100"], ids=["no budget", "a budget"])
def test_status_counts_paid_replies_that_only_the_journal_holds(budget: str) -> None:
    # Killed in the moment between the journal's write and the ledger's.
    script = (
        "import os, sys\nfrom datafast.store.group_commit import GroupCommit\n"
        "GroupCommit.flush = lambda self: os._exit(9) if len(self.pending.calls) > 0 else None\n"
        "from datafast.cli.main import main\nsys.argv = ['datafast', 'generate', 'c.yaml']\nmain()"
    )
    Path("c.yaml").write_text((SLOW % 0).replace("currency: 2", f"currency: 2{budget}"), encoding="utf-8")
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert killed.returncode == 9
    status = json.loads(run("status", "rows.jsonl", "--json").stdout)
    assert status["unrecorded_replies"] > 0
    assert "paid replies wait in its journal" in run("status", "rows.jsonl").stdout
    report = json.loads(run("generate", "c.yaml", "--json").stdout)
    assert report["written"] == 20
    assert report["calls"] + status["unrecorded_replies"] == 10


def test_a_python_run_is_told_to_run_its_script_again() -> None:
    script = (
        "from datafast import RawDataset, RawDatasetConfig, SimulatedProvider\n"
        "config = RawDatasetConfig(document_types=['a'], topics=['b', 'c'], output_file='rows.jsonl')\n"
        "RawDataset(config).generate([SimulatedProvider()], limit=1)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert "run the same script again" in run("status", "rows.jsonl").stdout


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are a Unix thing")
@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal_the_display_is_live_and_leaves_the_summary(
    no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = on_terminal(monkeypatch, "generate", "c.yaml", no_color=no_color)
    assert "rows, " in shown
    assert "20 rows requested: 20 written" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back
    assert ("\x1b[38;5;" in shown) is not no_color  # colours


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are a Unix thing")
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_on_a_terminal_of_any_width_no_line_is_broken_within_a_word(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = "[{provider: simulated, model_id: a, latency_s: 0.1, faults: {refused: 1.0}}, {provider: simulated, model_id: b}]"
    config = (SLOW % 0).partition("providers:")[0] + f"providers: {two}\nrun: {{max_concurrency: 2}}\n"
    shown = on_terminal(monkeypatch, "generate", "c.yaml", columns=columns, config=config, ends=3)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "\n").splitlines()
    assert [line for line in lines if len(line) >= columns] == []
    assert {"rows", "in", "flight", "failed"} <= set(next(line for line in lines if "in flight" in line).split())
    assert any(line.startswith("total") for line in lines)
    said = " ".join(" ".join(lines).split())
    assert said.count("WARNING: 2 rows failed at simulated/a (refused)") == 1
    assert said.count("WARNING: In all, 20 rows failed at simulated/a (refused)") == 1


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are a Unix thing")
def test_an_error_is_not_broken_within_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = (SLOW % 0).replace("latency_s: 0", "faults: {rate_limit: 0.5}")
    shown = on_terminal(monkeypatch, "generate", "c.yaml", columns=60, config=wrong, ends=2)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "").splitlines()
    assert [line for line in lines if len(line) >= 60] == []
    assert "There is no fault 'rate_limit'. Did you mean 'rate_limited'?" in " ".join(lines)


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are a Unix thing")
@pytest.mark.parametrize(
    ("columns", "first"), [(60, "refused  2 rows, 1 attempt, simulated/a"), (200, "category  rows")]
)
def test_failures_fit_the_terminal(columns: int, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = (SLOW % 0).replace("latency_s: 0", "latency_s: 0, faults: {refused: 1.0}").replace("slow", "a")
    Path("c.yaml").write_text(config, encoding="utf-8")
    run("generate", "c.yaml")
    shown = on_terminal(monkeypatch, "failures", "rows.jsonl", columns=columns, config=config, stream="stdout")
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()
    assert lines[0].startswith(first)
    assert max(map(len, lines)) < columns
    assert "".join(lines).count("refused") >= 10


def on_terminal(
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    no_color: bool = False,
    columns: int = 80,
    config: str = SLOW % 0.1,
    ends: int = 0,
    stream: str = "stderr",
) -> str:
    """What a command shows on a terminal, with its control sequences.

    Args:
        ends: the exit code that it must have.
        stream: what of it goes to the terminal; the other goes nowhere.
    """
    import fcntl
    import pty
    import termios

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLUMNS", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    Path("c.yaml").write_text(config, encoding="utf-8")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    # Python's readline sets COLUMNS behind the back of os.environ, and a child without `env` would see it.
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs}
    process = subprocess.Popen([*COMMAND, *arguments], **streams, env=dict(os.environ))
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(60) == ends
    return shown.decode()


needs_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def without_reader(arguments: list[str], **streams: int) -> int:
    """Runs a command with streams whose reader has gone; gives its exit code."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        given = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | dict.fromkeys(streams, writing)
        return subprocess.run([*COMMAND, *arguments], check=False, timeout=120, **given).returncode  # type: ignore[call-overload, no-any-return]
    finally:
        os.close(writing)


@pytest.mark.parametrize("streams", [("stderr",), ("stderr", "stdout")])
def test_a_run_whose_reader_has_gone_goes_on_to_its_end(streams: tuple[str, ...]) -> None:
    Path("c.yaml").write_text(SLOW % 0.0, encoding="utf-8")
    assert without_reader(["generate", "c.yaml"], **dict.fromkeys(streams, 1)) == 0
    assert len(Path("rows.jsonl").read_text(encoding="utf-8").splitlines()) == 20


@needs_full_disk
def test_a_run_whose_log_fills_its_disk_goes_on_to_its_end() -> None:
    Path("c.yaml").write_text(SLOW % 0.0, encoding="utf-8")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, "generate", "c.yaml", "-v"], stderr=full, check=False)
    assert done.returncode == 0
    assert len(Path("rows.jsonl").read_text(encoding="utf-8").splitlines()) == 20


@needs_full_disk
@pytest.mark.parametrize("arguments", [["generate", "c.yaml", "--json"], ["plan", "c.yaml"], ["--help"]])
def test_a_full_disk_under_stdout_is_told_and_loses_no_row(arguments: list[str]) -> None:
    Path("c.yaml").write_text(SLOW % 0.0, encoding="utf-8")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "error: Cannot write to stdout: No space left on device." in done.stderr
    assert "Traceback" not in done.stderr
    if "generate" in arguments:
        assert len(Path("rows.jsonl").read_text(encoding="utf-8").splitlines()) == 20


def test_names_that_are_not_utf_8_match_nothing() -> None:
    Path("c.yaml").write_text(SLOW % 0.0, encoding="utf-8")
    run("generate", "c.yaml")
    done = subprocess.run([*COMMAND, "failures", "rows.jsonl", "--category", b"\xff"], capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_takes_no_files_is_not_told_as_another_run() -> None:
    Path("c.yaml").write_text(SLOW % 0.0, encoding="utf-8")
    done = run("generate", "c.yaml", "--output", "/proc/rows.jsonl")
    assert done.returncode == 2
    assert "Cannot write to /proc/rows.jsonl: no file can be made at" in done.stderr
