"""Every back end on a bad wire: connections that close at each point, and answers that are no replies, too long, too late or too large.

Alone, each fault is told as what it is. In a run it costs time: what meets it is asked for again, and every row is there in the end.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import ErrorKind, ProviderError, ReplyCategory, ReplyError
from datafast.llms import LLMProvider
from tests import support
from tests.llms.asking import completed
from tests.llms.contract.backends import BackEnd, every_backend, every_backend_in_runs, every_direct_backend
from tests.running import wait_for
from tests.servers.streams import as_bytes, events_of
from tests.servers.wire_server import CLOSE, WireServer, http
from tests.support import assert_balanced, raw

Pieces = list[Any]
GOOD = '{"texts": ["a text of its own"]}'
PAGE = b"<html>at maintenance</html>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: "


def good(make: BackEnd) -> tuple[bytes, bytes]:
    """Body and content type of a good answer."""
    reply = make.wire.reply(GOOD)
    if not make.stream:
        return json.dumps(reply).encode(), b"application/json"
    return as_bytes(events_of(reply, {"stream_options": {"include_usage": True}})), b"text/event-stream"


def answer(make: BackEnd) -> Pieces:
    body, kind = good(make)
    return [HEAD + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body]


def _in_head(make: BackEnd) -> Pieces:
    return [HEAD + b"applica", CLOSE]


def _behind_head(make: BackEnd) -> Pieces:
    body, kind = good(make)
    return [HEAD + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body), CLOSE]


def _in_body(make: BackEnd) -> Pieces:
    body, kind = good(make)
    return [HEAD + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2], CLOSE]


def _in_chunks(make: BackEnd) -> Pieces:
    body, kind = good(make)
    half = body[: len(body) // 2]
    return [HEAD + kind + b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(half) + half + b"\r\n", CLOSE]


def _in_gzip(make: BackEnd) -> Pieces:
    body, kind = good(make)
    zipped = gzip.compress(body)
    zipped = zipped[: len(zipped) // 2]
    head = HEAD + kind + b"\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    return [head % len(zipped) + zipped, CLOSE]


def _less_than_told(make: BackEnd) -> Pieces:
    body, kind = good(make)
    body = body[: body.rindex(b"}")]
    return [HEAD + kind + b"\r\nContent-Length: %d\r\n\r\n" % (len(body) + 50) + body, CLOSE]


def _more_than_told(make: BackEnd) -> Pieces:
    body, kind = good(make)
    return [HEAD + kind + b"\r\nContent-Length: %d\r\n\r\n" % (len(body) // 2) + body, CLOSE]


def _bad_json(make: BackEnd) -> Pieces:
    return [http(json.dumps(make.wire.reply(GOOD)).encode()[:-20])]


def _nothing(make: BackEnd) -> Pieces:
    return [http(b"")]


def _page(make: BackEnd) -> Pieces:
    return [http(PAGE).replace(b"application/json", b"text/html")]


def _page_of_a_proxy(make: BackEnd) -> Pieces:
    return [http(PAGE, status="502 Bad Gateway").replace(b"application/json", b"text/html")]


def _no_reply(make: BackEnd) -> Pieces:
    return [http(json.dumps(make.wire.hollow()).encode())]


def _garbage(make: BackEnd) -> Pieces:
    return [b"\x16\x03\x01 this is not HTTP\r\n\r\n", CLOSE]


def _slow(make: BackEnd) -> Pieces:
    body, kind = good(make)
    return [HEAD + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:20], 30.0, body[20:]]


CUT = {ErrorKind.CONNECTION}
UNREADABLE = {ErrorKind.NO_COMPLETION, ErrorKind.SERVER, ReplyCategory.INVALID}
# What the server does, and what may be told of it.
MATRIX: dict[str, tuple[Callable[[BackEnd], Pieces], set[Any]]] = {
    "closed before the answer": (lambda make: [CLOSE], CUT),
    "closed within the head": (_in_head, CUT),
    "closed behind the head": (_behind_head, CUT),
    "closed within the body": (_in_body, CUT),
    "closed within chunks": (_in_chunks, CUT),
    "closed within a compressed body": (_in_gzip, UNREADABLE | CUT),
    "less than the content length": (_less_than_told, CUT),
    "more than the content length": (_more_than_told, UNREADABLE | CUT),
    "not HTTP": (_garbage, CUT),
    "JSON that is cut": (_bad_json, UNREADABLE),
    "nothing": (_nothing, UNREADABLE | CUT),
    "a page": (_page, UNREADABLE),
    "a page of a proxy": (_page_of_a_proxy, {ErrorKind.SERVER}),
    "no reply": (_no_reply, UNREADABLE),
    "too slow": (_slow, {ErrorKind.TIMEOUT}),
}
every_fault = pytest.mark.parametrize("fault", MATRIX)


def outcome(provider: LLMProvider) -> ErrorKind | ReplyCategory | str:
    """The kind of the error with which a request ends, or the category of that of its reply, or the text."""
    try:
        return completed(provider).text
    except ProviderError as error:
        return error.kind
    except ReplyError as error:
        return error.category


@every_backend
@every_fault
def test_each_fault_is_told_as_what_it_is_by_one_request(make: BackEnd, fault: str) -> None:
    does, expected = MATRIX[fault]
    with WireServer(lambda asked: does(make)) as server:
        assert outcome(make(server.url, timeout=0.3 if fault == "too slow" else 20.0)) in expected
        wait_for(lambda: bool(server.requests))
        assert len(server.requests) == 1


@every_backend_in_runs
@every_fault
def test_each_fault_costs_time_and_no_row(
    tmp_path: Path, make: BackEnd, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.short_waits(monkeypatch)
    does, _ = MATRIX[fault]
    with WireServer(lambda asked: does(make) if len(server.requests) in {2, 3} else answer(make)) as server:
        price = {"input_usd_per_million": 1, "output_usd_per_million": 1}
        timeout = 1.0 if fault == "too slow" else 20.0  # which answers that are not slow have to come in
        provider = make(server.url, timeout=timeout, price=price, max_completion_tokens=50)
        dataset = raw(tmp_path, topics=4, run={"max_concurrency": 1, "budget_usd": 1})
        dataset.generate([provider])
        report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (4, 0, 0)
    assert 6 <= len(server.requests) <= 8
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as ledger:
        (charged,) = ledger.execute("SELECT count(*) FROM charges WHERE usd > 0").fetchone()
    # Where some of an answer came, or none in time, both may have been paid for.
    assert charged == 2 or fault not in {"closed behind the head", "closed within the body", "too slow"}


@every_direct_backend
def test_a_reply_larger_than_it_may_be_is_not_read(make: BackEnd) -> None:
    head = (
        HEAD + (b"text/event-stream" if make.stream else b"application/json") + b"\r\nContent-Length: 99999999\r\n\r\n"
    )
    filler = (b": nothing yet\n" if make.stream else b" " * 14) * 20_000
    with (
        WireServer(lambda asked: [head + filler, 5.0]) as server,
        pytest.raises(ProviderError, match="max_reply_mb") as caught,
    ):
        completed(make(server.url, max_reply_mb=0.05))
    assert caught.value.kind is ErrorKind.NO_COMPLETION


@every_backend
def test_a_late_answer_is_a_timeout_that_names_the_setting(make: BackEnd) -> None:
    with WireServer(lambda asked: [30.0, *answer(make)]) as server:
        with pytest.raises(ProviderError, match=r"timeout(\.idle_s)?=0\.3") as caught:
            completed(make(server.url, timeout=0.3))
        wait_for(lambda: bool(server.requests))
        assert (caught.value.kind, len(server.requests)) == (ErrorKind.TIMEOUT, 1)
