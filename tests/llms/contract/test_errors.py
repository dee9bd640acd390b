"""What every back end makes of errors: their kind from machine fields, how long to wait, and no word of a key."""

from __future__ import annotations

import re
import socket
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import Action, ErrorKind, RunStopped
from tests.llms.asking import refused
from tests.llms.contract.backends import BACKENDS, KEY, BackEnd, every_backend, every_kind_of_backend
from tests.servers.fault_server import Answer, FaultServer
from tests.support import assert_balanced, raw


def error_body(**fields: Any) -> dict[str, Any]:
    """An error as gateways tell it, whatever API they stand before."""
    return {"type": "error", "error": {"message": "the server's own words", **fields}}


FAULTS = [
    (400, {"code": "unsupported_parameter", "param": "temperature"}, ErrorKind.BAD_REQUEST),
    (400, {"code": "context_length_exceeded"}, ErrorKind.CONTEXT_LENGTH),
    (400, {"type": "exceed_context_size_error"}, ErrorKind.CONTEXT_LENGTH),
    (400, {"code": "content_filter"}, ErrorKind.CONTENT_FILTER),
    (400, {"code": "content_policy_violation"}, ErrorKind.CONTENT_FILTER),
    (402, {}, ErrorKind.QUOTA),
    (403, {}, ErrorKind.PERMISSION),
    (408, {}, ErrorKind.TIMEOUT),
    (409, {}, ErrorKind.SERVER),
    (400, {"code": "json_validate_failed"}, ErrorKind.UNUSABLE_REPLY),
    (400, {"code": "tool_use_failed"}, ErrorKind.UNUSABLE_REPLY),
    (413, {"type": "request_too_large"}, ErrorKind.BAD_REQUEST),
    (420, {}, ErrorKind.RATE_LIMITED),
    (421, {}, ErrorKind.SERVER),
    (422, {}, ErrorKind.BAD_REQUEST),
    (423, {}, ErrorKind.SERVER),
    (424, {}, ErrorKind.SERVER),
    (425, {}, ErrorKind.SERVER),
    (429, {"code": "insufficient_quota"}, ErrorKind.QUOTA),
    (429, {"type": "insufficient_quota"}, ErrorKind.QUOTA),
    (498, {}, ErrorKind.SERVER),
    (499, {}, ErrorKind.SERVER),
    (502, {"code": "insufficient_quota"}, ErrorKind.SERVER),
    (504, {}, ErrorKind.TIMEOUT),
    (529, {"type": "overloaded_error"}, ErrorKind.SERVER),
]


@every_kind_of_backend
@pytest.mark.parametrize(("status", "fields", "kind"), FAULTS)
def test_a_status_and_the_fields_of_its_body_decide_the_kind(
    fault_server: FaultServer, make: BackEnd, status: int, fields: dict[str, Any], kind: ErrorKind
) -> None:
    fault_server.answer_next(Answer(status=status, body=error_body(**fields)))
    error = refused(make(fault_server.url))
    assert (error.kind, error.status) == (kind, status)
    assert len(fault_server.requests) == 1


@pytest.mark.parametrize(
    ("make", "status", "body", "kind", "code"),
    [
        pytest.param(backend, *told, id=f"{backend}-{told[0]}-{number}")
        for backend in BACKENDS
        for number, told in enumerate(backend.wire.errors)
    ],
)
def test_each_error_that_the_api_documents(
    fault_server: FaultServer, make: BackEnd, status: int, body: dict[str, Any], kind: ErrorKind, code: str
) -> None:
    fault_server.answer_next(Answer(status=status, body=body))
    error = refused(make(fault_server.url))
    assert (error.kind, error.status, error.code) == (kind, status, code)
    assert error.retry_after_s == (34.07 if "34.07s" in str(body) else None)
    assert "the server's own words" in str(error)
    assert "the server's own words" in error.body
    if not make.is_litellm:
        fault_server.answer_next(Answer(body=body))  # from a gateway that always says 200
        told = refused(make(fault_server.url))
        assert (told.kind, told.code) == (kind if make.wire.tells_kinds else told.kind, code)


@every_backend
def test_the_code_and_parameter_of_an_error_body_are_kept(fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.answer_next(Answer(status=400, body=error_body(code="unsupported_value", param="temperature")))
    error = refused(make(fault_server.url))
    assert (error.code, error.param) == ("unsupported_value", "temperature")


# -- how long to wait


@every_kind_of_backend
@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "1s"}, 360.0),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-tokens": "12ms"}, 0.012),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_wait_that_a_server_asks_for_is_read(
    fault_server: FaultServer, make: BackEnd, headers: dict[str, str], expected_s: float | None
) -> None:
    fault_server.answer_next(Answer(status=429, headers=headers, body=error_body()))
    assert refused(make(fault_server.url)).retry_after_s == pytest.approx(expected_s)


@every_backend
def test_a_wait_given_as_a_date_is_read(fault_server: FaultServer, make: BackEnd) -> None:
    in_an_hour = formatdate(time.time() + 3600, usegmt=True)
    fault_server.answer_next(Answer(status=503, headers={"Retry-After": in_an_hour}, body=error_body()))
    assert refused(make(fault_server.url)).retry_after_s == pytest.approx(3600, abs=60)


@every_backend
def test_the_limits_that_come_with_an_error_are_read(fault_server: FaultServer, make: BackEnd) -> None:
    headers = {"x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-requests": "0"}
    fault_server.answer_next(Answer(status=429, headers=headers, body=error_body()))
    limits = refused(make(fault_server.url)).rate_limits
    assert limits is not None
    assert limits.requests is not None
    assert (limits.requests.limit, limits.requests.remaining) == (9, 0)


# -- where it went


@every_backend
def test_a_refused_connection_says_where_nothing_listens(make: BackEnd) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        error = refused(make(address))
    assert (error.kind, error.maybe_paid) == (ErrorKind.CONNECTION, False)
    assert address in str(error)


@every_backend
def test_an_unknown_host_is_a_connection_fault(make: BackEnd) -> None:
    error = refused(make("http://no-such-host.invalid"))
    assert (error.kind, error.maybe_paid) == (ErrorKind.CONNECTION, False)


# The openai SDK below litellm follows redirects (without the key where another host is meant).
@pytest.mark.parametrize("make", [backend for backend in BACKENDS if backend.name != "litellm_openai"], ids=str)
def test_a_redirect_is_not_followed(fault_server: FaultServer, make: BackEnd) -> None:
    with FaultServer() as elsewhere:
        fault_server.answer_next(Answer(status=307, headers={"Location": elsewhere.url}, body=""))
        error = refused(make(fault_server.url))
        assert elsewhere.requests == []
    assert error.kind.action is Action.STOP_PROVIDER
    assert "redirects elsewhere" in str(error)
    assert len(fault_server.requests) == 1


# -- keys


@every_kind_of_backend
@pytest.mark.parametrize("echo", [KEY, KEY[:14], KEY[-12:], f"{KEY[:5]}*****{KEY[-4:]}", f"{KEY[:7]}...{KEY[-4:]}"])
def test_a_key_echoed_by_the_server_is_redacted(fault_server: FaultServer, make: BackEnd, echo: str) -> None:
    fault_server.answer_next(Answer(status=401, body=error_body(message=f"Incorrect key provided: {echo}.", code=echo)))
    error = refused(make(fault_server.url))
    assert echo not in f"{error.body}{error}{error!r}{error.code}{error.param}"
    assert "Incorrect key provided" in error.body


@every_backend
def test_no_file_of_a_run_holds_a_key_that_servers_echo(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd
) -> None:
    """In errors that are retried and that are final, and in a reply."""
    fault_server.respond = lambda request: Answer(text=f'{{"texts": ["Your key is {KEY}."]}}')
    fault_server.answer_next(
        Answer(status=503, body=error_body(message=f"Not with {KEY}.")),
        Answer(status=400, body=error_body(message=f"Not with {KEY}.", code="content_filter")),
    )
    dataset = raw(tmp_path, topics=3, run={"max_concurrency": 1, "retry_delay_s": 0.01})
    dataset.generate([make(fault_server.url)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures) == (2, {"content_filter": 1})
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        assert KEY.encode() not in path.read_bytes(), path.name


@every_backend
def test_a_refused_key_stops_the_run_and_names_what_to_check(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd
) -> None:
    fault_server.respond = lambda request: Answer(status=401, body=error_body(message=f"Bad key: {KEY}."))
    dataset = raw(tmp_path, topics=3, run={"max_concurrency": 1})
    with pytest.raises(RunStopped, match=r"Check api_key") as stopped:
        dataset.generate([make(fault_server.url)])
    assert not re.search(re.escape(KEY), str(stopped.value))
    assert assert_balanced(dataset.report).pending == 3
    assert len(fault_server.requests) == 1
