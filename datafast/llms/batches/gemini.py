"""Batches of the Gemini API: a file of requests goes up by the resumable protocol of Google's File API, and a job is made of it.

Requests are never sent within the request for a job, which could have 20 MB alone: a file is uploaded in pieces that are not sent again,
and results come as a file too. The job's name that users see carries the tag.
Source: "Batch API", "Files" of ai.google.dev. Limits: 2 GB a file; of requests none is told. Files are kept for 48 hours.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast.errors import ErrorKind, ProviderError
from datafast.llms.batches.api import object_of
from datafast.llms.batches.base import BatchLimits, BatchReply, BatchState, BatchStatus
from datafast.llms.batches.files import Root, pieces_of
from datafast.llms.batches.service import BatchService
from datafast.llms.batches.values import count, fields, moment_s, objects, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datafast.llms.base import Request
    from datafast.llms.providers.direct import Bodies, DirectProvider

__all__ = ["GeminiBatches"]

_PAGES = 200
_TRIES = 5
_LOOKS, _PAUSE_S = 60, 1.0
_PASSING = frozenset({ErrorKind.CONNECTION, ErrorKind.TIMEOUT, ErrorKind.SERVER})
_NAME = "datafast-"
_STATES = {
    "SUCCEEDED": BatchState.ENDED,
    "PARTIALLY_SUCCEEDED": BatchState.ENDED,
    "CANCELLED": BatchState.ENDED,
    "EXPIRED": BatchState.ENDED,
    "FAILED": BatchState.REFUSED,
}
_WITH_RESULTS = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED"})
_CANCELLED = 1
# The codes of google.rpc.Code, and the HTTP statuses that stand for them.
_STATUS_BY_CODE = {1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501}
_STATUS_BY_CODE |= {13: 500, 14: 503, 15: 500, 16: 401}


class GeminiBatches(BatchService):
    """Batches of generateContent.

    Args:
        root: the address with the API's version.
        model: the model as addresses name it: `models/gemini-3.5-flash`.
    """

    limits = BatchLimits(100_000, 1_000_000_000)
    id_field = "key"

    def __init__(self, provider: DirectProvider, bodies: Bodies, *, root: str, model: str) -> None:
        super().__init__(provider, bodies)
        self._root = Root(root)
        self._uploads = self._root.below("upload")
        self._downloads = self._root.below("download")
        self._model = model

    def line(self, custom_id: str, request: Request) -> bytes:
        return orjson.dumps({"key": custom_id, "request": orjson.Fragment(self._bodies.body(request))})

    async def submit(self, lines: Path, *, tag: str, num_requests: int) -> BatchStatus:
        try:
            file = await self._upload(lines, tag)
        except ProviderError as error:
            raise self._of_first_request(error) from error
        name = self._id_of({"id": file.get("name"), "file": file}, "the file")
        batch = {"batch": {"displayName": f"{_NAME}{tag}", "inputConfig": {"fileName": name}}}
        *folders, model = self._model.split("/")
        made = await self._made_of(self._named(name), self._root.url(*folders, f"{model}:batchGenerateContent"), batch)
        self._id_of({"id": made.get("name"), "job": made}, "the batch")
        return self._status(made)

    async def find(self, *, tag: str, since: float, num_requests: int) -> list[BatchStatus]:
        found: list[BatchStatus] = []
        token: dict[str, str] = {}
        for _ in range(_PAGES):
            page = await self._api.ask("GET", self._root.url("batches", pageSize="100", **token))
            found += [job for job in map(self._status, objects(page.get("operations"))) if job.tag == tag]
            told = text(page.get("nextPageToken"))
            if not told:
                break
            token = {"pageToken": told}
        return found

    async def discard(self, status: BatchStatus) -> None:
        metadata = fields((await self._known(self._job(status.id))).get("metadata"))
        for name in (text(fields(metadata.get("inputConfig")).get("fileName")), *status.results):
            if name:
                await self._api.remove(self._named(name))
        await self._api.remove(self._named(status.id))

    async def _cancel(self, batch_id: str) -> None:
        await self._api.ask("POST", self._named(f"{batch_id}:cancel"), {})

    def _named(self, name: str) -> str:
        """The address of what the service calls so: `files/...`, `batches/...`."""
        return self._root.url(*name.split("/"))

    async def _job(self, batch_id: str) -> dict[str, Any]:
        return await self._api.ask("GET", self._named(batch_id))

    # -- the upload

    async def _upload(self, lines: Path, tag: str) -> dict[str, Any]:
        """Uploads the requests, and waits until the service has read them; returns the file as it describes it."""
        url, size, start = await self._begin(lines, tag), _size(lines), 0
        for number in range(_TRIES):
            headers = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": str(start)}
            try:
                answer = await self._api.send("POST", url, pieces_of(lines, start=start), size - start, headers=headers)
                return await self._read(fields(object_of(answer.body).get("file")))
            except ProviderError as error:
                if error.kind not in _PASSING or number == _TRIES - 1:
                    raise
                await asyncio.sleep(_PAUSE_S * number)
                start = await self._received(url, error)
        raise AssertionError  # the last try returns or raises

    async def _begin(self, lines: Path, tag: str) -> str:
        """Announces an upload; returns the address for it."""
        name = orjson.dumps({"file": {"displayName": f"{_NAME}{tag}"}})
        headers = {
            "Content-Type": "application/json",
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(_size(lines)),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        answer = await self._api.send("POST", self._uploads.url("files"), [name], len(name), headers=headers)
        return self._id_of({"id": answer.headers.get("x-goog-upload-url")}, "the upload")

    async def _received(self, url: str, broken: ProviderError) -> int:
        """How many bytes of an upload that broke have arrived.

        Raises:
            ProviderError: what broke it, if it cannot go on.
        """
        answer = await self._api.send("POST", url, [], 0, headers={"X-Goog-Upload-Command": "query"})
        received = answer.headers.get("x-goog-upload-size-received", "")
        if answer.headers.get("x-goog-upload-status", "").lower() != "active" or not received.isdecimal():
            raise broken
        return int(received)

    async def _read(self, file: dict[str, Any]) -> dict[str, Any]:
        for _ in range(_LOOKS):
            if file.get("state") != "PROCESSING" or not text(file.get("name")):
                break
            await asyncio.sleep(_PAUSE_S)
            file = await self._api.ask("GET", self._named(text(file["name"])))
        return file

    # -- what is answered

    def _status(self, job: dict[str, Any]) -> BatchStatus:
        metadata = fields(job.get("metadata"))
        stats = fields(metadata.get("batchStats"))
        told = (fields(metadata.get("output")).get("responsesFile"), fields(job.get("response")).get("responsesFile"))
        results = tuple(filter(None, map(text, told)))[:1]
        name = text(metadata.get("state")).rpartition("STATE_")[2]
        state = _STATES.get(name, BatchState.UNDER_WAY)
        if (state is BatchState.REFUSED and results) or (name in _WITH_RESULTS and not results):
            # A job that has succeeded is told so a little before its results are there.
            state = BatchState.ENDED if results else BatchState.UNDER_WAY
        shown = text(metadata.get("displayName"))
        return BatchStatus(
            id=text(job.get("name")),
            state=state,
            total=count(stats.get("requestCount")),
            done=count(stats.get("successfulRequestCount")) + count(stats.get("failedRequestCount")),
            failed=count(stats.get("failedRequestCount")),
            created_at=moment_s(metadata.get("createTime")),
            tag=shown.removeprefix(_NAME) if shown.startswith(_NAME) else "",
            error=self._refusal(fields(job.get("error"))) if state is BatchState.REFUSED else None,
            results=results if state is BatchState.ENDED else (),
        )

    def _refusal(self, error: Mapping[str, Any]) -> ProviderError:
        return self._refused(error, status=_http_status(error))

    def _result_url(self, status: BatchStatus, place: str) -> str:
        *folders, name = place.split("/")
        return self._downloads.url(*folders, f"{name}:download", alt="media")

    def _reply(self, custom_id: str, data: dict[str, Any]) -> BatchReply:
        error = fields(data.get("error")) or fields(data.get("status"))
        if not error:
            return self._answered(custom_id, 200, data.get("response"))
        if error.get("code") == _CANCELLED:
            return BatchReply(custom_id)
        status = _http_status(error)
        return self._answered(custom_id, status, {"error": {**error, "code": status}})


def _size(path: Path) -> int:
    return path.stat().st_size


def _http_status(error: Mapping[str, Any]) -> int:
    """The HTTP status of an error that has a code of its own; 500 where it has none."""
    code = count(error.get("code"))
    return code if 400 <= code < 600 else _STATUS_BY_CODE.get(code, 500)
