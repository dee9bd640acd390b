"""What is done for each fault, by a back end of each kind: the table of docs/reference/errors.md, row by row.

Each run asks about thirty topics at one server, one request at a time; the request about number 1 meets the fault, always. A second
provider works. What was done is told by what the servers saw and by the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from datafast.errors import RunStopped
from datafast.llms import LLMProvider, OpenAICompatibleProvider
from tests import support
from tests.llms.contract.backends import ONE_OF_EACH, ONE_OF_EACH_STREAMED, BackEnd
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import ROOT, assert_balanced, raw

ERRORS = ROOT / "docs" / "reference" / "errors.md"
MAX_RETRIES = 2
MAX_PARSE_RETRIES = 1
TOPICS = [f"topic number {number}." for number in range(30)]
# The openai SDK below litellm follows redirects (without the key where another host is meant).
FOLLOWED = "a redirect"
every_back_end = pytest.mark.parametrize("make", ONE_OF_EACH, ids=str)


def good(server: FaultServer) -> LLMProvider:
    """Another provider, which works."""
    return OpenAICompatibleProvider("good", api_base=server.url)


class Row(NamedTuple):
    """A row of the page's table."""

    fault: str
    category: str
    done: str


class Fault(NamedTuple):
    """How to provoke a row of the table."""

    answer: Answer
    category: str
    done: str


FAULT = "a fault of the provider"
RETRIED = "sent again, up to `max_retries` times"
WAITED = "waited out, up to `max_stall_s`"
STOPS = "stops the provider"
REFUSED = "a refusal"
FAILS = "fails the item"
STOPS_AT_FIRST = "stops the provider; a refusal where it has answered before"
ASKED_AGAIN = "asked again, up to `max_parse_retries` times"


def status(number: int, category: str, done: str, **error: str) -> Fault:
    return Fault(Answer(status=number, body={"error": {"message": "the server's words", **error}}), category, done)


def empty(finish_reason: str = "stop", **changes: Any) -> dict[str, Any]:
    """A chat completion in which nothing was said."""
    choice = {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
        **changes,
    }


FAULTS = {
    "HTTP 400": status(400, "bad_request", REFUSED),
    "HTTP 400, `context_length_exceeded`": status(400, "context_length", FAILS, code="context_length_exceeded"),
    "HTTP 400, `content_filter`": status(400, "content_filter", FAILS, code="content_filter"),
    "HTTP 400, `json_validate_failed`": status(400, "invalid_reply", RETRIED, code="json_validate_failed"),
    "HTTP 401": status(401, "authentication", STOPS_AT_FIRST),
    "HTTP 402": status(402, "quota_exhausted", STOPS),
    "HTTP 403": status(403, "permission", REFUSED),
    "HTTP 404": status(404, "model_not_found", STOPS_AT_FIRST),
    "HTTP 408": status(408, "timeout", FAULT),
    "HTTP 409": status(409, "server_error", FAULT),
    "HTTP 413": status(413, "bad_request", FAILS),
    "HTTP 420": status(420, "rate_limited", WAITED),
    "HTTP 421": status(421, "server_error", FAULT),
    "HTTP 422": status(422, "bad_request", REFUSED),
    "HTTP 423": status(423, "server_error", FAULT),
    "HTTP 424": status(424, "server_error", FAULT),
    "HTTP 425": status(425, "server_error", FAULT),
    "HTTP 429": status(429, "rate_limited", WAITED),
    "HTTP 429, `insufficient_quota`": status(429, "quota_exhausted", STOPS, code="insufficient_quota"),
    "HTTP 498": status(498, "server_error", FAULT),
    "HTTP 499": status(499, "server_error", FAULT),
    "HTTP 500": status(500, "server_error", FAULT),
    "HTTP 502": status(502, "server_error", FAULT),
    "HTTP 503": status(503, "server_error", FAULT),
    "HTTP 504": status(504, "timeout", FAULT),
    "HTTP 529": status(529, "server_error", FAULT),
    "a redirect": Fault(Answer(status=307, headers={"Location": "/"}, body=""), "model_not_found", STOPS_AT_FIRST),
    "no whole answer within `timeout`": Fault(Answer(delay_s=1.5), "timeout", FAULT),
    "connection reset before the answer": Fault(Answer(drop=True), "connection", FAULT),
    "connection cut within the answer": Fault(Answer(cut_after=20), "connection", FAULT),
    "HTTP 200 with an `error` and no `choices`": Fault(
        Answer(body={"error": {"message": "upstream broke", "code": 502}}), "server_error", FAULT
    ),
    "HTTP 200 with an `error` of code 429": Fault(
        Answer(body={"error": {"message": "slow down", "code": 429}}), "rate_limited", WAITED
    ),
    "HTTP 200 with an `error` in its choice": Fault(
        Answer(body={"choices": [{"message": {"content": ""}, "error": {"message": "upstream broke", "code": 502}}]}),
        "server_error",
        FAULT,
    ),
    "HTTP 200 that is not JSON": Fault(
        Answer(body="<html>a proxy's page</html>", headers={"Content-Type": "text/html"}), "no_completion", FAULT
    ),
    "HTTP 200 with a stream of events": Fault(
        Answer(body='data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n'), "no_completion", FAULT
    ),
    "HTTP 200 without a choice": Fault(Answer(body={"choices": []}), "no_completion", FAULT),
    "HTTP 200 with JSON that is cut": Fault(Answer(body='{"choices": [{"message": {"con'), "no_completion", FAULT),
    "HTTP 200 without text that cost no tokens": Fault(Answer(body=empty(usage=None)), "no_completion", FAULT),
    "HTTP 200 without text that ended in an error": Fault(
        Answer(body=empty(finish_reason="network_error")), "no_completion", FAULT
    ),
    "HTTP 200 without text": Fault(Answer(text=""), "empty_reply", ASKED_AGAIN),
    "HTTP 200 of another structure": Fault(Answer(text='{"texts": 5}'), "invalid_reply", ASKED_AGAIN),
}

OF_STREAMS = {
    "a stream without its end mark": Fault(Answer(events=b": nothing else\n\n"), "connection", FAULT),
    "a stream in which nothing comes for `timeout.idle_s`": Fault(Answer(cut_after=150, stalls=True), "timeout", FAULT),
    "an error of code 429 within a stream": Fault(
        Answer(events=b'data: {"error": {"code": 429, "message": "slow down"}}\n\n'), "rate_limited", WAITED
    ),
    "another error within a stream": Fault(
        Answer(events=b'data: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'), "server_error", FAULT
    ),
}
NOT_OF_STREAMS_ALONE = [
    *("HTTP 429", "HTTP 500", "connection reset before the answer", "connection cut within the answer"),
    *("HTTP 200 without text", "HTTP 200 of another structure"),
]


# What litellm cannot read it reports as an error.
THROUGH_LITELLM = {"HTTP 200 that is not JSON": ("server_error", FAULT)}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


@pytest.fixture
def good_server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def about_topic_1(server: FaultServer) -> list[Recorded]:
    return [request for request in server.requests if "number 1." in asked(request)]


def asked(request: Recorded) -> str:
    return request.raw.decode()


@every_back_end
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_treatment(
    tmp_path: Path, fault_server: FaultServer, good_server: FaultServer, make: BackEnd, fault: str
) -> None:
    if fault == FOLLOWED and make.is_litellm:
        pytest.skip("the openai SDK follows redirects")
    assert_treated(tmp_path, fault_server, good_server, make, fault)


@pytest.mark.parametrize("make", ONE_OF_EACH_STREAMED, ids=str)
@pytest.mark.parametrize("fault", [*NOT_OF_STREAMS_ALONE, *OF_STREAMS])
def test_each_fault_of_a_stream_has_its_treatment(
    tmp_path: Path, fault_server: FaultServer, good_server: FaultServer, make: BackEnd, fault: str
) -> None:
    assert_treated(tmp_path, fault_server, good_server, make, fault)


def assert_treated(
    tmp_path: Path, fault_server: FaultServer, good_server: FaultServer, make: BackEnd, fault: str
) -> None:
    answer, category, done = (FAULTS | OF_STREAMS)[fault]
    seen = 0

    def respond(request: Recorded) -> Answer:
        nonlocal seen
        if "number 1." not in asked(request):
            return Answer()
        seen += 1
        return Answer() if done == WAITED and seen > MAX_RETRIES + 2 else answer

    fault_server.respond = respond
    run = {"max_concurrency": 2, "max_retries": MAX_RETRIES, "max_parse_retries": MAX_PARSE_RETRIES}
    dataset = raw(tmp_path, topics=TOPICS, run=run)
    limit_s = 0.4 if "timeout" in fault else 30.0
    timeout = {"idle_s": limit_s} if make.stream else limit_s
    providers = [make(fault_server.url, timeout=timeout, max_concurrency=1), good(good_server)]
    if done == STOPS:
        with pytest.raises(RunStopped):
            dataset.generate(providers)
    else:
        dataset.generate(providers)
    report = assert_balanced(dataset.report)
    assert len(good_server.requests) == len(TOPICS)

    if make.is_litellm:
        category, done = THROUGH_LITELLM.get(fault, (category, done))
    expected = {
        FAULT: MAX_RETRIES + 1,
        RETRIED: MAX_RETRIES + 1,
        WAITED: MAX_RETRIES + 3,
        STOPS: 1,
        REFUSED: 1,
        STOPS_AT_FIRST: 3,  # it may have been refused in passing
        FAILS: 1,
        ASKED_AGAIN: MAX_PARSE_RETRIES + 1,
    }
    # Our own client sends once more what a connection that was open before has ended without a byte.
    twice = not make.is_litellm and fault == "connection reset before the answer"
    # A repeat that comes before another one was answered in between.
    uncounted = 2 * (done in {FAULT, REFUSED})
    assert expected[done] <= len(about_topic_1(fault_server)) <= expected[done] * (1 + twice) + uncounted
    assert report.failures == ({} if done in {WAITED, STOPS} else {category: 1})
    assert len(report.stopped_providers) == (done == STOPS)
    if done == STOPS:
        # Number 0 was answered before, number 2 was never asked for.
        assert (report.written, report.pending) == (len(TOPICS) + 1, len(TOPICS) - 1)
        assert len(fault_server.requests) == 2
    else:
        assert report.pending == 0


def test_the_page_lists_each_fault_and_what_is_done() -> None:
    text = ERRORS.read_text(encoding="utf-8")
    section = text.split("## What is done for each fault", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (.+?) \| `(\w+)` \| (.+?) \|$", section, re.MULTILINE)
    assert [Row(*row) for row in rows] == [
        Row(name, fault.category, fault.done) for name, fault in (FAULTS | OF_STREAMS).items()
    ]


@every_back_end
def test_a_server_that_nothing_listens_at_is_waited_for_until_its_provider_is_stopped(
    tmp_path: Path, good_server: FaultServer, make: BackEnd
) -> None:
    with FaultServer() as gone:
        pass
    dataset = raw(tmp_path, topics=3, run={"max_retries": MAX_RETRIES, "max_stall_s": 0.3})
    with pytest.raises(RunStopped, match=r"nothing accepts connections.* Nothing else came for 0\.3 s"):
        dataset.generate([make(gone.url), good(good_server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (3, 0, 3)


@every_back_end
def test_a_server_that_dies_within_a_run_fails_nothing(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd
) -> None:
    """Items that were being answered when it died had seen others succeed; they stay pending all the same."""

    def respond(request: Recorded) -> Answer:
        number = len(fault_server.requests)
        # Eight at once; four succeed while the others are on their way, and from then on nothing answers.
        if number <= 4:
            return Answer(until=lambda: len(fault_server.requests) >= 8)
        return Answer(drop=True, delay_s=0.3 if number <= 8 else 0.0)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=30, run={"max_retries": MAX_RETRIES, "max_concurrency": 8, "max_stall_s": 0.3})
    with pytest.raises(RunStopped):
        dataset.generate([make(fault_server.url)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (4, 0, 26)


@every_back_end
def test_after_the_first_401_nothing_more_is_sent_than_was_in_flight(
    tmp_path: Path, fault_server: FaultServer, good_server: FaultServer, make: BackEnd
) -> None:
    fault_server.respond = lambda request: Answer(
        status=401, body={"error": {"message": "no"}}, until=lambda: len(fault_server.requests) >= 8
    )
    good_server.respond = lambda request: Answer(delay_s=0.03)
    dataset = raw(tmp_path, topics=60, run={"max_concurrency": 16})
    with pytest.raises(RunStopped) as stopped:
        dataset.generate([make(fault_server.url), good(good_server)])
    report = assert_balanced(stopped.value.report)
    assert len(fault_server.requests) == fault_server.max_in_flight == 8
    assert (report.written, report.failed, report.pending) == (60, 0, 60)


@every_back_end
def test_items_of_a_stopped_provider_are_bought_by_the_next_run(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd
) -> None:
    fault_server.respond = lambda request: Answer(status=401, body={"error": {"message": "no"}})
    dataset = raw(tmp_path, topics=5)
    with pytest.raises(RunStopped):
        dataset.generate([make(fault_server.url)])
    fault_server.respond = lambda request: Answer()
    dataset.generate([make(fault_server.url)])
    assert assert_balanced(dataset.report).written == 5


@every_back_end
@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_what_the_server_cannot_answer_is_sent_again_exactly_so_often(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd, max_retries: int
) -> None:
    """Also where nothing is known yet about how the server wants to be asked for structure."""
    # It takes so long that others are answered in between: only then does a repeat count.
    broken = Answer(status=500, body={"error": {"message": "broken"}}, delay_s=0.08)
    fault_server.respond = lambda request: broken if "topic 0." in asked(request) else Answer(delay_s=0.02)
    topics = [f"topic {number}." for number in range(100)]
    dataset = raw(tmp_path, topics=topics, run={"max_retries": max_retries, "max_concurrency": 4})
    dataset.generate([make(fault_server.url)])
    about = [request for request in fault_server.requests if "topic 0." in asked(request)]
    assert 1 <= len(about) <= max_retries + 2  # the first may have come before anything else was answered
    assert assert_balanced(dataset.report).failures == {"server_error": 1}
    assert assert_balanced(dataset.report).retries == len(fault_server.requests) - 100
