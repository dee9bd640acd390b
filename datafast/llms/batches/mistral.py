"""Batch jobs of Mistral: a file of requests goes up, and a job of one model is made of it.

Source: Mistral's API reference, "Files" and "Batch", and its known limitations: 100,000 requests and 512 MB; results are kept for 24
hours after the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast.errors import ProviderError
from datafast.llms.batches.base import BatchLimits, BatchReply, BatchState, BatchStatus
from datafast.llms.batches.files import Files, Root
from datafast.llms.batches.service import CLOCKS_DIFFER_S, BatchService
from datafast.llms.batches.values import count, fields, moment_s, objects, text

if TYPE_CHECKING:
    from datafast.llms.base import Request
    from datafast.llms.providers.direct import Bodies, DirectProvider

__all__ = ["MistralBatches"]

_COMPLETIONS = "/chat/completions"
_ENDPOINT = "/v1/chat/completions"
_HOURS = 24
_PAGE = 100
_PAGES = 200
_TAG = "datafast"
_STATES = {
    "CANCELLATION_REQUESTED": BatchState.CANCELLING,
    "SUCCESS": BatchState.ENDED,
    "TIMEOUT_EXCEEDED": BatchState.ENDED,
    "CANCELLED": BatchState.ENDED,
    "FAILED": BatchState.REFUSED,
}


class MistralBatches(BatchService):
    """Batches of chat completions at Mistral."""

    limits = BatchLimits(100_000, 500_000_000)

    def __init__(self, provider: DirectProvider, bodies: Bodies) -> None:
        super().__init__(provider, bodies)
        self._root = Root(provider.request_url.removesuffix(_COMPLETIONS))
        self._files = Files(self._api, self._root)

    def line(self, custom_id: str, request: Request) -> bytes:
        return orjson.dumps({"custom_id": custom_id, "body": orjson.Fragment(self._bodies.body(request))})

    async def submit(self, lines: Path, *, tag: str, num_requests: int) -> BatchStatus:
        try:
            file = await self._files.upload(lines, tag=tag)
        except ProviderError as error:
            raise self._of_first_request(error) from error
        file_id = self._id_of(file, "the file")
        job = {
            "input_files": [file_id],
            "model": self._provider.model_id,
            "endpoint": _ENDPOINT,
            "metadata": {_TAG: tag},
            "timeout_hours": _HOURS,
        }
        made = await self._made_of(self._files.url(file_id), self._url(), job)
        self._id_of(made, "the batch")
        return self._status(made)

    async def find(self, *, tag: str, since: float, num_requests: int) -> list[BatchStatus]:
        return [status async for job in self._jobs(since) if (status := self._status(job)).tag == tag]

    async def discard(self, status: BatchStatus) -> None:
        job = await self._known(self._job(status.id))
        inputs = job.get("input_files")
        for file_id in (job.get("output_file"), job.get("error_file"), *(inputs if isinstance(inputs, list) else ())):
            if text(file_id):
                await self._files.remove(text(file_id))

    async def _cancel(self, batch_id: str) -> None:
        await self._api.ask("POST", self._url(batch_id, "cancel"))

    def _url(self, *names: str, **query: str) -> str:
        return self._root.url("batch", "jobs", *names, **query)

    async def _job(self, batch_id: str) -> dict[str, Any]:
        return await self._api.ask("GET", self._url(batch_id))

    async def _jobs(self, since: float) -> AsyncIterator[dict[str, Any]]:
        """The jobs created since, in any order."""
        for number in range(_PAGES):
            page = await self._api.ask("GET", self._url(page=str(number), page_size=str(_PAGE)))
            jobs = objects(page.get("data"))
            for job in jobs:
                if moment_s(job.get("created_at")) >= since - CLOCKS_DIFFER_S:
                    yield job
            if (number + 1) * _PAGE >= count(page.get("total")) or not jobs:
                return

    def _status(self, job: dict[str, Any]) -> BatchStatus:
        results = tuple(place for name in ("output_file", "error_file") if (place := text(job.get(name))))
        state = _STATES.get(text(job.get("status")), BatchState.UNDER_WAY)
        if state is BatchState.REFUSED and results:
            state = BatchState.ENDED
        return BatchStatus(
            id=text(job.get("id")),
            state=state,
            total=count(job.get("total_requests")),
            done=count(job.get("succeeded_requests")) + count(job.get("failed_requests")),
            failed=count(job.get("failed_requests")),
            created_at=moment_s(job.get("created_at")),
            tag=text(fields(job.get("metadata")).get(_TAG)),
            error=self._refusal(job) if state is BatchState.REFUSED else None,
            results=results if state is BatchState.ENDED else (),
        )

    def _refusal(self, job: dict[str, Any]) -> ProviderError:
        return self._refused(next(iter(objects(job.get("errors"))), {}), status=400)

    def _result_url(self, status: BatchStatus, place: str) -> str:
        return self._files.content_url(place)

    def _reply(self, custom_id: str, data: dict[str, Any]) -> BatchReply:
        return self._of_line(custom_id, data)
