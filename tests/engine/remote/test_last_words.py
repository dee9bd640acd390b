"""Workers whose leases have lapsed, as when the driver's process stood still: what they tell yet, and what becomes of a run meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.control import RunControl
from datafast.engine.events import RunEnded, RunPaused
from datafast.engine.remote.messages import Orders, Report
from datafast.errors import OutputWriteError, RunStopped
from datafast.llms import OpenAIProvider
from datafast.store.reader import LedgerReader
from datafast.store.writer import Store
from datafast.types import StopCause
from tests.running import Running, wait_for
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import raw, rows_of

pytest.importorskip("ray", reason="it packs the messages")

from tests.engine.remote.crews import LocalCrew, LocalLink, RemoteExecutor

LEASE_S = 2.0


class Link(LocalLink):
    """Reports of it wait at the driver, as all do while that stands still.

    Attributes:
        waits_s: so long does the next one; `end_waits_s`: so long does that of the last exchange.
        waits_for: all wait until this is set; `waits`: one does.
        hears_late: its next orders come when its lease has lapsed.
        is_speechless: nobody hears its last words.
    """

    waits_s = end_waits_s = 0.0
    waits_for: threading.Event | None = None
    waits = hears_late = is_speechless = False

    async def exchange(self, orders: Orders) -> Report:
        if self.hears_late:
            self.hears_late = False
            while self.worker._engine is not None and not self.worker._engine.has_lapsed:
                await asyncio.sleep(0.005)
        report = await super().exchange(orders)
        waits_s, self.waits_s = self.end_waits_s if orders.is_end else self.waits_s, 0.0
        await asyncio.sleep(waits_s)
        while self.waits_for is not None and not self.waits_for.is_set():
            self.waits = True
            await asyncio.sleep(0.005)
        return report

    async def last_words(self) -> Report:
        if self.is_speechless:
            await asyncio.get_running_loop().create_future()
        return await super().last_words()


def crew_of(number: int = 2, **options: Any) -> tuple[LocalCrew, list[Link]]:
    crew = LocalCrew(number, lease_s=LEASE_S, **options)
    links = [Link(f"worker {one}") for one in range(number)]
    crew.links[:] = links
    return crew, links


def started(
    folder: Path,
    server: FaultServer,
    crew: LocalCrew,
    *,
    topics: int = 60,
    arrange: Callable[[], None] = lambda: None,
    control: RunControl | None = None,
    **settings: Any,
) -> Running:
    """A run with replies of 0.1 s, four at once; something is arranged when it is under way, and before it goes on."""
    goes_on = threading.Event()

    def respond(request: Recorded) -> Answer:
        waits = len(server.requests) > 12
        return Answer(until=lambda: not waits or goes_on.is_set(), delay_s=0.1)

    server.respond = respond
    dataset = raw(folder, topics=topics, run={"max_concurrency": 4, **settings})
    dataset.executor = RemoteExecutor(crew)
    price = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}
    provider = OpenAIProvider(
        "gpt-test", api_key="sk-test", api_base=server.url, price=price, max_completion_tokens=1000
    )
    run = Running(dataset, [provider], control=control or RunControl())
    wait_for(lambda: len(server.requests) > 12)
    arrange()
    goes_on.set()
    return run


def charges(folder: Path) -> int:
    with LedgerReader(folder / "out.jsonl.ledger") as reader:
        return len(reader.calls.charges())


def assert_each_once(folder: Path, number: int) -> None:
    assert len(rows_of(folder / "out.jsonl")) == len({row["uuid"] for row in rows_of(folder / "out.jsonl")}) == number


def test_workers_whose_leases_lapse_a_moment_before_the_driver_knows_it_are_heard(tmp_path: Path) -> None:
    """They refuse orders, and have replies to tell."""
    crew, links = crew_of()

    def arrange() -> None:
        for link in links:
            link.hears_late = True

    with FaultServer() as server:
        report = started(tmp_path, server, crew, arrange=arrange, budget_usd=0.1).ended()
    assert set(crew.lost) >= set(links)
    assert report.written == report.calls == len(server.requests) == 60
    assert charges(tmp_path) == 0


def test_last_words_that_never_come_cost_what_was_in_flight(tmp_path: Path) -> None:
    crew, links = crew_of()

    def arrange() -> None:
        for link in links:
            link.is_speechless, link.waits_s = True, LEASE_S + 0.5

    with FaultServer() as server:
        report = started(tmp_path, server, crew, arrange=arrange, budget_usd=1.0).ended()
    assert report.written == 60
    assert_each_once(tmp_path, 60)
    assert report.calls <= len(server.requests) <= 60 + 4
    assert charges(tmp_path) >= len(server.requests) - report.calls


def test_a_run_that_is_ended_at_once_hears_last_words_first(tmp_path: Path) -> None:
    """As by a second Ctrl-C: what was answered is recorded, so the next run does not ask again."""
    crew, links = crew_of()
    is_told = threading.Event()

    def arrange() -> None:
        for link in links:
            link.waits_for = is_told

    with FaultServer() as server:
        run = started(tmp_path, server, crew, arrange=arrange, budget_usd=0.1, grace_s=0.0)
        wait_for(lambda: all(link.waits and link.worker._engine is not None for link in links))
        engines = [link.worker._engine for link in links]
        wait_for(lambda: all(engine is not None and engine.has_lapsed for engine in engines))
        time.sleep(0.3)  # the driver looks, and hears them for two seconds yet
        run.control.stop()
        is_told.set()  # what was told the loop before comes before
        report = run.ended()
        assert report.stop_cause is StopCause.INTERRUPTED
        assert report.calls == len(server.requests) < 60
        assert charges(tmp_path) == 0
        again = started(tmp_path, server, LocalCrew(2), budget_usd=0.1).ended()
    assert (again.written, again.pending) == (60, 0)
    assert_each_once(tmp_path, 60)
    assert len(server.requests) == 60


def test_workers_that_part_while_a_run_is_ended_are_not_used_again(tmp_path: Path) -> None:
    crew, links = crew_of(replaces=False)

    def arrange() -> None:
        for link in links:
            link.is_silent = True

    with FaultServer() as server:
        run = started(tmp_path, server, crew, arrange=arrange, grace_s=0.0)
        time.sleep(LEASE_S + 0.5)
        run.control.stop()
        run.ended()
    assert set(crew.lost) == set(links)


def test_a_report_of_the_last_exchange_that_comes_late_is_heard(tmp_path: Path) -> None:
    crew, links = crew_of()

    def arrange() -> None:
        links[0].end_waits_s = LEASE_S - 0.4
        links[1].end_waits_s = LEASE_S + 0.4

    with FaultServer() as server:
        report = started(tmp_path, server, crew, arrange=arrange, budget_usd=0.1).ended()
    assert report.written == report.calls == len(server.requests) == 60


def test_a_paused_run_whose_workers_part_goes_on_with_others(tmp_path: Path) -> None:
    crew, links = crew_of()
    control = RunControl()
    with FaultServer() as server:
        run = started(tmp_path, server, crew, control=control, arrange=control.pause, budget_usd=0.1)
        run.until(RunPaused)
        for link in links:
            link.waits_s = LEASE_S + 0.5
        wait_for(lambda: set(crew.lost) >= set(links))
        run.control.resume()
        report = run.ended()
    assert report.written == report.calls == len(server.requests) == 60
    assert charges(tmp_path) == 0


@pytest.mark.parametrize("limit", ["budget_usd", "max_calls"])
def test_a_budget_holds_where_all_leases_lapse_at_its_end(limit: str, tmp_path: Path) -> None:
    """What they have booked is free again once they have told, and the run goes on to its very end."""
    crew, links = crew_of()

    def arrange() -> None:
        for link in links:
            link.waits_s = LEASE_S + 0.5

    with FaultServer() as server:
        most = {limit: 0.06 if limit == "budget_usd" else 30}
        report = started(tmp_path, server, crew, arrange=arrange, **most).ended()
    assert set(crew.lost) >= set(links)
    assert report.calls == len(server.requests)
    assert charges(tmp_path) == 0
    if limit == "max_calls":
        assert (report.stop_cause, report.written) == (StopCause.BUDGET, 30)


# -- a full disk


def _full(*arguments: Any, **options: Any) -> int:
    raise OutputWriteError("no space left on device")


def _cause(run: Running) -> tuple[StopCause | None, type[BaseException]]:
    run.join()
    (ended,) = [event for event in run.events if isinstance(event, RunEnded)]
    return ended.report.stop_cause, type(run.error)


def test_a_disk_that_is_full_while_leases_lapse_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crew, links = crew_of()

    def arrange() -> None:
        links[0].waits_s = LEASE_S + 0.5
        monkeypatch.setattr(Store, "reserve", _full)

    with FaultServer() as server:
        run = started(tmp_path, server, crew, arrange=arrange, max_calls=1000, grace_s=15.0)
        cause, error = _cause(run)
    assert (cause, error) == (StopCause.OUTPUT, RunStopped)


def test_a_disk_that_is_full_when_a_lost_worker_is_charged_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = Store.release

    def full(self: Store, number: int, *, charged: bool) -> None:
        if charged:
            _full()
        release(self, number, charged=charged)

    crew, links = crew_of()

    def arrange() -> None:
        links[0].is_silent = True
        monkeypatch.setattr(Store, "release", full)

    with FaultServer() as server:
        run = started(tmp_path, server, crew, topics=300, arrange=arrange, max_calls=1000, grace_s=15.0)
        cause, error = _cause(run)
    assert (cause, error) == (StopCause.OUTPUT, RunStopped)
