"""`generate --view`: in a terminal the pages stay after the run, until Ctrl-C; a stop in the browser is one of the run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.cli.shown import ShownRun
from tests.support import ROOT

CONFIG = """\
kind: raw
output_file: out.jsonl
document_types: [note]
topics: [tides, ropes]
num_samples_per_prompt: 1
providers: [{provider: simulated, faults: FAULTS}]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="setsid --ctty, which gives a process its terminal, is of Linux")
@pytest.mark.parametrize(("faults", "status"), [("{}", 0), ("{refused: 1.0}", 3)], ids=["good", "failed"])
def test_the_pages_stay_until_ctrl_c_and_the_status_is_that_of_the_run(
    tmp_path: Path, faults: str, status: int
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("FAULTS", faults), "utf-8")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "datafast", "generate", "c.yaml", "--view", "--no-open"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(
        ["setsid", "--ctty", *command], cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown, is_open, deadline = b"", True, time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # nobody has the other end open any more
            break
        if b"Ctrl-C ends the viewer." in shown and is_open:
            is_open = False
            address = re.search(rb"http://127\.0\.0\.1:\d+/\?token=[\w-]+", shown)
            assert address is not None
            page = open_with_cookie(address[0].decode())
            assert 'data-own="yes"' in page
            os.write(ours, b"\x03")
    os.close(ours)
    assert process.wait(20) == status, shown.decode(errors="replace")
    assert not is_open
    assert b"Traceback" not in shown
    assert shown.rstrip().endswith(b"The viewer has ended.")


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_ctrl_c_ends_the_viewer_from_the_moment_that_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "Ctrl-C" in line:
            signal.raise_signal(signal.SIGINT)

    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr(sys, "stderr", terminal)
        with ShownRun(tmp_path / "out.jsonl", None, say=say, opens=False) as shown:
            try:
                shown.stay()
            except KeyboardInterrupt:
                pytest.fail("Ctrl-C was not taken for the end of the viewer")
        monkeypatch.undo()
    assert said[1:] == ["The pages stay. Ctrl-C ends the viewer.", "The viewer has ended."]


def test_a_stop_in_the_browser_is_one_in_the_terminal(tmp_path: Path) -> None:
    topics = ", ".join(f"t{number}" for number in range(500))
    config = CONFIG.replace("tides, ropes", topics).replace("faults: FAULTS", "latency_s: 0.5, max_concurrency: 2")
    (tmp_path / "c.yaml").write_text(config, "utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "datafast", "generate", "c.yaml", "--view", "--no-open", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        address = next(line.split()[1] for line in process.stderr if line.startswith("viewing"))
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(address, timeout=20).close()
        base = address.partition("/?")[0]
        while not json.load(opener.open(f"{base}/api/live", timeout=20))["run"]["written"]:
            time.sleep(0.05)
        headers = {"Content-Type": "application/json", "Origin": base}
        opener.open(urllib.request.Request(f"{base}/api/live/stop", b"{}", headers), timeout=20).close()
        told, _ = process.communicate(timeout=60)
    report = json.loads(told)
    assert (process.returncode, report["stop_cause"]) == (130, "interrupted")
    assert 0 < report["written"] < 500


def open_with_cookie(address: str) -> str:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    text: str = opener.open(address, timeout=20).read().decode()
    return text


def test_without_view_there_is_nothing_to_open(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG, "utf-8")
    done = CliRunner().invoke(cli, ["generate", str(tmp_path / "c.yaml"), "--no-open"])
    assert (done.exit_code, "--no-open goes with --view" in done.output) == (2, True)
