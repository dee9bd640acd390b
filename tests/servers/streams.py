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
    if "choices" in reply:
        made = _of_completion(reply, asked or {})
    else:
        made = _of_message(reply) if reply.get("type") == "message" else _of_content(reply)
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
    if filtered := fields.pop("prompt_filter_results", None):  # Azure's first event, which is about the prompt
        yield "", {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": filtered}
    for choice in reply["choices"]:
        place = {"index": choice["index"], "logprobs": None, "finish_reason": None}
        place |= {name: choice[name] for name in ("content_filter_results",) if name in choice}
        message = choice["message"]
        begins = {"role": "assistant", "content": ""}
        begins |= {name: message[name] for name in ("refusal", "annotations") if name in message and not message[name]}
        yield "", {**fields, "choices": [{**place, "delta": begins}]}
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


def _of_message(reply: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    def event(kind: str, **fields: Any) -> tuple[str, Any]:
        return kind, {"type": kind, **fields}

    ended = {name: reply[name] for name in ("stop_reason", "stop_sequence", "stop_details") if name in reply}
    usage = {**reply["usage"], "output_tokens": 1}
    yield event("message_start", message={**reply, **dict.fromkeys(ended), "content": [], "usage": usage})
    yield event("ping")
    for index, block in enumerate(reply["content"]):
        begins, deltas = _of_block(block)
        yield event("content_block_start", index=index, content_block=begins)
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    counted = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    usage = {name: reply["usage"][name] for name in counted if name in reply["usage"]}
    yield event("message_delta", delta=ended, usage=usage)
    yield event("message_stop")


def _of_block(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a block begins, and the deltas that continue it."""
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
    if block["type"] == "tool_use":
        pieces = ["", *_pieces(json.dumps(block["input"]))]
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*deltas, signed]
    return dict(block), []


def _of_content(reply: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    always = {name: value for name, value in reply.items() if name not in {"candidates", "usageMetadata"}}
    counted = {name: value for name, value in reply["usageMetadata"].items() if name == "promptTokenCount"}
    for candidate in reply.get("candidates", ()):
        place = {"index": candidate["index"]}
        for part in candidate["content"]["parts"]:
            for piece in _of_part(part):
                content = {**candidate["content"], "parts": [piece]}
                yield "", {"candidates": [{"content": content, **place}], "usageMetadata": counted, **always}
        ended = {name: value for name, value in candidate.items() if name != "content"}
        last = {"candidates": [{"content": {"role": "model"}, **ended}], "usageMetadata": counted, **always}
        yield (
            "",
            last if candidate is not reply["candidates"][-1] else {**last, "usageMetadata": reply["usageMetadata"]},
        )
    if not reply.get("candidates"):
        yield "", reply


def _of_part(part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if not part.get("text"):
        return [part]
    pieces: list[Mapping[str, Any]] = [
        {name: value for name, value in part.items() if name != "thoughtSignature"} | {"text": piece}
        for piece in _pieces(part["text"])
    ]
    signed = {"thoughtSignature": part["thoughtSignature"]} if "thoughtSignature" in part else {}
    return [*pieces[:-1], {**pieces[-1], **signed}]
