"""Batches as OpenAI and the servers that copy it have them: a file of requests goes up, and a job is made of it.

Source: OpenAI's API reference, "Files" and "Batch". Limits: 50,000 requests and 200 MB.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast.errors import ErrorKind, ProviderError
from datafast.llms.batches.base import BatchLimits, BatchReply, BatchState, BatchStatus
from datafast.llms.batches.files import Files, Root
from datafast.llms.batches.service import CLOCKS_DIFFER_S, BatchService
from datafast.llms.batches.values import count, fields, moment_s, objects, text

if TYPE_CHECKING:
    from datafast.llms.base import Request
    from datafast.llms.providers.direct import Bodies, DirectProvider

__all__ = ["OpenAIBatches"]

_COMPLETIONS = "/chat/completions"
_VERSION = re.compile(r"/v\d+[a-z0-9]*$")
_MAX_BYTES = 200_000_000
_PAGES = 200
_TAG = "datafast"
_STATES = {
    "cancelling": BatchState.CANCELLING,
    "canceling": BatchState.CANCELLING,
    "completed": BatchState.ENDED,
    "expired": BatchState.ENDED,
    "cancelled": BatchState.ENDED,
    "canceled": BatchState.ENDED,
    "failed": BatchState.REFUSED,
}
# Too much is enqueued already: it passes when other batches have ended.
_PASSING = frozenset({"token_limit_exceeded", "request_limit_exceeded", "too_many_tasks", "rate_limit_exceeded"})


class OpenAIBatches(BatchService):
    """Batches of chat completions.

    Args:
        root: the address below which files and batches are; its query goes with each request.
        endpoint: the path of chat completions in jobs and their lines.
        max_bytes: of a file.
        hint: what to do where a batch is refused as such, as a sentence.
        keeps_metadata: whether that is known of the service, so that batches without any are not ours.
    """

    def __init__(
        self,
        provider: DirectProvider,
        bodies: Bodies,
        *,
        root: str | None = None,
        endpoint: str | None = None,
        max_bytes: int = _MAX_BYTES,
        hint: str = "",
        keeps_metadata: bool = False,
    ) -> None:
        super().__init__(provider, bodies)
        self.limits = BatchLimits(50_000, max_bytes)
        self._hint = hint
        self._keeps_metadata = keeps_metadata
        self._root = Root(provider.request_url.removesuffix(_COMPLETIONS) if root is None else root)
        self._files = Files(self._api, self._root)
        version = _VERSION.search(self._root.path)
        self._endpoint = endpoint or (version[0] if version else "/v1") + _COMPLETIONS

    def line(self, custom_id: str, request: Request) -> bytes:
        body = orjson.Fragment(self._bodies.body(request))
        return orjson.dumps({"custom_id": custom_id, "method": "POST", "url": self._endpoint, "body": body})

    async def submit(self, lines: Path, *, tag: str, num_requests: int) -> BatchStatus:
        try:
            file = await self._files.upload(lines, tag=tag)
        except ProviderError as error:
            raise self._of_first_request(error) from error
        file_id = self._id_of(file, "the file")
        job = {
            "input_file_id": file_id,
            "endpoint": self._endpoint,
            "completion_window": "24h",
            "metadata": {_TAG: tag},
        }
        try:
            made = await self._made_of(self._files.url(file_id), self._root.url("batches"), job)
        except ProviderError as error:
            if error.code in _PASSING:
                error.kind = ErrorKind.RATE_LIMITED
            raise
        self._id_of(made, "the batch")
        return self._status(made)

    async def find(self, *, tag: str, since: float, num_requests: int) -> list[BatchStatus]:
        found = []
        async for job in self._jobs(since):
            status = self._status(job)
            if status.tag == tag or (not status.tag and await self._may_be(job, status, tag, num_requests)):
                found.append(status)
        return found

    async def discard(self, status: BatchStatus) -> None:
        job = await self._known(self._job(status.id))
        for name in ("output_file_id", "error_file_id", "input_file_id"):
            if file_id := text(job.get(name)):
                await self._files.remove(file_id)

    async def _cancel(self, batch_id: str) -> None:
        await self._api.ask("POST", self._root.url("batches", batch_id, "cancel"), {})

    async def _job(self, batch_id: str) -> dict[str, Any]:
        return await self._api.ask("GET", self._root.url("batches", batch_id))

    async def _jobs(self, since: float) -> AsyncIterator[dict[str, Any]]:
        """The jobs created since, newest first."""
        after: dict[str, str] = {}
        for _ in range(_PAGES):
            page = await self._api.ask("GET", self._root.url("batches", limit="100", **after))
            jobs = objects(page.get("data"))
            young = [job for job in jobs if moment_s(job.get("created_at")) >= since - CLOCKS_DIFFER_S]
            for job in young:
                yield job
            last = text(jobs[-1].get("id")) if jobs else ""
            if not young or not last or page.get("has_more") is not True or after.get("after") == last:
                return
            after = {"after": last}

    async def _may_be(self, job: dict[str, Any], status: BatchStatus, tag: str, num_requests: int) -> bool:
        """Whether a job without a tag may be ours: some servers keep no metadata. Then the name of its file tells, if they keep that."""
        if self._keeps_metadata or status.total not in {0, num_requests}:
            return False
        try:
            file = await self._files.get(text(job.get("input_file_id")))
        except ProviderError as error:
            if error.status is None or error.status >= 500:
                raise
            return True
        name = text(file.get("filename"))
        return not name or tag in name

    # -- what is answered

    def _status(self, job: dict[str, Any]) -> BatchStatus:
        counts = fields(job.get("request_counts"))
        failed = count(counts.get("failed"))
        results = tuple(place for name in ("output_file_id", "error_file_id") if (place := text(job.get(name))))
        state = _STATES.get(text(job.get("status")).lower(), BatchState.UNDER_WAY)
        if state is BatchState.REFUSED and results:
            state = BatchState.ENDED
        return BatchStatus(
            id=text(job.get("id")),
            state=state,
            total=count(counts.get("total")),
            done=count(counts.get("completed")) + failed,
            failed=failed,
            created_at=moment_s(job.get("created_at")),
            tag=text(fields(job.get("metadata")).get(_TAG)),
            error=self._refusal(job.get("errors")) if state is BatchState.REFUSED else None,
            results=results if state is BatchState.ENDED else (),
        )

    def _refusal(self, errors: object) -> ProviderError:
        first = next(iter(objects(fields(errors).get("data"))), {})
        code = text(first.get("code"))
        return self._refused(first, status=429 if code in _PASSING else 400, hint=self._hint)

    def _result_url(self, status: BatchStatus, place: str) -> str:
        return self._files.content_url(place)

    def _reply(self, custom_id: str, data: dict[str, Any]) -> BatchReply:
        return self._of_line(custom_id, data)
