"""Puts streamed replies of Anthropic's Messages API together.

A stream ends with `message_stop`. Deltas of kinds that are not known here are kept in their block too; what a tool is called with is kept
as a text where it is not whole JSON, as in a reply that was cut.
"""

from __future__ import annotations

from typing import Any

import orjson

from datafast.llms.streams.base import Pieces, StreamedReply, merge

__all__ = ["StreamedMessage"]


class StreamedMessage(StreamedReply):
    """A message as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, Pieces] = {}

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            self._continue(event)
        elif kind == "content_block_start":
            self.has_content = True
            if isinstance(block := event.get("content_block"), dict):
                self._blocks[_index(event)] = dict(block)
        elif kind == "message_start":
            if isinstance(message := event.get("message"), dict):
                self._message = dict(message)
                self._count(message.get("usage"))
        elif kind == "message_delta":
            if isinstance(delta := event.get("delta"), dict):
                self._message |= delta
            self._count(event.get("usage"))
        elif kind == "message_stop":
            self.is_ended = True

    def _continue(self, event: dict[str, Any]) -> None:
        delta, index = event.get("delta"), _index(event)
        if not isinstance(delta, dict):
            return
        kind = delta.get("type")
        block = self._blocks.setdefault(index, {})
        if kind == "input_json_delta":
            if isinstance(part := delta.get("partial_json"), str):
                self._inputs.setdefault(index, Pieces()).pieces.append(part)
        elif kind == "citations_delta":
            merge(block, {"citations": [delta.get("citation")]})
        else:
            merge(block, {name: value for name, value in delta.items() if name != "type"})

    def _count(self, usage: object) -> None:
        """Counts of later events are those of the whole message."""
        if isinstance(usage, dict):
            self._usage |= {
                name: value for name, value in usage.items() if value is not None or name not in self._usage
            }

    def _assembled(self) -> dict[str, Any]:
        blocks = dict(self._blocks)
        for index, pieces in self._inputs.items():
            if text := str(pieces):
                blocks[index] = {**blocks[index], "input": _as_value(text)}
        content = [block for _, block in sorted(blocks.items())]
        usage = {"usage": self._usage} if self._usage else {}
        return {**self._message, "content": content, **usage}


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    return index if type(index) is int else 0


def _as_value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
