"""A provider's server: posts a body to one address, and returns the answer or raises a `ProviderError`.

This is what back ends with any wire format need to speak HTTP: headers, certificates, proxies, time limits and errors.

Guarantee: one HTTP request per `post`: no retry, no redirect. A reply is returned byte for byte, so that it can be recorded
before anything reads it; a success that holds an error is an error. One that is streamed is put together to what the server would have
answered without streaming: without its end mark it is a broken connection, and a plain answer to a streamed request is taken as it is.
Proxies are taken from the environment (or
the system's settings), once; netrc is not read, so no key is sent that was not configured.
Limits: one event loop for each `JsonApi`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from datafast.llms.base import Response
from datafast.llms.transport.certificates import trusting
from datafast.llms.transport.errors import from_answer, from_event, from_success, from_transport
from datafast.llms.transport.event_stream import is_event_stream
from datafast.llms.transport.http_client import HttpClient
from datafast.llms.transport.proxies import proxy_for
from datafast.llms.transport.wire_format import CHAT_COMPLETIONS, WireFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datafast.llms.provider import LLMProvider
    from datafast.llms.streams.base import StreamedReply
    from datafast.llms.transport.connection import HttpAnswer

__all__ = ["JsonApi"]

_STREAM_HEADERS = {"Accept": "text/event-stream, application/json"}
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "datafast"}


class JsonApi:
    """An open connection pool to one server.

    Args:
        provider: the provider; its `timeout`, `stream`, `max_reply_mb`, `ssl_ca` and `extra_headers` are used.
        url: the URL to post to.
        headers: headers besides the usual ones, such as a key.
        wire: the format of replies.
        method: GET for what is asked without a body.
        max_connections: the most open connections.
        use_proxy: False ignores proxies in the environment.
    """

    def __init__(
        self,
        provider: LLMProvider,
        url: str,
        *,
        headers: Mapping[str, str],
        max_connections: int,
        wire: WireFormat = CHAT_COMPLETIONS,
        method: str = "POST",
        use_proxy: bool = True,
    ) -> None:
        self._provider = provider
        self._wire = wire
        self._streamed: type[StreamedReply] | None = None
        if provider.stream and method == "POST":
            from datafast.llms.streams.formats import STREAMED

            self._streamed = STREAMED[wire.name]
        self._origin = provider.origin
        self._url = url
        self._method = method
        self._headers = {**_HEADERS, **(_STREAM_HEADERS if self._streamed else {}), **headers}
        self._max_connections = max_connections
        self._use_proxy = use_proxy
        self._client: HttpClient | None = None

    async def post(self, body: bytes) -> Response:
        """Sends one request.

        Raises:
            ProviderError: no complete answer came, or it is an error.
        """
        if self._client is None:
            self._client = self._open()
        if self._streamed is not None:
            return await self._post_streamed(self._client, self._streamed(), body)
        started = time.perf_counter()
        try:
            answer = await self._client.post(body)
        except OSError as error:  # time-outs are OSErrors too
            raise from_transport(self._origin, error) from error
        return self._whole(answer, started)

    def _whole(self, answer: HttpAnswer, started: float) -> Response:
        status, body = answer.status, answer.body
        if not 200 <= status < 300:
            raise from_answer(self._origin, status=status, body=body, headers=answer.headers)
        refusal = from_success(self._origin, status=status, body=body, headers=lambda: answer.headers, wire=self._wire)
        if refusal is not None:
            raise refusal
        return Response(body, time.perf_counter() - started, self._wire.name, answer.raw_headers)

    async def _post_streamed(self, client: HttpClient, reply: StreamedReply, body: bytes) -> Response:
        started = time.perf_counter()
        broken: OSError | None = None
        head: Sequence[tuple[bytes, bytes]] = ()
        try:
            answer = await client.post(body, reply.feed)
        except OSError as error:
            broken = error  # behind its end mark nothing matters
        else:
            head = answer.raw_headers
            if not reply.is_stream:
                if not (200 <= answer.status < 300 and is_event_stream(answer.body)):
                    return self._whole(answer, started)
                reply.feed(answer.body)  # a stream that its server calls something else, or has compressed
        reply.finish()
        if reply.plain and broken is None:
            return self._whole(answer._replace(body=reply.plain), started)
        if reply.error is not None:
            raise from_event(self._origin, reply.error, maybe_paid=reply.has_content) from broken
        raw = reply.assembled() if reply.is_whole else b""
        if not raw:
            if broken is None or reply.is_ended:
                broken = ConnectionResetError(reply.lack)
            raise from_transport(self._origin, broken) from broken
        return Response(raw, time.perf_counter() - started, self._wire.name, head)

    def widen(self, max_connections: int) -> None:
        """Allows so many connections, if they are more."""
        self._max_connections = max(self._max_connections, max_connections)
        if self._client is not None:
            self._client.widen(max_connections)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _open(self) -> HttpClient:
        provider = self._provider
        own = {name.lower() for name in provider.extra_headers}
        usual = {name: value for name, value in self._headers.items() if name.lower() not in own}
        return HttpClient(
            self._url,
            method=self._method,
            headers=usual | provider.extra_headers,
            timeout_s=provider.timeouts.total_s,
            connect_timeout_s=provider.timeouts.connect_s,
            quiet_s=provider.timeouts.idle_s,
            max_connections=self._max_connections,
            max_bytes=int(provider.max_reply_mb * 2**20),
            tls=trusting(provider.ssl_ca) if provider.ssl_ca else None,
            proxy=proxy_for(self._url) if self._use_proxy else None,
        )
