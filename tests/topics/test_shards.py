"""What is grown for shards is grown once, whichever of them begins first."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from datafast.engine.events import PreparationStarted
from datafast.errors import RunStopped
from datafast.llms import SimulatedProvider
from datafast.store.lock import take_locks
from datafast.store.paths import OutputPaths
from datafast.store.shards import ShardFolder
from datafast.types import StopCause
from tests.killed import dies_at
from tests.running import Running, wait_for
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import CountingProvider, ForkServer, assert_balanced, rows_of
from tests.topics.support import GROWN, LEAVES, asked, asked_of, provider, subtopics, talk

WAITS = pytest.mark.filterwarnings(r"ignore:Growing the topic tree of 'sea'. another process:")


def slowly(request: Recorded) -> Answer:
    return subtopics(request, delay_s=0.4 if asked_of(request) else 0.0)


def all_topics(folder: Path) -> list[str]:
    outputs = ShardFolder.open(folder / "out.jsonl").outputs
    return sorted(row["metadata"]["topic_path"] for paths in outputs for row in rows_of(paths.rows))


@WAITS
def test_shards_that_start_at_once_grow_topics_once(server: FaultServer, tmp_path: Path) -> None:
    server.respond = slowly
    running = [Running(talk(tmp_path, GROWN), [provider(server)], shard=(number, 3)) for number in (1, 2, 3)]
    reports = [one.ended() for one in running]
    assert set(Counter(asked(server)).values()) == {1}
    assert all_topics(tmp_path) == sorted(" > ".join(path) for path in LEAVES)
    assert sum(report.calls for report in reports) == 3 + len(LEAVES)
    assert all(one.count(PreparationStarted) <= 1 for one in running)
    assert Path(tmp_path, "out.jsonl.topics.json").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_where_the_shard_that_grows_is_killed_another_one_goes_on(tmp_path: Path, children: ForkServer) -> None:
    """Its second call is never answered: what was answered before is not asked again."""
    arguments = {"folder": str(tmp_path), "at": 2}
    assert children.run("tests.topics.test_shards:killed_run_of_shard", **arguments) == -signal.SIGKILL
    log = tmp_path / "requests"
    for number in (2, 1):
        dataset = talk(tmp_path, GROWN)
        dataset.generate([CountingProvider("m", log=log)], shard=(number, 2))
        assert_balanced(dataset.report)
    growing = [
        text for _, text in map(json.loads, log.read_text(encoding="utf-8").splitlines()) if "is being divided" in text
    ]
    assert len(growing) == len(set(growing)) == 2
    assert len(all_topics(tmp_path)) == len(LEAVES)


def killed_run_of_shard(folder: str, at: int) -> None:
    """The first of two shards, in a process that is killed when the call of this number is sent."""
    dies_at(at)
    talk(Path(folder), GROWN, run={"max_concurrency": 1}).generate([SimulatedProvider("m")], shard=(1, 2))


def test_a_budget_is_never_passed_whoever_grows(server: FaultServer, tmp_path: Path) -> None:
    run = {"max_calls": 9}
    calls = 0
    for number in (1, 2, 1, 2):
        dataset = talk(tmp_path, GROWN, run=run)
        with contextlib.suppress(RunStopped):
            dataset.generate([provider(server)], shard=(number, 2))
        assert dataset.report is not None
        assert dataset.report.stop_cause in {None, StopCause.BUDGET}
        calls += dataset.report.calls
    assert calls == len(server.requests) <= 9
    assert set(Counter(asked(server)).values()) == {1}


def test_starting_a_shard_over_leaves_what_is_grown_for_all(server: FaultServer, tmp_path: Path) -> None:
    for number in (1, 2):
        talk(tmp_path, GROWN).generate([provider(server)], shard=(number, 2))
    before = asked(server)
    dataset = talk(tmp_path, GROWN)
    dataset.generate([provider(server)], shard=(1, 2), fresh=True)
    assert assert_balanced(dataset.report).pending == 0
    assert asked(server) == before


def test_an_estimate_of_a_shard_says_that_growing_is_counted_in_full(server: FaultServer, tmp_path: Path) -> None:
    found = talk(tmp_path, GROWN).estimate([provider(server)], shard=(1, 4))
    assert "Shard 1/4: limits of the config are divided among all shards." in found.notes
    assert any("grown once for all shards" in note for note in found.notes)


@contextlib.contextmanager
def growing_elsewhere(folder: Path, url: FaultServer) -> Iterator[Running]:
    """A shard that waits, and says so, because another process grows the topics as long as the context lasts."""
    with warnings.catch_warnings(record=True) as told, take_locks(OutputPaths.of(folder / "out.jsonl.topics.json")):
        warnings.simplefilter("always")
        waiting = Running(talk(folder, GROWN), [provider(url)], shard=(2, 2))
        wait_for(lambda: any("another process does that. This one waits" in str(one.message) for one in told))
        yield waiting


def test_a_shard_waits_as_long_as_another_process_grows_and_says_so(server: FaultServer, tmp_path: Path) -> None:
    with growing_elsewhere(tmp_path, server) as waiting:
        assert server.requests == []
    waiting.ended()
    assert sorted(asked(server)) == ["sea", "sea 1", "sea 2"]


def test_a_shard_that_waits_can_be_stopped(server: FaultServer, tmp_path: Path) -> None:
    with growing_elsewhere(tmp_path, server) as waiting:
        waiting.control.stop()
        waiting.join()
    assert isinstance(waiting.error, RunStopped)
    report = waiting.error.report
    assert (report.stop_cause, report.calls, report.written) == (StopCause.INTERRUPTED, 0, 0)
    assert report.pending > 0
    assert server.requests == []
