"""Every kind in batch mode, without a line of its own for it: topics, columns, conversations, fan-outs, limits, stages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import ConversationDataset, RawDataset
from datafast.datasets.raw import TextRow
from datafast.llms import OpenAIProvider
from datafast.llms.batches.base import BatchLimits
from datafast.schema.config import ConversationDatasetConfig, RunConfig
from tests.datasets.test_reasoning import KINDS, generate
from tests.servers.batch_server import KEY, BatchServer, Outcome
from tests.support import assert_balanced, raw, rows_of

BATCH: dict[str, Any] = {"mode": "batch"}


def provider(server: BatchServer, model: str = "tiny", **options: Any) -> OpenAIProvider:
    return OpenAIProvider(model, api_base=f"{server.url}/v1", api_key=KEY, **options)


def bought_once(server: BatchServer) -> None:
    assert server.online == 0
    assert set(server.bought_ids.values()) == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_goes_in_batches(tmp_path: Path, server: BatchServer, kind: str) -> None:
    run = RunConfig(**BATCH) if kind not in {"raw", "preference"} else BATCH
    dataset = KINDS[kind](tmp_path, run=run)
    rows = generate(dataset, provider(server))
    bought_once(server)
    jobs = len(server.jobs)
    assert generate(dataset, provider(server)) == rows
    assert len(server.jobs) == jobs


def test_topics_are_grown_in_batches_first(tmp_path: Path, server: BatchServer) -> None:
    grown: dict[str, Any] = {"topic_prompt": "The sea", "degree": 2, "depth": 2}
    config = ConversationDatasetConfig(
        topics=grown, num_rows=4, output_file=tmp_path / "out.jsonl", run=RunConfig(**BATCH)
    )
    dataset = ConversationDataset(config)
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    bought_once(server)
    assert [len(job.requests) for job in server.jobs.values()] == [1, 2, 4]


@pytest.mark.parametrize("fan_out", ["all", "split", "fallback"])
def test_a_fan_out_goes_in_batches(tmp_path: Path, server: BatchServer, fan_out: str) -> None:
    dataset = raw(tmp_path, topics=8, run={**BATCH, "fan_out": fan_out})
    dataset.generate([provider(server), provider(server, "other")])
    assert assert_balanced(dataset.report).written == (16 if fan_out == "all" else 8)
    bought_once(server)
    assert len(server.jobs) == (1 if fan_out == "fallback" else 2)


def test_where_the_first_refuses_the_next_takes_over(tmp_path: Path, server: BatchServer) -> None:
    server.faults.fail.append(("model_not_found", "no such model"))
    dataset = raw(tmp_path, topics=4, run={**BATCH, "fan_out": "fallback"})
    dataset.generate([provider(server), provider(server, "other")])
    report = assert_balanced(dataset.report)
    assert report.written == 4
    assert list(report.stopped_providers) == ["openai/tiny"]


def test_a_slow_share_does_not_hold_back_the_batch_of_another(tmp_path: Path, server: BatchServer) -> None:
    class Online(OpenAIProvider):
        def open_batches(self) -> None:
            return None

    submitted: list[int] = []

    def outcome(prompt: str) -> Outcome:
        submitted.append(len(server.jobs))
        return Outcome()

    server.outcome = outcome
    slow = Online("slow", api_base=f"{server.url}/v1", api_key=KEY, rpm_limit=600, max_concurrency=1)
    dataset = raw(tmp_path, topics=8, run=BATCH)
    with pytest.warns(UserWarning, match="has no batches"):
        dataset.generate([provider(server), slow])
    assert assert_balanced(dataset.report).written == 16
    assert submitted[0] <= submitted[-1] == 1


def test_a_limit_and_the_rest_later(tmp_path: Path, server: BatchServer) -> None:
    dataset = raw(tmp_path, topics=10, run=BATCH)
    dataset.generate([provider(server)], limit=3)
    assert assert_balanced(dataset.report).written == 3
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 10
    assert [len(job.requests) for job in server.jobs.values()] == [3, 7]


def test_rows_are_filtered_as_online(tmp_path: Path, server: BatchServer) -> None:
    dataset = raw(tmp_path, topics=6, run=BATCH, quality=[{"stage": "length", "min_words": 100_000}])
    with pytest.warns(UserWarning, match="All 6 rows were filtered"):
        dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).filtered == 6


class Ladder(RawDataset):
    """Asks in groups within groups, one after the other, with turns of the loop in between."""

    async def produce(self, item: Any, generate: Any) -> list[TextRow]:
        texts = await generate.gather(*(self._rung(item, generate, number) for number in range(3)))
        return [TextRow(text=" ".join(texts))]

    async def _rung(self, item: Any, generate: Any, number: int) -> str:
        await asyncio.sleep(0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(generate("text", f"{item.key.hex()} {number} {n}")) for n in range(2)]
        await asyncio.sleep(0)
        return str(await generate("text", f"sum up {number} {tasks[0].result()} {tasks[1].result()}"))


def test_all_that_an_item_asks_at_once_goes_in_one_batch(tmp_path: Path, server: BatchServer) -> None:
    dataset = Ladder(raw(tmp_path, topics=5, run=BATCH).config)
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 5
    assert [len(job.requests) for job in server.jobs.values()] == [30, 15]
    assert len(rows_of(tmp_path / "out.jsonl")) == 5


@pytest.mark.parametrize(
    ("requests", "size", "sizes"), [(4, 200_000_000, [2, 4, 4]), (100, 6_000, None), (100, 500, [])]
)
def test_batches_are_as_large_as_the_service_takes(
    tmp_path: Path, server: BatchServer, requests: int, size: int, sizes: list[int] | None
) -> None:
    class Small(OpenAIProvider):
        def open_batches(self) -> Any:
            backend: Any = super().open_batches()
            backend.limits = BatchLimits(requests, size)
            return backend

    dataset = raw(tmp_path, topics=10, run=BATCH)
    dataset.generate([Small("tiny", api_base=f"{server.url}/v1", api_key=KEY)])
    report = assert_balanced(dataset.report)
    made = sorted(len(job.requests) for job in server.jobs.values())
    assert 1 < len(made) < 10 if sizes is None else made == sizes
    assert report.failures == ({"context_length": 10} if sizes == [] else {})


def test_workers_leave_batches_to_their_driver(tmp_path: Path, server: BatchServer) -> None:
    pytest.importorskip("ray", reason="it packs the messages")
    from tests.engine.remote.crews import LocalCrew, RemoteExecutor

    crew = LocalCrew(2)
    dataset = raw(tmp_path, topics=6, run=BATCH)
    dataset.executor = RemoteExecutor(crew)
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 6
    bought_once(server)
    assert [link.exchanges for link in crew.links] == [0, 0]
