"""A server on loopback that writes whatever bytes it is told to: answers that no HTTP library would write.

Every connection is read as a sequence of POST requests. `respond` is given the body of each as JSON and returns the pieces of the
answer, in order: bytes to send, seconds to wait, or `CLOSE`. After the last piece the connection stays open for the next request.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.servers import loops

__all__ = ["CLOSE", "WireServer", "http"]

CLOSE = object()


def http(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer with a Content-Length, right or wrong."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {size}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class WireServer:
    """Use as a context manager. Runs on an event loop in a thread of its own."""

    def __init__(self, respond: Callable[[dict[str, Any]], Sequence[object]]) -> None:
        self.respond = respond
        self.requests: list[dict[str, Any]] = []
        self.at_s: list[float] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> WireServer:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _main(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        loops.end(self._loop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
        asked = json.loads(await reader.readexactly(size))
        self.requests.append(asked)
        self.at_s.append(time.monotonic())
        for piece in self.respond(asked):
            if piece is CLOSE:
                await writer.drain()
                writer.close()
                return False
            if isinstance(piece, bytes):
                writer.write(piece)
                await writer.drain()
            else:
                assert isinstance(piece, float)
                await asyncio.sleep(piece)
        return True
