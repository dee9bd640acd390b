"""An alarm that pauses a run, in a terminal: the question, and what its answers do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="setsid --ctty, which gives a process its terminal, is of Linux"
)

CONFIG = """\
kind: raw
output_file: out.jsonl
document_types: [note]
topics: [{topics}]
num_samples_per_prompt: 1
providers: [{{provider: simulated, latency_s: 0.02, faults: {{refused: 0.9}}}}]
alarms: {{failure_rate: 0.2, after: 10, action: pause}}
run: {{max_concurrency: 2}}
"""


def exchange(folder: Path, answers: list[bytes]) -> tuple[int, str]:
    """Runs the command in a terminal in which somebody types an answer to each question. Returns its exit status, and all it has shown."""
    topics = ", ".join(f"t{number}" for number in range(60))
    (folder / "c.yaml").write_text(CONFIG.format(topics=topics), "utf-8")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "datafast", "generate", "c.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    process = subprocess.Popen(
        ["setsid", "--ctty", *command], cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown, asked, deadline = b"", 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            read = os.read(ours, 65536)
        except OSError:  # nobody has the other end open any more
            break
        shown += read
        if shown.count(b"Go on? [y/N] ") > asked and answers:
            asked += 1
            os.write(ours, answers.pop(0))
    os.close(ours)
    return process.wait(10), shown.decode(errors="replace")


@pytest.mark.parametrize(
    ("answers", "status", "why"),
    [
        ([b"y\n", b"perhaps\n", b"n\n"], 4, "more than alarms.failure_rate"),
        ([b"\x04"], 4, "more than alarms.failure_rate"),
        ([b"\x03"], 130, "interrupted"),
    ],
    ids=["yes-no", "end-of-input", "ctrl-c"],
)
def test_an_alarm_asks_and_the_answer_counts(tmp_path: Path, answers: list[bytes], status: int, why: str) -> None:
    found, shown = exchange(tmp_path, answers)
    assert found == status, shown
    assert answers == []
    assert "Traceback" not in shown
    assert why in shown.rpartition("stopped")[2]
    assert "go on; nothing is paid for twice" in shown
