"""How long a run waits for its batches: deadlines, interruptions, outages."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datafast.engine.batches import opening
from datafast.engine.batches.deadline import moment_of
from datafast.engine.events import BatchDelayed, BatchEnded, BatchProgress, BatchSubmitted, CallFinished, Event
from datafast.errors import ErrorKind, ProviderError, RunStopped
from datafast.executors.local import LocalExecutor
from datafast.llms import OpenAIProvider
from datafast.llms.batches.base import BatchLimits, BatchStatus
from datafast.llms.batches.openai import OpenAIBatches
from datafast.schema.config import RunConfig
from datafast.store.batch_book import BatchBook
from datafast.store.batches import BatchRow
from datafast.types import StopCause
from tests.running import WAIT_S
from tests.servers.batch_server import KEY, BatchServer
from tests.servers.fault_server import Answer
from tests.support import assert_balanced, preference, raw, roles

BATCH = {"mode": "batch"}


def provider(server: BatchServer) -> OpenAIProvider:
    return OpenAIProvider("tiny", api_base=f"{server.url}/v1", api_key=KEY)


@pytest.mark.parametrize("text", ["18", "25:00", "6 h", "6d", "-1h", ""])
def test_a_deadline_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="expected a time of day"):
        RunConfig(batch_deadline=text)


def test_a_deadline_is_a_time_of_day_or_counts_from_the_first_batch() -> None:
    evening = datetime(2026, 3, 5, 17, 30).timestamp()
    assert moment_of("6h", evening) == evening + 6 * 3600
    assert moment_of("1.5h", evening) == moment_of("90m", evening) == evening + 5400
    assert moment_of("18:00", evening) == datetime(2026, 3, 5, 18, 0).timestamp()
    assert moment_of("9:15", evening) == datetime(2026, 3, 6, 9, 15).timestamp()
    assert moment_of("17:30", evening) == datetime(2026, 3, 6, 17, 30).timestamp()


def test_at_the_deadline_what_is_not_back_is_cancelled_and_asked_online(
    tmp_path: Path, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults.polls, server.faults.partly = 10_000, 0.5
    has_come = threading.Event()

    class Deadline(float):
        """It comes when a batch is under way, however long that takes."""

        def __sub__(self, now: float) -> float:
            return 0.0 if has_come.is_set() else 0.02

    monkeypatch.setattr(opening, "moment_of", lambda text, since: Deadline())

    def count(event: Event) -> None:
        if isinstance(event, BatchProgress):
            has_come.set()
            server.faults.polls = 1 if event.state == "being cancelled" else 10_000

    dataset = preference(tmp_path, documents=4, run={**BATCH, "batch_deadline": "6h"})
    dataset.generate(roles(provider(server)), on_event=count)
    assert assert_balanced(dataset.report).written == 8
    assert len(server.jobs) == 1
    assert server.online == 2 + 16 + 16
    assert set(server.bought.values()) == {1}


def test_an_interruption_leaves_batches_under_way(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 10_000
    executor = LocalExecutor()

    def stop(event: Event) -> None:
        if isinstance(event, BatchProgress):
            executor.stop()

    dataset = raw(tmp_path, topics=4, run=BATCH)
    dataset.executor = executor
    with pytest.raises(RunStopped, match=r"interrupted; 1 batch is under way at openai/tiny \(4 calls\)") as stopped:
        dataset.generate([provider(server)], on_event=stop)
    assert stopped.value.report.stop_cause is StopCause.INTERRUPTED
    assert {job.state for job in server.jobs.values()} == {"running"}
    server.faults.polls = 1
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    assert len(server.jobs) == 1


def test_events_tell_what_becomes_of_batches(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 2
    server.faults.refuse_upload.append(Answer(status=503, body={}))
    events: list[Event] = []
    raw(tmp_path, topics=4, run=BATCH).generate([provider(server)], on_event=events.append)
    told = [event for event in events if isinstance(event, BatchSubmitted | BatchProgress | BatchDelayed | BatchEnded)]
    assert [event.type for event in told] == ["batch_delayed", "batch_submitted", "batch_progress", "batch_ended"]
    ended = told[-1]
    assert isinstance(ended, BatchEnded)
    assert (ended.answered, ended.failed, ended.not_answered) == (4, 0, 0)
    assert sum(isinstance(event, CallFinished) for event in events) == 4


def test_an_outage_while_a_batch_is_under_way_does_not_end_the_run(
    tmp_path: Path, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, left = OpenAIBatches.status, iter(range(6))

    async def status(self: OpenAIBatches, batch_id: str) -> BatchStatus:
        if next(left, None) is not None:
            raise ProviderError("nobody there", kind=ErrorKind.CONNECTION)
        return await own(self, batch_id)

    monkeypatch.setattr(OpenAIBatches, "status", status)
    delays: list[Event] = []
    dataset = raw(tmp_path, topics=4, run={**BATCH, "max_stall_s": 0.05})
    dataset.generate([provider(server)], on_event=lambda e: delays.append(e) if isinstance(e, BatchDelayed) else None)
    assert assert_balanced(dataset.report).written == 4
    assert [event.reason for event in delays if isinstance(event, BatchDelayed)] == ["nobody there"] * 6


def test_several_outputs_wait_at_once(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 3
    datasets = [raw(tmp_path / str(number), topics=3, run=BATCH) for number in range(3)]

    async def all_of_them() -> None:
        await asyncio.gather(*(dataset.generate_async([provider(server)]) for dataset in datasets))

    asyncio.run(all_of_them())
    assert [assert_balanced(dataset.report).written for dataset in datasets] == [3, 3, 3]


def test_a_fault_while_a_batch_is_sent_off_is_raised_and_leaves_nothing(
    tmp_path: Path, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> BatchRow:
        raise KeyError("a fault of ours")

    dataset = raw(tmp_path, topics=4, run=BATCH)
    with monkeypatch.context() as patched:
        patched.setattr(BatchBook, "announce", breaks)
        with pytest.raises(KeyError, match="a fault of ours"):
            dataset.generate([provider(server)])
    assert not list(tmp_path.glob("*-batch-*"))
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    assert set(server.bought.values()) == {1}


def test_no_more_than_four_batches_are_uploaded_at_once(
    tmp_path: Path, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, all_are_there = 0, 0, asyncio.Event()
    submit = OpenAIBatches.submit

    async def counted(self: OpenAIBatches, lines: Path, **named: Any) -> BatchStatus:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 4:
            all_are_there.set()
        await asyncio.wait_for(all_are_there.wait(), WAIT_S)
        await asyncio.sleep(0.01)
        under_way -= 1
        return await submit(self, lines, **named)

    class Small(OpenAIProvider):
        def open_batches(self) -> Any:
            backend: Any = super().open_batches()
            backend.limits = BatchLimits(2, 10**6)
            return backend

    monkeypatch.setattr(OpenAIBatches, "submit", counted)
    dataset = raw(tmp_path, topics=40, run=BATCH)
    dataset.generate([Small("tiny", api_base=f"{server.url}/v1", api_key=KEY)])
    assert assert_balanced(dataset.report).written == 40
    assert (len(server.jobs), most) == (20, 4)
