"""Executors: anything that fulfils the protocol carries out a dataset's runs; the local one stops on request."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import sys
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from datafast._util import background
from datafast.datasets import RawDataset
from datafast.engine.job import Job
from datafast.engine.stop import StopSignal
from datafast.errors import ConfigError, MissingExtraError, RunStopped
from datafast.executors.base import Executor
from datafast.executors.local import LocalExecutor
from datafast.llms import SimulatedProvider
from datafast.schema.config import RawDatasetConfig, RayConfig
from datafast.types import RunReport, StopCause
from tests.running import WAIT_S, until, wait_for
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of


class Noting:
    """Hands every job to another executor and keeps it."""

    def __init__(self) -> None:
        self.inner: Executor = LocalExecutor()
        self.jobs: list[Job] = []

    def run(self, job: Job) -> RunReport:
        self.jobs.append(job)
        return self.inner.run(job)

    async def run_async(self, job: Job) -> RunReport:
        self.jobs.append(job)
        return await self.inner.run_async(job)

    def stop(self, reason: str = "interrupted") -> None:
        self.inner.stop(reason)

    @property
    def in_flight(self) -> int:
        return self.inner.in_flight

    @property
    def in_flight_by_provider(self) -> dict[str, int]:
        return self.inner.in_flight_by_provider


def config(folder: Path, topics: int = 3, **run: Any) -> RawDatasetConfig:
    names = [f"topic {number}" for number in range(topics)]
    return RawDatasetConfig(
        document_types=["note"], topics=names, num_samples_per_prompt=1, output_file=folder / "out.jsonl", run=run
    )


def test_a_dataset_hands_its_job_with_its_plan_to_whatever_executor_it_was_given(tmp_path: Path) -> None:
    executor: Executor = Noting()
    dataset = RawDataset(config(tmp_path), executor=executor)
    provider = SimulatedProvider("m")
    dataset.generate([provider])
    assert dataset.executor is executor
    assert isinstance(executor, Noting)
    (job,) = executor.jobs
    assert len(job.plan) == job.plan.num_rows == 3
    assert job.providers == [provider]
    assert job.simulated
    assert executor.in_flight == 0


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CountingProvider:
    """A provider of which two requests are answered at once, and the others when the run is told to stop."""
    stops, numbers, now = threading.Event(), itertools.count(1), StopSignal.now

    def noted(self: StopSignal, *args: Any, **options: Any) -> Any:
        try:
            return now(self, *args, **options)
        finally:
            stops.set()

    async def waits(_: object) -> None:
        if next(numbers) > 2:
            await until(stops.is_set)

    monkeypatch.setattr(StopSignal, "now", noted)
    return CountingProvider("m", log=tmp_path / "requests", max_concurrency=4, waits=waits)


def test_stopping_is_an_interruption_whatever_the_words(tmp_path: Path, slow: CountingProvider) -> None:
    executor = LocalExecutor()
    dataset = RawDataset(config(tmp_path, topics=60), executor=executor)

    def stop() -> None:
        wait_for(lambda: executor.in_flight == 4)
        executor.stop("enough for today")

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(RunStopped, match="enough for today"):
        dataset.generate([slow])
    report = assert_balanced(dataset.report)
    assert (report.stop_cause, report.stop_reason) == (StopCause.INTERRUPTED, "enough for today")
    assert executor.in_flight == 0
    dataset.generate([SimulatedProvider("m")])
    assert assert_balanced(dataset.report).stop_cause is None


class TimeIsUp(Exception):
    """What a handler of a signal raises."""


@pytest.fixture
def alarm(tmp_path: Path) -> Iterator[None]:
    """Goes off when something has been sent."""
    if sys.platform == "win32":
        pytest.skip("there is no alarm")

    def go_off(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp

    def watch() -> None:
        wait_for(lambda: _is_asked(tmp_path))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, go_off)
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    yield
    watching.join()
    signal.signal(signal.SIGALRM, before)


def _is_asked(folder: Path) -> bool:
    return (folder / "requests").exists() and len(requests_in(folder / "requests")) > 0


def _sends_nothing_more(folder: Path, dataset: RawDataset) -> None:
    """What was sent has landed, and another run buys exactly the rest."""
    asked = len(requests_in(folder / "requests"))
    assert 0 < asked < 200
    assert len(rows_of(folder / "out.jsonl")) == asked
    report = assert_balanced(dataset.report)
    assert (report.written, report.stop_cause) == (asked, StopCause.INTERRUPTED)
    RawDataset(dataset.config).generate([CountingProvider("m", log=folder / "requests")])
    assert len(requests_in(folder / "requests")) == 200


@pytest.mark.usefixtures("alarm")
def test_whatever_interrupts_the_waiting_stops_the_run(tmp_path: Path, slow: CountingProvider) -> None:
    dataset = RawDataset(config(tmp_path, topics=200))
    with pytest.raises(TimeIsUp):
        dataset.generate([slow])
    _sends_nothing_more(tmp_path, dataset)


@pytest.mark.usefixtures("alarm")
def test_whatever_ends_the_loop_that_waits_stops_the_run(tmp_path: Path, slow: CountingProvider) -> None:
    dataset = RawDataset(config(tmp_path, topics=200))
    with pytest.raises(TimeIsUp):
        asyncio.run(dataset.generate_async([slow]))
    _sends_nothing_more(tmp_path, dataset)


@pytest.mark.parametrize("has_begun", [True, False])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_interruption_in_the_moment_in_which_a_run_begins_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_async: bool, has_begun: bool
) -> None:
    """A handler of a signal may raise between any two steps of the thread that waits. Where nothing runs, nothing is waited for."""
    dataset = RawDataset(config(tmp_path, topics=200, grace_s=30 if has_begun else 10_000))
    provider = CountingProvider("m", log=tmp_path / "requests", latency_s=0.05, max_concurrency=4)
    submit = background.submit

    def interrupted(coroutine: Coroutine[Any, Any, Any]) -> None:
        if has_begun:
            submit(coroutine)
        else:
            coroutine.close()
        raise TimeIsUp

    monkeypatch.setattr("datafast.executors.local.background.submit", interrupted)
    generate = (
        (lambda: asyncio.run(dataset.generate_async([provider]))) if is_async else lambda: dataset.generate([provider])
    )
    with pytest.raises(TimeIsUp):
        generate()
    monkeypatch.setattr("datafast.executors.local.background.submit", submit)
    assert len(requests_in(tmp_path / "requests")) < 200
    RawDataset(dataset.config).generate([CountingProvider("m", log=tmp_path / "requests")])
    assert len(requests_in(tmp_path / "requests")) == 200


def test_a_coroutine_that_is_closed_stops_its_run(tmp_path: Path, slow: CountingProvider) -> None:
    dataset = RawDataset(config(tmp_path, topics=200))
    landed = threading.Event()
    running: Coroutine[Any, Any, Any] = dataset.generate_async(
        [slow], on_event=lambda event: landed.set() if event.type == "run_ended" else None
    )

    async def main() -> None:
        running.send(None)  # as a task does that is never awaited to its end
        await asyncio.to_thread(wait_for, lambda: _is_asked(tmp_path))
        running.close()
        await asyncio.to_thread(landed.wait, WAIT_S)

    asyncio.run(main())
    _sends_nothing_more(tmp_path, dataset)


def on_ray(folder: Path, **ray: Any) -> RawDataset:
    made = config(folder)
    made.run.executor = "ray"
    made.run.ray = RayConfig(**ray)
    return RawDataset(made)


def test_without_ray_the_command_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "datafast.executors.ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'datafast\[ray\]'"):
        on_ray(tmp_path).generate([SimulatedProvider("m")])


def test_ray_clients_are_refused_in_words(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="it has no wheel here")
    with pytest.raises(ConfigError, match=r"Ray clients \(ray://\) cannot drive a run"):
        on_ray(tmp_path, address="ray://head:10001").generate([SimulatedProvider("m")])


def test_no_cluster_on_this_machine_is_told_with_what_starts_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="it has no wheel here")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # where Ray notes its clusters
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match=r"No Ray cluster runs on this machine.*`ray start --head`"):
        on_ray(tmp_path).generate([SimulatedProvider("m")])


@pytest.mark.parametrize("is_named", [True, False])
def test_an_address_where_nothing_listens_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    pytest.importorskip("ray", reason="it has no wheel here")
    with socket.socket() as bound:  # and not listening, so nobody else can
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", "" if is_named else address)
        with pytest.raises(ConfigError, match=f"No Ray cluster can be used at '{address}'"):
            on_ray(tmp_path, address=address if is_named else "auto").generate([SimulatedProvider("m")])


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_of_workers_is_at_least_one(number: int) -> None:
    with pytest.raises(ValueError, match="expected at least 1, or auto"):
        RayConfig(num_workers=number)
