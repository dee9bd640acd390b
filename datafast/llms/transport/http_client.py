"""A small HTTP/1.1 client for one address: posts bodies, and keeps connections open for reuse.

Guarantee: one request on the wire per `post`, never repeated; no redirects are followed, no cookies kept; an incomplete answer is an
error. Cost: about a third of a general client's CPU per call, because head and connection are made once and answers are parsed by
llhttp (through httptools) from one shared buffer.
Limits: HTTP/1.1 without streaming; proxies that speak HTTP (`http_proxy`, CONNECT for TLS); one event loop per client.

Every failure is an OSError: ConnectionRefusedError if there was no connection (or the error of the name lookup or of TLS),
ConnectTimeout, TimeoutError, ConnectionResetError if the connection broke.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple, cast
from urllib.parse import unquote, urlsplit

from httptools import HttpParserError, HttpResponseParser

__all__ = ["ConnectTimeout", "HttpAnswer", "HttpClient"]

# Less than the five seconds after which many servers close idle connections, so that none closes under a request.
_KEEPALIVE_S = 4.0
_BUFFER = 256 * 1024
_PORTS = {"http": 80, "https": 443}
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})


class ConnectTimeout(TimeoutError):
    """There was no connection in time; nothing was sent."""


class HttpAnswer(NamedTuple):
    """A complete answer."""

    status: int
    raw_headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The headers by names in lower case; of a repeated one the last value counts."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}


class _Address(NamedTuple):
    scheme: str
    host: str
    port: int
    auth: str

    @classmethod
    def of(cls, url: str) -> _Address:
        parts = urlsplit(url)
        auth = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            auth = f"Basic {b64encode(pair.encode()).decode()}"
        return cls(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme], auth)

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class _Connection(asyncio.BufferedProtocol):
    """One connection, with one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        self._loop = loop
        self._buffer = buffer
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[HttpAnswer] | None = None
        self.idle_since = 0.0
        self.deadline = 0.0
        self.usable = True
        self._parser = HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._in_body = False
        self._length_is_told = False
        self._encoding = b""

    def send(self, data: bytes, *, deadline: float, ends_with_head: bool = False) -> asyncio.Future[HttpAnswer]:
        """Sends a request. `ends_with_head`: its answer has no body, whatever its head says (CONNECT)."""
        self.deadline = deadline
        self._ends_with_head = ends_with_head
        self.answer = self._loop.create_future()
        cast("asyncio.Transport", self.transport).write(data)
        return self.answer

    def abort(self) -> None:
        self.usable = False
        if self.transport is not None:
            self.transport.abort()

    # -- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer  # shared by all connections, because bytes are parsed before more are read

    def buffer_updated(self, nbytes: int) -> None:
        if self.answer is None or self.answer.done():
            self.abort()  # bytes without a request
            return
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except HttpParserError as error:
            self._fail(ConnectionResetError(f"the answer is not HTTP: {error}"))
            self.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._in_body and not self._length_is_told:
            self.on_message_complete()  # such a body ends with the connection
        self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("the connection was closed"))

    def _fail(self, error: OSError) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    # -- httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        lower = name.lower()
        if lower in _LENGTHS:
            self._length_is_told = True
        elif lower == b"content-encoding":
            self._encoding = value.strip().lower()

    def on_headers_complete(self) -> None:
        self._in_body = True
        if self._ends_with_head:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer; the real one follows
            self._begin()
            return
        self.usable = self.usable and self._length_is_told and self._parser.should_keep_alive()
        headers, encoding = self._headers, self._encoding
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._begin()
        if self.answer is None or self.answer.done():
            return
        try:
            self.answer.set_result(HttpAnswer(status, headers, _plain(encoding, body)))
        except zlib.error as error:
            self._fail(ConnectionResetError(f"the answer's compression is broken: {error}"))


class HttpClient:
    """Posts to one URL.

    Args:
        url: absolute, http or https.
        headers: sent with each request; Host and Content-Length are added.
        timeout_s: for a complete exchange; `connect_timeout_s` for making a connection.
        tls: the context for https; None uses the system's authorities.
        proxy: URL of an HTTP proxy.
        max_connections: the most connections; more requests wait.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        connect_timeout_s: float,
        max_connections: int,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._target = _Address.of(url)
        self._proxy = _Address.of(proxy) if proxy else None
        self._tls = tls
        self._timeout_s = timeout_s
        self._look_s = min(1.0, timeout_s / 10)  # how often deadlines are checked
        self._connect_timeout_s = connect_timeout_s
        self._head = self._make_head(url, headers)
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._buffer = memoryview(bytearray(_BUFFER))
        self._busy: set[_Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def post(self, body: bytes) -> HttpAnswer:
        """Sends one request.

        Raises:
            OSError: no complete answer came; see the module.
        """
        async with self._slots:
            connection = self._take_idle() or await self._connect()
            deadline = self._loop.time() + self._timeout_s
            answer = connection.send(b"%b%d\r\n\r\n%b" % (self._head, len(body), body), deadline=deadline)
            self._busy.add(connection)
            if self._timer is None:
                self._timer = self._loop.call_later(self._look_s, self._on_time)
            try:
                return await answer
            except BaseException:
                connection.abort()
                raise
            finally:
                self._busy.discard(connection)
                self._give_back(connection)

    async def aclose(self) -> None:
        """Closes every connection and waits a moment for it."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()
        self._open.clear()
        await asyncio.sleep(0)

    # -- connections

    def _take_idle(self) -> _Connection | None:
        oldest = time.monotonic() - _KEEPALIVE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection
            connection.abort()
            self._open.discard(connection)
        return None

    def _give_back(self, connection: _Connection) -> None:
        if connection.usable:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()
            self._open.discard(connection)

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await (self._connect_through_proxy() if self._proxy else self._connect_directly())
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection within {self._connect_timeout_s:g} s") from error
        self._open.add(connection)
        return connection

    async def _connect_directly(self) -> _Connection:
        tls = self._tls_context() if self._target.scheme == "https" else None
        return await self._dial(self._target, tls)

    async def _dial(self, address: _Address, tls: ssl.SSLContext | None) -> _Connection:
        def protocol() -> _Connection:
            return _Connection(self._loop, self._buffer)

        try:
            _, connection = await self._loop.create_connection(protocol, address.host, address.port, ssl=tls)
        except (socket.gaierror, ssl.SSLError, TimeoutError):
            raise
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise
            # If several addresses refuse, asyncio raises one plain OSError.
            raise ConnectionRefusedError(*error.args) from error
        return connection

    async def _connect_through_proxy(self) -> _Connection:
        proxy = cast("_Address", self._proxy)
        tls = ssl.create_default_context() if proxy.scheme == "https" else None
        connection = await self._dial(proxy, tls)
        if self._target.scheme == "http":
            return connection
        place = f"{self._target.host}:{self._target.port}"
        head = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n"
        head += f"Proxy-Authorization: {proxy.auth}\r\n" if proxy.auth else ""
        answer = await connection.send(f"{head}\r\n".encode("latin-1"), deadline=0.0, ends_with_head=True)
        if answer.status != 200:
            connection.abort()
            raise ConnectionRefusedError(f"the proxy {proxy.netloc} answered {answer.status}")
        inner = _Connection(self._loop, self._buffer)
        transport = await self._loop.start_tls(
            cast("asyncio.Transport", connection.transport),
            inner,
            self._tls_context(),
            server_hostname=self._target.host,
        )
        inner.connection_made(cast("asyncio.Transport", transport))
        return inner

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _make_head(self, url: str, headers: Mapping[str, str]) -> bytes:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        given = {"Host": self._target.netloc, **headers}
        if self._proxy and self._target.scheme == "http":
            target = f"http://{self._target.netloc}{target}"
            if self._proxy.auth:
                given["Proxy-Authorization"] = self._proxy.auth
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        if any(character in line for line in lines for character in "\r\n\0"):
            raise ValueError("A header or the address contains a line break. Remove it.")
        return ("\r\n".join(lines) + "\r\nContent-Length: ").encode("latin-1")

    # -- time

    def _on_time(self) -> None:
        self._timer = None
        now = self._loop.time()
        for connection in self._busy:
            if connection.deadline <= now and connection.answer is not None and not connection.answer.done():
                connection.answer.set_exception(TimeoutError(f"no whole answer within {self._timeout_s:g} s"))
        if self._busy:
            self._timer = self._loop.call_later(self._look_s, self._on_time)


def _plain(encoding: bytes, body: bytes) -> bytes:
    """The body without compression. We do not ask for it, but some gateways compress all the same."""
    if encoding in {b"gzip", b"x-gzip", b"deflate"}:
        return zlib.decompress(body, wbits=15 if encoding == b"deflate" else 31)
    return body
