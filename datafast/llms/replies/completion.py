"""Reads and writes chat completions as JSON in OpenAI's shape, the usual wire format of recorded replies.

Guarantee: decoding needs nothing but the recorded bytes, so a reply can be read again years later, without its
provider. Whatever is not a chat completion raises `ReplyError`, saying what came instead. A byte order mark, NaN or
Infinity beside the answer and half a surrogate pair in it (read as U+FFFD) keep no reply from being read. What a server
says it used is believed where it can be true; zero tokens beside a text are not. Cost: one orjson parse (about 2 us for
a short reply).
Limits: of several choices the first is read; images and audio are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from datafast.llms.base import Completion
from datafast.llms.replies.body import (
    MOST_TOKENS,
    as_json,
    body_of,
    count_of,
    first_of,
    left_open,
    not_a_reply,
    text_of,
)
from datafast.llms.replies.endings import Ending, ending_of
from datafast.types import Usage

__all__ = ["decode_completion", "encode_completion"]

_EXPECTED = "a chat completion with choices[0].message"
_PLAIN_USAGE = 3  # prompt_tokens, completion_tokens and their total
_USAGE_OF_OPENAI = 5  # and the details of both


def decode_completion(raw: bytes) -> Completion:
    """Reads one recorded reply.

    Args:
        raw: a chat completion as JSON, as a server sent it.

    Raises:
        ReplyError: category INVALID, if `raw` is not JSON or has no choice.
    """
    data = body_of(raw, _EXPECTED)
    choice = first_of(data.get("choices"))
    if choice is None:
        raise not_a_reply(raw, "is JSON without a choice", _EXPECTED)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise not_a_reply(raw, "has a choice without a message", _EXPECTED)
    text, parts_refusal, parts_reasoning = _content(message.get("content"))
    reason, native = text_of(choice.get("finish_reason")), _native_reason(choice)
    structured = "" if text.strip() else _structured(message, cut=ending_of(reason, native) is Ending.TRUNCATED)
    reasoning = text_of(message.get("reasoning_content")) or text_of(message.get("reasoning")) or parts_reasoning
    usage = _usage(data.get("usage"), wrote=bool(text or structured or reasoning))
    model_id, refusal = text_of(data.get("model")), text_of(message.get("refusal")) or parts_refusal
    # By place: names would double what it costs.
    return Completion(text, reason, usage, model_id, reasoning, refusal, structured, native)


def encode_completion(
    text: str | None,
    *,
    model: str,
    usage: Usage | None = None,
    finish_reason: str = "stop",
    reasoning: str = "",
    refusal: str = "",
    completion_id: str = "",
) -> bytes:
    """Writes one reply as the JSON that `decode_completion` reads. `usage=None` leaves the usage out."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if reasoning:
        message["reasoning_content"] = reasoning
    if refusal:
        message["refusal"] = refusal
    data: dict[str, Any] = {
        "id": completion_id,
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
    }
    if usage is not None:
        data["usage"] = {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        }
    return orjson.dumps(data)


def _content(content: object) -> tuple[str, str, str]:
    """The text, the refusal and the reasoning of a message's content: null, a string, a part, or a list of parts."""
    if isinstance(content, str):
        return content, "", ""
    if isinstance(content, Mapping) and isinstance(content.get("type"), str):
        content = [content]
    if not isinstance(content, list):
        return "", "", ""
    texts, refusals, thoughts = [], [], []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            # Parts of other types (a model's thinking, sources) carry no answer text under these names.
            texts.append(text_of(part.get("text")) if part.get("type", "text") in ("text", "output_text") else "")
            refusals.append(text_of(part.get("refusal")))
            if part.get("type") == "thinking":
                thoughts.append(_thinking(part.get("thinking")))
    return "".join(texts), "".join(refusals), "\n\n".join(filter(None, thoughts))


def _thinking(value: object) -> str:
    """What a part of the type `thinking` holds: Anthropic's a text, Mistral's a list of texts."""
    if isinstance(value, list):
        return "".join(text_of(part.get("text")) for part in value if isinstance(part, Mapping))
    return text_of(value)


def _structured(message: Mapping[str, Any], *, cut: bool) -> str:
    """An object that was answered as one: as the content itself, or as what a tool is called with. Several stand below each other.

    Args:
        cut: the model was cut off.
    """
    content = message.get("content")
    if isinstance(content, Mapping) and content:
        return left_open(as_json(content)) if cut else as_json(content)
    calls = message.get("tool_calls")
    calls = calls if isinstance(calls, list) else [{"function": message.get("function_call")}]
    functions = [call.get("function") for call in calls if isinstance(call, Mapping)]
    given = [function.get("arguments") for function in functions if isinstance(function, Mapping)]
    answers = [value if isinstance(value, str) else as_json(value) for value in given if value]
    return "\n".join([*answers[:-1], left_open(answers[-1])] if cut and answers else answers)


def _native_reason(choice: Mapping[str, Any]) -> str:
    """Why the model's own server says that the reply ended, where a gateway hands it on: OpenRouter in the choice, litellm below it."""
    if (native := choice.get("native_finish_reason")) is None:
        below = choice.get("provider_specific_fields")
        native = below.get("native_finish_reason") if isinstance(below, dict) else None
    return text_of(native)


def _usage(value: object, *, wrote: bool) -> Usage | None:
    """What a reply says it used; None where it does not say, or where it cannot be so: no tokens of a prompt, or none of a reply that
    is there.

    Args:
        wrote: whether there is any text.
    """
    if not isinstance(value, dict):
        return None
    given, written, total = value.get("prompt_tokens"), value.get("completion_tokens"), value.get("total_tokens")
    if (
        type(given) is int
        and type(written) is int
        and total == given + written
        and 0 < given < MOST_TOKENS
        and 0 < written < MOST_TOKENS
    ):
        if len(value) == _PLAIN_USAGE:
            return Usage(given, written)  # most servers': no details
        if len(value) == _USAGE_OF_OPENAI and (usage := _usage_of_openai(value, given, written)) is not None:
            return usage
    return _detailed_usage(value, wrote=wrote)


def _usage_of_openai(value: Mapping[str, Any], given: int, written: int) -> Usage | None:
    """What `_detailed_usage` says of counts with these two details and nothing else, in an eighth of the time; None where it may differ."""
    of_prompt, of_reply = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    if type(of_prompt) is not dict or type(of_reply) is not dict:
        return None
    cached, kept = of_prompt.get("cached_tokens", 0), of_prompt.get("cache_write_tokens", 0)
    thought = of_reply.get("reasoning_tokens", 0)
    if not type(cached) is type(kept) is type(thought) is int:
        return None
    if not (0 <= cached <= given and 0 <= kept <= given - cached and 0 <= thought <= written):
        return None
    return Usage(given, written, cached, thought, kept)


def _detailed_usage(value: Mapping[str, Any], *, wrote: bool) -> Usage | None:
    given = count_of(value, "prompt_tokens", "input_tokens")
    of_prompt, apart = value.get("prompt_tokens_details"), count_of(value, "cache_read_input_tokens")
    kept = count_of(of_prompt, "cache_write_tokens") or count_of(value, "cache_creation_input_tokens")
    if "prompt_tokens" not in value:  # Anthropic's own count, handed on: what a cache holds is not in it
        given += apart + kept
    written = count_of(value, "completion_tokens", "output_tokens")
    details = value.get("completion_tokens_details") or value.get("output_tokens_details")
    thought = count_of(details, "reasoning_tokens") or count_of(value, "reasoning_tokens")
    # Reasoning is part of the completion, or beside it and in the total alone. More of it than of the completion is beside it.
    beside = written + thought if thought > written else 0
    output = max(written, count_of(value, "total_tokens") - given, beside)
    if not given or (wrote and not output) or max(given, output) > MOST_TOKENS:
        return None
    cached = count_of(of_prompt, "cached_tokens") or count_of(value, "prompt_cache_hit_tokens") or apart
    cached = min(cached, given)
    return Usage(given, output, cached, min(thought, output), cache_write_tokens=min(kept, given - cached))
