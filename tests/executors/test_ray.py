"""Runs on a real Ray cluster of four nodes on this machine. Each node has a folder of its own, which is deleted with it.

The server is on loopback, and its own books say what was sent. Nothing here depends on how long anything takes, but for what a limit a
minute allows.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("ray", reason="it has no wheel here")

import ray
from ray.cluster_utils import Cluster

from datafast._util import background
from datafast.engine.settings import RayConfig
from datafast.errors import ConfigError
from datafast.executors.ray import RayCrew
from datafast.llms import LlamaCppProvider, OpenAIProvider, SimulatedProvider
from datafast.store.reader import LedgerReader
from datafast.types import StopCause
from tests.engine.remote.crews import RemoteExecutor
from tests.examples import CONFIGS, copied_examples, lines_in_order, made_of_example
from tests.running import Running
from tests.servers.fault_server import Answer, FaultServer
from tests.support import ROOT, assert_balanced, raw, rows_of

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a cluster of several nodes on one machine needs Linux"),
    # Ray gives a node 30 s to start, of which twenty processes for five nodes leave little where other tests run beside them.
    pytest.mark.skipif(
        "PYTEST_XDIST_WORKER" in os.environ,
        reason="a cluster wants the machine for itself: python -m pytest -n 0 tests/executors/test_ray.py",
    ),
    pytest.mark.timeout(240),
    pytest.mark.slow,
    # Ray leaves files and processes for its own end.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # A busy machine may need more than ten seconds for the first worker, which users are told.
    pytest.mark.filterwarnings("ignore:.*No worker could be started yet"),
]

_STORE = 80 * 2**20  # bytes of Ray's object store, the least that it takes
_WAIT_S = 60.0
_SET = ("RAY_USAGE_STATS_ENABLED", "RAY_TMPDIR")


_T = TypeVar("_T")


def patiently(start: Callable[[], _T], *, times: int = 4) -> _T:
    """What it returns, tried again: Ray gives a node 30 s to start, which a busy machine may need more than once."""
    for _ in range(times - 1):
        with contextlib.suppress(Exception):
            return start()
    return start()


class Nodes:
    """A head that works on nothing, and four nodes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._home = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        os.environ["RAY_TMPDIR"] = self._home
        self._numbers = itertools.count(1)
        self._nodes: list[tuple[Any, Path]] = []
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": _STORE}
        self.cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def fill(self) -> None:
        """Adds nodes until there are four again."""
        while len(self._nodes) < 4:
            own = self._folder / f"node {next(self._numbers)}"
            own.mkdir()
            places = {"TMPDIR": str(own), "HOME": str(own), "XDG_CACHE_HOME": str(own)}
            self._nodes.append((patiently(lambda places=places: self._node(places)), own))
        self.cluster.wait_for_nodes()

    def _node(self, places: dict[str, str]) -> Any:
        return self.cluster.add_node(wait=False, num_cpus=1, object_store_memory=_STORE, env_vars=places)

    def close(self) -> None:
        self.cluster.shutdown()
        shutil.rmtree(self._home, ignore_errors=True)

    def kill(self) -> None:
        """Kills one, with all its processes and its folder."""
        node, own = self._nodes.pop(0)
        self.cluster.remove_node(node, allow_graceful=False)
        shutil.rmtree(own, ignore_errors=True)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    before = {name: os.environ.get(name) for name in (*_SET, "RAY_ADDRESS")}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.pop("RAY_ADDRESS", None)
    there = Nodes(tmp_path_factory.mktemp("nodes"))
    try:
        there.fill()
        yield there
    finally:
        ray.shutdown()
        there.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as there:
        yield there


def on(nodes: Nodes, **settings: Any) -> dict[str, Any]:
    return {"executor": "ray", "ray": {"address": nodes.address}, **settings}


def served(server: FaultServer, **options: Any) -> OpenAIProvider:
    return OpenAIProvider("gpt-test", api_key="sk-test", api_base=server.url, **options)


def wait_for(is_so: Any) -> None:
    until = time.monotonic() + _WAIT_S
    while not is_so():
        assert time.monotonic() < until, "it never came so far"
        time.sleep(0.02)


def test_four_nodes_make_the_rows_of_a_local_run(nodes: Nodes, server: FaultServer, tmp_path: Path) -> None:
    server.respond = lambda request: Answer(text=json.dumps({"texts": [request.prompt]}), delay_s=0.1)
    rows = []
    for folder, settings in (("here", {}), ("there", on(nodes))):
        (tmp_path / folder).mkdir()
        dataset = raw(tmp_path / folder, topics=80, run={"max_concurrency": 16, **settings})
        dataset.generate([served(server)])
        assert assert_balanced(dataset.report).calls == dataset.report.written == 80
        rows.append(sorted(str(row) for row in rows_of(tmp_path / folder / "out.jsonl")))
    assert rows[0] == rows[1]
    assert len(server.requests) == 160
    assert server.max_in_flight <= 16


def test_a_limit_of_requests_a_minute_holds_over_all_nodes(nodes: Nodes, server: FaultServer, tmp_path: Path) -> None:
    """60 s of a limit take too long here; a part of it has the same spacing."""
    dataset = raw(tmp_path, topics=60, run=on(nodes, max_concurrency=16))
    dataset.generate([served(server, rpm_limit=900)])
    times = sorted(request.at_s for request in server.requests)
    assert len(times) == 60
    for first in range(len(times)):
        for last in range(first, len(times)):
            # A turn may be used for a second, so a window of w seconds has those of at most w + 1.5 s.
            assert last - first + 1 <= (times[last] - times[first] + 1.5) * 900 / 60.0 + 1


def test_a_dead_node_and_a_dead_driver_cost_what_was_in_flight(
    nodes: Nodes, server: FaultServer, tmp_path: Path
) -> None:
    server.respond = lambda request: Answer(delay_s=0.3)
    command = [sys.executable, "-m", "tests.executors.ray_driver", str(tmp_path), nodes.address, server.url, "150"]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(server.requests) > 20 or driver.poll() is not None)
    nodes.kill()
    wait_for(lambda: len(server.requests) > 50 or driver.poll() is not None)
    driver.kill()
    driver.communicate()
    before = len(server.requests)
    assert before < 150
    nodes.fill()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "out.jsonl")
    assert len(rows) == len({row["uuid"] for row in rows}) == 150
    assert 150 <= len(server.requests) <= 150 + 8 + 8
    assert server.max_in_flight <= 8


def test_a_driver_that_stood_still_asks_for_nothing_again(nodes: Nodes, server: FaultServer, tmp_path: Path) -> None:
    """As on a machine that was suspended: all leases have lapsed, and the workers have replies to tell."""
    nodes.fill()
    server.respond = lambda request: Answer(delay_s=0.3)
    command = [sys.executable, "-m", "tests.executors.ray_driver", str(tmp_path), nodes.address, server.url, "60"]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(server.requests) > 20 or driver.poll() is not None)
    driver.send_signal(signal.SIGSTOP)
    time.sleep(RayCrew(RayConfig()).lease_s + 1.0)
    driver.send_signal(signal.SIGCONT)
    _, told = driver.communicate(timeout=180)
    assert driver.returncode == 0, told
    rows = rows_of(tmp_path / "out.jsonl")
    assert len(rows) == len({row["uuid"] for row in rows}) == len(server.requests) == 60


def test_budgets_of_two_runs_at_once_hold_with_a_node_that_dies(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run has a worker on each node, and the one that ends first leaves the cluster to the other. A reply costs 0.000081 USD, so both
    budgets are 60 replies; what a dead worker had booked counts at its bound, which is some replies in USD."""
    monkeypatch.setattr("datafast.executors.ray._LEASE_S", 5.0)
    nodes.fill()
    price = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}
    budgets: list[tuple[dict[str, Any], int]] = [({"max_calls": 60}, 40), ({"budget_usd": 0.00486}, 15)]
    with FaultServer() as one, FaultServer() as other:
        runs = []
        for server, (budget, _) in zip((one, other), budgets, strict=True):
            server.respond = lambda request: Answer(delay_s=0.5)
            folder = tmp_path / next(iter(budget))
            folder.mkdir()
            settings = on(nodes, max_concurrency=8, **budget)
            settings["ray"]["resources"] = {"CPU": 0.5}
            provider = served(server, price=price, max_completion_tokens=10)
            runs.append(Running(raw(folder, topics=120, run=settings), [provider]))
        wait_for(lambda: len(one.requests) > 10 and len(other.requests) > 10)
        nodes.kill()
        for run, server, (budget, least) in zip(runs, (one, other), budgets, strict=True):
            run._thread.join(_WAIT_S)
            report = run.ended()
            assert report.stop_cause is StopCause.BUDGET
            assert least <= report.written <= len(server.requests) <= 60
            output = tmp_path / next(iter(budget)) / "out.jsonl"
            with LedgerReader(output.with_name("out.jsonl.ledger")) as reader:
                spent = reader.calls.spent(output)
            assert spent.calls <= 60 if "max_calls" in budget else spent.usd <= 0.00486
    assert not ray.is_initialized()


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_workers_make_the_rows_of_every_kind(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example of each, one after the other on the same workers, which know of each what they are sent alone."""
    monkeypatch.chdir(copied_examples(tmp_path))
    crew = RayCrew(RayConfig(address=nodes.address, num_workers=2))
    kinds = set[type[Any]]()
    try:
        for path in map(Path, CONFIGS):
            here, there = tmp_path / f"{path.stem} here.jsonl", tmp_path / f"{path.stem} there.jsonl"
            kind = type(made_of_example(path, here, limit=6))
            if kind in kinds:
                continue
            kinds.add(kind)
            made_of_example(path, there, RemoteExecutor(crew), limit=6)
            assert lines_in_order(there) == lines_in_order(here), path.name
    finally:
        background.run(crew.close())
    assert len(kinds) >= 9


def test_workers_have_a_local_model_of_their_own(nodes: Nodes, tiny_gguf: Path, tmp_path: Path) -> None:
    settings = on(nodes, max_parse_retries=9)
    settings["ray"] |= {"num_workers": 2}
    dataset = raw(tmp_path, topics=20, run=settings)
    dataset.generate([LlamaCppProvider(model_path=tiny_gguf, threads=1)])
    assert dataset.report.calls >= assert_balanced(dataset.report).written == 20
    assert {row["model_id"] for row in rows_of(tmp_path / "out.jsonl")} == {"tiny"}


def test_what_ray_cannot_reserve_is_told(nodes: Nodes, tmp_path: Path) -> None:
    settings = on(nodes)
    settings["ray"]["resources"] = {"CPU": 0.00001}
    with pytest.raises(ConfigError, match=r"run\.ray\.resources: Ray cannot reserve 1e-05 CPU: .*precision"):
        raw(tmp_path, topics=3, run=settings).generate([SimulatedProvider("m")])


def test_a_cluster_without_what_workers_need_is_refused_in_words(nodes: Nodes, tmp_path: Path) -> None:
    settings = on(nodes)
    settings["ray"]["resources"] = {"GPU": 1}
    with pytest.raises(
        ConfigError, match=r"No node of the cluster has 1 CPU, 1 GPU, which a worker needs\. They have: "
    ):
        raw(tmp_path, topics=3, run=settings).generate([SimulatedProvider("m")])
