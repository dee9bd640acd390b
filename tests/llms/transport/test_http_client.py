"""The HTTP client, against servers that write their answers byte by byte."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.llms.transport.faults import AnswerTooLarge, ConnectTimeout
from datafast.llms.transport.http_client import HttpClient
from tests.servers.byte_server import OK, Handler, Seen, answering, client, post, server
from tests.servers.wire_server import WireServer, http


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
    silent: list[bool] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def silent_at_first(sock: socket.socket, address: Any) -> None:
            if address[0] == "127.0.0.2":
                silent.append(True)
                try:
                    await asyncio.sleep(600)
                finally:
                    silent.append(False)
            assert silent == [True]
            await connect(sock, address)

        async def two_addresses(host: str, port: int, **_: Any) -> Any:
            found = [("127.0.0.2", port), ("127.0.0.1", port)]
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in found]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "sock_connect", silent_at_first)
            patch.setattr(loop, "getaddrinfo", two_addresses)
            async with server(answering(OK)) as seen:
                wire = HttpClient(
                    f"http://model.test:{seen.port}/",
                    headers={},
                    timeout_s=60,
                    connect_timeout_s=60,
                    max_connections=1,
                    max_bytes=99,
                )
                assert (await wire.post(b"x")).body == b"ok"
                await wire.aclose()

    asyncio.run(main())
    assert silent == [True, False]


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


@settings(max_examples=40)
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
