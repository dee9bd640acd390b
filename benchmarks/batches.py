"""Batch mode against a batch service in the same process, which answers from the file that it was given."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from benchmarks.instruments import peak_mb, stopwatch
from benchmarks.ours import dataset_of
from benchmarks.workload import MODEL, reply_text
from datafast.llms.base import Request, Response
from datafast.llms.batches.base import BatchLimits, BatchReply, BatchState, BatchStatus
from datafast.llms.providers.chat_completions import OpenAICompatibleProvider
from datafast.llms.replies.completion import encode_completion
from datafast.types import Usage

__all__ = ["run"]

_CALLS_OF_A_BATCH = 20_000


class _Service:
    """Keeps the files of its batches in a folder. A batch has ended when it is looked at."""

    limits = BatchLimits(_CALLS_OF_A_BATCH, 200_000_000)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._batches: dict[str, BatchStatus] = {}

    def line(self, custom_id: str, request: Request) -> bytes:
        return orjson.dumps({"custom_id": custom_id, "body": {"messages": request.messages}})

    async def submit(self, lines: Path, *, tag: str, num_requests: int) -> BatchStatus:
        shutil.copyfile(lines, self._folder / tag)
        made = self._batches[tag] = BatchStatus(tag, BatchState.UNDER_WAY, total=num_requests, tag=tag)
        return made

    async def find(self, *, tag: str, since: float, num_requests: int) -> list[BatchStatus]:
        return [self._batches[tag]] if tag in self._batches else []

    async def status(self, batch_id: str) -> BatchStatus:
        return replace(self._batches[batch_id], state=BatchState.ENDED)

    async def replies(self, status: BatchStatus, *, scratch: Path) -> AsyncIterator[BatchReply]:
        with (self._folder / status.id).open("rb") as lines:
            raw = encode_completion(reply_text(), model=MODEL, usage=Usage(40, 60))
            for line in lines:
                yield BatchReply(orjson.loads(line)["custom_id"], Response(raw, 0.0))

    async def cancel(self, batch_id: str) -> BatchStatus:
        return await self.status(batch_id)

    async def discard(self, status: BatchStatus) -> None:
        (self._folder / status.id).unlink()

    async def aclose(self) -> None:
        pass


class _Provider(OpenAICompatibleProvider):
    folder: Path

    def open_batches(self) -> Any:
        return _Service(self.folder)


def run(*, url: str, items: int, in_flight: int, folder: str) -> dict[str, float]:
    """CPU of a run of one call an item, and its highest resident memory. `items` is a multiple of 10."""
    from datafast.engine.batches import service

    service.FIRST_WAIT_S = service.LONGEST_WAIT_S = 0.05
    provider = _Provider(MODEL, api_base=url)
    provider.folder = Path(folder) / "service"
    provider.folder.mkdir()
    dataset = dataset_of(folder, in_flight, topics=items // 10, document_types=10, mode="batch")
    spent = stopwatch()
    dataset.generate([provider])
    used = spent()
    assert dataset.report is not None
    assert dataset.report.written == items, dataset.report
    return {"cpu_s": used.cpu_s, "peak_mb": peak_mb()}
