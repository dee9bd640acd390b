"""Batches of many megabytes go up and come down in a few of memory."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SIZE = 64_000_000
LINE = {
    "id": "r",
    "custom_id": "c",
    "response": {"status_code": 200, "body": {"choices": [{"text": "x" * 4000}]}},
    "error": None,
}

CLIENT = """
import asyncio, sys
from pathlib import Path
from datafast.llms import AnthropicProvider, GeminiProvider, OpenAIProvider
from datafast.llms.base import Request
from datafast.llms.batches.base import BatchState, BatchStatus

folder, base, lines = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
providers = [kind("tiny", "k" * 20, api_base=base) for kind in (OpenAIProvider, AnthropicProvider, GeminiProvider)]

def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024

async def main():
    begun = None
    for name in ("small", "large"):
        for provider in providers:
            await provider.open_batches().submit(folder / name, tag="T" * 24, num_requests=lines)
        backend = providers[0].open_batches()
        status = BatchStatus("batch_1", BatchState.ENDED, total=lines, results=(f"file-{name}",))
        count = 0
        async for reply in backend.replies(status, scratch=folder / "scratch"):
            assert reply.response is not None, reply.error
            count += 1
        begun = begun or peak()
    print(count, peak() - begun)

asyncio.run(main())
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server that reads uploads to their end, has a job for each, and a large result file."""
    line = json.dumps(LINE).encode() + b"\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        left = int(head.partition("\r\ncontent-length:")[2].split("\r\n")[0])
        while left:
            left -= len(await reader.readexactly(min(left, 2**16)))
        target = head.split()[1]
        if target.endswith("/content"):
            times = SIZE // len(line) if "large" in target else 10
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (times * len(line)))
            for _ in range(times):
                writer.write(line)
                await writer.drain()
        else:
            body = json.dumps({"id": "one", "name": "batches/one", "file": {"name": "files/one"}}).encode()
            url = b"X-Goog-Upload-URL: http://%s/upload" % head.partition("host:")[2].split()[0].encode()
            writer.write(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (url, len(body), body))
        await writer.drain()
        writer.close()

    loop, started, port = asyncio.new_event_loop(), threading.Event(), 0

    def main() -> None:
        nonlocal port
        server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
        port = server.sockets[0].getsockname()[1]
        started.set()
        loop.run_forever()
        server.close()
        loop.close()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{port}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="The peak of memory is told by Linux alone.")
def test_neither_uploads_nor_results_are_held_in_memory(tmp_path: Path, address: str) -> None:
    line = json.dumps(LINE).encode() + b"\n"
    (tmp_path / "small").write_bytes(line)
    with (tmp_path / "large").open("wb") as file:
        file.writelines(line for _ in range(SIZE // len(line)))
    command = [sys.executable, "-c", CLIENT, str(tmp_path), address, str(SIZE // len(line))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    count, grown = map(int, done.stdout.split())
    assert count == SIZE // len(line)
    assert grown < 16 * 2**20
