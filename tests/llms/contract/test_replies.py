"""What every back end makes of replies: text, usage and its price, structure, how they end, what the model thought and refused."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.base import Completion, ReplyMode
from datafast.llms.replies.endings import Ending
from datafast.llms.replies.parse import parse_reply, parse_text
from datafast.llms.reply_model import ReplyModel
from datafast.llms.schema import ResponseSchema
from datafast.types import RateLimit, Usage
from tests.llms.asking import asked, completed, send
from tests.llms.contract.backends import BACKENDS, DIRECT, BackEnd, every_backend
from tests.llms.contract.test_requests import NASTY
from tests.llms.contract.wires import COUNTED, GEMINI, THOUGHT
from tests.servers.fault_server import Answer, FaultServer
from tests.servers.streams import as_bytes, events_of


class Entries(ReplyModel):
    elements: ClassVar[tuple[str, ...]] = ("entries",)

    entries: list[str]


SCHEMA = ResponseSchema.of(Entries)
PRICE = {
    "input_usd_per_million": 1.0,
    "output_usd_per_million": 10.0,
    "cached_input_usd_per_million": 0.1,
    "cache_write_usd_per_million": 1.25,
}
CATEGORIES = {
    Ending.WHOLE: None,
    Ending.TRUNCATED: ReplyCategory.TRUNCATED,
    Ending.REFUSED: ReplyCategory.REFUSED,
    Ending.BROKEN_OFF: ReplyCategory.BROKEN,
}


def answering(server: FaultServer, make: BackEnd, body: dict[str, Any]) -> None:
    """Lets the server answer the next request so, as a stream where one is asked for."""
    events = as_bytes(events_of(body, {"stream_options": {"include_usage": True}})) if make.stream else None
    server.answer_next(Answer(body=body, events=events))


def category(completion: Completion) -> ReplyCategory | None:
    """What becomes of it as a free text; None where it is taken."""
    try:
        parse_text(completion)
    except ReplyError as error:
        return error.category
    return None


@every_backend
def test_a_reply_carries_its_text_model_and_usage(fault_server: FaultServer, make: BackEnd) -> None:
    answering(fault_server, make, make.wire.reply(NASTY))
    completion = completed(make(fault_server.url))
    assert (completion.text, completion.finish_reason, completion.usage) == (NASTY, "stop", Usage(11, 7))
    assert completion.model_id in {"m", "gemini-tiny-001"}


@pytest.mark.parametrize("make", [backend for backend in DIRECT if not backend.stream], ids=str)
def test_a_reply_is_recorded_byte_for_byte_whatever_is_in_it(fault_server: FaultServer, make: BackEnd) -> None:
    told = json.dumps({**make.wire.reply("\\ud800"), "unknown": {"error": None}})
    odd = b"\xef\xbb\xbf " + told.replace('"unknown"', '"logprobs": NaN, "unknown"').encode() + b" "
    fault_server.answer_next(Answer(body=odd))
    (response,) = send(make(fault_server.url), asked())
    assert response.raw == odd


@every_backend
def test_cached_written_and_reasoning_tokens_are_counted_and_priced(fault_server: FaultServer, make: BackEnd) -> None:
    answering(fault_server, make, make.wire.reply(counted=True))
    provider = make(fault_server.url, price=PRICE)
    usage = completed(provider).usage
    written = COUNTED.cache_write_tokens if make.wire.writes_cache else 0
    assert usage == Usage(2310, 90, cached_tokens=2000, reasoning_tokens=60, cache_write_tokens=written)
    plain = 2310 - 2000 - written
    assert provider.cost_usd(usage) == pytest.approx((plain + 2000 * 0.1 + written * 1.25 + 90 * 10) / 1e6)


@every_backend
def test_what_the_model_thought_is_no_part_of_the_text(fault_server: FaultServer, make: BackEnd) -> None:
    answering(fault_server, make, make.wire.reply("It is ice.", thought=True, counted=True))
    completion = completed(make(fault_server.url))
    assert (completion.text, completion.reasoning) == ("It is ice.", THOUGHT)


@pytest.mark.parametrize(
    ("make", "ending", "reason"),
    [
        pytest.param(backend, ending, reason, id=f"{backend}-{reason}")
        for backend in BACKENDS
        for ending, reasons in backend.wire.endings.items()
        for reason in reasons
    ],
)
def test_each_reason_for_the_end_of_a_reply_means_what_it_does(
    fault_server: FaultServer, make: BackEnd, ending: Ending, reason: str
) -> None:
    answering(fault_server, make, make.wire.reply("Some text.", reason=reason))
    assert category(completed(make(fault_server.url))) is CATEGORIES[ending]


@every_backend
def test_a_refusal_is_one_and_says_why_where_the_api_does(fault_server: FaultServer, make: BackEnd) -> None:
    answering(fault_server, make, make.wire.refusing("This could be used for harm."))
    completion = completed(make(fault_server.url))
    with pytest.raises(ReplyError, match=None if make.wire is GEMINI else "This could be used for harm") as caught:
        parse_text(completion)
    assert caught.value.category is ReplyCategory.REFUSED
    assert completion.usage is not None


# -- structure


@every_backend
@pytest.mark.parametrize("mode", ReplyMode)
def test_what_was_asked_for_in_each_mode_validates(fault_server: FaultServer, make: BackEnd, mode: ReplyMode) -> None:
    answer = '{"entries": ["one", "two"]}'
    fault_server.respond = lambda request: Answer(
        text=answer if make.wire.structure_of(request.json) != "tool" else None
    )
    completion = completed(make(fault_server.url), asked(schema=SCHEMA, mode=mode))
    entries = parse_reply(completion, SCHEMA).entries  # type: ignore[attr-defined]
    assert len(entries) >= 2


@every_backend
def test_what_a_tool_is_called_with_is_the_answer(fault_server: FaultServer, make: BackEnd) -> None:
    answering(fault_server, make, make.wire.calling(SCHEMA.name, {"entries": ["one"]}, cut=False))
    assert parse_reply(completed(make(fault_server.url), asked(schema=SCHEMA)), SCHEMA) == Entries(entries=["one"])


@every_backend
@pytest.mark.parametrize("name", ["Entries", "json_tool_call"])
def test_a_tool_call_that_was_cut_never_passes_for_whole(fault_server: FaultServer, make: BackEnd, name: str) -> None:
    """Servers close what was open then, so that a text in it that was cut looks like any other."""
    answering(fault_server, make, make.wire.calling(name, {"entries": ["one", "two", "thr"]}, cut=True))
    completion = completed(make(fault_server.url), asked(schema=SCHEMA))
    with pytest.raises(ReplyError, match="cut off") as caught:
        parse_reply(completion, SCHEMA)
    assert caught.value.category is ReplyCategory.TRUNCATED
    assert caught.value.usable == Entries(entries=["one", "two"])


# -- limits that are told


@every_backend
def test_the_limits_that_come_with_a_reply_are_read(fault_server: FaultServer, make: BackEnd) -> None:
    headers = {
        "x-ratelimit-limit-requests": "9",
        "x-ratelimit-remaining-requests": "5",
        "x-ratelimit-reset-requests": "6s",
    }
    if make.name.startswith(("anthropic", "litellm_anthropic")):
        headers = {
            "anthropic-ratelimit-requests-limit": "9",
            "anthropic-ratelimit-requests-remaining": "5",
            "anthropic-ratelimit-requests-reset": "2026-11-26T12:00:06Z",
            "Date": "Thu, 26 Nov 2026 12:00:00 GMT",
        }
    fault_server.answer_next(Answer(headers=headers))
    (response,) = send(make(fault_server.url), asked())
    limits = response.rate_limits
    if make.name == "litellm_gemini":
        assert limits is None  # litellm keeps no headers of Gemini, which tells no limits
    else:
        assert limits is not None
        assert limits.requests == RateLimit(9, 5, 6.0)
