"""Reads replies of Anthropic's Messages API.

Guarantee: decoding needs nothing but the recorded bytes. What the model thought is kept apart from what it answers; what it calls a tool
with is its answer, and what it wrote before that is not. Tokens read from and written to the prompt cache count as input, thinking as
output. Cost: one orjson parse.
Limits: blocks of tools that Anthropic runs itself are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datafast.llms.base import Completion
from datafast.llms.replies.body import MOST_TOKENS, answer_of, body_of, count_of, not_a_reply, text_of
from datafast.llms.replies.endings import chat_reason
from datafast.types import Usage

__all__ = ["decode_message"]

_EXPECTED = "a message with content"


def decode_message(raw: bytes) -> Completion:
    """Reads one recorded reply.

    Args:
        raw: a message as JSON, as the server sent it.

    Raises:
        ReplyError: category INVALID, if `raw` is not JSON or has no content.
    """
    data = body_of(raw, _EXPECTED)
    blocks = data.get("content")
    if not isinstance(blocks, list):
        raise not_a_reply(raw, "is JSON without content", _EXPECTED)
    texts, thoughts, calls = _parts(blocks)
    reason, native = chat_reason(text_of(data.get("stop_reason")))
    structured = answer_of(calls, cut=reason == "length")
    text = "" if calls else "".join(texts)
    usage = _usage(data.get("usage"), wrote=bool(text or structured or thoughts))
    model_id, refusal = text_of(data.get("model")), _refusal(data.get("stop_details"))
    # By place: names would double what it costs.
    return Completion(text, reason, usage, model_id, "\n\n".join(thoughts), refusal, structured, native)


def _parts(blocks: list[Any]) -> tuple[list[str], list[str], list[Any]]:
    """The texts, the thoughts, and what tools are called with."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Any] = []
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            texts.append(text_of(block.get("text")))
        elif kind == "thinking" and text_of(block.get("thinking")):
            thoughts.append(block["thinking"])
        elif kind == "tool_use" and block.get("input"):
            calls.append(block["input"])
    return texts, thoughts, calls


def _refusal(details: object) -> str:
    """Why the model refused, where the API says so."""
    if not isinstance(details, Mapping) or details.get("type") != "refusal":
        return ""
    return text_of(details.get("explanation")) or text_of(details.get("category"))


def _usage(value: object, *, wrote: bool) -> Usage | None:
    """What a reply says it used; None where it does not say, or where it cannot be so."""
    if not isinstance(value, dict):
        return None
    read, written = count_of(value, "cache_read_input_tokens"), count_of(value, "cache_creation_input_tokens")
    by_age = value.get("cache_creation")
    kept_long = count_of(by_age, "ephemeral_1h_input_tokens")
    written = max(written, kept_long + count_of(by_age, "ephemeral_5m_input_tokens"))
    given, output = count_of(value, "input_tokens") + read + written, count_of(value, "output_tokens")
    if not given or (wrote and not output) or max(given, output) > MOST_TOKENS:
        return None
    thought = count_of(value.get("output_tokens_details"), "thinking_tokens")
    return Usage(
        given,
        output,
        cached_tokens=read,
        reasoning_tokens=min(thought, output),
        cache_write_tokens=written,
        long_cache_write_tokens=kept_long,
    )
