"""Bodies that are not held in memory: sent piece by piece, handed on as they come."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from datafast.llms.transport.faults import AnswerTooLarge, QuietTimeout
from datafast.llms.transport.http_client import HttpClient

PIECE = b"x" * 2**16
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def transferring(serve: Serve, *, quiet_s: float = 20.0, max_bytes: int = 2**20) -> AsyncIterator[HttpClient]:
    """A client of a server that does as it is told with each connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await reader.readuntil(b"\r\n\r\n")
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    client = HttpClient(
        f"http://127.0.0.1:{port}/files",
        headers={},
        timeout_s=None,
        quiet_s=quiet_s,
        connect_timeout_s=5.0,
        max_connections=1,
        max_bytes=max_bytes,
    )
    try:
        yield client
    finally:
        await client.aclose()
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def ok(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body])


def test_pieces_are_read_when_the_ones_before_them_have_gone() -> None:
    read = 0

    def pieces() -> Iterator[bytes]:
        nonlocal read
        for _ in range(400):
            read += 1
            yield PIECE

    async def main() -> tuple[int, bytes]:
        waiting, going = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            waiting.set()
            await going.wait()
            size = len(await reader.readexactly(400 * len(PIECE)))
            writer.write(ok(b"%d" % size))
            await writer.drain()

        async with transferring(serve) as client:
            sending = asyncio.ensure_future(client.transfer(pieces(), size=400 * len(PIECE)))
            await waiting.wait()
            before = -1
            while before != read:
                before = read
                await asyncio.sleep(0.05)
            going.set()
            return before, (await sending).body

    held, answered = asyncio.run(main())
    assert held < 300  # the rest waited for the server
    assert answered == b"%d" % (400 * len(PIECE))


@pytest.mark.parametrize("hangs_up", [False, True])
def test_an_answer_before_the_end_of_the_body_is_taken(hangs_up: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too large\r\nContent-Length: 4\r\n\r\nlong")
        await writer.drain()
        if hangs_up:
            writer.close()
            await writer.wait_closed()
        else:
            await reader.read(-1)

    async def main() -> tuple[int, bytes]:
        async with transferring(serve) as client:
            answer = await client.transfer((PIECE for _ in range(100_000)), size=100_000 * len(PIECE))
            return answer.status, answer.body

    assert asyncio.run(main()) == (413, b"long")


@pytest.mark.parametrize("size", [0, 100_000 * len(PIECE)])
def test_nothing_moving_for_too_long_is_an_error(size: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        async with transferring(serve, quiet_s=0.2) as client:
            await client.transfer((PIECE for _ in range(size // len(PIECE))), size=size)

    with pytest.raises(QuietTimeout):
        asyncio.run(main())


def test_a_transfer_that_moves_may_take_longer_than_the_limit() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
        for _ in range(12):
            await asyncio.sleep(0.1)
            writer.write(b".")

    async def main() -> bytes:
        came: list[bytes] = []
        async with transferring(serve, quiet_s=1.0) as client:
            answer = await client.transfer(take=lambda data: bool(came.append(data)))
        assert answer.body == b""
        return b"".join(came)

    assert asyncio.run(main()) == b"." * 12


@pytest.mark.parametrize("header", [b"Content-Type: application/octet-stream", b"Content-Encoding: gzip", b"X: y"])
def test_any_success_is_handed_on_as_it_comes(header: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"\x1f\x8b as it is", header))
        await writer.drain()

    async def main() -> bytes:
        came: list[bytes] = []
        async with transferring(serve) as client:
            await client.transfer(take=lambda data: bool(came.append(data)))
        return b"".join(came)

    assert asyncio.run(main()) == b"\x1f\x8b as it is"


def test_an_error_is_not_handed_on() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not found\r\nContent-Length: 4\r\n\r\ngone")
        await writer.drain()

    async def main() -> tuple[bytes, list[bytes]]:
        came: list[bytes] = []
        async with transferring(serve) as client:
            return (await client.transfer(take=lambda data: bool(came.append(data)))).body, came

    assert asyncio.run(main()) == (b"gone", [])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", ConnectionResetError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", ConnectionResetError),
        (ok(b"." * 2**21), AnswerTooLarge),
    ],
)
def test_what_breaks_off_or_never_ends_is_an_error(answer: bytes, error: type[OSError]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async def main() -> None:
        async with transferring(serve) as client:
            await client.transfer(take=lambda data: False)

    with pytest.raises(error):
        asyncio.run(main())


def test_a_client_that_was_closed_keeps_no_memory_until_cycles_are_looked_for() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"done"))
        await writer.drain()

    async def run() -> int:
        for number in range(12):
            if number == 2:
                before = tracemalloc.get_traced_memory()[0]
            async with transferring(serve) as client:
                await client.transfer()
            del client
            await asyncio.sleep(0.01)
        return tracemalloc.get_traced_memory()[0] - before

    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        assert asyncio.run(run()) < 10 * 2**16 / 2
    finally:
        tracemalloc.stop()
        gc.enable()
