"""Runs whose items are worked on by several workers, here all in this process: they make what a local run makes."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from datafast._util import background
from datafast.engine.events import CallFinished, ItemDone, ProviderStopped, RunEnded, RunPaused, RunStarted
from datafast.engine.remote.driver import AT_WORK, WORKERS
from datafast.engine.remote.messages import Orders, Replied, Report
from datafast.errors import OutputWriteError
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.store.ledger import Ledger
from datafast.store.reader import LedgerReader
from datafast.store.writer import Store
from datafast.types import StopCause
from tests.running import Running, stays, wait_for
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import CountingProvider, assert_balanced, preference, raw, requests_in, roles, rows_of

pytest.importorskip("ray", reason="it packs the messages")

from tests.engine.remote.crews import LocalCrew, LocalLink, RemoteExecutor


def remote(dataset: Any, crew: LocalCrew | None = None) -> Any:
    dataset.executor = RemoteExecutor(crew or LocalCrew(3))
    return dataset


def by_uuid(path: Path) -> list[Any]:
    return sorted((row["uuid"], orjson.dumps(row)) for row in rows_of(path))


def test_several_workers_make_the_rows_of_a_local_run(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    raw(tmp_path / "here", topics=60).generate([SimulatedProvider("m"), SimulatedProvider("n")])
    crew = LocalCrew(3)
    events: list[Any] = []
    dataset = remote(raw(tmp_path / "there", topics=60), crew)
    dataset.generate([SimulatedProvider("m"), SimulatedProvider("n")], on_event=events.append)
    assert by_uuid(tmp_path / "there" / "out.jsonl") == by_uuid(tmp_path / "here" / "out.jsonl")
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls, report.pending) == (120, 120, 0)
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunEnded)
    assert sum(isinstance(event, CallFinished) for event in events) == 120
    assert sum(event.rows for event in events if isinstance(event, ItemDone)) == 120
    assert not crew.lost


def test_roles_and_judges_are_asked_by_workers(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    preference(tmp_path / "here", documents=6).generate(roles(SimulatedProvider("m")))
    dataset = remote(preference(tmp_path / "there", documents=6))
    dataset.generate(roles(SimulatedProvider("m")))
    assert by_uuid(tmp_path / "there" / "out.jsonl") == by_uuid(tmp_path / "here" / "out.jsonl")


def test_ordered_rows_are_in_the_order_of_the_plan(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    raw(tmp_path / "here", topics=50, run={"ordered": True}).generate([SimulatedProvider("m")])
    remote(raw(tmp_path / "there", topics=50, run={"ordered": True})).generate([SimulatedProvider("m")])
    assert (tmp_path / "there" / "out.jsonl").read_bytes() == (tmp_path / "here" / "out.jsonl").read_bytes()


def test_a_second_run_asks_nobody(tmp_path: Path) -> None:
    log = tmp_path / "log"
    provider = CountingProvider("m", log=log)
    remote(raw(tmp_path, topics=20)).generate([provider])
    crew = LocalCrew(3)
    dataset = remote(raw(tmp_path, topics=20), crew)
    dataset.generate([provider])
    assert len(requests_in(log)) == 20
    assert [link.exchanges for link in crew.links] == [0, 0, 0]
    assert dataset.report.calls == 0


# -- what dies, stops or is slow


def served(server: FaultServer, **options: Any) -> OpenAIProvider:
    return OpenAIProvider("gpt-test", api_key="sk-test", api_base=server.url, **options)


def answers_after(server: FaultServer, seconds: float) -> None:
    server.respond = lambda request: Answer(delay_s=seconds)


def holds_from(server: FaultServer, number: int, seconds: float) -> threading.Event:
    """Answers after so many seconds; from the request of this number on, not before what is returned is set."""
    goes_on = threading.Event()

    def respond(request: Recorded) -> Answer:
        waits = len(server.requests) >= number
        return Answer(until=lambda: not waits or goes_on.is_set(), delay_s=seconds)

    server.respond = respond
    return goes_on


def test_a_worker_that_dies_costs_what_it_had_in_flight(tmp_path: Path) -> None:
    with FaultServer() as server:
        goes_on = holds_from(server, 21, 0.1)
        crew = LocalCrew(3, lease_s=4.0)
        run = Running(remote(raw(tmp_path, topics=90, run={"max_concurrency": 9}), crew), [served(server)])
        wait_for(lambda: len(server.requests) > 20)
        held = background.run(crew.links[0].die())
        goes_on.set()
        report = run.ended()
    assert len(crew.lost) == 1
    assert report.written == 90
    assert len({row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}) == 90
    assert 90 <= len(server.requests) <= 90 + held
    assert report.calls == 90


class DiesWithAReply(LocalLink):
    """It dies when a reply of its has reached the driver, and before the item has ended."""

    async def exchange(self, orders: Orders) -> Report:
        report = await super().exchange(orders)
        if any(isinstance(entry, Replied) for entry in report.entries) and not self.is_dead:
            await self.die()
        return report


@pytest.mark.parametrize("kind", ["one call", "several calls"])
def test_what_reached_the_driver_is_not_asked_again(kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    provider = CountingProvider("m", log=log)
    crew = LocalCrew(2, lease_s=2.0)
    crew.links[0] = DiesWithAReply("worker 0")
    if kind == "one call":
        dataset, providers, calls = raw(tmp_path, topics=12), [provider], 12
    else:
        dataset, providers = preference(tmp_path, documents=4), roles(provider)
        (tmp_path / "here").mkdir()
        local = preference(tmp_path / "here", documents=4)
        local.generate(roles(SimulatedProvider("m")))
        calls = local.report.calls
    events: list[Any] = []
    remote(dataset, crew).generate(providers, on_event=events.append)
    assert len(crew.lost) == 1
    assert dataset.report.calls == calls
    assert dataset.report.pending == 0
    assert not any(event.replayed for event in events if isinstance(event, ItemDone))


@pytest.mark.parametrize("is_lost", [False, True])
def test_the_next_start_knows_of_workers_that_may_send_for_a_while_yet(is_lost: bool, tmp_path: Path) -> None:
    with FaultServer() as server:
        answers_after(server, 0.1)
        crew = LocalCrew(2, lease_s=60.0, replaces=False)
        run = Running(
            remote(raw(tmp_path, topics=300, run={"max_concurrency": 4, "grace_s": 0.5}), crew), [served(server)]
        )
        wait_for(lambda: len(server.requests) > 10)
        if is_lost:
            crew.links[0].is_dead = True
            wait_for(lambda: crew.lost)
        run.control.stop()
        assert run.ended().pending > 0
    with closing(Ledger(tmp_path / "out.jsonl.ledger")) as ledger:
        assert ledger.learned.get(WORKERS) == (AT_WORK if is_lost else "")


class NeverEnds(LocalLink):
    """Whoever waits for its end waits for ever."""

    async def end(self) -> None:
        await asyncio.get_running_loop().create_future()


def test_a_worker_whose_end_does_not_come_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.engine.remote.driver._END_S", 0.1)
    crew = LocalCrew(2)
    crew.links[0] = NeverEnds("worker 0")
    dataset = remote(raw(tmp_path, topics=12), crew)
    dataset.generate([SimulatedProvider("m")])
    assert assert_balanced(dataset.report).written == 12
    with closing(Ledger(tmp_path / "out.jsonl.ledger")) as ledger:
        assert ledger.learned[WORKERS] == AT_WORK


def test_a_worker_that_cannot_be_reached_stops_before_its_items_are_given_to_others(tmp_path: Path) -> None:
    with FaultServer() as server:
        goes_on = holds_from(server, 11, 0.05)
        crew = LocalCrew(2, lease_s=2.0, replaces=False)
        run = Running(remote(raw(tmp_path, topics=120, run={"max_concurrency": 4}), crew), [served(server)])
        wait_for(lambda: len(server.requests) > 10)
        crew.links[0].is_silent = True
        goes_on.set()
        report = run.ended()
    assert report.written == 120
    assert len({row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}) == 120
    assert server.max_in_flight <= 4
    # Replies that it had and could not tell free no slot: four at most.
    assert 120 <= len(server.requests) <= 120 + 4


def test_a_worker_that_hears_too_late_of_a_driver_goes_on_with_nothing(tmp_path: Path) -> None:
    """Messages take longer than a lease: the worker has given up what it had, and another one has it."""
    with FaultServer() as server:
        goes_on = holds_from(server, 11, 0.05)
        crew = LocalCrew(2, lease_s=0.8)
        run = Running(remote(raw(tmp_path, topics=60, run={"max_concurrency": 4}), crew), [served(server)])
        wait_for(lambda: len(server.requests) > 10)
        crew.links[0].late_s = 0.79  # the driver still counts it as there, and it does not
        goes_on.set()
        report = run.ended()
    assert report.written == 60
    assert len({row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}) == 60
    assert crew.lost


class WaitsLong(LocalLink):
    """A report of it waits at the driver, as all do while that stands still. `waits_s`: so long does the next one."""

    waits_s = 0.0

    async def exchange(self, orders: Orders) -> Report:
        report = await super().exchange(orders)
        waits_s, self.waits_s = self.waits_s, 0.0
        await asyncio.sleep(waits_s)
        return report


def test_what_workers_were_answered_while_the_driver_stood_still_is_not_asked_again(tmp_path: Path) -> None:
    with FaultServer() as server:
        goes_on = holds_from(server, 17, 0.1)
        crew = LocalCrew(2, lease_s=2.0)
        crew.links[:] = [WaitsLong("worker 0"), WaitsLong("worker 1")]
        first = list(crew.links)
        run = Running(remote(raw(tmp_path, topics=60, run={"max_concurrency": 8}), crew), [served(server)])
        wait_for(lambda: len(server.requests) > 16)
        for link in first:
            link.waits_s = 2.5
        goes_on.set()
        report = run.ended()
    assert set(crew.lost) >= set(first)
    assert report.written == report.calls == len(server.requests) == 60
    assert len({row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}) == 60


def test_a_driver_that_stood_still_charges_what_was_answered_at_its_cost(tmp_path: Path) -> None:
    """A reply costs less than a hundredth of what is booked for it."""
    price = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}
    with FaultServer() as server:
        goes_on = holds_from(server, 17, 0.1)
        crew = LocalCrew(2, lease_s=2.0)
        crew.links[:] = [WaitsLong("worker 0"), WaitsLong("worker 1")]
        first = list(crew.links)
        provider = served(server, price=price, max_completion_tokens=1000)
        settings = {"max_concurrency": 4, "budget_usd": 0.06}
        run = Running(remote(raw(tmp_path, topics=60, run=settings), crew), [provider])
        wait_for(lambda: len(server.requests) > 16)
        for link in first:
            link.waits_s = 2.5
        goes_on.set()
        report = run.ended()
    assert set(crew.lost) >= set(first)
    assert report.written == len(server.requests) == 60
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        assert not reader.calls.charges()
        assert reader.calls.spent(tmp_path / "out.jsonl").usd == pytest.approx(report.cost_usd)


def test_items_of_a_slow_worker_that_were_not_begun_are_given_to_others(tmp_path: Path) -> None:
    with FaultServer() as server:
        others_are_there = threading.Event()

        def respond(request: Recorded) -> Answer:
            is_first = len(server.requests) == 1
            return Answer(until=lambda: not is_first or others_are_there.is_set())

        server.respond = respond
        dataset = remote(raw(tmp_path, topics=20, run={"max_concurrency": 2}), LocalCrew(2))
        run = Running(dataset, [served(server)])
        wait_for(lambda: len(server.requests) == 20 and server.in_flight == 1)  # all others are answered meanwhile
        others_are_there.set()
        report = run.ended()
    assert report.written == 20
    assert report.calls == 20


def test_an_interruption_lets_what_is_in_flight_land(tmp_path: Path) -> None:
    with FaultServer() as server:
        goes_on = holds_from(server, 1, 0.0)
        run = Running(remote(raw(tmp_path, topics=40, run={"max_concurrency": 6})), [served(server)])
        wait_for(lambda: server.in_flight == 6)
        run.control.stop()
        goes_on.set()
        report = run.ended()
    assert report.stop_cause is StopCause.INTERRUPTED
    assert report.written == report.calls == len(server.requests) <= 12


def test_a_second_interruption_waits_for_nothing(tmp_path: Path) -> None:
    with FaultServer() as server:
        answers_after(server, 30.0)
        settings = {"max_concurrency": 6, "grace_s": 0.0}
        run = Running(remote(raw(tmp_path, topics=40, run=settings)), [served(server)])
        wait_for(lambda: server.in_flight == 6)
        run.control.stop()
        report = run.ended()
    assert (report.written, report.calls) == (0, 0)


def test_a_wrong_key_stops_a_provider_at_all_workers(tmp_path: Path) -> None:
    with FaultServer() as server:
        server.respond = lambda request: Answer(status=401, body={"error": {"message": "no"}})
        run = Running(remote(raw(tmp_path, topics=60, run={"max_concurrency": 6})), [served(server)])
        report = run.ended()
    assert report.stop_cause is StopCause.PROVIDER
    assert report.pending == 60
    assert len(server.requests) <= 6
    assert run.count(ProviderStopped) == 1


def test_a_budget_holds_over_all_workers(tmp_path: Path) -> None:
    with FaultServer() as server:
        answers_after(server, 0.02)
        settings = {"max_concurrency": 6, "max_calls": 25}
        run = Running(remote(raw(tmp_path, topics=60, run=settings)), [served(server)])
        report = run.ended()
        assert report.stop_cause is StopCause.BUDGET
        assert report.written == len(server.requests) == 25
        run = Running(remote(raw(tmp_path, topics=60, run={"max_concurrency": 6, "max_calls": 70})), [served(server)])
        report = run.ended()
    assert report.stop_cause is None
    assert report.written == len(server.requests) == 60


def test_what_was_booked_and_not_used_is_not_charged(tmp_path: Path) -> None:
    with FaultServer() as server:
        answers_after(server, 0.02)
        settings = {"max_concurrency": 12, "max_calls": 1000}
        report = Running(remote(raw(tmp_path, topics=60, run=settings)), [served(server)]).ended()
    assert report.written == 60
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        assert reader.calls.charges() == []
        assert reader.calls.spent(tmp_path / "out.jsonl").calls == 60


def test_a_run_on_workers_can_be_paused_and_widened(tmp_path: Path) -> None:
    with FaultServer() as server:
        answers_after(server, 0.05)
        run = Running(remote(raw(tmp_path, topics=300, run={"max_concurrency": 3})), [served(server)])
        wait_for(lambda: len(server.requests) > 6)
        run.control.pause()
        run.until(RunPaused)
        wait_for(lambda: server.in_flight == 0 and stays(lambda: len(server.requests), 0.5))
        assert server.max_in_flight <= 3
        (provider,) = run.control.limits.providers
        run.control.set_concurrency(provider.name, 12)
        run.control.resume()
        wait_for(lambda: server.max_in_flight == 12)
        report = run.ended()
    assert report.written == 300
    assert server.max_in_flight == 12


def test_a_server_that_limits_slows_down_all_workers_and_loses_nothing(tmp_path: Path) -> None:
    with FaultServer() as server:
        bucket = [20.0, time.monotonic()]

        def respond(request: Recorded) -> Answer:
            now = time.monotonic()
            bucket[:] = [min(20.0, bucket[0] + 40.0 * (now - bucket[1])), now]
            if bucket[0] < 1.0 or 15 < len(server.requests) <= 18:  # a few, however slow the workers are
                return Answer(status=429, body={"error": {"message": "slow down"}})
            bucket[0] -= 1.0
            return Answer()

        server.respond = respond
        settings = {"max_concurrency": 12, "retry_delay_s": 0.1, "max_retry_delay_s": 0.5}
        run = Running(remote(raw(tmp_path, topics=60, run=settings)), [served(server)])
        report = run.ended()
    assert report.written == report.calls == 60
    assert report.retries == len(server.requests) - 60 > 0


def test_rows_that_stages_drop_are_made_again_as_in_a_local_run(tmp_path: Path) -> None:
    rows = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        stage = {"stage": "length", "field": "text", "min_words": 60}
        dataset = raw(tmp_path / folder, topics=30, quality=[stage], regenerate=2)
        if folder == "there":
            remote(dataset)
        dataset.generate([SimulatedProvider("m")])
        rows.append(by_uuid(tmp_path / folder / "out.jsonl"))
        assert dataset.report.filtered + dataset.report.written == 30
    assert rows[0] == rows[1]


def test_failed_rows_are_retried_by_workers(tmp_path: Path) -> None:
    with FaultServer() as server:
        settings = {"max_parse_retries": 0, "max_concurrency": 4, "max_retries": 0}
        server.respond = lambda request: Answer(text="no json") if "topic 3" in request.prompt else Answer()
        first = remote(raw(tmp_path, topics=8, run=settings))
        report = Running(first, [served(server)]).ended()
        assert (report.written, report.failed) == (7, 1)
        server.respond = lambda request: Answer()
        again = remote(raw(tmp_path, topics=8, run=settings))
        report = Running(again, [served(server)], retry_failed=True).ended()
    assert (report.written, report.failed, report.calls) == (8, 0, 1)


# -- what goes wrong here


class Unfit(LocalLink):
    async def begin(self, setup: Any) -> None:
        raise RuntimeError("its disk is full")


def test_a_worker_whose_beginning_fails_in_no_known_way_ends_the_run(tmp_path: Path) -> None:
    crew = LocalCrew(1)
    crew.links[:] = [Unfit("worker")]
    run = Running(remote(raw(tmp_path, topics=5), crew), [SimulatedProvider("m")])
    run.join()
    assert isinstance(run.error, RuntimeError)
    assert str(run.error) == "its disk is full"


def test_a_disk_that_is_full_when_a_request_is_booked_ends_the_run_as_a_local_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OutputWriteError("no space left on device")

    causes = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        with FaultServer() as server, monkeypatch.context() as patch:
            answers_after(server, 0.1)
            dataset = raw(tmp_path / folder, topics=60, run={"max_concurrency": 2, "max_calls": 100, "grace_s": 2.0})
            run = Running(dataset if folder == "here" else remote(dataset, LocalCrew(2)), [served(server)])
            wait_for(lambda: len(server.requests) > 4)
            patch.setattr(Store, "reserve", full)
            run.join()
        (ended,) = [event for event in run.events if isinstance(event, RunEnded)]
        causes.append((ended.report.stop_cause, ended.report.stop_reason, type(run.error)))
    assert causes[0] == causes[1]
    assert causes[0][0] is StopCause.OUTPUT


def test_rows_are_compared_while_they_come_in_a_shard_too(tmp_path: Path) -> None:
    """Stages that compare rows decide when shards are merged, and an alarm looks at them before."""
    stage = {"stage": "near_duplicates", "field": "text"}
    shown: dict[str, list[int]] = {"here": [], "there": []}
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        dataset = raw(tmp_path / folder, topics=30, quality=[stage])
        if folder == "there":
            remote(dataset)
        told = shown[folder].append
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("datafast.engine.watching._Comparing.look", lambda self, rows, told=told: told(len(rows)))
            dataset.generate([SimulatedProvider("m")], shard=(1, 2), on_event=lambda event: None)
    assert sum(shown["there"]) == sum(shown["here"]) > 0
