"""Replies of the Messages API and of generateContent, as their documentation has them: each field that is read."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
import pytest
from pydantic import BaseModel

from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.base import Completion
from datafast.llms.replies.formats import decode_reply
from datafast.llms.replies.parse import parse_reply, parse_text
from datafast.llms.reply_model import ReplyModel
from datafast.llms.schema import ResponseSchema
from datafast.types import Usage
from tests.servers.vendors import anthropic_message, gemini_content


class Texts(BaseModel):
    texts: list[str]


class Listed(ReplyModel):
    elements: ClassVar[tuple[str, ...]] = ("texts",)

    texts: list[str]


TEXTS = ResponseSchema.of(Texts)


def anthropic(text: str = "Hello.", **fields: Any) -> Completion:
    return decode_reply(orjson.dumps(anthropic_message(text, **fields)), "anthropic_messages")


def gemini(text: str = "Hello.", **fields: Any) -> Completion:
    return decode_reply(orjson.dumps(gemini_content(text, **fields)), "gemini_generate_content")


def parts(*given: dict[str, Any], reason: str = "STOP") -> Completion:
    return gemini(candidates=[{"content": {"role": "model", "parts": list(given)}, "finishReason": reason}])


def test_a_plain_reply_is_its_text() -> None:
    assert anthropic(model="claude-x") == Completion("Hello.", "stop", Usage(11, 7), "claude-x")
    assert gemini() == Completion("Hello.", "stop", Usage(11, 7), "gemini-tiny-001")


def test_what_the_model_thought_is_no_part_of_the_text() -> None:
    content = [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "ice."},
    ]
    said = anthropic(content=content)
    assert (said.text, said.reasoning) == ("It is ice.", "Let me see.")
    said = parts(
        {"text": "Let me see.", "thought": True}, {"text": "It is ", "thoughtSignature": "c2ln"}, {"text": "ice."}
    )
    assert (said.text, said.reasoning) == ("It is ice.", "Let me see.")


def test_what_a_tool_is_called_with_is_the_answer() -> None:
    call = {"type": "tool_use", "id": "toolu_01", "name": "Texts", "input": {"texts": ["one"]}}
    said = anthropic(content=[{"type": "text", "text": "Here it is:"}, call], stop_reason="tool_use")
    assert parse_reply(said, TEXTS) == Texts(texts=["one"])
    with pytest.raises(ReplyError, match="calls a tool"):
        parse_text(said)
    said = parts({"functionCall": {"name": "Texts", "args": {"texts": ["one"]}}})
    assert parse_reply(said, TEXTS) == Texts(texts=["one"])


def test_a_tool_that_is_called_several_times_gives_one_list() -> None:
    """Servers that cannot be kept from it do so, and some models give each element a call of its own."""

    def said(*inputs: dict[str, Any]) -> Completion:
        calls = [{"type": "tool_use", "id": "x", "name": "Texts", "input": given} for given in inputs]
        return anthropic(content=calls, stop_reason="tool_use")

    assert parse_reply(said({"texts": ["one"]}, {"texts": ["two", "three"]}), TEXTS) == Texts(
        texts=["one", "two", "three"]
    )
    function_calls = [{"functionCall": {"name": "Texts", "args": {"texts": [text]}}} for text in ("one", "two")]
    assert parse_reply(parts(*function_calls), TEXTS) == Texts(texts=["one", "two"])
    with pytest.raises(ReplyError, match="several different"):
        parse_reply(said({"texts": ["one"]}, {"texts": ["two"], "more": 1}), TEXTS)


@pytest.mark.parametrize(
    ("given", "whole"),
    [(["one", "two", "thr"], ["one", "two"]), (["one"], None), ([], None)],
)
def test_a_tool_that_is_called_by_a_reply_that_was_cut_holds_no_whole_answer(
    given: list[str], whole: list[str] | None
) -> None:
    """What a tool is called with comes as an object, so a text in it that was cut looks like any other."""
    schema = ResponseSchema.of(Listed)
    call = {"type": "tool_use", "id": "x", "name": "Texts", "input": {"texts": given}}
    function_call = {"functionCall": {"name": "Texts", "args": {"texts": given}}}
    for said in (anthropic(content=[call], stop_reason="max_tokens"), parts(function_call, reason="MAX_TOKENS")):
        with pytest.raises(ReplyError, match="cut off") as caught:
            parse_reply(said, schema)
        assert caught.value.category is ReplyCategory.TRUNCATED
        usable = caught.value.usable
        assert (usable.texts if isinstance(usable, Listed) else None) == whole


def test_tokens_of_the_cache_and_of_thinking_are_in_the_usage() -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 2000,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 90,
        "output_tokens_details": {"thinking_tokens": 60},
    }
    assert anthropic(usage=usage).usage == Usage(
        2310, 90, 2000, 60, cache_write_tokens=300, long_cache_write_tokens=100
    )
    usage = {
        "promptTokenCount": 2010,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 60,
        "cachedContentTokenCount": 2000,
        "totalTokenCount": 2100,
    }
    assert gemini(usageMetadata=usage).usage == Usage(2010, 90, cached_tokens=2000, reasoning_tokens=60)


def test_output_that_gemini_counts_in_the_total_alone_is_counted() -> None:
    assert gemini(usageMetadata={"candidatesTokenCount": 5, "totalTokenCount": 111}).usage == Usage(11, 100)
    usage = {"promptTokenCount": 11, "toolUsePromptTokenCount": 20, "candidatesTokenCount": 5, "totalTokenCount": 36}
    assert gemini(usageMetadata=usage).usage == Usage(31, 5)


@pytest.mark.parametrize(
    "usage", [None, [], {"input_tokens": 0, "output_tokens": 0}, {"output_tokens": 0}, {"input_tokens": 2**60}]
)
def test_usage_that_cannot_be_so_is_unknown(usage: Any) -> None:
    message = {**anthropic_message("Hello."), "usage": usage}
    if isinstance(usage, dict):
        message["usage"] = {"input_tokens": 11, "output_tokens": 7, **usage}
    assert decode_reply(orjson.dumps(message), "anthropic_messages").usage is None
    content = {**gemini_content("Hello."), "usageMetadata": usage and {}}
    assert decode_reply(orjson.dumps(content), "gemini_generate_content").usage is None


def category(said: Completion) -> ReplyCategory | None:
    try:
        parse_text(said)
    except ReplyError as error:
        return error.category if said.native_finish_reason in str(error) else None
    return None


@pytest.mark.parametrize(
    ("reason", "chat", "expected"),
    [
        ("end_turn", "stop", None),
        ("stop_sequence", "stop", None),
        ("max_tokens", "length", ReplyCategory.TRUNCATED),
        ("model_context_window_exceeded", "length", ReplyCategory.TRUNCATED),
        ("refusal", "content_filter", ReplyCategory.REFUSED),
        ("pause_turn", "pause_turn", ReplyCategory.BROKEN),
        ("a reason of tomorrow", "a reason of tomorrow", ReplyCategory.BROKEN),
    ],
)
def test_each_stop_reason_of_anthropic(reason: str, chat: str, expected: ReplyCategory | None) -> None:
    said = anthropic(stop_reason=reason)
    assert (said.finish_reason, category(said)) == (chat, expected)
    assert said.native_finish_reason == ("" if expected is None else reason)


@pytest.mark.parametrize(
    ("reason", "chat", "expected"),
    [
        ("STOP", "stop", None),
        ("MAX_TOKENS", "length", ReplyCategory.TRUNCATED),
        ("CONTINUATION", "length", ReplyCategory.TRUNCATED),
        *(
            (name, "content_filter", ReplyCategory.REFUSED)
            for name in ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "ESCALATION")
        ),
        *(
            (name, name, ReplyCategory.BROKEN)
            for name in ("OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL")
        ),
        ("PUP_LIMITED_DISABLED", "PUP_LIMITED_DISABLED", ReplyCategory.BROKEN),
    ],
)
def test_each_finish_reason_of_gemini(reason: str, chat: str, expected: ReplyCategory | None) -> None:
    said = gemini(finish_reason=reason)
    assert (said.finish_reason, category(said)) == (chat, expected)


def test_a_reply_without_a_text_says_that_thinking_took_all_its_tokens() -> None:
    usage = {"candidatesTokenCount": 0, "thoughtsTokenCount": 500, "totalTokenCount": 511}
    cut = gemini(candidates=[{"finishReason": "MAX_TOKENS", "index": 0}], usageMetadata=usage)
    with pytest.raises(
        ReplyError, match=r"after 500 output tokens \(finish_reason 'length: MAX_TOKENS'\)\. All of them went into"
    ):
        parse_text(cut)


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "This could be used for harm."}
    with pytest.raises(ReplyError, match=r"The model refused: This could be used for harm\."):
        parse_text(anthropic(stop_reason="refusal", content=[], stop_details=details))
    with pytest.raises(ReplyError, match="The model refused: bio"):
        parse_text(anthropic(stop_reason="refusal", stop_details={**details, "explanation": None}))


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT"])
def test_a_prompt_that_was_blocked_is_refused_and_its_tokens_are_counted(reason: str) -> None:
    body = gemini_content("", candidates=[], promptFeedback={"blockReason": reason})
    body["usageMetadata"] = {"promptTokenCount": 11, "totalTokenCount": 11}
    for given in (body, {name: value for name, value in body.items() if name != "candidates"}):
        said = decode_reply(orjson.dumps(given), "gemini_generate_content")
        assert (category(said), said.usage) == (ReplyCategory.REFUSED, Usage(11, 0))


@pytest.mark.parametrize("wire_format", ["anthropic_messages", "gemini_generate_content"])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"content": 5}',
        b'{"candidates": [5]}',
        b'{"choices": [{"message": {}}]}',
    ],
)
def test_what_is_no_reply_of_its_format_says_so(wire_format: str, raw: bytes) -> None:
    with pytest.raises(ReplyError, match=r"The server's answer .* Expected a "):
        decode_reply(raw, wire_format)


ODD: list[Any] = [None, 0, 5, "", "text", {}, [], [5], [None], {"type": {}}, [{"type": {}}], {"texts": {}}, 2**70]


@pytest.mark.parametrize("value", ODD[:-1])
def test_no_value_in_any_field_keeps_a_reply_from_being_read(value: Any) -> None:
    message = anthropic_message("Hello.")
    for field in ("stop_reason", "stop_details", "usage", "model", "type"):
        decode_reply(orjson.dumps({**message, field: value}), "anthropic_messages")
    for block in (
        value,
        {"type": "text", "text": value},
        {"type": "tool_use", "input": value},
        {"type": "thinking", "thinking": value},
    ):
        decode_reply(orjson.dumps({**message, "content": [block]}), "anthropic_messages")
    content = gemini_content("Hello.")
    for field in ("usageMetadata", "modelVersion", "promptFeedback"):
        decode_reply(orjson.dumps({**content, field: value}), "gemini_generate_content")
    for candidate in (
        {"content": value},
        {"content": {"parts": value}},
        {"finishReason": value},
        {"content": {"parts": [value]}},
    ):
        decode_reply(orjson.dumps({**content, "candidates": [candidate]}), "gemini_generate_content")
    for part in (
        {"text": value},
        {"functionCall": value},
        {"functionCall": {"args": value}},
        {"text": "x", "thought": value},
    ):
        decode_reply(
            orjson.dumps({**content, "candidates": [{"content": {"parts": [part]}}]}), "gemini_generate_content"
        )


def empty_reply(wire: str, *, tokens: int, reason: str | None = None) -> bytes:
    """A reply without a text, with so many tokens in it and another reason for its end."""
    if wire == "anthropic_messages":
        made = anthropic_message("", content=[], usage={"input_tokens": 9, "output_tokens": tokens})
        return orjson.dumps({**made, "stop_reason": reason or "end_turn"})
    if wire == "gemini_generate_content":
        candidate = {"content": {"parts": []}, "finishReason": reason or "STOP"}
        counts = {"promptTokenCount": 9, "candidatesTokenCount": tokens, "totalTokenCount": 9 + tokens}
        return orjson.dumps(gemini_content("", candidates=[candidate], usageMetadata=counts))
    choice = {"message": {"content": None}, "finish_reason": reason or "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    return orjson.dumps({"choices": [choice], "usage": usage})


@pytest.mark.parametrize("wire", ["chat_completions", "anthropic_messages", "gemini_generate_content"])
def test_what_a_model_leaves_empty_is_a_reply_and_what_the_server_does_is_none(wire: str) -> None:
    assert decode_reply(empty_reply(wire, tokens=3), wire).text == ""
    assert decode_reply(empty_reply(wire, tokens=0, reason="max_tokens"), wire).text == ""
    with pytest.raises(ReplyError, match=r"^The server's answer is empty, and no tokens are counted for it\.$"):
        decode_reply(empty_reply(wire, tokens=0), wire)
    with pytest.raises(
        ReplyError, match=r"^The server broke the reply off before anything came \(finish_reason: overloaded\)"
    ):
        decode_reply(empty_reply(wire, tokens=3, reason="overloaded"), wire)
