"""Reads and writes chat completions as JSON in OpenAI's shape, the usual wire format of recorded replies.

Guarantee: decoding needs only the recorded bytes, so a reply can be read again years later, without its provider.
Anything else than a chat completion raises `ReplyError`, which says what came instead. Cost: one orjson parse (about
2 us for a short reply).
Limits: only the first of several choices is read; images, audio and tool calls are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.base import Completion
from datafast.types import Usage

__all__ = ["decode_completion", "encode_completion"]

# The names that servers and gateways have for the same reasons.
_FINISH_REASONS = {
    "content-filter": "content_filter",
    "max_output_tokens": "length",
    "max_tokens": "length",
    "model_length": "length",
    "refusal": "content_filter",
    "safety": "content_filter",
}
_SHOWN_CHARS = 200
_PLAIN_USAGE = 3  # prompt_tokens, completion_tokens and their total


def decode_completion(raw: bytes) -> Completion:
    """Reads one recorded reply.

    Args:
        raw: a chat completion as JSON, as a server sent it.

    Raises:
        ReplyError: category INVALID, if `raw` is not JSON or has no choice.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _not_a_completion(raw, f"is not JSON ({error})") from error
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _not_a_completion(raw, "is JSON without a choice")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _not_a_completion(raw, "has a choice without a message")
    text, parts_refusal = _content(message.get("content"))
    return Completion(
        text=text,
        finish_reason=_finish_reason(choice.get("finish_reason")),
        usage=_usage(data.get("usage")),
        model_id=_text(data.get("model")),
        reasoning=_text(message.get("reasoning_content")) or _text(message.get("reasoning")),
        refusal=_text(message.get("refusal")) or parts_refusal,
    )


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


def _not_a_completion(raw: bytes, what: str) -> ReplyError:
    shown = raw[:_SHOWN_CHARS].decode("utf-8", errors="replace")
    more = "..." if len(raw) > _SHOWN_CHARS else "."
    return ReplyError(
        f"The server's answer {what}. Expected a chat completion with choices[0].message. It begins with {shown!r}{more}",
        category=ReplyCategory.INVALID,
    )


def _content(content: object) -> tuple[str, str]:
    """The text and the refusal in a message's content, which is null, a string, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        return "", ""
    texts, refusals = [], []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            # Parts of other types (reasoning, sources) have no answer under these names.
            texts.append(_text(part.get("text")) if part.get("type", "text") in {"text", "output_text"} else "")
            refusals.append(_text(part.get("refusal")))
    return "".join(texts), "".join(refusals)


def _finish_reason(value: object) -> str:
    if not isinstance(value, str):
        return ""
    reason = value.lower()
    return _FINISH_REASONS.get(reason, reason)


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    given, written = value.get("prompt_tokens"), value.get("completion_tokens")
    if type(given) is int and type(written) is int and given >= 0 and written >= 0 and len(value) == _PLAIN_USAGE:
        return Usage(given, written)  # as of nearly every server, without details
    counts = (_count(value.get("prompt_tokens")), _count(value.get("completion_tokens")))
    if counts[0] is None and counts[1] is None:
        return None
    return Usage(
        input_tokens=counts[0] or 0,
        output_tokens=counts[1] or 0,
        cached_tokens=_detail(value.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_detail(value.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _detail(details: object, name: str) -> int:
    return (_count(details.get(name)) or 0) if isinstance(details, dict) else 0


def _count(value: object) -> int | None:
    """A token count; None for anything else (some servers send null, floats or strings)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return max(0, int(value))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
