"""The HTTP client, against servers that write their answers byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.llms.transport.http_client import ConnectTimeout, HttpClient

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
    defaults: dict[str, Any] = {"headers": {"X-A": "1"}, "timeout_s": 5.0, "connect_timeout_s": 5.0}
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


@pytest.mark.parametrize(
    ("data", "close"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", False),
        (CHUNKED, False),
        (b"HTTP/1.0 200 OK\r\n\r\nabcde", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", False),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED, False),
    ],
    ids=["length", "chunks", "until the end", "close", "interim", "gzip"],
)
@pytest.mark.parametrize("pieces", [None, 1, 7])
def test_every_way_of_ending_a_body_is_understood(data: bytes, close: bool, pieces: int | None) -> None:
    async def main() -> Any:
        async with server(answering(data, close=close, pieces=pieces)) as seen:
            return await post(seen)

    answer = asyncio.run(main())
    assert (answer.status, answer.body) == (200, b"abcde")


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
            wire = client(9, proxy=f"http://user:p%40ss@127.0.0.1:{proxy.port}")
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
            wire = client(target.port, scheme="https", tls=trusting, proxy=f"http://127.0.0.1:{proxy.port}")
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
            wire = client(9, scheme="https", proxy=f"http://127.0.0.1:{proxy.port}")
            with pytest.raises(ConnectionRefusedError, match="407"):
                await wire.post(b"x")

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
