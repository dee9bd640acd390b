"""Replies as the servers of each wire format stream them, as their documentation says it.

`events_of` cuts a whole reply into the events that make it up; `as_bytes` writes them with any line ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["as_bytes", "events_of"]

_PIECE = 7  # characters
_TEXTS = ("reasoning_content", "reasoning", "refusal", "content")


def events_of(reply: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """The name and the data of each event in which a reply comes.

    Args:
        asked: the request, where it matters what it asks for.
    """
    made = _of_completion(reply, asked or {})
    return [(name, data if isinstance(data, str) else json.dumps(data)) for name, data in made]


def as_bytes(events: list[tuple[str, str]], *, end: str = "\n") -> bytes:
    lines = []
    for name, data in events:
        lines += [f"event: {name}"] if name else []
        lines += [f"data: {part}" for part in data.split("\n")]
        lines.append("")
    return "".join(line + end for line in lines).encode()


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def _of_completion(reply: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    fields = {name: value for name, value in reply.items() if name not in {"choices", "usage"}}
    fields |= {"object": "chat.completion.chunk"}
    counts = bool((asked.get("stream_options") or {}).get("include_usage"))
    fields |= {"usage": None} if counts else {}
    for choice in reply["choices"]:
        place = {"index": choice["index"], "logprobs": None, "finish_reason": None}
        yield "", {**fields, "choices": [{**place, "delta": {"role": "assistant", "content": ""}}]}
        for delta in _deltas(choice["message"]):
            yield "", {**fields, "choices": [{**place, "delta": delta}]}
        yield "", {**fields, "choices": [{**place, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    if counts and "usage" in reply:
        yield "", {**fields, "choices": [], "usage": reply["usage"]}
    yield "", "[DONE]"


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in _TEXTS:
        value = message.get(name)
        for piece in _pieces(value) if isinstance(value, str) else ():
            yield {name: piece}
        for part in value if isinstance(value, list) else ():
            for piece in _pieces(part["text"]):
                yield {name: [{**part, "text": piece}]}
    for number, call in enumerate(message.get("tool_calls", ())):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield {"tool_calls": [{"index": number, **call, "function": function}]}
        for piece in _pieces(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
