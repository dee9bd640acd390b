"""Streamed replies: put together, they are what the server answers without streaming, however the bytes are cut."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.llms.base import Completion
from datafast.llms.replies.formats import decode_reply
from datafast.llms.streams.base import StreamedReply
from datafast.llms.streams.formats import STREAMED
from tests.servers.streams import as_bytes, events_of
from tests.servers.vendors import anthropic_message, gemini_content

TEXT = st.text(max_size=40)
SURE = st.text(min_size=1, max_size=40)


def read(wire: str, *pieces: bytes) -> StreamedReply:
    reply = STREAMED[wire]()
    for piece in pieces:
        reply.feed(piece)
    reply.finish()
    return reply


def stream(*events: Any, done: bool = True) -> bytes:
    written = [("", json.dumps(event)) for event in events]
    return as_bytes(written + ([("", "[DONE]")] if done else []))


def chunk(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}


def completion_of(*events: Any, done: bool = True) -> Completion:
    reply = read("chat_completions", stream(*events, done=done))
    assert reply.is_whole
    return decode_reply(reply.assembled(), "chat_completions")


@st.composite
def completions(draw: st.DrawFn) -> dict[str, Any]:
    """Whole chat completions, with every field of a message that is read."""
    choices = []
    for index in range(draw(st.integers(1, 3))):
        parts = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": SURE}), min_size=1, max_size=1)
        message: dict[str, Any] = {"role": "assistant", "content": draw(TEXT | parts)}
        for name in ("reasoning_content", "reasoning", "refusal"):
            if draw(st.booleans()):
                message[name] = draw(SURE)
        if calls := draw(st.lists(st.tuples(SURE, SURE), max_size=2)):
            message["tool_calls"] = [
                {"id": f"call-{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for number, (name, arguments) in enumerate(calls)
            ]
        choices.append({"index": index, "message": message, "finish_reason": draw(st.sampled_from(["stop", "length"]))})
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Whole messages of Anthropic, with every block that is read and one that is not."""
    kinds = {
        "text": st.fixed_dictionaries({"text": TEXT}),
        "thinking": st.fixed_dictionaries({"thinking": TEXT, "signature": TEXT}),
        "redacted_thinking": st.fixed_dictionaries({"data": TEXT}),
        "tool_use": st.fixed_dictionaries({"id": SURE, "name": SURE, "input": st.dictionaries(TEXT, TEXT, max_size=3)}),
    }
    names = draw(st.lists(st.sampled_from(sorted(kinds)), max_size=4))
    blocks = [{"type": name, **draw(kinds[name])} for name in names]
    reason = draw(st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal"]))
    details = {"type": "refusal", "explanation": draw(TEXT)} if reason == "refusal" else None
    return anthropic_message("", model="m", stop_reason=reason, content=blocks, stop_details=details)


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """Whole replies of Gemini: candidates, each with thoughts, a text and a call, or a prompt that was blocked."""
    if draw(st.integers(0, 5)) == 0:
        return {
            key: value
            for key, value in gemini_content("", promptFeedback={"blockReason": "SAFETY"}).items()
            if key != "candidates"
        }
    candidates = []
    for index in range(draw(st.integers(1, 2))):
        parts: list[dict[str, Any]] = []
        parts += [{"text": draw(SURE), "thought": True}] if draw(st.booleans()) else []
        parts += [{"text": draw(SURE)}]
        parts += [{"functionCall": {"name": "f", "args": {"a": draw(TEXT)}}}] if draw(st.booleans()) else []
        if draw(st.booleans()):
            parts[-1]["thoughtSignature"] = draw(SURE)
        reason = draw(st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY"]))
        content = {"role": "model", "parts": parts}
        candidates.append({"content": content, "finishReason": reason, "index": index})
    return gemini_content("", candidates=candidates)


WHOLE = {"anthropic_messages": messages(), "chat_completions": completions(), "gemini_generate_content": contents()}


@pytest.mark.parametrize("wire", WHOLE)
@given(data=st.data())
def test_any_cut_of_the_bytes_gives_the_reply_that_is_not_streamed(wire: str, data: st.DataObject) -> None:
    whole = data.draw(WHOLE[wire])
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    streamed = as_bytes(events_of(whole, {"stream_options": {"include_usage": True}}), end=end)
    if data.draw(st.booleans()):
        streamed = b"\xef\xbb\xbf: hello" + 2 * end.encode() + streamed
    places = sorted({0, len(streamed), *data.draw(st.lists(st.integers(0, len(streamed)), max_size=12))})
    reply = read(wire, *(streamed[start:end_] for start, end_ in itertools.pairwise(places)))
    assert reply.is_whole
    assert json.loads(reply.assembled()) == whole
    assert decode_reply(reply.assembled(), wire) == decode_reply(json.dumps(whole).encode(), wire)


@pytest.mark.parametrize("wire", WHOLE)
@given(data=st.data())
def test_what_is_cut_before_its_end_mark_is_never_a_reply(wire: str, data: st.DataObject) -> None:
    whole = data.draw(WHOLE[wire])
    streamed = as_bytes(events_of(whole))
    end = streamed.find(_ENDED[wire])
    reply = read(wire, streamed[: data.draw(st.integers(0, end))])
    assert not reply.is_whole
    assert reply.lack


_ENDED = {
    "anthropic_messages": b'"type": "message_stop"',
    "chat_completions": b'"finish_reason": "',
    "gemini_generate_content": b'Reason": "',
}


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "delta", "message", "content", "tool_calls", "function", "index", "id", "type", "error", "usage",
                         "logprobs", "arguments", "text", "candidates", "parts", "content_block", "partial_json", "finish_reason"]),
        inner, max_size=4)
), max_leaves=12)  # fmt: skip


@pytest.mark.parametrize("wire", STREAMED)
@given(events=st.lists(JSON, max_size=5))
def test_no_event_whatever_it_holds_raises(wire: str, events: list[Any]) -> None:
    reply = read(wire, stream(*events))
    if reply.is_whole:
        assert isinstance(json.loads(reply.assembled()), dict)


def test_halves_of_a_surrogate_pair_in_two_events_are_one_character() -> None:
    halves = b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\ndata: {"choices":[{"delta":{"content":"\\ude42"}}]}\n\n'
    reply = read("chat_completions", halves + b"data: [DONE]\n\n")
    assert decode_reply(reply.assembled(), "chat_completions").text == "🙂"
    half = read("chat_completions", halves.partition(b"\n\n")[0] + b"\n\ndata: [DONE]\n\n")
    assert decode_reply(half.assembled(), "chat_completions").text == "\ufffd"


def test_events_without_empty_lines_between_them_are_read() -> None:
    one, two = json.dumps(chunk({"content": "a"})), json.dumps(chunk({"content": "b"}, "stop"))
    reply = read("chat_completions", f"data: {one}\ndata: {two}\ndata: [DONE]\n".encode())
    assert decode_reply(reply.assembled(), "chat_completions").text == "ab"


def test_an_event_that_cannot_be_read_is_not_left_out() -> None:
    good = stream(chunk({"content": "a"}), done=False)
    reply = read("chat_completions", good + b"data: not JSON\n\n" + good + b"data: [DONE]\n\n")
    assert not reply.is_whole
    assert "cannot be read: not JSON" in reply.lack


def test_calls_without_numbers_are_told_apart_by_their_ids() -> None:
    def call(arguments: str, **fields: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [{"function": {"arguments": arguments}, **fields}]})

    found = completion_of(call('{"a"', id="1"), call(": 1}"), call('{"b": 2}', id="2"))
    assert found.structured == '{"a": 1}\n{"b": 2}'


def test_a_server_that_repeats_names_and_ids_in_each_event_gives_them_once() -> None:
    def call(arguments: str) -> dict[str, Any]:
        function = {"name": "answer", "arguments": arguments}
        return chunk(
            {"role": "assistant", "tool_calls": [{"index": 0, "id": "1", "type": "function", "function": function}]}
        )

    reply = read("chat_completions", stream(call('{"a":'), call(" 1}")))
    (held,) = json.loads(reply.assembled())["choices"][0]["message"]["tool_calls"]
    assert held == {"id": "1", "type": "function", "function": {"name": "answer", "arguments": '{"a": 1}'}}


def test_texts_and_parts_of_a_content_in_one_stream_stay_in_order() -> None:
    thought = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}
    more = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "m."}]}]}
    reply = read(
        "chat_completions",
        stream(chunk(thought), chunk(more), chunk({"content": "a"}), chunk({"content": "b"}, "stop")),
    )
    content = json.loads(reply.assembled())["choices"][0]["message"]["content"]
    assert content == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}]},
        {"type": "text", "text": "ab"},
    ]


def test_a_whole_message_at_the_end_stands_in_the_place_of_its_pieces() -> None:
    whole = {
        "choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}],
        "base_resp": {"status_code": 0},
    }
    assert completion_of(chunk({"content": "a"}), whole, done=False).text == "a"


def test_the_newest_usage_counts_wherever_it_comes() -> None:
    def counted(written: int) -> dict[str, Any]:
        return {"usage": {"prompt_tokens": 3, "completion_tokens": written, "total_tokens": 3 + written}}

    found = completion_of(
        chunk({"content": "a"}) | counted(1), chunk({}, "stop") | counted(2), {"choices": None, **counted(5)}
    )
    assert found.usage is not None
    assert found.usage.output_tokens == 5


def test_without_done_each_choice_must_have_finished() -> None:
    first, second = chunk({"content": "a"}, "stop"), chunk({"content": "b"}, index=1)
    assert not read("chat_completions", stream(first, second, done=False)).is_whole
    assert read("chat_completions", stream(first, second, chunk({}, "stop", 1), done=False)).is_whole


def test_what_comes_behind_the_end_mark_does_not_count() -> None:
    reply = read("chat_completions", stream(chunk({"content": "a"}, "stop")) + stream(chunk({"content": "b"})))
    assert decode_reply(reply.assembled(), "chat_completions").text == "a"


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"message": "no", "code": 502}, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]},
        {"error": {"message": "no", "type": "overloaded_error"}},
        {"object": "error", "message": "no", "type": "BadRequestError", "code": 400},
        {"choices": [{"index": 0, "delta": {}, "error": {"message": "no", "code": 429}}]},
        {"base_resp": {"status_code": 1002, "status_msg": "no"}},
    ],
)  # fmt: skip
def test_an_error_in_the_stream_is_no_reply(event: dict[str, Any]) -> None:
    reply = read("chat_completions", stream(chunk({"content": "a"}), event, chunk({}, "stop")))
    assert reply.error is not None
    assert "no" in str(json.loads(reply.error))


def test_an_error_field_that_holds_none_is_not_an_error() -> None:
    assert completion_of({"error": None, **chunk({"content": "a"}, "stop")}).text == "a"


def test_what_a_tool_is_called_with_is_kept_where_a_reply_was_cut() -> None:
    call = {"type": "tool_use", "id": "1", "name": "answer", "input": {}}
    whole = read(
        "anthropic_messages",
        stream(
            {"type": "message_start", "message": anthropic_message("", content=[])},
            {"type": "content_block_start", "index": 0, "content_block": call},
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "input_json_delta", "partial_json": '{"a": "b'},
            },
            {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
            {"type": "message_stop"},
            done=False,
        ),
    )
    found = decode_reply(whole.assembled(), "anthropic_messages")
    assert found.finish_reason == "length"
    assert "a" in found.structured


def test_deltas_of_an_unknown_kind_are_kept() -> None:
    reply = read(
        "anthropic_messages",
        stream(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "new", "words": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta", "words": "a"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta", "words": "b"}},
            {"type": "an_event_of_tomorrow", "words": "c"},
            {"type": "message_stop"},
            done=False,
        ),
    )
    assert json.loads(reply.assembled())["content"] == [{"type": "new", "words": "ab"}]


def test_citations_are_gathered() -> None:
    deltas = [{"type": "citations_delta", "citation": {"cited_text": text}} for text in ("a", "b")]
    events = [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    begins = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "", "citations": []}}
    reply = read("anthropic_messages", stream(begins, *events, {"type": "message_stop"}, done=False))
    (block,) = json.loads(reply.assembled())["content"]
    assert [citation["cited_text"] for citation in block["citations"]] == ["a", "b"]


def test_an_error_with_half_a_surrogate_pair_is_one_too() -> None:
    reply = read("chat_completions", b'data: {"error": {"message": "\\ud83d", "code": 429}}\n\n')
    assert reply.error is not None
    assert json.loads(reply.error)["error"]["code"] == 429


@pytest.mark.parametrize("levels", [900, 950, 1000, 1015])
@pytest.mark.parametrize("wire", STREAMED)
def test_what_is_nested_too_deep_is_no_reply_and_raises_nothing(wire: str, levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    event = f'{{"type":"message_start","message":{deep},"choices":[{{"delta":{deep},"finish_reason":"stop"}}],"candidates":[{deep}]}}'
    reply = read(wire, f"data: {event}\n\ndata: {event}\n\ndata: [DONE]\n\n".encode())
    assert reply.is_whole
    reply.assembled()


def test_more_choices_than_any_server_gives_are_no_reply() -> None:
    reply = read("chat_completions", stream(*(chunk({"content": "a"}, "stop", index) for index in range(300))))
    assert not reply.is_whole
    assert "more choices" in reply.lack


def test_an_event_of_very_many_lines_is_no_reply() -> None:
    reply = read(
        "chat_completions", stream(chunk({"content": "a"}, "stop"), done=False) + b"data:1\n" * 100_001 + b"\n"
    )
    assert not reply.is_whole


def test_many_calls_are_kept_apart() -> None:
    calls = [{"tool_calls": [{"index": number, "function": {"arguments": str(number)}}]} for number in range(2_000)]
    assert completion_of(*map(chunk, calls)).structured == "\n".join(map(str, range(2_000)))
