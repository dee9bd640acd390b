"""`provider.generate`: direct calls outside any dataset."""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from typing import Any

import pytest
from pydantic import BaseModel

from datafast.errors import ErrorKind, MissingKeyError, PartialResults, ProviderError, ReplyError
from datafast.llms import (
    OpenAICompatibleProvider,
    OpenAIProvider,
)
from tests.servers.fault_server import Answer, FaultServer


class Entries(BaseModel):
    entries: list[str]


def local(server: FaultServer, **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider("tiny", api_base=server.url, **options)


def test_one_prompt_gives_one_stripped_text_and_a_list_gives_a_list(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=f"  about {request.prompt}\n")
    provider = local(fault_server)
    assert provider.generate("tea") == "about tea"
    assert provider.generate(["tea"]) == ["about tea"]
    assert provider.generate(prompt=["a", "b", "c"]) == ["about a", "about b", "about c"]


def test_one_conversation_gives_one_result_and_a_list_gives_a_list(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=f"about {request.prompt}")
    conversation = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "tea"}]
    before = copy.deepcopy(conversation)
    provider = local(fault_server)
    assert provider.generate(messages=conversation) == "about tea"
    assert provider.generate(messages=[conversation]) == ["about tea"]
    assert conversation == before


def test_a_response_format_gives_validated_instances(fault_server: FaultServer) -> None:
    assert isinstance(local(fault_server).generate("x", response_format=Entries), Entries)


def test_a_server_that_knows_no_schemas_is_asked_in_words(fault_server: FaultServer) -> None:
    def answer(request: Any) -> Answer:
        if "response_format" in request.json:
            return Answer(status=400, body={"error": {"message": "unknown field", "param": "response_format"}})
        return Answer(text='{"entries": ["a"]}')

    fault_server.respond = answer
    assert local(fault_server).generate("x", response_format=Entries) == Entries(entries=["a"])


@pytest.mark.parametrize(
    "arguments",
    [
        {}, {"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, {"prompt": 5}, {"prompt": ["a", None]},
        {"prompt": []}, {"messages": []}, {"messages": "hello"}, {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": "a"}, "b"]}, {"messages": [[{"role": "user", "content": "a"}], [5]]},
        {"messages": [[{"role": "user", "content": "a"}], {"role": "user", "content": "a"}]},
        {"messages": [{"role": "user", "content": 5}]},
    ],
)  # fmt: skip
def test_input_of_the_wrong_shape_is_refused_before_anything_is_sent(
    fault_server: FaultServer, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"prompt|messages"):
        local(fault_server).generate(**arguments)
    assert not fault_server.requests


def test_errors_keep_their_class_and_the_other_calls_land(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=429 if request.prompt == "b" else 200, body=None)
    with pytest.raises(PartialResults, match="1 of 3 requests failed") as caught:
        local(fault_server).generate(["a", "b", "c"])
    first, failed, last = caught.value.results
    assert isinstance(failed, ProviderError)
    assert failed.kind is ErrorKind.RATE_LIMITED
    assert caught.value.exceptions == (failed,)
    assert all(isinstance(text, str) and text for text in (first, last))
    assert len(fault_server.requests) == 3


def test_a_list_keeps_its_good_replies_beside_unusable_ones(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text="no JSON" if request.prompt == "b" else '{"entries": ["x"]}')
    with pytest.raises(PartialResults) as caught:
        local(fault_server).generate(["a", "b"], response_format=Entries)
    assert caught.value.results[0] == Entries(entries=["x"])
    assert isinstance(caught.value.results[1], ReplyError)


@pytest.mark.parametrize(
    "many",
    [{"prompt": [str(n) for n in range(10)]}, {"messages": [[{"role": "user", "content": str(n)}] for n in range(10)]}],
)
def test_of_ten_requests_the_good_replies_come_back_in_their_places(
    fault_server: FaultServer, many: dict[str, Any]
) -> None:
    failing = {"2": Answer(status=500), "5": Answer(drop=True), "9": Answer(text="", finish_reason="length")}
    fault_server.respond = lambda request: (
        failing.get(request.prompt)
        or Answer(text=f"re {request.prompt}", until=lambda: fault_server.max_in_flight >= 3, delay_s=0.02)
    )
    with pytest.raises(PartialResults, match="3 of 10 requests failed") as caught:
        local(fault_server, max_concurrency=3).generate(**many)
    kinds = {2: ProviderError, 5: ProviderError, 9: ReplyError}
    for number, result in enumerate(caught.value.results):
        assert isinstance(result, kinds[number]) if number in kinds else result == f"re {number}"
    # One that was dropped without a byte of an answer was sent twice if its connection had been used before.
    assert 10 <= len(fault_server.requests) <= 11
    assert fault_server.max_in_flight == 3


@pytest.mark.parametrize("limit", [{"rpm_limit": 600}, {"tpm_limit": 600 * 20, "max_completion_tokens": 19}])
def test_limits_hold_over_all_direct_calls_of_a_provider(fault_server: FaultServer, limit: dict[str, Any]) -> None:
    fault_server.respond = lambda request: Answer(
        body={
            "choices": [{"message": {"role": "assistant", "content": "x"}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 19},
        }
    )
    provider = local(fault_server, **limit)
    local(fault_server).generate("warm")  # what the first call costs is no limit's doing
    begun = time.monotonic()
    provider.generate(["four"] * 4)
    provider.generate("four")
    assert time.monotonic() - begun >= 0.38  # ten a second


def test_an_unusable_reply_is_a_reply_error(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text="no JSON here")
    with pytest.raises(ReplyError):
        local(fault_server).generate("x", response_format=Entries)


def test_calls_of_a_list_are_in_flight_together_up_to_the_cap(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(until=lambda: fault_server.max_in_flight >= 5, delay_s=0.1)
    local(fault_server, max_concurrency=5).generate([str(number) for number in range(10)])
    assert fault_server.max_in_flight == 5


def test_generate_works_below_a_running_loop_and_in_threads(fault_server: FaultServer) -> None:
    provider = local(fault_server)
    results: list[str] = []

    async def in_a_notebook() -> None:
        results.append(provider.generate("cell"))

    asyncio.run(in_a_notebook())
    threads = [threading.Thread(target=lambda: results.append(provider.generate("thread"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 5


def test_a_missing_key_is_told_before_anything_is_sent() -> None:
    with pytest.raises(MissingKeyError):
        OpenAIProvider().generate("x")
