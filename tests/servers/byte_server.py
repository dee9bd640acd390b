"""A server that answers byte by byte, and the HTTP client that is tried at it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from datafast.llms.transport.http_client import HttpClient

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
