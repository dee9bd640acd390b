"""A small HTTP/1.1 client for one address: posts bodies, and keeps connections open for reuse.

Guarantee: one request on the wire per `post`, no redirect followed, no cookie kept; an answer is whole or it is an error. It is sent
again, once, in one case alone: on a connection that was open before, which the server closed within a second and without a byte of an
answer, so most likely before it had read the request. Of a host with several addresses the first that answers is taken (RFC 8305). A
time limit counts the time in which this process ran: an answer that came while it was paused is read. Cost: about a third of a general
client's CPU per call, because head and connection are made once and answers are parsed from one shared buffer.
Limits: HTTP/1.1; one event loop per client; for proxies and sizes see `proxies` and `connection`.

Everything that keeps an answer from coming is an OSError: ConnectionRefusedError where no connection came about (or what the name
lookup or TLS raised), ProxyFault where that is the proxy's doing, ConnectTimeout, QuietTimeout, TimeoutError, AnswerTooLarge,
ConnectionResetError where it broke.
"""

from __future__ import annotations

import asyncio
import errno
import math
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

from datafast.llms.transport.connection import Connection, HttpAnswer
from datafast.llms.transport.faults import ConnectTimeout, ProxyFault, QuietTimeout
from datafast.llms.transport.proxies import Address, through_socks

__all__ = ["HttpClient"]

_STALE_S = 1.0  # a server that had begun to work on a request would rarely break off so soon
_BUFFER = 256 * 1024
_NEXT_ADDRESS_S = 0.25  # as RFC 8305 recommends
_PAUSE_S = 1.0  # so much too late, the process was not running: stopped, or the lid closed


class HttpClient:
    """Posts to one URL.

    Args:
        url: absolute, http or https.
        method: POST, or GET where bodies are empty.
        headers: sent with each request; Host and Content-Length are added.
        timeout_s: for a whole exchange, None for no limit; `connect_timeout_s` for making a connection.
        quiet_s: that an answer which is read as a stream may let nothing come, from the request on; None for no limit.
        tls: for https; None uses the system's authorities.
        proxy: that connections are made through.
        max_bytes: of an answer's body.
        max_connections: more requests at once wait.
    """

    def __init__(
        self,
        url: str,
        *,
        method: str = "POST",
        headers: Mapping[str, str],
        timeout_s: float | None,
        connect_timeout_s: float,
        max_connections: int,
        max_bytes: int,
        quiet_s: float | None = None,
        tls: ssl.SSLContext | None = None,
        proxy: Address | None = None,
    ) -> None:
        self._target = Address.of(url)
        self._proxy = proxy
        self._tls = tls
        self._max_bytes = max_bytes
        self._timeout_s = math.inf if timeout_s is None else timeout_s
        self._quiet_s = math.inf if quiet_s is None else quiet_s
        self._look_s = min(1.0, self._timeout_s / 10, self._quiet_s / 10)  # how often time limits are checked
        self._connect_timeout_s = connect_timeout_s
        self._head = self._make_head(method, url, headers)
        self._loop = asyncio.get_running_loop()
        self._max_connections = max_connections
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._buffer = memoryview(bytearray(_BUFFER))
        self._busy: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def widen(self, max_connections: int) -> None:
        """Allows so many connections, if they are more."""
        for _ in range(self._max_connections, max_connections):
            self._slots.release()
        self._max_connections = max(self._max_connections, max_connections)

    async def post(self, body: bytes, take: Callable[[bytes], bool] | None = None) -> HttpAnswer:
        """Sends one request.

        Args:
            take: reads the body of a stream of events as it comes; see `Connection.send`.

        Raises:
            OSError: no complete answer came; see the module.
        """
        await self._slots.acquire()  # "async with" would be two coroutines more
        try:
            connection = self._take_idle()
            is_new = connection is None
            while True:
                connection = connection or await self._connect()
                sent_at = self._loop.time()
                answer = connection.send(
                    b"%b%d\r\n\r\n%b" % (self._head, len(body), body), deadline=sent_at + self._timeout_s, take=take
                )
                self._busy.add(connection)
                if self._timer is None:
                    self._look_later()
                try:
                    return await answer
                except BaseException as error:
                    connection.abort()
                    was_stale = isinstance(error, ConnectionError) and not (is_new or connection.was_heard)
                    if not was_stale or self._loop.time() > sent_at + _STALE_S:
                        raise
                finally:
                    self._busy.discard(connection)
                    self._give_back(connection)
                connection, is_new = None, True
        finally:
            self._slots.release()

    async def transfer(
        self, pieces: Iterable[bytes] = (), *, size: int = 0, take: Callable[[bytes], bool] | None = None
    ) -> HttpAnswer:
        """Sends one request, never again, on a connection of its own: for bodies that are not held in memory.

        Args:
            pieces: of the request's body, in order; each is read when the one before is nearly sent.
            size: bytes of the body.
            take: given the body of a success as it comes, which then is not in the answer. Returns False.

        Raises:
            OSError: no complete answer came, or a piece could not be read; `quiet_s` passed in which nothing went or came.
        """
        connection = await self._connect()
        try:
            connection.heard_at = self._loop.time()
            answer = connection.send(
                b"%b%d\r\n\r\n" % (self._head, size),
                deadline=connection.heard_at + self._timeout_s,
                take=take,
                takes=b"",
            )
            answer.add_done_callback(lambda _: connection.resume_writing())
            self._busy.add(connection)
            if self._timer is None:
                self._look_later()
            for piece in pieces:
                await connection.write(piece)
                if answer.done():
                    break
                connection.heard_at = self._loop.time()
            return await answer
        finally:
            self._busy.discard(connection)
            connection.abort()
            self._open.discard(connection)

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

    def _take_idle(self) -> Connection | None:
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since > now - connection.keepalive_s:
                return connection
            connection.abort()
            self._open.discard(connection)
        return None

    def _give_back(self, connection: Connection) -> None:
        if connection.usable:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()
            self._open.discard(connection)

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await (
                    self._connect_directly() if self._proxy is None else self._connect_through_proxy(self._proxy)
                )
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection within {self._connect_timeout_s:g} s") from error
        self._open.add(connection)
        return connection

    async def _connect_directly(self) -> Connection:
        return await self._dial(self._target, self._tls_context())

    def _new_connection(self) -> Connection:
        return Connection(self._loop, self._buffer, max_bytes=self._max_bytes)

    async def _dial(self, address: Address, tls: ssl.SSLContext | None) -> Connection:
        try:
            _, connection = await self._loop.create_connection(
                self._new_connection,
                address.host,
                address.port,
                ssl=tls,
                # A literal is one address: there is nothing to race, and setting up a race takes 0.2 ms.
                happy_eyeballs_delay=None if _is_literal(address.host) else _NEXT_ADDRESS_S,
            )
        except (socket.gaierror, ssl.SSLError, TimeoutError):
            raise
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise
            # If several addresses refuse, asyncio raises one plain OSError.
            raise ConnectionRefusedError(*error.args) from error
        return connection

    async def _connect_through_proxy(self, proxy: Address) -> Connection:
        try:
            if proxy.is_socks:
                connected = await through_socks(proxy, self._target.host, self._target.port)
            else:
                outer = await self._dial(proxy, ssl.create_default_context() if proxy.scheme == "https" else None)
        except TimeoutError:
            raise
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise
            raise ProxyFault(proxy.shown, str(error)) from error
        if proxy.is_socks:
            return await self._over(connected)
        return outer if self._target.scheme == "http" else await self._tunnel(outer, proxy)

    async def _over(self, connected: socket.socket) -> Connection:
        tls = self._tls_context()
        name = self._target.host if tls else None
        _, connection = await self._loop.create_connection(
            self._new_connection, sock=connected, ssl=tls, server_hostname=name
        )
        return connection

    async def _tunnel(self, outer: Connection, proxy: Address) -> Connection:
        """Asks the proxy for a way to the target, and speaks TLS through it."""
        place = f"{self._target.host}:{self._target.port}"
        head = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n"
        head += f"Proxy-Authorization: {proxy.basic_auth}\r\n" if proxy.basic_auth else ""
        try:
            answer = await outer.send(f"{head}\r\n".encode("latin-1"), deadline=0.0, ends_with_head=True)
        except OSError as error:
            raise ProxyFault(proxy.shown, str(error)) from error
        if answer.status != 200:
            outer.abort()
            raise ProxyFault(proxy.shown, f"it answered {answer.status}")
        inner = self._new_connection()
        transport = await self._loop.start_tls(
            cast("asyncio.Transport", outer.transport),
            inner,
            cast("ssl.SSLContext", self._tls_context()),
            server_hostname=self._target.host,
        )
        inner.connection_made(cast("asyncio.Transport", transport))
        return inner

    def _tls_context(self) -> ssl.SSLContext | None:
        """What the target is spoken to with; None for plain HTTP."""
        if self._target.scheme == "http":
            return None
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _make_head(self, method: str, url: str, headers: Mapping[str, str]) -> bytes:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        given = {"Host": self._target.netloc, **headers}
        if self._proxy and not self._proxy.is_socks and self._target.scheme == "http":
            target = f"http://{self._target.netloc}{target}"
            if self._proxy.basic_auth:
                given["Proxy-Authorization"] = self._proxy.basic_auth
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        if any(character in line for line in lines for character in "\r\n\0"):
            raise ValueError("A header or the address contains a line break. Remove it.")
        return ("\r\n".join(lines) + "\r\nContent-Length: ").encode("latin-1")

    # -- time

    def _look_later(self) -> None:
        self._due = self._loop.time() + self._look_s
        self._timer = self._loop.call_at(self._due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        now = self._loop.time()
        paused_s = now - self._due
        for connection in self._busy:
            if paused_s > _PAUSE_S:
                # What came meanwhile waits in the sockets, which are read before this is called again.
                connection.deadline += paused_s
                connection.heard_at += paused_s
            elif connection.answer is None or connection.answer.done():
                continue
            elif connection.deadline <= now:
                connection.answer.set_exception(TimeoutError(f"no whole answer within {self._timeout_s:g} s"))
            elif connection.heard_at + self._quiet_s <= now:
                connection.answer.set_exception(QuietTimeout(f"nothing came for {self._quiet_s:g} s"))
        if self._busy:
            self._look_later()


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
