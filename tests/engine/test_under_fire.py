"""Servers at their worst: odd replies, broken wires, and everything at once. No crash, no hang, no lost row, no lost reply."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import RunStopped
from datafast.llms import LiteLLMProvider, LLMProvider, OpenAICompatibleProvider
from tests import support
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.servers.wire_server import CLOSE, WireServer, http
from tests.support import assert_balanced, raw

MakeProvider = Callable[..., LLMProvider]
GOOD = '{"texts": ["a text"]}'


def direct(server: Any, model: str = "m", **options: Any) -> LLMProvider:
    return OpenAICompatibleProvider(model, api_base=server.url, **options)


def litellm(server: Any, model: str = "m", **options: Any) -> LLMProvider:
    support.warm_litellm()
    return LiteLLMProvider(f"openai/{model}", api_base=server.url, **options)


every_back_end = pytest.mark.parametrize("make", [direct, litellm])
# litellm's own models say so when a server's numbers are strings.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


def completion(content: object = GOOD, **changes: Any) -> dict[str, Any]:
    """A chat completion, with parts of it changed; a change to `None` stays, one to `...` takes the field out."""
    message = {"role": "assistant", "content": content, **changes.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def calls_in_ledger(folder: Path) -> Counter[str]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as db, db:
        found = db.execute("SELECT provider, count(*) FROM calls GROUP BY provider").fetchall()
    db.close()
    return Counter(dict(found))


# -- odd replies


TOOL_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
# The reply, and whether it can be used all the same.
ODD: dict[str, tuple[Any, bool]] = {
    "no choices": (completion(choices=[]), False),
    "choices null": (completion(choices=None), False),
    "choices missing": (completion(choices=...), False),
    "a choice that is a string": (completion(choices=["text"]), False),
    "a choice without a message": (completion(choices=[{"index": 0, "finish_reason": "stop"}]), False),
    "content null": (completion(None), False),
    "content null and a tool call": (completion(None, message={"tool_calls": [TOOL_CALL]}), False),
    "content a number": (completion(5), False),
    "usage missing": (completion(usage=...), True),
    "usage null": (completion(usage=None), True),
    "usage of strings": (completion(usage={"prompt_tokens": "11", "completion_tokens": "7"}), True),
    "usage negative": (completion(usage={"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12}), True),
    "usage beyond SQLite": (completion(usage={"prompt_tokens": 10**18, "completion_tokens": 1, "total_tokens": 1}), True),
    "model missing": (completion(model=...), True),
    "a list": ([completion()], False),
    "a number": (b"5", False),
    "null": (b"null", False),
    "nothing": (b"", False),
    "a word": (b"OK", False),
    "a page": (b"<html><body>502 Bad Gateway</body></html>", False),
    "deep": (b'{"choices":' + b"[" * 50_000, False),
    "not UTF-8": (json.dumps(completion("caf\xe9"), ensure_ascii=False).encode("latin-1"), False),
    "half a surrogate pair": (json.dumps(completion("a \ud83d b")).encode(), False),
    "NUL bytes": (b"\x00" * 100, False),
    "an infinite number": (json.dumps(completion(usage={"prompt_tokens": float("inf")})).encode(), True),
    "events of a stream": (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n', False),
}  # fmt: skip


@every_back_end
@pytest.mark.parametrize("reply", ODD)
def test_an_odd_reply_costs_its_own_item_at_most(
    tmp_path: Path, fault_server: FaultServer, make: MakeProvider, reply: str
) -> None:
    odd, usable = ODD[reply]
    usable = usable and (make is direct or reply != "an infinite number")  # litellm cannot read it

    def respond(request: Recorded) -> Answer:
        meant = "topic 1" in json.dumps(request.json["messages"])
        return Answer(body=odd) if meant else Answer(text=GOOD)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=3, run={"max_retries": 1, "max_parse_retries": 1, "max_stall_s": 1.0})
    dataset.generate([make(fault_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == ((3, 0, 0) if usable else (2, 1, 0))
    assert set(report.failures) <= {"invalid_reply", "empty_reply", "server_error", "no_completion"}
    if make is direct:
        # Every reply that arrived whole was paid for, and is kept.
        assert report.calls == len(fault_server.requests) == calls_in_ledger(tmp_path).total()


def test_content_in_parts_is_one_text(tmp_path: Path, fault_server: FaultServer) -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": '{"texts": ['}]
    fault_server.respond = lambda request: Answer(body=completion([*parts, {"type": "text", "text": '"a text"]}'}]))
    dataset = raw(tmp_path, topics=1)
    dataset.generate([direct(fault_server)])
    assert [row.text for row in dataset.data_rows] == ["a text"]


@every_back_end
def test_a_huge_reply_is_kept_whole(tmp_path: Path, fault_server: FaultServer, make: MakeProvider) -> None:
    text = 'æ\u2028\\"\n' * 40_000
    fault_server.respond = lambda request: Answer(text=json.dumps({"texts": [text + "."]}))
    dataset = raw(tmp_path, topics=2)
    dataset.generate([make(fault_server)])
    assert assert_balanced(dataset.report).written == 2
    assert dataset.data_rows[0].text == text + "."


# -- broken wires


BODY = json.dumps(completion()).encode()
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


# What the server writes, and whether a reply can be read from it.
WIRES: dict[str, tuple[Sequence[object], bool]] = {
    "in order": ([http(BODY)], True),
    "closed after a whole answer": ([http(BODY), CLOSE], True),
    "without a length": ([b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY, CLOSE], True),
    "HTTP 1.0": ([b"HTTP/1.0 200 OK\r\n\r\n" + BODY, CLOSE], True),
    "chunked": ([CHUNKED, chunk(BODY[:50]), 0.01, chunk(BODY[50:]), b"0\r\n\r\n"], True),
    "gzip": ([http(gzip.compress(BODY), "Content-Encoding: gzip")], True),
    "an interim answer first": ([b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", http(BODY)], True),
    "many headers": ([http(BODY, *[f"X-Header-{number}: {number}" for number in range(100)])], True),
    "closed before a byte": ([CLOSE], False),
    "closed within the status line": ([b"HTTP/1.1 20", CLOSE], False),
    "closed within the headers": ([b"HTTP/1.1 200 OK\r\nContent-", CLOSE], False),
    "closed before the body": ([http(b"", length=500), CLOSE], False),
    "closed within the body": ([http(BODY[:60], length=len(BODY)), CLOSE], False),
    "a length that is too long": ([http(BODY, length=len(BODY) + 10), CLOSE], False),
    "a length that is too short": ([http(BODY, length=40), CLOSE], False),
    "a length that is no number": ([b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + BODY, CLOSE], False),
    "a negative length": ([b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + BODY, CLOSE], False),
    "a chunk cut off": ([CHUNKED, b"500\r\n" + BODY[:60], CLOSE], False),
    "no last chunk": ([CHUNKED, chunk(BODY), CLOSE], False),
    "a chunk size that is no number": ([CHUNKED, b"zz\r\n" + BODY, CLOSE], False),
    "gzip that is none": ([http(BODY, "Content-Encoding: gzip")], False),
    "gzip cut off": ([http(gzip.compress(BODY)[:40], "Content-Encoding: gzip")], False),
    "10,000 headers": ([http(BODY, *[f"X-Header-{number}: {number}" for number in range(10_000)]), CLOSE], False),
    "a header of a megabyte": ([http(BODY, "X-Header: " + "x" * 2**20), CLOSE], False),
    "no HTTP at all": ([b"SSH-2.0-OpenSSH_9.6\r\n", CLOSE], False),
    "noise": ([random.Random(5).randbytes(500), CLOSE], False),
    "a body that never ends": ([http(b"", length=2**40), b" " * 1000, 0.1, b" " * 1000, 5.0], False),
    "drop by drop": ([http(b"", length=len(BODY)), *[piece for byte in BODY[:40] for piece in (bytes([byte]), 0.05)]], False),
    "an answer that never begins": ([5.0], False),
}  # fmt: skip
# Different libraries read the bounds of HTTP differently. These may or may not give a reply, and no reply is ever made up.
EITHER = {"10,000 headers", "a header of a megabyte", "gzip cut off"}
ENDLESS = {"a body that never ends", "drop by drop", "an answer that never begins"}


@every_back_end
@pytest.mark.parametrize("wire", WIRES)
def test_a_broken_wire_costs_its_own_item_at_most(tmp_path: Path, make: MakeProvider, wire: str) -> None:
    pieces, usable = WIRES[wire]

    def respond(asked: dict[str, Any]) -> Sequence[object]:
        return pieces if "topic 1" in json.dumps(asked["messages"]) else [http(BODY)]

    with WireServer(respond) as server:
        dataset = raw(tmp_path, topics=3, run={"max_retries": 1, "max_parse_retries": 0, "max_concurrency": 1})
        dataset.generate([make(server, timeout=0.6 if wire in ENDLESS else 30.0)])
        report = assert_balanced(dataset.report)
        assert report.pending == 0
        if wire not in EITHER:
            assert (report.written, report.failed) == ((3, 0) if usable else (2, 1))
        assert set(report.failures) <= {"connection", "timeout", "server_error", "invalid_reply", "no_completion"}
        assert {row.text for row in dataset.data_rows} == {"a text"}
        about_topic_1 = sum("topic 1" in json.dumps(asked["messages"]) for asked in server.requests)
        # What is closed before a byte came is sent once more by our own client. A repeat does not count before another was answered.
        assert about_topic_1 <= (4 if wire == "closed before a byte" else 2) + 2


@every_back_end
def test_a_server_that_closes_idle_connections_at_reuse_loses_no_row(tmp_path: Path, make: MakeProvider) -> None:
    """It promises to keep each connection open, and closes it when the next request arrives."""
    lock, served = threading.Lock(), Counter[str]()

    def respond(asked: dict[str, Any]) -> Sequence[object]:
        with lock:
            served["all"] += 1
            # Every second request finds its connection closed.
            return [CLOSE] if served["all"] % 2 == 0 else [http(BODY)]

    with WireServer(respond) as server:
        dataset = raw(tmp_path, topics=40, run={"max_concurrency": 8, "max_retries": 12})
        dataset.generate([make(server)])
    assert assert_balanced(dataset.report).written == 40


# -- everything at once


class _Fire:
    """Answers at random, and counts what it gave away whole."""

    def __init__(self, seed: int, *, odd_successes: bool) -> None:
        self._chance = random.Random(seed)
        self._odd = odd_successes
        self.delivered: Counter[str] = Counter()

    def __call__(self, request: Recorded) -> Answer:
        answer = self._draw()
        if answer.status == 200 and not answer.drop and answer.cut_after is None:
            self.delivered[request.json["model"]] += 1
        return answer

    def _draw(self) -> Answer:
        chance, delay_s = self._chance.random(), self._chance.uniform(0.0, 0.02)
        faults: list[tuple[float, Answer]] = [
            (0.01, Answer(status=429, headers={"Retry-After": f"{self._chance.uniform(0, 0.05):.3f}"})),
            (0.01, Answer(status=429)),
            (0.05, Answer(status=500, body={"error": {"message": "broken"}})),
            (0.04, Answer(status=503, body="<html>busy</html>", headers={"retry-after-ms": "20"})),
            (0.02, Answer(status=504)),
            (0.02, Answer(status=409)),
            (0.02, Answer(status=400, body={"error": {"message": "no", "code": "content_filter"}})),
            (0.04, Answer(drop=True)),
            (0.03, Answer(cut_after=self._chance.randrange(120))),
            (0.03, Answer(text='{"texts": [')),
            (0.03, Answer(text="Sure!")),
            (0.02, Answer(text="")),
            (0.02, Answer(text='{"texts": ["half', finish_reason="length")),
            (0.02, Answer(body="<html>login</html>" if self._odd else completion())),
            (0.02, Answer(body=completion(choices=[]) if self._odd else completion(usage=None))),
        ]
        for share, answer in faults:
            if chance < share:
                return Answer(**{**vars(answer), "delay_s": delay_s})
            chance -= share
        return Answer(text=GOOD, delay_s=delay_s)


@pytest.fixture
def second_server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_at_once_ends_balanced_with_every_reply_kept_once(
    tmp_path: Path, fault_server: FaultServer, second_server: FaultServer, seed: int
) -> None:
    fire, other = _Fire(seed, odd_successes=True), _Fire(seed + 100, odd_successes=False)
    fault_server.respond, second_server.respond = fire, other
    dataset = raw(tmp_path, topics=300, run={"max_concurrency": 64, "max_retries": 3, "max_stall_s": 30.0})
    providers = [direct(fault_server, timeout=20.0), litellm(second_server, timeout=20.0, max_concurrency=24)]
    dataset.generate(providers)
    report = assert_balanced(dataset.report)
    assert (report.requested, report.pending) == (600, 0)
    assert report.written > 500
    assert set(report.failures) <= {
        "bad_request",
        "connection",
        "content_filter",
        "empty_reply",
        "invalid_reply",
        "no_completion",
        "server_error",
        "timeout",
        "truncated",
    }
    assert fault_server.max_in_flight <= 64
    assert second_server.max_in_flight <= 24
    kept = calls_in_ledger(tmp_path)
    assert kept == {"openai_compatible/m": fire.delivered["m"], "openai/m": other.delivered["m"]}
    assert report.calls == kept.total()
    # The failed ones are taken up again when the fire is out, and nothing that was good is bought again.
    fault_server.respond = second_server.respond = lambda request: Answer(text=GOOD)
    dataset.generate(providers, retry_failed=True)
    again = assert_balanced(dataset.report)
    assert (again.written, again.failed, again.calls) == (600, 0, report.failed)


@pytest.mark.parametrize("seed", [7, 8])
def test_a_run_that_is_stopped_in_the_fire_goes_on_where_it_was(
    tmp_path: Path, fault_server: FaultServer, seed: int
) -> None:
    """The key stops working now and then: every run ends early, and none of them loses or repeats what came before."""
    fire, chance = _Fire(seed, odd_successes=True), random.Random(seed)

    def respond(request: Recorded) -> Answer:
        return Answer(status=401, body={"error": {"message": "no"}}) if chance.random() < 0.02 else fire(request)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=200, run={"max_concurrency": 32, "max_retries": 3})
    calls = 0
    for _ in range(60):
        try:
            dataset.generate([direct(fault_server)])
        except RunStopped as stopped:
            report = assert_balanced(stopped.report)
            calls += report.calls
            assert report.pending > 0
            continue
        break
    report = assert_balanced(dataset.report)
    calls += report.calls
    assert report.pending == 0
    assert report.written + report.failed == 200
    assert calls == calls_in_ledger(tmp_path).total() == fire.delivered["m"]
