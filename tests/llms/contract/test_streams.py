"""Replies that are streamed: what is recorded, what a break costs, and how long is waited; over every back end that streams."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import ErrorKind
from datafast.llms.base import Request
from tests import support
from tests.llms.asking import asked, refused, send
from tests.llms.contract.backends import BackEnd, every_stream
from tests.servers.fault_server import Answer, FaultServer, Recorded, reply_to, schema_of
from tests.servers.schema_sample import sample
from tests.servers.streams import as_bytes, events_of
from tests.support import assert_balanced, raw, rows_of

ERRORS = [
    ({"type": "overloaded_error", "message": "busy"}, ErrorKind.SERVER),
    ({"type": "rate_limit_error", "message": "slower"}, ErrorKind.RATE_LIMITED),
    ({"code": 429, "message": "slower"}, ErrorKind.RATE_LIMITED),
    ({"code": "insufficient_quota", "status": 429, "type": "rate_limit_error", "message": "empty"}, ErrorKind.QUOTA),
    ({"message": "something"}, ErrorKind.SERVER),
]


def begun(server: FaultServer, make: BackEnd, request: Request | None = None) -> bytes:
    """The first half of what the server streams."""
    send(make(server.url), request or asked())
    sent = server.requests.pop()
    events = events_of(reply_to(sent, Answer(text="a text of some length"), number=1), sent.json)
    return as_bytes(events[: len(events) // 2])


def without_nulls(raw: bytes) -> Any:
    """A reply without its empty fields, which servers leave out of streams."""
    return json.loads(
        raw, object_hook=lambda fields: {name: value for name, value in fields.items() if value is not None}
    )


@every_stream
def test_what_is_recorded_is_the_reply_that_is_not_streamed(fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.respond = lambda request: Answer(text='a "text"\n with 🙂 in it', finish_reason="length")
    streamed, whole = (send(make(fault_server.url, stream=stream), asked())[0] for stream in (True, False))
    assert (streamed.format, without_nulls(streamed.raw)) == (whole.format, without_nulls(whole.raw))
    assert fault_server.requests[0].streams
    assert "text/event-stream" in fault_server.requests[0].headers["accept"]


@every_stream
def test_a_plain_answer_to_a_streamed_request_is_taken_byte_for_byte(fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.respond = lambda request: Answer()
    body = send(make(fault_server.url, stream=False), asked())[0].raw
    fault_server.answer_next(Answer(body=body))
    assert send(make(fault_server.url), asked())[0].raw == body


@every_stream
def test_what_its_server_only_calls_a_stream_is_read_as_it_is(fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.respond = lambda request: Answer()
    body = send(make(fault_server.url, stream=False), asked())[0].raw
    fault_server.answer_next(Answer(events=body), Answer(events=b' {"error": {"code": 429, "message": "slower"}}'))
    assert send(make(fault_server.url), asked())[0].raw == body
    assert refused(make(fault_server.url)).kind is ErrorKind.RATE_LIMITED


@every_stream
def test_an_output_goes_on_streamed_or_not_and_nothing_is_bought_again(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd
) -> None:
    for stream, timeout in ((False, 20), (True, {"idle_s": 9, "connect_s": 3}), (False, {"total_s": 7})):
        dataset = raw(tmp_path, topics=4)
        dataset.generate([make(fault_server.url, stream=stream, timeout=timeout)])
        assert assert_balanced(dataset.report).written == 4
        assert len(fault_server.requests) == 4


@every_stream
def test_a_stream_that_its_server_calls_something_else_is_read(fault_server: FaultServer, make: BackEnd) -> None:
    whole = begun(fault_server, make)
    fault_server.answer_next(Answer(body=whole, headers={"Content-Type": "text/plain"}))
    assert refused(make(fault_server.url)).kind is ErrorKind.CONNECTION  # a half, which was read as a stream


@every_stream
@pytest.mark.parametrize("end", ["whole", "cut"])
def test_a_stream_without_its_end_mark_is_a_broken_connection_that_may_be_paid_for(
    fault_server: FaultServer, make: BackEnd, end: str
) -> None:
    half = begun(fault_server, make)
    fault_server.answer_next(Answer(events=half, cut_after=None if end == "whole" else len(half) - 5))
    error = refused(make(fault_server.url))
    assert (error.kind, error.status, error.maybe_paid) == (ErrorKind.CONNECTION, None, True)


@every_stream
def test_an_empty_stream_is_a_broken_connection(fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.answer_next(Answer(events=b""))
    assert refused(make(fault_server.url)).kind is ErrorKind.CONNECTION


@every_stream
def test_a_stream_in_which_nothing_comes_for_too_long_names_the_setting(
    fault_server: FaultServer, make: BackEnd
) -> None:
    fault_server.answer_next(Answer(events=begun(fault_server, make), cut_after=10**6, stalls=True))
    error = refused(make(fault_server.url, timeout={"idle_s": 0.3}))
    assert (error.kind, error.maybe_paid) == (ErrorKind.TIMEOUT, True)
    assert "timeout.idle_s=0.3" in str(error)


@every_stream
def test_a_plain_number_stays_the_limit_for_all_of_a_stream(fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.answer_next(Answer(events=begun(fault_server, make), cut_after=10**6, stalls=True))
    error = refused(make(fault_server.url, timeout=0.3))
    assert error.kind is ErrorKind.TIMEOUT
    assert "timeout=0.3" in str(error) or "timeout.idle_s=0.3" in str(error)


@every_stream
@pytest.mark.parametrize(("fields", "kind"), ERRORS)
def test_an_error_in_the_stream_is_the_providers_by_its_machine_fields(
    fault_server: FaultServer, make: BackEnd, fields: dict[str, Any], kind: ErrorKind
) -> None:
    event = f"event: error\ndata: {json.dumps({'type': 'error', 'error': fields})}\n\n".encode()
    half = begun(fault_server, make)
    for before, paid in ((half, True), (b"", False)):
        fault_server.answer_next(Answer(events=before + event))
        error = refused(make(fault_server.url))
        assert (error.kind, error.maybe_paid) == (kind, paid)
        assert fields["message"] in str(error)


@every_stream
def test_a_run_whose_streams_break_ends_with_the_rows_of_one_that_is_not_streamed(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.short_waits(monkeypatch)
    seen: set[str] = set()

    def respond(request: Recorded) -> Answer:
        text = json.dumps(sample(schema_of(request.json), f"About {request.prompt}, at some length."))
        is_first = request.prompt not in seen
        seen.add(request.prompt)
        return Answer(text=text, cut_after=150 if is_first and request.streams else None)

    fault_server.respond = respond
    datasets = [
        raw(tmp_path / name, topics=6, run={"max_concurrency": 2, "budget_usd": 1}) for name in ("streamed", "whole")
    ]
    price = {"input_usd_per_million": 1, "output_usd_per_million": 1}
    for dataset, stream in zip(datasets, (True, False), strict=True):
        dataset.generate([make(fault_server.url, stream=stream, price=price, max_completion_tokens=50)])
        assert assert_balanced(dataset.report).written == 6
    rows = [sorted(row["text"] for row in rows_of(tmp_path / name / "out.jsonl")) for name in ("streamed", "whole")]
    assert rows[0] == rows[1]
    with sqlite3.connect(tmp_path / "streamed" / "out.jsonl.ledger") as db:
        (charged,) = db.execute("SELECT count(*) FROM charges WHERE usd > 0").fetchone()
    assert charged == 6  # each broken one may have been paid for
