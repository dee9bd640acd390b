"""Puts streamed chat completions together.

A stream ends with `[DONE]`, or, as some servers leave that out, when each of its choices has a reason why it finished. Whatever stands in a
choice's deltas is kept, read by us or not; a choice with a whole message, as some servers send it at the end, counts as it is.
"""

from __future__ import annotations

from typing import Any

from datafast.llms.streams.base import Pieces, StreamedReply, differ, merge, written
from datafast.llms.transport.error_body import error_within

__all__ = ["StreamedCompletion"]

_OF_CHUNKS = frozenset({"object", "obfuscation", "usage"})
_OF_DELTAS = frozenset({"index", "logprobs", "message"})


class _Choice:
    """One choice as it comes."""

    __slots__ = ("calls", "error", "fields", "message", "newest", "numbered", "text")

    def __init__(self) -> None:
        self.text = Pieces()  # of the content, while it is nothing but text
        self.message: dict[str, Any] = {"role": "assistant", "content": self.text}
        self.calls: list[dict[str, Any]] = []
        self.numbered: dict[int, dict[str, Any]] = {}
        self.fields: dict[str, Any] = {"finish_reason": None}
        self.newest: dict[str, Any] = {}
        self.error: Any = None

    def take(self, choice: dict[str, Any]) -> None:
        delta = choice.pop("delta", None)
        if isinstance(delta, dict):
            if len(delta) == 1 and type(text := delta.get("content")) is str and self.message["content"] is self.text:
                self.text.pieces.append(text)  # nearly every event
            else:
                self._add(delta)
        elif isinstance(whole := choice.get("message"), dict):
            self.message, self.calls, self.numbered = whole, [], {}
            self.message.setdefault("content", None)
        if differ(choice, self.newest) or choice.get("logprobs"):
            self._add_fields(choice)
            self.newest = choice

    def _add_fields(self, choice: dict[str, Any]) -> None:
        self.error = choice.get("error") or None
        for name, value in choice.items():
            if value is not None and name not in _OF_DELTAS:
                self.fields[name] = value
        if isinstance(logprobs := choice.get("logprobs"), dict):
            merge(self.fields, {"logprobs": logprobs})

    def _add(self, delta: dict[str, Any]) -> None:
        calls = delta.pop("tool_calls", None)
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._add_call(call)
        merge(self.message, delta)

    def _add_call(self, call: dict[str, Any]) -> None:
        """Calls are told apart by their numbers; where a server gives none, a new id begins a new call."""
        number, call_id = call.pop("index", None), call.get("id")
        held = None
        if type(number) is int:
            held = self.numbered.get(number)
        elif self.calls and (not call_id or call_id == self.calls[-1].get("id")):
            held = self.calls[-1]
        if held is None:
            held = {"index": number}
            self.calls.append(held)
            if type(number) is int:
                self.numbered[number] = held
        merge(held, call)

    def whole(self, index: int) -> dict[str, Any]:
        message = self.message
        if (text := message.get("content")) is self.text and not text.pieces:
            message = {**message, "content": None}
        if self.calls:
            message = {**message, "tool_calls": [_without_index(call) for call in self.calls]}
        return {"index": index, "message": message, **self.fields}


class StreamedCompletion(StreamedReply):
    """A chat completion as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[str, Any] = {"object": "chat.completion"}
        self._choices: dict[int, _Choice] = {}
        self._newest: dict[str, Any] = {}
        self._usage: Any = None

    def _take(self, event: dict[str, Any]) -> None:
        choices = event.pop("choices", None)
        if differ(event, self._newest):
            self._add_fields(event)
            self._newest = event
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self.has_content = True
                held = self._held(self._choices, choice.get("index"), _Choice)
                if held is None:
                    continue
                held.take(choice)
                if held.error is not None:
                    self.error = written({"error": held.error})

    def _add_fields(self, event: dict[str, Any]) -> None:
        for name, value in event.items():
            if value is not None and name not in _OF_CHUNKS:
                self._fields[name] = value
        if event.get("usage") is not None:
            self._usage = event["usage"]

    def _is_error(self, event: dict[str, Any]) -> bool:
        # An error in a choice is met where its fields are added.
        if event.get("error") or not event.get("choices") or "base_resp" in event:
            return error_within(event) is not None
        return False

    def _is_finished(self) -> bool:
        return bool(self._choices) and all(choice.fields["finish_reason"] for choice in self._choices.values())

    def _assembled(self) -> dict[str, Any]:
        choices = [choice.whole(index) for index, choice in sorted(self._choices.items())]
        usage = {} if self._usage is None else {"usage": self._usage}
        return {**self._fields, "choices": choices, **usage}


def _without_index(call: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in call.items() if name != "index"}
