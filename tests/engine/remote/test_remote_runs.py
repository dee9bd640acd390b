"""Runs whose items are worked on by several workers, here all in this process: they make what a local run makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from datafast.engine.events import CallFinished, ItemDone, RunEnded, RunStarted
from datafast.llms import SimulatedProvider
from tests.engine.remote.crews import LocalCrew, RemoteExecutor
from tests.support import CountingProvider, assert_balanced, preference, raw, requests_in, roles, rows_of


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
