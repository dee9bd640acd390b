"""Puts streamed replies of Gemini's generateContent together.

There is no end mark: a stream is whole when each of its candidates has a reason why it finished, or the prompt was blocked. Texts that
follow each other are one part, as in a reply that is not streamed; counts of later events are those of the whole reply.
"""

from __future__ import annotations

from typing import Any

from datafast.llms.streams.base import Pieces, StreamedReply, differ, merge

__all__ = ["StreamedContent"]


class _Candidate:
    """One candidate as it comes."""

    __slots__ = ("content", "fields", "newest", "parts", "text")

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}
        self.parts: list[Any] = []
        self.fields: dict[str, Any] = {}
        self.newest: dict[str, Any] = {}
        self.text: Pieces | None = None  # of the last part, where it is a text of the answer

    def take(self, candidate: dict[str, Any]) -> None:
        content = candidate.pop("content", None)
        if isinstance(content, dict):
            parts = content.pop("parts", None)
            for part in parts if isinstance(parts, list) else ():
                self._add(part)
            self.content |= content
        if differ(candidate, self.newest):
            self._add_fields(candidate)
            self.newest = candidate

    def _add(self, part: Any) -> None:
        if self.text is not None and type(part) is dict and len(part) == 1 and type(text := part.get("text")) is str:
            self.text.pieces.append(text)  # nearly every event
            return
        last: Any = self.parts[-1] if self.parts else None
        if _is_text(part) and _is_text(last) and bool(part.get("thought")) is bool(last.get("thought")):
            merge(last, {"text": part["text"]})
            if "thoughtSignature" in part:
                last["thoughtSignature"] = part["thoughtSignature"]
        else:
            last = dict(part) if isinstance(part, dict) else part
            self.parts.append(last)
        self.text = None
        if _is_text(last) and not last.get("thought") and isinstance(last["text"], (str, Pieces)):
            self.text = last["text"] = last["text"] if isinstance(last["text"], Pieces) else Pieces(last["text"])

    def _add_fields(self, candidate: dict[str, Any]) -> None:
        for name, value in candidate.items():
            if name == "citationMetadata" and isinstance(value, dict):
                merge(self.fields, {name: value})
            elif name != "index":
                self.fields[name] = value

    def whole(self, index: int) -> dict[str, Any]:
        content = {**self.content, "parts": self.parts} if self.parts else self.content
        return {"content": content, **self.fields, "index": index}


class StreamedContent(StreamedReply):
    """A reply of generateContent as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[str, Any] = {}
        self._newest: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._candidates: dict[int, _Candidate] = {}

    def _take(self, event: dict[str, Any]) -> None:
        candidates = event.pop("candidates", None)
        if differ(event, self._newest):
            self._newest = event
            self._fields |= event
            if isinstance(usage := event.get("usageMetadata"), dict):
                self._usage |= usage
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict):
                self.has_content = True
                held = self._held(self._candidates, candidate.get("index"), _Candidate)
                if held is not None:
                    held.take(candidate)

    def _is_finished(self) -> bool:
        if not self._candidates:
            feedback = self._fields.get("promptFeedback")
            return isinstance(feedback, dict) and bool(feedback.get("blockReason"))
        return all(candidate.fields.get("finishReason") for candidate in self._candidates.values())

    def _assembled(self) -> dict[str, Any]:
        found = dict(self._fields)
        if self._candidates:
            found["candidates"] = [candidate.whole(index) for index, candidate in sorted(self._candidates.items())]
        return {**found, "usageMetadata": self._usage} if self._usage else found


def _is_text(part: Any) -> bool:
    """Whether a part is nothing but a text, of the answer or of a thought."""
    return isinstance(part, dict) and part.keys() <= {"text", "thought", "thoughtSignature"} and "text" in part
