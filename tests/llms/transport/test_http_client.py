"""The HTTP client, against servers that write their answers byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.llms.transport.faults import AnswerTooLarge, ConnectTimeout, ProxyFault
from datafast.llms.transport.http_client import HttpClient
from datafast.llms.transport.proxies import Address
from tests.servers.wire_server import WireServer, http

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Handler = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Seen:
    """What a server saw."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0


@asynccontextmanager
async def server(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Seen]:
    seen = Seen()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                seen.requests.append(head + body)
                await handler(head + body, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    seen.port = listening.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        listening.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def answering(data: bytes, *, close: bool = False, pieces: int | None = None) -> Handler:
    async def handler(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(data), pieces or len(data)):
            writer.write(data[start : start + (pieces or len(data))])
            await writer.drain()
            if pieces:
                await asyncio.sleep(0)
        if close:
            raise ConnectionError

    return handler


def client(port: int, *, scheme: str = "http", **options: Any) -> HttpClient:
    defaults: dict[str, Any] = {"headers": {"X-A": "1"}, "timeout_s": 5.0, "connect_timeout_s": 5.0, "max_bytes": 2**20}
    return HttpClient(f"{scheme}://127.0.0.1:{port}/v1/x?q=1", **{**defaults, "max_connections": 4, **options})


async def post(seen: Seen, body: bytes = b"hello", **options: Any) -> Any:
    wire = client(seen.port, **options)
    try:
        return await wire.post(body)
    finally:
        await wire.aclose()


def test_a_request_is_written_as_http_wants_it() -> None:
    async def main() -> bytes:
        async with server(answering(OK)) as seen:
            await post(seen)
            return seen.requests[0].replace(str(seen.port).encode(), b"PORT")

    expected = b"POST /v1/x?q=1 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"
    assert asyncio.run(main()) == expected


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
ZIPPED = gzip.compress(b"abcde")
DEFLATED = zlib.compress(b"abcde")
HEADERLESS = DEFLATED[2:-4]


@pytest.mark.parametrize(
    ("data", "close"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", False),
        (CHUNKED, False),
        (b"HTTP/1.0 200 OK\r\n\r\nabcde", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", False),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED, False),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(DEFLATED) + DEFLATED,
            False,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(HEADERLESS)
            + HEADERLESS,
            False,
        ),
        (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nabcde", False),
        (CHUNKED.replace(b"\r\n", b"\n", 3), False),
        (b"HTTP/1.1 200 OK\r\nX-A: one\r\n  two\r\nContent-Length: 5\r\n\r\nabcde", False),
        (CHUNKED.replace(b"3\r\n", b"3  \r\n"), False),
    ],
    ids=[
        "length",
        "chunks",
        "until the end",
        "close",
        "interim",
        "gzip",
        "deflate",
        "deflate without header",
        "LF",
        "LF, then chunks",
        "folded",
        "spaces after a size",
    ],
)
@pytest.mark.parametrize("pieces", [None, 1, 7])
def test_every_way_of_ending_a_body_is_understood(data: bytes, close: bool, pieces: int | None) -> None:
    async def main() -> Any:
        async with server(answering(data, close=close, pieces=pieces)) as seen:
            return await post(seen)

    answer = asyncio.run(main())
    assert (answer.status, answer.body) == (200, b"abcde")


async def _posts(seen: Seen, number: int, *, pause_s: float = 0.0) -> list[bytes]:
    """The bodies of the answers to requests that are sent one after the other through one client."""
    wire = client(seen.port)
    try:
        bodies = []
        for _ in range(number):
            bodies.append((await wire.post(b"hello")).body)
            await asyncio.sleep(pause_s)
        return bodies
    finally:
        await wire.aclose()


def test_a_server_that_closes_each_connection_without_a_word_is_no_fault() -> None:
    async def main() -> tuple[list[bytes], Seen]:
        async with server(answering(OK, close=True)) as seen:
            return await _posts(seen, 20), seen

    bodies, seen = asyncio.run(main())
    assert bodies == [b"ok"] * 20
    assert len(seen.requests) == 20  # none was read twice


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_was_closed_while_it_was_idle_is_replaced_by_a_new_one(reset: bool) -> None:
    """The request is written to it all the same, because the client has not seen the end yet."""

    async def handler(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen.requests[-1:] and len(seen.requests) == 2:
            if reset:
                writer.transport.abort()
            raise ConnectionError  # the second request of the first connection
        writer.write(OK)

    seen: Seen

    async def main() -> list[bytes]:
        nonlocal seen
        async with server(handler) as seen:
            return await _posts(seen, 3)

    assert asyncio.run(main()) == [b"ok"] * 3
    assert (seen.connections, len(seen.requests)) == (2, 4)


async def _second_ends(handler: Handler) -> Seen:
    """Posts twice on one connection; the second time must be an error."""
    async with server(handler) as seen:
        wire = client(seen.port)
        try:
            await wire.post(b"hello")
            with pytest.raises(ConnectionError):
                await wire.post(b"hello")
        finally:
            await wire.aclose()
        return seen


@pytest.mark.parametrize(
    ("delay_s", "begin"), [(1.2, b""), (0.0, b"HTTP/1.1 2"), (0.0, b"HTTP/1.1 100 Continue\r\n\r\n")]
)
def test_a_request_that_the_server_may_have_worked_on_is_not_sent_again(delay_s: float, begin: bytes) -> None:
    seen_before = 0

    async def handler(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen_before
        seen_before += 1
        if seen_before == 1:
            writer.write(OK)
            return
        writer.write(begin)
        await writer.drain()
        await asyncio.sleep(delay_s)
        raise ConnectionError

    seen = asyncio.run(_second_ends(handler))
    assert len(seen.requests) == 2


def test_a_request_is_not_sent_a_third_time() -> None:
    answered = iter([True])

    async def handler(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not next(answered, False):
            raise ConnectionError
        writer.write(OK)

    seen = asyncio.run(_second_ends(handler))
    assert len(seen.requests) == 3


@pytest.mark.parametrize(
    ("header", "connections"),
    [("", 1), ("timeout=30, max=100", 1), ('max=5; Timeout = "9"', 1), ("timeout=1", 3), ("timeout=0", 3)],
)
def test_a_connection_is_kept_as_long_as_the_server_says(header: str, connections: int) -> None:
    head = f"Keep-Alive: {header}\r\n" if header else ""
    data = f"HTTP/1.1 200 OK\r\n{head}Content-Length: 2\r\n\r\nok".encode()

    async def main() -> int:
        async with server(answering(data)) as seen:
            await _posts(seen, 3, pause_s=0.01)
            return seen.connections

    assert asyncio.run(main()) == connections


def test_connections_are_reused_and_never_more_than_allowed() -> None:
    async def main() -> tuple[int, int]:
        async with server(answering(OK)) as seen:
            wire = client(seen.port, max_connections=3)
            for _ in range(5):
                await asyncio.gather(*(wire.post(b"x") for _ in range(10)))
            await wire.aclose()
            return seen.connections, len(seen.requests)

    assert asyncio.run(main()) == (3, 50)


def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    async def main() -> int:
        async with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")) as seen:
            wire = client(seen.port)
            for _ in range(4):
                assert (await wire.post(b"x")).body == b"ok"
            await wire.aclose()
            return seen.connections

    assert asyncio.run(main()) == 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        CHUNKED[:-4],
        b"\0nonsense",
    ],
    ids=["nothing", "half a head", "half a body", "half of the chunks", "no HTTP"],
)
def test_an_answer_that_is_not_whole_is_a_connection_error(data: bytes) -> None:
    async def main() -> None:
        async with server(answering(data, close=True)) as seen:
            with pytest.raises(ConnectionError):
                await post(seen)
            assert len(seen.requests) == 1  # never sent again

    asyncio.run(main())


def test_broken_compression_is_a_connection_error() -> None:
    async def main() -> None:
        data = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
        async with server(answering(data)) as seen:
            with pytest.raises(ConnectionError, match="compression"):
                await post(seen)

    asyncio.run(main())


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nX-A: %b\r\nContent-Length: 2\r\n\r\nok" % (b"a" * 70_000),
        b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"a" * 3_000_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 3_000_000,
    ],
    ids=["one header", "many headers", "body", "body without a length"],
)
def test_no_more_is_read_than_an_answer_may_have(data: bytes) -> None:
    async def main() -> None:
        async with server(answering(data)) as seen:
            with pytest.raises(AnswerTooLarge, match=r"64 KiB|1 MiB"):
                await post(seen)
            assert len(seen.requests) == 1

    asyncio.run(main())


@pytest.mark.parametrize(("size", "max_bytes"), [(2_000_000, 2**20), (8_000_000, 2**26)], ids=["limit", "ratio"])
def test_what_is_compressed_may_not_grow_without_limit(size: int, max_bytes: int) -> None:
    bomb = gzip.compress(b"\0" * size)

    async def main() -> None:
        data = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
        async with server(answering(data)) as seen:
            with pytest.raises(AnswerTooLarge, match="decompress"):
                await post(seen, max_bytes=max_bytes)

    asyncio.run(main())


def test_a_misdirected_request_is_not_sent_over_the_same_connection_again() -> None:
    async def main() -> int:
        async with server(answering(OK.replace(b"200 OK", b"421 Misdirected Request"))) as seen:
            wire = client(seen.port)
            for _ in range(2):
                assert (await wire.post(b"x")).status == 421
            await wire.aclose()
            return seen.connections

    assert asyncio.run(main()) == 2


def test_what_came_while_the_process_was_paused_is_read_before_time_is_up() -> None:
    body = b"a" * 5_000_000  # more than one read of a socket brings

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, time.sleep, 1.8)
        wire = client(wire_server.port, timeout_s=1.0, max_bytes=2**23)
        try:
            return (await wire.post(b"{}")).body
        finally:
            await wire.aclose()

    with WireServer(lambda asked: [0.3, http(body)]) as wire_server:
        assert asyncio.run(main()) == body
        assert len(wire_server.requests) == 1


def test_the_second_address_of_a_host_is_tried_while_the_first_one_is_silent() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def silent_at_first(sock: socket.socket, address: Any) -> None:
            if address[0] == "127.0.0.2":
                await asyncio.sleep(60)
            await connect(sock, address)

        async def two_addresses(host: str, port: int, **_: Any) -> Any:
            found = [("127.0.0.2", port), ("127.0.0.1", port)]
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in found]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "sock_connect", silent_at_first)
            patch.setattr(loop, "getaddrinfo", two_addresses)
            async with server(answering(OK)) as seen:
                started = time.monotonic()
                wire = HttpClient(
                    f"http://model.test:{seen.port}/",
                    headers={},
                    timeout_s=5,
                    connect_timeout_s=5,
                    max_connections=1,
                    max_bytes=99,
                )
                assert (await wire.post(b"x")).body == b"ok"
                await wire.aclose()
                return time.monotonic() - started

    assert asyncio.run(main()) < 3


def test_a_slow_answer_ends_in_a_timeout_and_its_connection_is_dropped() -> None:
    async def drip(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x")
            await asyncio.sleep(0.02)

    async def main() -> None:
        async with server(drip) as seen:
            wire = client(seen.port, timeout_s=0.2)
            for _ in range(2):
                with pytest.raises(TimeoutError, match=r"0\.2 s"):
                    await wire.post(b"x")
            assert seen.connections == 2
            await wire.aclose()

    asyncio.run(main())


def test_cancelling_a_request_leaves_the_client_usable() -> None:
    async def slow_once(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.endswith(b"slow"):
            await asyncio.sleep(0.2)
        writer.write(OK)

    async def main() -> bytes:
        async with server(slow_once) as seen:
            wire = client(seen.port, max_connections=1)
            task = asyncio.ensure_future(wire.post(b"slow"))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            answer = await wire.post(b"quick")
            await wire.aclose()
            return answer.body

    assert asyncio.run(main()) == b"ok"


def test_where_nobody_listens_the_connection_is_refused() -> None:
    async def main() -> None:
        async with server(answering(OK)) as seen:
            port = seen.port
        with pytest.raises(ConnectionRefusedError):
            await client(port).post(b"x")

    asyncio.run(main())


def test_no_connection_in_time_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(60)

    async def main() -> None:
        wire = client(1, connect_timeout_s=0.05)
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
        with pytest.raises(ConnectTimeout):
            await wire.post(b"x")

    asyncio.run(main())


def test_a_header_with_a_line_break_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="line break"):
            client(1, headers={"X-A": "1\r\nX-B: 2"})

    asyncio.run(main())


def test_plain_http_goes_through_a_proxy_with_its_credentials() -> None:
    async def main() -> bytes:
        async with server(answering(OK)) as proxy:
            wire = client(9, proxy=Address.of(f"http://user:p%40ss@127.0.0.1:{proxy.port}"))
            assert (await wire.post(b"x")).body == b"ok"
            await wire.aclose()
            return proxy.requests[0]

    request = asyncio.run(main())
    assert request.startswith(b"POST http://127.0.0.1:9/v1/x?q=1 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in request


def test_https_goes_through_a_tunnel_of_the_proxy(certificate: tuple[Path, Path]) -> None:
    for_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for_server.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))

    async def tunnel(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = request.split()[1].decode()
        inner_reader, inner_writer = await asyncio.open_connection(*target.split(":"))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer), return_exceptions=True)
        finally:
            inner_writer.close()

    async def main() -> tuple[bytes, bytes, bytes]:
        async with server(answering(OK), tls=for_server) as target, server(tunnel) as proxy:
            wire = client(target.port, scheme="https", tls=trusting, proxy=Address.of(f"http://127.0.0.1:{proxy.port}"))
            bodies = [(await wire.post(b"secret")).body for _ in range(2)]
            await wire.aclose()
            assert len(target.requests) == 2
            return bodies[1], proxy.requests[0], target.requests[0]

    body, seen_by_proxy, seen_by_target = asyncio.run(main())
    assert body == b"ok"
    assert seen_by_proxy.startswith(b"CONNECT 127.0.0.1:")
    assert b"secret" not in seen_by_proxy
    assert seen_by_target.startswith(b"POST /v1/x?q=1 ")


def test_a_proxy_that_refuses_the_tunnel_is_a_refused_connection(certificate: tuple[Path, Path]) -> None:
    async def main() -> None:
        refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        async with server(answering(refusal)) as proxy:
            wire = client(9, scheme="https", proxy=Address.of(f"http://127.0.0.1:{proxy.port}"))
            with pytest.raises(ProxyFault, match="407"):
                await wire.post(b"x")

    asyncio.run(main())


def test_a_proxy_that_is_down_is_told_from_the_server_behind_it() -> None:
    async def main() -> None:
        async with server(answering(OK)) as proxy:
            port = proxy.port
        with pytest.raises(ProxyFault, match=f"http://127.0.0.1:{port}"):
            await client(9, proxy=Address.of(f"http://me:secret@127.0.0.1:{port}")).post(b"x")

    asyncio.run(main())


@asynccontextmanager
async def socks_proxy(*, login: bytes = b"", refusal: int = 0) -> AsyncIterator[Seen]:
    """A SOCKS 5 proxy. `requests` has the host of each connection that it was asked for."""
    seen = Seen()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        ways = await reader.readexactly(count)
        way = 2 if login else 0
        writer.write(bytes([version, way if way in ways else 255]))
        if login and way in ways:
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(bytes([1, user + b":" + password != login]))
        _, _, _, kind, size = await reader.readexactly(5)
        assert kind == 3
        seen.requests.append(await reader.readexactly(size))
        port = int.from_bytes(await reader.readexactly(2))
        writer.write(bytes([5, refusal, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not refusal:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer), return_exceptions=True)
            finally:
                inner_writer.transport.abort()

    serving: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await serve(reader, writer)
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(guarded, "127.0.0.1", 0)
    seen.port = listening.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        listening.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)


@pytest.mark.parametrize("login", [b"", b"me:secret"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_go_through_a_socks_proxy_which_looks_up_names(
    scheme: str, login: bytes, certificate: tuple[Path, Path]
) -> None:
    for_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for_server.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    trusting.check_hostname = False

    async def main() -> tuple[bytes, list[bytes]]:
        secure = scheme == "https"
        async with server(answering(OK), tls=for_server if secure else None) as seen, socks_proxy(login=login) as proxy:
            who = f"{login.decode()}@" if login else ""
            wire = HttpClient(
                f"{scheme}://model.invalid:{seen.port}/v1", headers={}, timeout_s=5, connect_timeout_s=5, max_connections=1,
                max_bytes=99, tls=trusting if secure else None, proxy=Address.of(f"socks5h://{who}127.0.0.1:{proxy.port}"),
            )  # fmt: skip
            bodies = [(await wire.post(b"x")).body for _ in range(2)]
            await wire.aclose()
            return bodies[1], proxy.requests

    assert asyncio.run(main()) == (b"ok", [b"model.invalid"])


@pytest.mark.parametrize(
    ("options", "said"),
    [({"login": b"me:other"}, "refuses the user"), ({"refusal": 2}, "does not allow"), ({"refusal": 99}, "code 99")],
)
def test_a_socks_proxy_that_refuses_says_why(options: dict[str, Any], said: str) -> None:
    async def main() -> None:
        async with socks_proxy(**options) as proxy:
            wire = client(9, proxy=Address.of(f"socks5://me:secret@127.0.0.1:{proxy.port}"))
            with pytest.raises(ProxyFault, match=said) as caught:
                await wire.post(b"x")
            assert "secret" not in str(caught.value)

    asyncio.run(main())


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


@settings(max_examples=40, deadline=None)
@given(body=st.binary(max_size=3000), pieces=st.integers(1, 700))
def test_any_body_arrives_as_it_was_sent_however_it_is_cut(body: bytes, pieces: int) -> None:
    async def main() -> tuple[bytes, bytes]:
        data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        async with server(answering(data, pieces=pieces)) as seen:
            answer = await post(seen, body)
            return answer.body, seen.requests[0]

    received, sent = asyncio.run(main())
    assert received == body
    assert sent.endswith(b"\r\n\r\n" + body)
