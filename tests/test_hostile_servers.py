"""Servers that answer in every wrong way: each row is right or is not there, and what is missing has a reason. Nothing raises or hangs,
and when the server is well again, the next run makes what is missing.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from datafast.datasets import RawDataset
from datafast.errors import RunStopped
from datafast.llms import OpenAICompatibleProvider
from tests.servers import loops
from tests.support import assert_balanced, raw, rows_of

Answer = bytes | Callable[[str], bytes]


def completion(topic: str, **other: Any) -> dict[str, Any]:
    """A right reply to the prompt about a topic."""
    text = json.dumps({"texts": [f"This is all about {topic}."]})
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    return {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage, **other}


def http(body: bytes | str, *headers: str, status: str = "200 OK", length: str | None = None) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {length or len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def good(topic: str) -> bytes:
    return http(orjson.dumps(completion(topic)))


def other(**fields: Any) -> Callable[[str], bytes]:
    """A right reply in which some fields are something else."""
    return lambda topic: http(json.dumps(completion(topic, **fields)))


def choice(**fields: Any) -> Callable[[str], bytes]:
    def answer(topic: str) -> bytes:
        reply = completion(topic)
        reply["choices"][0].update(fields)
        return http(json.dumps(reply))

    return answer


def message(content: Any) -> bytes:
    return choice(message={"role": "assistant", "content": content})("nothing")


def chunked(topic: str, *, frame: Callable[[bytes], bytes]) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + frame(orjson.dumps(completion(topic)))


def zipped(topic: str, *, cut: int | None = None) -> bytes:
    return http(gzip.compress(orjson.dumps(completion(topic)))[:cut], "Content-Encoding: gzip")


BOMB = zlib.compressobj(9, zlib.DEFLATED, 31)
BOMB_BYTES = BOMB.compress(b" " * 20_000_000) + BOMB.flush()
DEEP = "[" * 100_000 + "]" * 100_000

SERVERS: dict[str, Answer] = {
    # what is no reply
    **{f"body {text[:12]!r}": http(text) for text in ("", "null", "[]", "{}", '""', "1", "NaN", "{", "}", "[{}]", "true", DEEP)},
    "html": http("<html><body>Sign in to the wifi</body></html>", "Content-Type: text/html"),
    "events": http('data: {"choices": []}\n\ndata: [DONE]\n\n', "Content-Type: text/event-stream"),
    "two documents": lambda topic: http(orjson.dumps(completion(topic)) * 2),
    "not utf-8": http(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
    "nulls": http(b"\0" * 1_000),
    # wrong insides
    **{f"choices {value!r}": other(choices=value) for value in ([], None, {}, "x", [None], [[]], [{}], 5)},
    **{f"message {value!r}": choice(message=value) for value in (None, [], "x", 5, {}, {"content": None})},
    **{
        f"content {json.dumps(value)[:24]}": message(value)
        for value in ("", " ", 5, True, [], {}, [None], [{"type": {}}], [{"type": "text"}], [[[["x"]]]], "\x00\x1b[31m", "{", "[" * 9_000)
    },
    "half a surrogate": http('{"choices": [{"message": {"content": "\\ud800"}, "finish_reason": "stop"}]}'),
    **{f"ending {value!r}": choice(finish_reason=value) for value in ("length", "content_filter", "odd", {}, [], 5, None)},
    **{
        f"usage {json.dumps(value)[:30]}": other(usage=value)
        for value in (
            *(None, [], "x", 5, {}, {"prompt_tokens": "9"}, {"prompt_tokens": -5, "completion_tokens": -5}),
            *({"prompt_tokens": 2**80, "completion_tokens": 2**80}, {"prompt_tokens": 1.5}, {"completion_tokens": {}}),
            {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        )
    },
    **{f"model {value!r}": other(model=value) for value in (None, 5, {}, [], "\x1b[31m", "x" * 9_000)},
    "a number of many digits": lambda topic: http(json.dumps(completion(topic)).replace("18", "1" * 9_000)),
    **{f"error {json.dumps(value)[:20]}": other(error=value) for value in ("no", {}, [], 5, {"code": "9" * 5_000, "message": {}})},
    # statuses
    **{
        f"status {status}": http('{"error": {"message": "no\\u001b[31m", "type": [], "code": {}}}', status=f"{status} X")
        for status in (*range(201, 208), 226, 300, 304, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 413, 418, 422, 429, 431, 451, 500)
    },
    **{f"status {status}, no body": http("", status=f"{status} X") for status in (400, 404, 429, 500, 502, 503, 504, 529, 599, 600, 999)},
    **{
        f"retry-after {value}": http("{}", f"Retry-After: {value}", status="429 X")
        for value in ("-1", "nan", "1e9", "soon", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "\xa0")
    },
    "a redirect to itself": http("", "Location: /x/v1/chat/completions", status="307 X"),
    "a redirect elsewhere": http("", "Location: http://127.0.0.1:1/", status="308 X"),
    # the wire
    "nothing": b"",
    "no http": b"SSH-2.0-OpenSSH_9.6\r\n",
    "http 0.9": b"<html>",
    "a tls alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "status 000": b"HTTP/1.1 000 \r\n\r\n",
    "status -1": b"HTTP/1.1 -1 X\r\nContent-Length: 0\r\n\r\n",
    "status of many digits": b"HTTP/1.1 " + b"2" * 5_000 + b" X\r\nContent-Length: 0\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    "continue for ever": b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    "a header of 1 MB": http("{}", "X: " + "x" * 1_000_000),
    "20,000 headers": http("{}", *(f"X-{number}: 1" for number in range(20_000))),
    "a header without a colon": http("{}", "nonsense"),
    "length too long": lambda topic: http(orjson.dumps(completion(topic)), length="99999"),
    "length too short": lambda topic: http(orjson.dumps(completion(topic)), length="20"),
    **{f"length {value[:9]}": http("{}", length=value) for value in ("-1", "x", "9" * 30, "0x2", "1,2", " ")},
    "two lengths": http("{}", "Content-Length: 5"),
    "length and chunks": lambda topic: http(orjson.dumps(completion(topic)), "Transfer-Encoding: chunked"),
    "a second reply behind the first": lambda topic: good(topic) + good("a lie"),
    "a reply in chunks": lambda topic: chunked(topic, frame=lambda data: b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)),
    "chunks that do not end": lambda topic: chunked(topic, frame=lambda data: b"%x\r\n%s\r\n" % (len(data), data)),
    "a chunk of a huge size": lambda topic: chunked(topic, frame=lambda data: b"f" * 40 + b"\r\n" + data),
    "a chunk of size -1": lambda topic: chunked(topic, frame=lambda data: b"-1\r\n" + data),
    "a reply zipped": zipped,
    "a reply zipped and cut": lambda topic: zipped(topic, cut=60),
    "a bomb": http(BOMB_BYTES, "Content-Encoding: gzip"),
    "an encoding that is none": lambda topic: http(orjson.dumps(completion(topic)), "Content-Encoding: magic"),
    "said to be zipped": lambda topic: http(orjson.dumps(completion(topic)), "Content-Encoding: gzip"),
    "2 MB of spaces": http(b" " * 2_000_000),
    "half of it": lambda topic: good(topic)[:-80],
}  # fmt: skip


class HostileServer:
    """Answers each request as the server does that the first part of its path names; "well" is a right one."""

    def __init__(self) -> None:
        self.names = ["well", *SERVERS]
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main)
        self._over = asyncio.Event()

    def __enter__(self) -> HostileServer:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _main(self) -> None:
        self._loop.run_until_complete(self._serve())
        loops.end(self._loop)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._over.wait()
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head.lower())
        body = await reader.readexactly(int(found[1]) if found else 0)
        topic = re.findall(rb"topic \d+", body)
        name = self.names[int(head.split(b"/")[1])]
        answer = good if name == "well" else SERVERS[name]
        writer.write(answer(topic[-1].decode()) if callable(answer) else answer)
        await writer.drain()
        return name in ("well", "a second reply behind the first", "length and chunks")


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer() as running:
        yield running


def run(dataset: RawDataset, server: HostileServer, name: str, *, timeout: float, **options: Any) -> None:
    url = f"{server.url}/{server.names.index(name)}/v1"
    provider = OpenAICompatibleProvider("m", api_base=url, api_key="sk-canary-123456", timeout=timeout, max_reply_mb=1)
    with suppress(RunStopped):
        dataset.generate([provider], **options)


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
@pytest.mark.parametrize("name", SERVERS)
def test_every_row_is_right_or_missing_with_a_reason(name: str, server: HostileServer, tmp_path: Path) -> None:
    settings = {"max_concurrency": 1, "max_retries": 1, "retry_delay_s": 0.001, "max_retry_delay_s": 0.002}
    dataset = raw(tmp_path, topics=2, run={**settings, "max_parse_retries": 1, "max_stall_s": 0.05, "grace_s": 1})
    began = time.monotonic()
    run(dataset, server, name, timeout=0.4)
    assert time.monotonic() - began < 60
    report = assert_balanced(dataset.report)
    assert report.pending == 0 or report.stop_reason
    for item in dataset.failed_items:
        assert item.error
        assert item.error.isprintable()
    json.dumps(report.to_dict())
    run(dataset, server, "well", timeout=60, retry_failed=True)
    assert assert_balanced(dataset.report).written == 2
    texts = {row["text"] for row in rows_of(tmp_path / "out.jsonl")}
    assert texts == {"This is all about topic 0.", "This is all about topic 1."}
