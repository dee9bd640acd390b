"""Stages that ask models, in batch mode: rows are one wave, what is asked about them the next."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import pytest
from pydantic import BaseModel

from datafast.engine.events import CallFinished, Event
from datafast.engine.generate import Generate
from datafast.errors import RunStopped
from datafast.llms import OpenAIProvider
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, drop
from datafast.quality.judge import JudgeStage
from tests.servers.batch_server import KEY, BatchServer
from tests.support import assert_balanced, raw, rows_of, same_rows

pytestmark = pytest.mark.filterwarnings(
    "ignore:All .* rows were filtered", "ignore:quality. .* calls? of stages (is|are) missing"
)

BATCH = {"mode": "batch"}


def provider(server: BatchServer, model: str = "tiny") -> OpenAIProvider:
    return OpenAIProvider(model, api_base=f"{server.url}/v1", api_key=KEY)


def judge(server: BatchServer, name: str = "judge", at_least: int = 0) -> list[Any]:
    return [JudgeStage(providers=[provider(server, name)], keep_if=f"score >= {at_least}", allow_own_family=True)]


def waves(server: BatchServer) -> list[int]:
    return [len(job.requests) for job in server.jobs.values()]


def test_rows_are_one_wave_and_what_judges_say_the_next(tmp_path: Path, server: BatchServer) -> None:
    dataset = raw(tmp_path, topics=4, num_samples_per_prompt=2, quality=judge(server), run=BATCH)
    report = assert_balanced(dataset.generate([provider(server)]).report)
    assert (report.written, report.calls, server.online) == (8, 12, 0)
    assert waves(server) == [4, 8]
    assert set(server.bought_ids.values()) == {1}


def test_a_judge_of_rows_that_are_there_is_one_wave(tmp_path: Path, server: BatchServer) -> None:
    raw(tmp_path, topics=4, num_samples_per_prompt=2, run=BATCH).generate([provider(server)])
    before = rows_of(tmp_path / "out.jsonl")
    dataset = raw(tmp_path, topics=4, num_samples_per_prompt=2, quality=judge(server), run=BATCH)
    server.faults.polls = 3
    for _ in range(3):
        with pytest.raises(RunStopped, match=r"1 batch is under way at openai/judge \(8 calls\)") as stopped:
            dataset.generate([provider(server)], wait=False)
        assert (stopped.value.report.written, stopped.value.report.calls_missing) == (8, 8)
    dataset.generate([provider(server)], wait=False)
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls_missing, server.online) == (8, 0, 0)
    assert waves(server) == [4, 8]
    assert same_rows(rows_of(tmp_path / "out.jsonl"), before)
    assert set(server.bought_ids.values()) == {1}


ANSWERED = threading.Event()


class LateJudge(JudgeStage):
    """Asks once an answer to what it asks has come from somewhere else."""

    async def ask(self, row: BaseModel, item: WorkItem, generate: Generate) -> Verdict:
        while not ANSWERED.is_set():
            await asyncio.sleep(0.005)
        return await super().ask(row, item, generate)


def test_what_a_batch_answers_while_its_item_is_being_worked_on_is_not_bought_again(
    tmp_path: Path, server: BatchServer
) -> None:
    def made(kind: type[JudgeStage]) -> Any:
        (stage,) = judge(server)
        late = kind(providers=stage.providers, keep_if=stage.keep_if, allow_own_family=True)
        return raw(tmp_path, topics=4, quality=[late], run=BATCH)

    def note(event: Event) -> None:
        if isinstance(event, CallFinished):
            ANSWERED.set()

    ANSWERED.clear()
    server.faults.polls = 3
    while len(server.jobs) < 2:
        with pytest.raises(RunStopped, match="under way"):
            made(JudgeStage).generate([provider(server)], wait=False)
    report = assert_balanced(made(LateJudge).generate([provider(server)], on_event=note).report)
    assert (report.written, report.pending) == (4, 0)
    assert waves(server) == [4, 4]


class Turns(Stage):
    """Drops rows by their texts, about half of them."""

    stage: Literal["turns"] = "turns"

    def decide(self, row: Any, item: WorkItem) -> Verdict:
        return drop("its turn") if crc32(row.text.encode()) % 2 else KEEP


@pytest.mark.filterwarnings("ignore:All .* rows were filtered")
def test_dropped_rows_are_made_again_by_further_batches(tmp_path: Path, server: BatchServer) -> None:
    def made() -> Any:
        fields: dict[str, Any] = {"num_samples_per_prompt": 3, "quality": [Turns()], "regenerate": 2}
        dataset = raw(tmp_path, topics=4, run={"mode": "batch"}, **fields)
        return assert_balanced(dataset.generate([provider(server)]).report)

    report = made()
    assert (report.pending, report.failed) == (0, 0)
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database:
        found = database.execute("SELECT count(*), max(generation) FROM filtered").fetchone()
    assert found[0] > report.filtered
    assert found[1] == 2
    assert made().calls == 0
