"""The base of all batch services: what they have in common, over HTTP and files of lines."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from datafast.errors import ErrorKind, ProviderError
from datafast.llms.base import Response
from datafast.llms.batches.api import BatchApi
from datafast.llms.batches.base import (
    BatchLimits,
    BatchReply,
    BatchState,
    BatchStatus,
    NoBatchService,
    ResultsGone,
    UnknownBatch,
)
from datafast.llms.batches.results import Line, read_lines
from datafast.llms.batches.values import count, text
from datafast.llms.transport.errors import excerpt, from_answer, from_event, from_success, from_transport
from datafast.llms.transport.redaction import redact

if TYPE_CHECKING:
    from datafast.llms.base import Request
    from datafast.llms.providers.direct import Bodies, DirectProvider

__all__ = ["CLOCKS_DIFFER_S", "BatchService"]

_AROUND_A_REPLY = 64 * 1024  # bytes of a line besides the reply in it
_LINES_A_TURN = 100
_SHOWN_BYTES = 4000
_OVER = frozenset({BatchState.ENDED, BatchState.REFUSED, BatchState.CANCELLING})
_SETTLED = frozenset({400, 403, 404, 409, 422})
_UNANSWERED = frozenset({"batch_expired", "batch_cancelled"})
_GONE = frozenset({404, 410})
_NO_SERVICE = frozenset({404, 405, 501})
CLOCKS_DIFFER_S = 600.0


class BatchService(ABC):
    """A batch service of one provider. See `BatchBackend`."""

    limits: BatchLimits
    id_field: ClassVar[str] = "custom_id"
    """The field of a result that names its request."""

    def __init__(self, provider: DirectProvider, bodies: Bodies) -> None:
        self._provider = provider
        self._origin = provider.origin
        self._bodies = bodies
        self._api = BatchApi(provider)

    async def replies(self, status: BatchStatus, *, scratch: Path) -> AsyncIterator[BatchReply]:
        """See `BatchBackend.replies`."""
        max_bytes = int(self._provider.max_reply_mb * 2**20) + _AROUND_A_REPLY
        most = max_bytes * (status.total or self.limits.requests)
        is_gone = not status.results and status.done > status.failed
        for place in status.results:
            try:
                await self._api.fetch(self._result_url(status, place), scratch, max_bytes=most)
            except ProviderError as error:
                if error.status not in _GONE:
                    raise
                is_gone = True
                continue
            for number, line in enumerate(self._lines(scratch, max_bytes, most)):
                if number % _LINES_A_TURN == 0:
                    await asyncio.sleep(0)  # others have a turn
                yield self._unread(line) if line.data is None else self._reply(line.custom_id, line.data)
        if is_gone:
            raise self._results_gone(status)

    def _results_gone(self, status: BatchStatus) -> ResultsGone:
        return ResultsGone(
            f"{self._origin.label}: the service does not keep the results of batch {status.id} any more, or not all of them.",
            kind=ErrorKind.MODEL_NOT_FOUND,
            status=404,
        )

    def _lines(self, path: Path, max_bytes: int, most: int) -> Iterator[Line]:
        try:
            yield from read_lines(path, max_bytes=max_bytes, most=most, id_field=self.id_field)
        except (OSError, EOFError, zlib.error) as error:
            raise from_transport(self._origin, error) from error

    async def cancel(self, batch_id: str) -> BatchStatus:
        """See `BatchBackend.cancel`."""
        try:
            await self._cancel(batch_id)
        except ProviderError as error:
            if error.status not in _SETTLED:
                raise
            status = await self.status(batch_id)
            if status.state not in _OVER:
                raise
            return status
        status = await self.status(batch_id)
        return replace(status, state=BatchState.CANCELLING) if status.state is BatchState.UNDER_WAY else status

    async def aclose(self) -> None:  # noqa: B027 - each request has a connection of its own
        """Nothing is kept open."""

    @abstractmethod
    def line(self, custom_id: str, request: Request) -> bytes: ...

    @abstractmethod
    async def submit(self, lines: Path, *, tag: str, num_requests: int) -> BatchStatus: ...

    @abstractmethod
    async def find(self, *, tag: str, since: float, num_requests: int) -> list[BatchStatus]: ...

    async def status(self, batch_id: str) -> BatchStatus:
        """See `BatchBackend.status`."""
        try:
            return self._status(await self._job(batch_id))
        except ProviderError as error:
            if error.status != 404:
                raise
            raise UnknownBatch(
                f"{self._origin.label}: the service knows no batch {batch_id} (HTTP 404). Use the key and address that it was sent "
                "with. If it was removed at the service, give it up: datafast batches OUTPUT --cancel.",
                kind=error.kind,
                status=404,
                body=error.body,
            ) from error

    @abstractmethod
    async def discard(self, status: BatchStatus) -> None: ...

    @abstractmethod
    async def _job(self, batch_id: str) -> dict[str, Any]:
        """A batch in the service's own words."""

    @abstractmethod
    def _status(self, job: dict[str, Any]) -> BatchStatus:
        """What these words say."""

    @abstractmethod
    async def _cancel(self, batch_id: str) -> None: ...

    @abstractmethod
    def _result_url(self, status: BatchStatus, place: str) -> str:
        """Where one of `status.results` is downloaded."""

    @abstractmethod
    def _reply(self, custom_id: str, data: dict[str, Any]) -> BatchReply:
        """What a line of results says."""

    async def _made_of(self, upload: str, url: str, job: Mapping[str, Any]) -> dict[str, Any]:
        """Makes a job of an uploaded file. If it is refused, the file is removed, since it is uploaded again with the next try.

        Args:
            upload: the file's own address; `url`: where jobs are made.
        """
        try:
            return await self._api.ask("POST", url, job)
        except ProviderError as error:
            if error.status is not None and error.status < 500:  # else there may be a job of it
                with contextlib.suppress(ProviderError):  # the refusal is what matters
                    await self._api.remove(upload)
            raise

    async def _known(self, asked: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        """What the service says about something, {} where it knows of it no more."""
        try:
            return await asked
        except ProviderError as error:
            if error.status != 404:
                raise
            return {}

    def _of_first_request(self, error: ProviderError) -> ProviderError:
        """The error of a batch's first request, which tells whether there is a service."""
        if error.status not in _NO_SERVICE:
            return error
        return NoBatchService(
            f"{self._origin.label}: the server has no batch service (HTTP {error.status}).{excerpt(error.body)}",
            kind=error.kind,
            status=error.status,
            body=error.body,
        )

    # -- what became of a request

    def _answered(self, custom_id: str, status: int, body: object) -> BatchReply:
        """An answer as a single request would have had it."""
        raw = orjson.dumps(body)
        if 200 <= status < 300:
            error = from_success(self._origin, status=status, body=raw, headers=dict, wire=self._bodies.wire)
            if error is None:
                return BatchReply(custom_id, Response(raw, 0.0, self._bodies.wire.name))
        else:
            error = from_answer(self._origin, status=status, body=raw, headers={})
        return BatchReply(custom_id, error=error)

    def _of_line(self, custom_id: str, data: Mapping[str, Any]) -> BatchReply:
        """What a line of results says that has the form of OpenAI's."""
        response, error = data.get("response"), data.get("error")
        if isinstance(response, dict) and count(response.get("status_code")):
            return self._answered(custom_id, count(response["status_code"]), response.get("body"))
        if isinstance(error, dict) and error.get("code") in _UNANSWERED:
            return BatchReply(custom_id)
        return self._failed(custom_id, error)

    def _failed(self, custom_id: str, error: object) -> BatchReply:
        """An error without the status of an answer; its status is told by its fields."""
        return BatchReply(custom_id, error=from_event(self._origin, orjson.dumps({"error": error}), maybe_paid=False))

    def _unread(self, line: Line) -> BatchReply:
        what = "is not JSON"
        if line.too_large:
            what = f"is larger than max_reply_mb={self._provider.max_reply_mb:g}. Raise it if the server means it"
        shown = redact(line.raw[:_SHOWN_BYTES].decode("utf-8", errors="replace"), self._origin.secrets)
        error = ProviderError(
            f"{self._origin.label}: the result of a request of a batch {what}.{excerpt(shown, after='It begins with')}",
            kind=ErrorKind.NO_COMPLETION,
            status=200,
            body=shown,
            maybe_paid=True,
        )
        return BatchReply(line.custom_id, error=error)

    def _id_of(self, body: Mapping[str, Any], what: str) -> str:
        """The id that the service gave to something.

        Raises:
            ProviderError: it gave none.
        """
        found = text(body.get("id"))
        if found:
            return found
        shown = redact(orjson.dumps(body).decode()[:_SHOWN_BYTES], self._origin.secrets)
        raise ProviderError(
            f"{self._origin.label}: the service gave no id to {what}.{excerpt(shown)}",
            kind=ErrorKind.NO_COMPLETION,
            status=200,
            body=shown,
            maybe_paid=True,
        )

    def _refused(self, error: Mapping[str, Any], *, status: int, hint: str = "") -> ProviderError:
        """Why a job was refused as a whole.

        Args:
            error: as an error body has it.
            status: what a request with this error would have been answered.
            hint: what to do, where the batch itself is to blame.
        """
        found = from_answer(self._origin, status=status, body=orjson.dumps({"error": error}), headers={})
        said = redact(text(error.get("message")), self._origin.secrets)
        advice = f" {hint}" if hint and found.kind in {ErrorKind.BAD_REQUEST, ErrorKind.MODEL_NOT_FOUND} else ""
        return ProviderError(
            f"{self._origin.label}: the service refused the batch.{excerpt(said or found.body)}{advice}",
            kind=found.kind,
            code=found.code,
            param=found.param,
            retry_after_s=found.retry_after_s,
            body=found.body,
        )
