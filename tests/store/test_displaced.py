"""Files of an output that are deleted, moved or replaced while a run goes on: it stops, and what was bought is not lost."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.events import Event
from datafast.errors import OutputChangedError, RunStopped
from datafast.llms import SimulatedProvider
from datafast.store import group_commit
from datafast.store.group_commit import GroupCommit
from datafast.types import RunReport, StopCause
from tests.support import CountingProvider, assert_balanced, raw, requests_in, rows_of, same_rows

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be moved there")

TOPICS = 200


def replace(path: Path, text: str) -> None:
    other = path.with_name("other")
    other.write_text(text)
    other.replace(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(group_commit, "_SYNC_S", 0.05)
    return tmp_path / "out"


def stopped(folder: Path, act: Callable[[], object], *, reason: str = "was deleted, moved or replaced") -> RunReport:
    """A run in which something is done to its files after thirty calls."""
    calls = 0

    def on_event(event: Event) -> None:
        nonlocal calls
        calls += event.type == "call_finished"
        if event.type == "call_finished" and calls == 30:
            act()

    commits: list[GroupCommit] = []
    begin, numbers = GroupCommit.__init__, itertools.count(1)

    def noted(self: GroupCommit, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        commits.append(self)

    async def waits(_: object) -> None:
        """The files are looked at now and then: the later calls take their time until that has been."""
        for _ in range(50 if next(numbers) > 100 else 0):
            if commits[0].displaced or commits[0].broken:
                break
            await asyncio.sleep(0.005)

    dataset = raw(folder, topics=TOPICS, run={"max_concurrency": 4})
    provider = CountingProvider("m", log=folder.parent / "requests", latency_s=0.02, waits=waits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GroupCommit, "__init__", noted)
        with pytest.raises(RunStopped, match=f"{reason} while the run went on"):
            dataset.generate([provider], on_event=on_event)
    report = dataset.report
    assert report is not None
    assert report.stop_cause is StopCause.OUTPUT
    assert report.requested == report.written + report.filtered + report.failed + report.pending
    assert 30 <= len(requests_in(folder.parent / "requests")) < TOPICS
    return report


def goes_on(folder: Path) -> None:
    """Another run makes every row, and buys nothing twice."""
    dataset = raw(folder, topics=TOPICS).generate([CountingProvider("m", log=folder.parent / "requests")])
    assert assert_balanced(dataset.report).written == TOPICS
    requests = requests_in(folder.parent / "requests")
    assert len(set(requests)) == len(requests) == TOPICS
    uncut = raw(folder.parent / "uncut", topics=TOPICS).generate([SimulatedProvider("m")])
    assert same_rows(rows_of(folder / "out.jsonl"), rows_of(uncut.config.output_file))


@pytest.mark.parametrize(
    "names", [["out.jsonl"], ["out.jsonl.ledger"], ["out.jsonl.ledger-replies"], ["out.jsonl", "out.jsonl.ledger"]]
)
def test_a_file_that_is_deleted_stops_the_run_and_loses_nothing(folder: Path, names: list[str]) -> None:
    report = stopped(folder, lambda: [(folder / name).unlink() for name in names])
    bought = len(requests_in(folder.parent / "requests"))
    assert report.written == (0 if "out.jsonl" in names else bought)
    goes_on(folder)


def test_a_folder_that_is_deleted_stops_the_run_and_loses_nothing(folder: Path) -> None:
    assert stopped(folder, lambda: shutil.rmtree(folder)).written == 0
    goes_on(folder)


def test_a_folder_that_is_moved_stops_the_run_and_both_go_on(folder: Path) -> None:
    moved = folder.with_name("moved")
    stopped(folder, lambda: folder.rename(moved))
    goes_on(moved)


def test_rows_that_are_replaced_stop_the_run_and_the_next_one_names_the_difference(folder: Path) -> None:
    stopped(folder, lambda: replace(folder / "out.jsonl", '{"mine": 1}\n' * 50))
    with pytest.raises(OutputChangedError, match="changed since"):
        raw(folder, topics=TOPICS).generate([SimulatedProvider("m")])
    (folder / "out.jsonl").unlink()
    goes_on(folder)


def test_rows_that_are_cut_off_stop_the_run_and_come_back(folder: Path) -> None:
    report = stopped(folder, lambda: os.truncate(folder / "out.jsonl", 100), reason="was changed by somebody else")
    assert report.written == 0
    goes_on(folder)


def test_lines_that_are_added_stop_the_run_and_are_set_aside(folder: Path) -> None:
    def add() -> None:
        with (folder / "out.jsonl").open("a") as file:
            file.write('{"mine": 1}\n')

    assert stopped(folder, add, reason="was changed by somebody else").written >= 10
    goes_on(folder)
    (tail,) = folder.glob("out.jsonl.tail-*")
    assert tail.read_text() == '{"mine": 1}\n'


def other_text(folder: Path) -> None:
    replace(folder / "out.jsonl.ledger", "mine")


def earlier_copy(folder: Path) -> None:
    """As programs do it that synchronise folders, or restore them."""
    shutil.copy(folder / "out.jsonl.ledger", folder / "copy")
    (folder / "copy").replace(folder / "out.jsonl.ledger")


@pytest.mark.parametrize("act", [other_text, earlier_copy])
def test_a_ledger_that_is_replaced_stops_the_run_and_is_saved_next_to_the_other(
    folder: Path, act: Callable[[Path], None]
) -> None:
    report = stopped(folder, lambda: act(folder), reason="was replaced by another file")
    assert "Move that file into its place, then run again" in str(report.stop_reason)
    (saved,) = report.set_aside
    assert Path(saved).match("out.jsonl.ledger.saved-*")
    asked = len(requests_in(folder.parent / "requests"))
    with pytest.raises(
        OutputChangedError, match=r"saved-\S+ has what was bought .* Move it into the place of out\.jsonl\.ledger"
    ):
        raw(folder, topics=TOPICS).generate([CountingProvider("m", log=folder.parent / "requests")])
    assert len(requests_in(folder.parent / "requests")) == asked
    Path(saved).replace(folder / "out.jsonl.ledger")
    goes_on(folder)


def test_starting_over_takes_a_saved_ledger_along(folder: Path) -> None:
    (saved,) = stopped(folder, lambda: earlier_copy(folder), reason="was replaced by another file").set_aside
    dataset = raw(folder, topics=TOPICS).generate([SimulatedProvider("m")], fresh=True)
    assert assert_balanced(dataset.report).written == TOPICS
    assert not Path(saved).exists()
    assert len(list(folder.glob("out.jsonl.ledger.saved-*.bak"))) == 1
    raw(folder, topics=TOPICS).generate([SimulatedProvider("m")])


def test_a_short_run_looks_at_its_end(tmp_path: Path) -> None:
    def delete(event: Event) -> None:
        if event.type == "run_started":
            shutil.rmtree(tmp_path / "out")

    dataset = raw(tmp_path / "out", topics=3)
    with pytest.raises(RunStopped, match="was deleted"):
        dataset.generate([CountingProvider("m", log=tmp_path / "requests")], on_event=delete)
    assert dataset.report is not None
    assert (dataset.report.written, dataset.report.pending) == (0, 3)
    raw(tmp_path / "out", topics=3).generate([CountingProvider("m", log=tmp_path / "requests")])
    assert len(requests_in(tmp_path / "requests")) == 3
