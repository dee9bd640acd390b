"""Long runs with every fault on: nothing is lost, nothing leaks, whatever happens to the process.

Sizes are small enough for every day; DATAFAST_TEST_SOAK_ITEMS and DATAFAST_TEST_KILLED_ITEMS make them large.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from datafast._util import background
from datafast.datasets import RawDataset
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import RawDatasetConfig, RunConfig
from tests import support
from tests.running import wait_for
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import ROOT, rows_of

pytestmark = pytest.mark.slow

SOAK_ITEMS = int(os.environ.get("DATAFAST_TEST_SOAK_ITEMS", "3000"))
KILLED_ITEMS = int(os.environ.get("DATAFAST_TEST_KILLED_ITEMS", "300"))
GOOD = '{"texts": ["a text"]}'


def faulty(share: float, *, delay_s: float = 0.0) -> tuple[threading.Lock, object]:
    chance, lock = random.Random(7), threading.Lock()
    faults = [
        Answer(status=429, headers={"Retry-After": "0"}),
        Answer(status=500, body={"error": {"message": "broken"}}),
        Answer(drop=True),
        Answer(text='{"texts": ["a text"'),
        Answer(text='{"texts": ["half a', finish_reason="length"),
        Answer(text=f"Sure!\n```json\n{GOOD}\n```"),
        Answer(text=""),
    ]

    def respond(request: Recorded) -> Answer:
        with lock:
            drawn = chance.random() / share
        fault = faults[int(drawn)] if drawn < len(faults) else Answer(text=GOOD)
        return Answer(**{**fault.__dict__, "delay_s": delay_s}) if delay_s else fault

    return lock, respond


def dataset(path: Path, items: int) -> RawDataset:
    config = RawDatasetConfig(
        document_types=["note"],
        topics=[f"topic {number}" for number in range(items)],
        num_samples_per_prompt=1,
        output_file=path,
        run=RunConfig(max_concurrency=64),
    )
    return RawDataset(config)


def open_sockets() -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own descriptor is gone by now
            found += str(entry.readlink()).startswith("socket:")
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts sockets through /proc")
def test_a_soak_with_all_faults_accounts_for_every_row_and_leaks_nothing(
    tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.short_waits(monkeypatch)
    fault_server.respond = faulty(0.05)[1]  # type: ignore[assignment]
    tasks = background.run(_num_tasks())  # the loop has two sockets of its own, and litellm's worker may run on it
    before = open_sockets()
    raw = dataset(tmp_path / "out.jsonl", SOAK_ITEMS)
    raw.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    report = raw.report
    assert report is not None
    assert (report.requested, report.filtered, report.pending) == (SOAK_ITEMS, 0, 0)
    assert report.written + report.failed == SOAK_ITEMS
    assert report.failed < SOAK_ITEMS * 0.02
    assert len({row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}) == report.written
    # The run's tasks and connections have ended with it; the server closes its side a moment later.
    assert background.run(_num_tasks()) <= tasks
    wait_for(lambda: open_sockets() <= before)


async def _num_tasks() -> int:
    return len(asyncio.all_tasks())


SCRIPT = """
import sys
from datafast.llms import OpenAICompatibleProvider
import pytest
from tests import support
from tests.engine.test_soak import dataset
from pathlib import Path
support.short_waits(pytest.MonkeyPatch())
dataset(Path(sys.argv[1]), int(sys.argv[3])).generate(
    [OpenAICompatibleProvider("m", api_base=sys.argv[2])], retry_failed=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_kills_in_the_middle_of_all_faults_end_with_exactly_the_expected_rows(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.respond = faulty(0.05, delay_s=0.05)[1]  # type: ignore[assignment]
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "out.jsonl"), fault_server.url, str(KILLED_ITEMS)]
    chance, kills = random.Random(3), 0
    for _ in range(500):
        # Whatever the machine needs to start a process: each gets to send some requests, and then a moment.
        dies_at = len(fault_server.requests) + chance.randint(1, 2 * 64)
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        wait_for(
            lambda process=process, at=dies_at: len(fault_server.requests) >= at or process.poll() is not None, 120
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            kills += 1
        elif process.returncode == 0 and len(rows_of(tmp_path / "out.jsonl")) == KILLED_ITEMS:
            break
    rows = rows_of(tmp_path / "out.jsonl")
    assert kills > 0
    assert len(rows) == KILLED_ITEMS == len({row["uuid"] for row in rows})
    assert {row["metadata"]["topic"] for row in rows} == {f"topic {number}" for number in range(KILLED_ITEMS)}


FEW_FILES = """
import resource, sys, warnings
warnings.simplefilter("always")
resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
from pathlib import Path
from datafast.llms import OpenAICompatibleProvider
from tests.engine.test_soak import dataset
raw = dataset(Path(sys.argv[1]), 300)
raw.generate([OpenAICompatibleProvider("m", api_base=sys.argv[2])], max_concurrency=200)
print(raw.report.written)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on descriptors")
def test_a_limit_on_open_files_caps_the_requests_in_flight_and_is_told(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    many = threading.Event()

    def respond(request: Recorded) -> Answer:
        if fault_server.in_flight > 50:
            many.set()
        return Answer(
            until=many.is_set, delay_s=0.2, text=GOOD
        )  # all wait for the others, and then for those that must not come

    fault_server.respond = respond
    command = [sys.executable, "-c", FEW_FILES, str(tmp_path / "out.jsonl"), fault_server.url]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stdout == "300\n", ended.stderr
    assert "ulimit -n" in ended.stderr
    assert 50 < fault_server.max_in_flight < 90
