"""`kill -9` between any two steps of a batch: the planned rows come, and nothing is bought twice by the server's own books."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.batches import job, lookup, service
from datafast.llms import OpenAIProvider
from tests.servers.batch_server import KEY, BatchServer
from tests.support import ROOT, ForkServer, assert_balanced, die_at, fork_server, preference, roles

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")

BOOK = "datafast.store.batch_book:BatchBook"
SERVICE = "datafast.llms.batches.openai:OpenAIBatches"
POINTS = [
    ("datafast.engine.batches.gathering:Gathering.add", "after"),
    ("datafast.engine.batches.gathering:Gathering.finish", "after"),
    (f"{BOOK}.announce", "after"),
    (f"{SERVICE}.submit", "before"),
    (f"{SERVICE}._id_of", "after"),  # between the upload and the job, then between the job and our knowing of it
    (f"{BOOK}.submitted", "before"),
    (f"{BOOK}.submitted", "after"),
    (f"{SERVICE}.replies", "before"),
    (f"{BOOK}.settle", "before"),
    ("datafast.store.batches:BatchTables.settle", "after"),
    (f"{BOOK}.settle", "after"),
    (f"{BOOK}.close", "before"),
    ("datafast.store.batches:BatchTables.close", "after"),
    (f"{BOOK}.close", "after"),
    (f"{SERVICE}.discard", "before"),
    ("datafast.store.writer:Store.reopen", "after"),
    ("datafast.store.writer:Store.close", "before"),
]
DOCUMENTS = 3
CALLS = DOCUMENTS * (1 + 2 * 2 + 2 * 2)
RUN = {"mode": "batch", "max_concurrency": 4, "max_calls": 10 * CALLS}


def run(folder: Path, url: str) -> Any:
    provider = OpenAIProvider("tiny", api_base=f"{url}/v1", api_key=KEY)
    return preference(folder, documents=DOCUMENTS, run=RUN).generate(roles(provider))


def dying_run(folder: str, url: str, point: str, when: str, nth: int) -> None:
    """A run whose process is gone in a chosen moment."""
    short_steps()
    die_at(point, when, nth)
    run(Path(folder), url)


def short_steps() -> None:
    service.FIRST_WAIT_S, service.LONGEST_WAIT_S = 0.02, 0.05
    lookup.ON_ITS_WAY_S = 0.3
    job._PART = 2  # type: ignore[misc]  # so that there are moments within a collection


def ends_well(folder: Path, server: BatchServer, told: str = "") -> None:
    """The last run, and what must be true after it."""
    report = assert_balanced(run(folder, server.url).report)
    assert (report.written, report.requested) == (2 * DOCUMENTS, 2 * DOCUMENTS), told
    assert set(server.bought.values()) == {1}, told
    assert sum(server.bought.values()) == CALLS, told
    assert server.online == 0
    assert not list(folder.glob("*-batch-*")), told


@pytest.mark.parametrize(("nth", "metadata"), [(1, True), (5, True), (2, False)])
@pytest.mark.parametrize(("point", "when"), POINTS)
def test_a_run_that_dies_between_two_steps_of_a_batch_goes_on(
    tmp_path: Path, server: BatchServer, children: ForkServer, point: str, when: str, nth: int, metadata: bool
) -> None:
    server.faults.no_metadata, server.faults.polls = not metadata, 2
    arguments = {"folder": str(tmp_path), "url": server.url, "point": point, "when": when, "nth": nth}
    assert children.run("tests.engine.batches.test_kills:dying_run", **arguments) in {0, 9}
    ends_well(tmp_path, server)


# -- at any call that changes a file

needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)
STEP = max(1, 40 // int(os.environ.get("DATAFAST_FUZZ", "1")))


@pytest.fixture(scope="module")
def shimmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    library = tmp_path_factory.mktemp("shim") / "dies_at.so"
    source = ROOT / "tests/servers/dies_at.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    with fork_server(LD_PRELOAD=str(library), DIES_AT=str(library)) as running:
        yield running


def run_that_dies_at(folder: str, url: str, at: int, half: bool) -> None:
    """A run whose process is gone at its call number `at` that changes a file in the folder."""
    short_steps()
    ctypes.CDLL(os.environ["DIES_AT"]).arm(ctypes.c_long(at), folder.encode(), int(half))
    run(Path(folder), url)


@needs_compiler
@pytest.mark.parametrize("metadata", [True, False])
def test_a_run_that_dies_at_any_change_of_a_file_goes_on(tmp_path: Path, shimmed: ForkServer, metadata: bool) -> None:
    chance, deaths = random.Random(metadata), 0
    for at in range(1 + STEP // 2 * metadata, 10_000, STEP):
        with BatchServer() as server:
            server.faults.no_metadata = not metadata
            folder, half = tmp_path / str(at), chance.random() < 0.3
            codes = []
            for number in (at, chance.randint(1, 60)):
                arguments = {"folder": str(folder), "url": server.url, "at": number, "half": half}
                codes.append(shimmed.run("tests.engine.batches.test_kills:run_that_dies_at", **arguments))
            assert set(codes) <= {0, 9}
            ends_well(folder, server, f"died at {at}{' in the middle' if half else ''}: {codes}")
            deaths += codes.count(9)
            if codes[0] == 0:
                break
    assert deaths >= 3
