"""A server on loopback that answers every request with the same reply after a fixed time, and counts.

The reply has the form of the API that the request's path names: chat completions, Anthropic messages or Gemini's generateContent. Where
a stream is asked for, it comes as 32 events in eight writes, some time apart.

Guarantee: one process, one thread; the highest number of requests that were ever being answered at once is exact as seen
from here. Cost: about 0.02 ms of CPU a request. Limits: HTTP/1.1 with keep-alive and Content-Length; no pipelining, no
chunked requests.

`GET /stats` gives `total`, `peak`, `body_bytes`, `first_at` and `last_at` (system-wide monotonic seconds of the first request and of
the last reply, null before them), and where it refuses requests `refused` and `most_attempts` (for one body).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from benchmarks.instruments import ROOT, raise_file_limit
from benchmarks.limits import Limits
from benchmarks.workload import MODEL, reply_text

__all__ = ["STREAM_S", "Server", "running_server"]

_BUFFER = 65_536
_EVENTS, _WRITES = 32, 8
_WRITE_GAP_S = 0.002  # between two writes of a stream, so that each is read apart
STREAM_S = (_WRITES - 1) * _WRITE_GAP_S


class _Counts:
    def __init__(self) -> None:
        self.total = 0
        self.in_flight = 0
        self.peak = 0
        self.body_bytes = 0
        self.first_at: float | None = None
        self.last_at: float | None = None
        self.refused = 0
        self.attempts: Counter[int] = Counter()  # by the hash of the body

    def as_json(self) -> bytes:
        kept = {name: value for name, value in vars(self).items() if name not in {"in_flight", "attempts"}}
        return json.dumps({**kept, "most_attempts": max(self.attempts.values(), default=0)}).encode()


def _http(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@cache
def _replies(form: str) -> dict[bytes, list[bytes]]:
    """The reply, in one write, by the end of the path."""
    text = reply_text(form)
    message = {"role": "assistant", "content": text}
    completion = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 110, "total_tokens": 200},
    }
    anthropic = {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 90,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 110,
            "service_tier": "standard",
        },
    }
    gemini = {
        "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 90, "candidatesTokenCount": 110, "totalTokenCount": 200},
        "modelVersion": MODEL,
        "responseId": "bench",
    }
    replies = {b"/completions": completion, b"/messages": anthropic, b":generatecontent": gemini}
    return {path: [_http(json.dumps(reply).encode())] for path, reply in replies.items()}


@cache
def _streams(form: str) -> dict[bytes, list[bytes]]:
    """The writes of each streamed reply by the end of the path, in lower case."""
    text = reply_text(form)
    return {
        b"/completions": _writes(_of_completion(text)),
        b"/messages": _writes(_of_message(text)),
        b":streamgeneratecontent?alt=sse": _writes(_of_content(text)),
    }


def _pieces(text: str, count: int) -> list[str]:
    size = -(-len(text) // count)
    return [text[number * size : (number + 1) * size] for number in range(count)]


def _of_completion(text: str) -> list[str]:
    """The role, the text in pieces, the end, the usage and the end mark."""
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _pieces(text, _EVENTS - 4)]
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": MODEL}
    choices: list[list[dict[str, Any]]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices += [[{"index": 0, "delta": {}, "finish_reason": "stop"}], []]
    usage = {"prompt_tokens": 90, "completion_tokens": 110, "total_tokens": 200}
    events = [json.dumps({**head, "choices": choice, "usage": None if choice else usage}) for choice in choices]
    return [f"data: {event}\n\n" for event in [*events, "[DONE]"]]


def _of_message(text: str) -> list[str]:
    usage = {"input_tokens": 90, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {"id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": usage}
    deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(text, _EVENTS - 5)]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 110}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def _of_content(text: str) -> list[str]:
    usage = {"promptTokenCount": 90, "candidatesTokenCount": 110, "totalTokenCount": 200}
    always = {"usageMetadata": usage, "modelVersion": MODEL, "responseId": "bench"}
    candidates: list[dict[str, Any]] = [
        {"content": {"parts": [{"text": piece}], "role": "model"}, "index": 0} for piece in _pieces(text, _EVENTS)
    ]
    candidates[-1]["finishReason"] = "STOP"
    return [f"data: {json.dumps({'candidates': [candidate], **always})}\r\n\r\n" for candidate in candidates]


def _writes(events: list[str]) -> list[bytes]:
    assert len(events) == _EVENTS
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in map(str.encode, events)]
    each = _EVENTS // _WRITES
    writes = [b"".join(chunks[start : start + each]) for start in range(0, _EVENTS, each)]
    opening = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [opening + writes[0], *writes[1:-1], writes[-1] + b"0\r\n\r\n"]


class _Connection(asyncio.BufferedProtocol):
    """One client's connection. All of them share a buffer: what arrives is taken out of it before anything else runs."""

    buffer = bytearray(_BUFFER)

    def __init__(self, counts: _Counts, latency_s: float, form: str, limits: Limits | None) -> None:
        self._counts = counts
        self._limits = limits
        self._replies, self._streams = _replies(form), _streams(form)
        self._latency_s = latency_s
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received += memoryview(self.buffer)[:nbytes]
        head_size = self._received.find(b"\r\n\r\n") + 4
        if head_size < 4:
            return
        head = self._received[:head_size].lower()
        body_size = _content_length(head)
        if len(self._received) < head_size + body_size:
            return
        limits = self._limits
        body = hash(bytes(self._received[head_size:])) if limits is not None else 0
        streams = self._received.find(b'"stream":true', head_size) >= 0
        self._received.clear()
        if head.startswith(b"get /stats"):
            self._write(_http(self._counts.as_json()))
        else:
            path = head[: head.index(b"\r")].removesuffix(b" http/1.1")
            found = self._streams if streams or b":stream" in path else self._replies
            self._take(body_size, next(reply for end, reply in found.items() if path.endswith(end)), body)

    def _take(self, body_size: int, reply: list[bytes], body: int) -> None:
        counts = self._counts
        if counts.first_at is None:
            counts.first_at = self._loop.time()
        counts.total += 1
        counts.body_bytes += body_size
        latency_s = self._latency_s
        if self._limits is not None:
            counts.attempts[body] += 1
            refusal = self._limits.refusal(self._loop.time())
            if refusal is not None:
                counts.refused += 1
                self._write(refusal)
                return
            latency_s *= self._limits.slowdown(counts.in_flight + 1)
        counts.in_flight += 1
        counts.peak = max(counts.peak, counts.in_flight)
        if latency_s:
            self._loop.call_later(latency_s, self._answer, reply)
        else:
            self._answer(reply)

    def _answer(self, reply: list[bytes]) -> None:
        self._write(reply[0])
        if len(reply) > 1:
            self._loop.call_later(_WRITE_GAP_S, self._answer, reply[1:])
            return
        self._counts.in_flight -= 1
        self._counts.last_at = self._loop.time()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _content_length(head: bytearray) -> int:
    start = head.find(b"\r\ncontent-length:")
    return int(head[start + 17 : head.index(b"\r\n", start + 2)]) if start >= 0 else 0


async def _serve(latency_s: float, form: str, limits: Limits | None) -> None:
    counts = _Counts()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(counts, latency_s, form, limits), "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    # Whoever started it holds the other end: it closes also where that process was killed, and no server is left behind.
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await ended.wait()
    server.close()


@dataclass(frozen=True)
class Server:
    """A server in a process of its own."""

    url: str

    def stats(self) -> dict[str, Any]:
        """What it has counted; see the module."""
        with urllib.request.urlopen(f"{self.url}/stats", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextlib.contextmanager
def running_server(latency_s: float = 0.0, form: str = "texts", limits: Limits | None = None) -> Iterator[Server]:
    """A fresh server, ended with the context. `latency_s`: seconds between a request and its answer; `form`: of the replies."""
    command = [sys.executable, "-m", "benchmarks.server", "--latency", str(latency_s), "--form", form]
    if limits is not None:
        command += ["--limits", json.dumps(asdict(limits))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description="The loopback server of the benchmarks. Prints its port.")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--form", default="texts", choices=["texts", "conversations"], help="of the replies")
    parser.add_argument("--limits", metavar="JSON", help="what it takes: the fields of benchmarks.limits.Limits")
    arguments = parser.parse_args()
    raise_file_limit()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            _serve(
                arguments.latency, arguments.form, Limits(**json.loads(arguments.limits)) if arguments.limits else None
            )
        )


if __name__ == "__main__":
    main()
