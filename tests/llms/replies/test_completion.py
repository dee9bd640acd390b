"""Chat completions as servers send them: what is read, and what is believed of their usage."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from datafast.errors import ReplyError
from datafast.llms.replies.completion import decode_completion
from datafast.llms.replies.parse import parse_reply, parse_text
from datafast.llms.schema import ResponseSchema
from datafast.types import Usage


class Texts(BaseModel):
    texts: list[str]


TEXTS = ResponseSchema.of(Texts)
GOOD = '{"texts": ["one"]}'


def envelope(message: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], **fields}).encode()


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}, Usage(100, 50)),
        ({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 2959}, Usage(100, 2859)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 2959,
                "completion_tokens_details": {"reasoning_tokens": 2809},
            },
            Usage(100, 2859, reasoning_tokens=2809),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 50,
                "total_tokens": 59,
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(9, 50, reasoning_tokens=40),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 5, "reasoning_tokens": 40}, Usage(9, 45, reasoning_tokens=40)),
        ({"input_tokens": 9, "output_tokens": 5}, Usage(9, 5)),
        (
            {"input_tokens": 9, "output_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20},
            Usage(129, 5, cached_tokens=100, cache_write_tokens=20),
        ),
        (
            {
                "prompt_tokens": 129,
                "completion_tokens": 5,
                "total_tokens": 134,
                "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
            },
            Usage(129, 5, cached_tokens=100, cache_write_tokens=20),
        ),
        (
            {
                "prompt_tokens": 129,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 120, "cache_write_tokens": 20},
            },
            Usage(129, 5, cached_tokens=120, cache_write_tokens=9),
        ),
        (
            {"prompt_tokens": 129, "completion_tokens": 5, "total_tokens": 134, "cache_read_input_tokens": 100},
            Usage(129, 5, cached_tokens=100),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 14,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
            Usage(9, 5, cached_tokens=4),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}, None),
        ({"prompt_tokens": 9, "completion_tokens": 2**70}, None),
        ({"prompt_tokens": float("nan"), "completion_tokens": 5}, None),
        ({"prompt_tokens": True, "completion_tokens": "5"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_is_what_can_be_true(usage: object, expected: Usage | None) -> None:
    assert decode_completion(envelope({"content": "x"}, usage=usage)).usage == expected


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\xef\xbb\xbf" + envelope({"content": GOOD}), id="byte order mark"),
        pytest.param(envelope({"content": GOOD}, logprob=float("nan")), id="NaN"),
        pytest.param(envelope({"content": GOOD}, logprob=float("-inf")), id="Infinity"),
        pytest.param(envelope({"content": '{"texts": "[\\"one\\"]"}'}), id="a list as a text"),
        pytest.param(envelope({"content": json.dumps(GOOD)}), id="an object as a text"),
        pytest.param(envelope({"content": {"texts": ["one"]}}), id="content as an object"),
        pytest.param(envelope({"content": {"type": "text", "text": GOOD}}), id="content as one part"),
        pytest.param(envelope({"content": [{"type": {}}, {"type": "text", "text": GOOD}]}), id="a part of no type"),
        pytest.param(envelope({"content": None, "tool_calls": [{"function": {"name": "f", "arguments": GOOD}}]}), id="a tool call"),
        pytest.param(envelope({"tool_calls": [{"function": {"arguments": {"texts": ["one"]}}}]}), id="arguments as an object"),
        pytest.param(envelope({"content": "", "function_call": {"arguments": GOOD}}), id="a function call"),
    ],
)  # fmt: skip
def test_an_answer_is_understood_wherever_it_stands(raw: bytes) -> None:
    assert parse_reply(decode_completion(raw), TEXTS) == Texts(texts=["one"])


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    raw = envelope({"content": "x"}).replace(b'"x"', b'"a \\ud83d b \\ud83d\\ude00"')
    assert parse_text(decode_completion(raw)) == "a \ufffd b \U0001f600"


def test_a_tool_call_is_no_text() -> None:
    raw = envelope({"content": None, "tool_calls": [{"function": {"name": "f", "arguments": GOOD}}]})
    with pytest.raises(ReplyError):
        parse_text(decode_completion(raw))


def test_a_list_as_a_text_is_read_only_where_a_list_is_asked_for() -> None:
    class Line(BaseModel):
        text: str

    said = '{"text": "[1, 2]"}'
    assert parse_reply(decode_completion(envelope({"content": said})), ResponseSchema.of(Line)) == Line(text="[1, 2]")


@pytest.mark.parametrize(
    "content",
    [{"type": {}}, [[]], 5, {"texts": [[[]]]}, [{"type": "text", "text": {}}], {"a": {"b": 1}}, [None]],
)
def test_no_content_raises_anything_but_a_reply_error(content: object) -> None:
    completion = decode_completion(orjson.dumps({"choices": [{"message": {"content": content}, "finish_reason": []}]}))
    with pytest.raises(ReplyError):
        parse_reply(completion, TEXTS)


_COUNTS = st.one_of(
    st.integers(-3, 12), st.none(), st.booleans(), st.floats(0, 12), st.text(max_size=2), st.just(2**40)
)
_OF_PROMPT = st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens"]), _COUNTS)
_OF_REPLY = st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens"]), _COUNTS)


@given(
    counts=st.tuples(st.integers(-1, 12), st.integers(-1, 12), st.integers(0, 2)),
    of_prompt=_OF_PROMPT | st.none(),
    of_reply=_OF_REPLY | st.just([]),
    text=st.sampled_from(["", "a text"]),
)
def test_a_usage_says_the_same_whatever_stands_beside_it(
    counts: tuple[int, int, int], of_prompt: Any, of_reply: Any, text: str
) -> None:
    """What most servers send is read in a quicker way than what has anything else in it."""
    usage = {
        "prompt_tokens": counts[0],
        "completion_tokens": counts[1],
        "total_tokens": sum(counts),
        "prompt_tokens_details": of_prompt,
        "completion_tokens_details": of_reply,
    }
    message = {"content": text}
    quick, slow = (
        decode_completion(envelope(message, usage={**usage, **more})).usage for more in ({}, {"queue_time": 0.1})
    )
    assert quick == slow
