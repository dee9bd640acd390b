"""Kinds that run their calls in task groups of their own: the end of a run, and failures, arrive in groups of errors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import RawDataset
from datafast.datasets.raw import TextRow
from datafast.errors import ErrorKind, ProviderError, RunStopped
from datafast.types import StopCause
from tests.support import CountingProvider, assert_balanced, raw


class InGroups(RawDataset):
    """Asks for three texts at once, in a task group."""

    async def produce(self, item: Any, generate: Any) -> list[TextRow]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(generate("text", f"{item.values['topic']} {n}")) for n in range(3)]
        text = " ".join([task.result() for task in tasks])
        return [TextRow(text=text)]


def made(folder: Path, **fields: Any) -> InGroups:
    return InGroups(raw(folder, topics=6, **fields).config)


def test_a_provider_that_stops_leaves_the_items_pending(tmp_path: Path) -> None:
    refused = ProviderError("no such key", kind=ErrorKind.AUTHENTICATION, status=401)
    dataset = made(tmp_path)
    with pytest.raises(RunStopped) as stopped:
        dataset.generate([CountingProvider("m", log=tmp_path / "log", reply=lambda request: refused)])
    report = assert_balanced(stopped.value.report)
    assert (report.pending, report.stop_cause) == (6, StopCause.PROVIDER)


def test_a_budget_that_is_reached_leaves_the_items_pending(tmp_path: Path) -> None:
    dataset = made(tmp_path, run={"max_calls": 7})
    with pytest.raises(RunStopped) as stopped:
        dataset.generate([CountingProvider("m", log=tmp_path / "log")])
    report = assert_balanced(stopped.value.report)
    assert (report.failed, report.stop_cause) == (0, StopCause.BUDGET)
    assert report.pending >= 3


def test_a_failed_call_fails_its_item_by_its_own_category(tmp_path: Path) -> None:
    filtered = ProviderError("not that", kind=ErrorKind.CONTENT_FILTER, status=400)
    dataset = made(tmp_path)
    dataset.generate(
        [
            CountingProvider(
                "m",
                log=tmp_path / "log",
                reply=lambda request: filtered if request.messages[-1]["content"] == "topic 2 1" else None,
            )
        ]
    )
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures) == (5, {"content_filter": 1})
