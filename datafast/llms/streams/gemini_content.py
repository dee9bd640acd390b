"""Puts streamed replies of Gemini's generateContent together.

There is no end mark: a stream is whole when each of its candidates has a reason why it finished, or the prompt was blocked. Texts that
follow each other are one part, as in a reply that is not streamed; counts of later events are those of the whole reply.
"""

from __future__ import annotations

from typing import Any

from datafast.llms.streams.base import StreamedReply, merge

__all__ = ["StreamedContent"]


class _Candidate:
    """One candidate as it comes."""

    __slots__ = ("content", "fields", "parts")

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}
        self.parts: list[Any] = []
        self.fields: dict[str, Any] = {}

    def take(self, candidate: dict[str, Any]) -> None:
        content = candidate.get("content")
        if isinstance(content, dict):
            parts = content.get("parts")
            for part in parts if isinstance(parts, list) else ():
                self._add(part)
            for name, value in content.items():
                if name != "parts":
                    self.content[name] = value
        for name, value in candidate.items():
            if name == "citationMetadata" and isinstance(value, dict):
                merge(self.fields, {name: value})
            elif name not in {"content", "index"}:
                self.fields[name] = value

    def _add(self, part: Any) -> None:
        last: Any = self.parts[-1] if self.parts else None
        if _is_text(part) and _is_text(last) and bool(part.get("thought")) is bool(last.get("thought")):
            signature = part.get("thoughtSignature")
            merge(last, {"text": part["text"]})
            if signature is not None:
                last["thoughtSignature"] = signature
        else:
            self.parts.append(dict(part) if isinstance(part, dict) else part)

    def whole(self, index: int) -> dict[str, Any]:
        content = {**self.content, "parts": self.parts} if self.parts else self.content
        return {"content": content, **self.fields, "index": index}


class StreamedContent(StreamedReply):
    """A reply of generateContent as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._candidates: dict[int, _Candidate] = {}

    def _take(self, event: dict[str, Any]) -> None:
        for name, value in event.items():
            if name not in {"candidates", "usageMetadata"}:
                self._fields[name] = value
        if isinstance(usage := event.get("usageMetadata"), dict):
            self._usage |= usage
        candidates = event.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict):
                self.has_content = True
                index = candidate.get("index")
                index = index if type(index) is int else 0
                held = self._candidates.get(index)
                if held is None:
                    held = self._candidates[index] = _Candidate()
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
