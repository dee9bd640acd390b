"""HTTP with a batch service: what is asked in JSON, files that go up and come down.

Guarantee: one HTTP request per call, but for downloads, which are begun again where they break. Files are never held in memory. Headers,
certificates, proxies, time limits and errors are those of single requests; a file may take longer than `timeout`, if it moves.
Cost: a connection for each request, as a batch has a handful in an hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from datafast.errors import ErrorKind, OutputWriteError, ProviderError
from datafast.llms.transport.certificates import trusting
from datafast.llms.transport.errors import excerpt, from_answer, from_transport
from datafast.llms.transport.http_client import HttpClient
from datafast.llms.transport.proxies import proxy_for
from datafast.llms.transport.redaction import address_shown

if TYPE_CHECKING:
    from datafast.llms.providers.direct import DirectProvider
    from datafast.llms.transport.connection import HttpAnswer

__all__ = ["BatchApi", "object_of"]

_HEADERS = {"Accept": "application/json", "User-Agent": "datafast"}
_JSON = {"Content-Type": "application/json"}
_ANY_FILE = {"Accept": "*/*", "Accept-Encoding": "identity"}
_NOTHING_THERE = frozenset({404, 405, 501})
_STAYS = frozenset({400, 403, 404, 405, 409})
_DOWNLOADS = 5
_PAUSE_S = 0.25
_PASSING = frozenset({ErrorKind.CONNECTION, ErrorKind.TIMEOUT, ErrorKind.SERVER})


class BatchApi:
    """Requests to the batch service of one provider."""

    def __init__(self, provider: DirectProvider) -> None:
        self._provider = provider
        self._origin = provider.origin

    async def ask(
        self, method: str, url: str, body: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What the service answers, {} where that is not a JSON object.

        Raises:
            ProviderError: it refuses, or no answer came.
        """
        sent = b"" if body is None else orjson.dumps(body)
        return object_of((await self.send(method, url, [sent], len(sent), headers={**_JSON, **(headers or {})})).body)

    async def send(
        self, method: str, url: str, pieces: Iterable[bytes], size: int, *, headers: Mapping[str, str]
    ) -> HttpAnswer:
        """Sends a body of `size` bytes, piece by piece.

        Raises:
            ProviderError: the service refuses, or no answer came.
        """
        async with self._client(method, url, headers) as client:
            try:
                answer = await client.transfer(pieces, size=size)
            except OSError as error:
                raise from_transport(self._origin, error) from error
        if not 200 <= answer.status < 300:
            raise self._refusal(answer, url)
        return answer

    async def remove(self, url: str) -> None:
        """Deletes what is at an address, if it is still there and may be deleted; services delete it themselves, later."""
        try:
            await self.ask("DELETE", url)
        except ProviderError as error:
            if error.status not in _STAYS:
                raise

    async def fetch(self, url: str, path: Path, *, max_bytes: int) -> None:
        """Downloads a file of at most `max_bytes`; where the connection breaks, it is begun again, a few times.

        Raises:
            ProviderError: the service refuses, or no whole answer came.
            OutputWriteError: the file cannot be written.
        """
        for number in range(_DOWNLOADS):
            try:
                return await self._fetch(url, path, max_bytes)
            except ProviderError as error:
                if error.kind not in _PASSING or number == _DOWNLOADS - 1:
                    raise
            await asyncio.sleep(_PAUSE_S * 2**number if number else 0.0)  # 0, 0.5, 1, 2 s
        return None

    async def _fetch(self, url: str, path: Path, max_bytes: int) -> None:
        unwritten: list[OSError] = []
        try:
            file = path.open("wb")
        except OSError as error:
            raise _unwritable(path, error) from error

        def take(data: bytes) -> bool:
            try:
                file.write(data)
            except OSError as error:
                unwritten.append(error)
            return bool(unwritten)

        broken: OSError | None = None
        async with self._client("GET", url, _ANY_FILE, max_bytes=max_bytes) as client:
            try:
                answer = await client.transfer(take=take)
            except OSError as error:
                broken = error
            try:
                file.close()
            except OSError as error:
                unwritten.append(error)
        if unwritten:
            raise _unwritable(path, unwritten[0]) from unwritten[0]
        if broken is not None:
            raise from_transport(self._origin, broken) from broken
        if not 200 <= answer.status < 300:
            raise self._refusal(answer, url)

    @asynccontextmanager
    async def _client(
        self, method: str, url: str, headers: Mapping[str, str], *, max_bytes: int | None = None
    ) -> AsyncIterator[HttpClient]:
        provider = self._provider
        keys, extra = provider.key_headers, provider.extra_headers
        if urlsplit(url)[:2] != urlsplit(provider.request_url)[:2]:
            keys, extra = {}, {}  # an address that the service gave: keys go to the provider's own alone
        own = {name.lower() for name in extra}
        usual = {**_HEADERS, **headers, **keys}
        connect_s, total_s, idle_s = provider.timeouts
        client = HttpClient(
            url,
            method=method,
            headers={name: value for name, value in usual.items() if name.lower() not in own} | extra,
            timeout_s=None,
            connect_timeout_s=connect_s,
            quiet_s=idle_s if total_s is None else total_s,
            max_connections=1,
            max_bytes=max_bytes or int(provider.max_reply_mb * 2**20),
            tls=trusting(provider.ssl_ca) if provider.ssl_ca else None,
            proxy=proxy_for(url),
        )
        try:
            yield client
        finally:
            await client.aclose()

    def _refusal(self, answer: HttpAnswer, url: str) -> ProviderError:
        error = from_answer(self._origin, status=answer.status, body=answer.body, headers=answer.headers)
        if answer.status not in _NOTHING_THERE:
            return error
        # Not the model is missing.
        return ProviderError(
            f"{self._origin.label}: there is nothing at {address_shown(url)[0]} (HTTP {answer.status}).{excerpt(error.body)}",
            kind=error.kind,
            status=answer.status,
            code=error.code,
            body=error.body,
        )


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer, {} where it is none."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}


def _unwritable(path: Path, error: OSError) -> OutputWriteError:
    return OutputWriteError(
        f"{path}: The results of a batch cannot be saved ({error.strerror or error}). They stay at the provider. Free some space, or "
        "put the output elsewhere."
    )
