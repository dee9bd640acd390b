"""Message batches of Anthropic: the requests of a batch are the body of one request, and their results one file.

Nothing of ours is kept with a batch. One whose answer was lost is looked for by its time and the number of its requests.
Source: Anthropic's API reference, "Message Batches". Limits: 100,000 requests and 256 MB; results are kept for 29 days.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from datafast.errors import ProviderError
from datafast.llms.batches.api import object_of
from datafast.llms.batches.base import BatchLimits, BatchReply, BatchState, BatchStatus
from datafast.llms.batches.files import Root, pieces_of
from datafast.llms.batches.service import CLOCKS_DIFFER_S, BatchService
from datafast.llms.batches.values import count, fields, moment_s, objects, text

if TYPE_CHECKING:
    from datafast.llms.base import Request
    from datafast.llms.providers.direct import Bodies, DirectProvider

__all__ = ["AnthropicBatches"]

_PAGES = 200
_BEGIN, _END = b'{"requests":[', b"]}"
_STATES = {"canceling": BatchState.CANCELLING, "ended": BatchState.ENDED}
_UNANSWERED = frozenset({"canceled", "expired"})
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


class AnthropicBatches(BatchService):
    """Batches of messages."""

    limits = BatchLimits(100_000, 250_000_000)

    def __init__(self, provider: DirectProvider, bodies: Bodies) -> None:
        super().__init__(provider, bodies)
        self._root = Root(provider.request_url)

    def line(self, custom_id: str, request: Request) -> bytes:
        return orjson.dumps({"custom_id": custom_id, "params": orjson.Fragment(self._bodies.body(request))})

    async def submit(self, lines: Path, *, tag: str, num_requests: int) -> BatchStatus:
        headers = {"Content-Type": "application/json"}
        try:
            answer = await self._api.send("POST", self._url(), _listed(lines), _size(lines), headers=headers)
        except ProviderError as error:
            raise self._of_first_request(error) from error
        made = object_of(answer.body)
        self._id_of(made, "the batch")
        return self._status(made)

    async def find(self, *, tag: str, since: float, num_requests: int) -> list[BatchStatus]:
        found: list[BatchStatus] = []
        after: dict[str, str] = {}
        for _ in range(_PAGES):
            page = await self._api.ask("GET", self._url(limit="100", **after))
            jobs = [self._status(job) for job in objects(page.get("data"))]
            young = [job for job in jobs if job.created_at >= since - CLOCKS_DIFFER_S]
            found += [job for job in young if job.total == num_requests]
            last = text(page.get("last_id")) or (jobs[-1].id if jobs else "")
            if not young or not last or page.get("has_more") is not True or after.get("after_id") == last:
                break
            after = {"after_id": last}
        return found

    async def discard(self, status: BatchStatus) -> None:
        await self._api.remove(self._url(status.id))

    async def _job(self, batch_id: str) -> dict[str, Any]:
        return await self._api.ask("GET", self._url(batch_id))

    async def _cancel(self, batch_id: str) -> None:
        await self._api.ask("POST", self._url(batch_id, "cancel"))

    def _url(self, *names: str, **query: str) -> str:
        return self._root.url("batches", *names, **query)

    def _status(self, job: dict[str, Any]) -> BatchStatus:
        counts = fields(job.get("request_counts"))
        results = text(job.get("results_url"))
        state = _STATES.get(text(job.get("processing_status")), BatchState.UNDER_WAY)
        return BatchStatus(
            id=text(job.get("id")),
            state=state,
            total=sum(count(counts.get(name)) for name in _COUNTS),
            done=count(counts.get("succeeded")) + count(counts.get("errored")),
            failed=count(counts.get("errored")),
            created_at=moment_s(job.get("created_at")),
            results=(results,) if results and state is BatchState.ENDED else (),
        )

    def _result_url(self, status: BatchStatus, place: str) -> str:
        # Behind a gateway, the address that Anthropic gives leads past it, and the gateway's key would not be good there.
        ours = self._url(status.id, "results")
        return place if urlsplit(place)[:2] == urlsplit(ours)[:2] else ours

    def _reply(self, custom_id: str, data: dict[str, Any]) -> BatchReply:
        result = fields(data.get("result"))
        what = result.get("type")
        if what == "succeeded":
            return self._answered(custom_id, 200, result.get("message"))
        if what in _UNANSWERED:
            return BatchReply(custom_id)
        told = fields(result.get("error"))
        return self._failed(custom_id, told.get("error", told))


def _size(lines: Path) -> int:
    """Bytes of the body of a request with these lines: newlines become commas, but for the last."""
    return len(_BEGIN) + lines.stat().st_size - 1 + len(_END)


def _listed(lines: Path) -> Iterator[bytes]:
    """The body of a request with these lines."""
    yield _BEGIN
    left = lines.stat().st_size - 1
    for piece in pieces_of(lines):
        yield piece[:left].replace(b"\n", b",")
        left -= len(piece)
    yield _END
