"""Streams of chat completions as servers send them that keep to no standard: how they end, and what is asked of them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import DatafastWarning, ProviderError
from datafast.llms import LLMProvider, MistralProvider, OpenAICompatibleProvider
from datafast.llms.replies.formats import decode_reply
from tests.llms.asking import asked, completed, send
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.servers.wire_server import CLOSE, WireServer, http
from tests.support import assert_balanced, raw

# As Mistral's server says it.
FORBIDDEN = {"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": "not permitted"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "unknown", "param": "stream_options"}}),
        (422, {"object": "error", "message": {"detail": [FORBIDDEN]}, "type": "invalid_request_error", "param": None}),
    ],
)
def test_asking_for_usage_is_dropped_once_with_one_warning_where_a_server_refuses_it(
    tmp_path: Path, fault_server: FaultServer, status: int, body: dict[str, Any]
) -> None:
    def respond(request: Recorded) -> Answer:
        return Answer(status=status, body=body) if "stream_options" in request.json else Answer()

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=6, run={"max_concurrency": 1})
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url, stream=True)
    with pytest.warns(DatafastWarning, match="stream_options") as caught:
        dataset.generate([provider])
    assert len(caught) == 1
    assert assert_balanced(dataset.report).written == 6
    assert sum("stream_options" in request.json for request in fault_server.requests) == 1
    assert all(request.streams for request in fault_server.requests)


def test_mistral_is_not_asked_for_the_usage_that_it_always_tells(fault_server: FaultServer) -> None:
    send(MistralProvider(api_base=fault_server.url, api_key="k", stream=True), asked())
    assert fault_server.requests[0].json.keys() == {"model", "messages", "stream"}


DONE = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def direct(server: WireServer, **options: Any) -> LLMProvider:
    return OpenAICompatibleProvider("m", api_base=server.url, **{"stream": True} | options)


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"\r\n" + DONE, CLOSE],
        [HEAD + b"Content-Length: %d\r\n\r\n" % len(DONE) + DONE],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(DONE) + DONE + b"\r\n", CLOSE],
        [HEAD + b"Content-Length: 9999\r\n\r\n" + DONE, CLOSE],
    ],
    ids=["until the end", "length", "broken behind its end mark", "less than was told"],
)
def test_a_stream_is_whole_with_its_end_mark_however_its_connection_ends(pieces: list[Any]) -> None:
    with WireServer(lambda asked: pieces) as server:
        assert completed(direct(server)).text == "a"


def test_an_answer_that_stays_open_behind_its_end_mark_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.llms.transport.connection._LINGER_S", 0.1)
    with WireServer(
        lambda asked: [HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(DONE) + DONE, 30.0]
    ) as server:
        assert completed(direct(server, timeout={"idle_s": 2})).text == "a"


def test_the_time_limit_counts_from_the_newest_byte() -> None:
    pieces = [HEAD + b"\r\n", *(piece for _ in range(22) for piece in (0.1, b": still here\n\n")), DONE, CLOSE]
    with WireServer(lambda asked: pieces) as server:
        assert completed(direct(server, timeout={"idle_s": 2})).text == "a"


def test_a_compressed_stream_is_read() -> None:
    zipped = gzip.compress(DONE)
    answer = http(zipped, "Content-Encoding: gzip").replace(b"application/json", b"text/event-stream")
    with WireServer(lambda asked: [answer]) as server:
        assert completed(direct(server)).text == "a"


def test_connections_are_used_again_behind_a_stream() -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(DONE) + DONE + b"\r\n0\r\n\r\n"
    with WireServer(lambda asked: [chunked]) as server:
        provider = direct(server)
        for _ in range(2):
            assert decode_reply(send(provider, asked())[0].raw, "chat_completions").text == "a"


def test_generate_outside_a_dataset_streams_too(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text="Hello.")
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url, stream=True)
    assert provider.generate(["one", "two"]) == ["Hello.", "Hello."]
    fault_server.respond = lambda request: Answer(events=b": nothing\n\n")
    with pytest.raises(ProviderError, match="end mark"):
        provider.generate("three")
