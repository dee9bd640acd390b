"""Formats of conversations, beside those of TRL, as other trainers take them.

    openai          {"messages": [...], "tools": [...]} as OpenAI's fine-tuning reads it: calls have JSON text; no reasoning
    openai_dpo      {"input": {"messages": [...], "tools": [...]}, "preferred_output": [...], "non_preferred_output": [...]}
    sharegpt        {"conversations": [{"from": "human", "value": ...}, ...], "system": ..., "tools": "[...]"}
    alpaca          {"instruction": ..., "input": "", "output": ..., "system": ..., "history": [[question, answer], ...]}
    chatml          {"text": "<|im_start|>user\\n...<|im_end|>\\n..."}
    classification  {"text": ..., "label": ...}

Reasoning stands in <think> tags before its answer where a format has no field for it: that of the message, or that of a row which has it
in a field (`reasoning: field`) and one answer. In sharegpt a call is a turn of `function_call`
and its result one of `observation`; in chatml they stand in <tool_call> and <tool_response> tags, as Qwen's templates put them.
Limits: alpaca has no place for calls of tools, so rows with such calls are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from typing_extensions import TypedDict

from datafast.errors import ConfigError
from datafast.export.formats import Format, Record, Row
from datafast.export.messages import Tools
from datafast.export.reading import Unfit, as_answer, as_prompt
from datafast.types import Messages, Preference

__all__ = ["Alpaca", "ChatML", "Classification", "OpenAI", "OpenAIDpo", "ShareGPT"]

Message = Mapping[str, Any]

_OPENAI_KEYS = ("role", "content", "tool_calls", "tool_call_id")
_SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation"}


class _Turn(TypedDict):
    role: str
    content: str


class OpenAI(Format):
    """Conversations as OpenAI's fine-tuning reads them."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        tools = {"tools": Tools} if "tools" in self.row_model.model_fields else {}
        return {"messages": self.message_list(reasoning=False, arguments_as_text=True), **tools}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        tools = self.reader.tools(row)
        yield {"messages": _openai(read), **({"tools": tools} if tools else {})}


def _openai(read: Messages) -> Messages:
    messages = [{key: message[key] for key in _OPENAI_KEYS if key in message} for message in read]
    for message in messages:
        if "tool_calls" in message:
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": _text(call["function"]["arguments"])}}
                for call in message["tool_calls"]
            ]
    return messages


class _Input(TypedDict):
    messages: list[_Turn]
    tools: list[Any]
    parallel_tool_calls: bool


class OpenAIDpo(Format):
    """A better and a worse answer as OpenAI's preference fine-tuning reads them."""

    reads = "preference"

    def columns(self) -> Mapping[str, Any]:
        return {"input": _Input, "preferred_output": list[_Turn], "non_preferred_output": list[_Turn]}

    def records(self, read: Preference, row: Row) -> Iterator[Record]:
        outputs = [_openai(as_answer(answer)) for answer in (read.chosen, read.rejected)]
        if any(len(output) != 1 or "tool_calls" in output[0] for output in outputs):
            raise Unfit("has an answer of more than one message, or with calls of tools")
        told = {
            "messages": _openai(as_prompt(read.prompt)),
            "tools": self.reader.tools(row),
            "parallel_tool_calls": True,
        }
        yield {"input": told, "preferred_output": outputs[0], "non_preferred_output": outputs[1]}


_SaidBy = TypedDict("_SaidBy", {"from": str, "value": str})


class ShareGPT(Format):
    """Conversations as ShareGPT had them, with tools as LLaMA-Factory reads them."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        return {"conversations": list[_SaidBy], "system": str | None, "tools": str | None}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        system, messages = _parted(read)
        turns = []
        for message in messages:
            if calls := message.get("tool_calls"):
                # The turns of a call and its result alternate, so the thought before a call has its place in the turn of the call.
                value = "\n".join(_text(_call(call)) for call in calls)
                turns.append({"from": "function_call", "value": _thought(_content(message)) + value})
            else:
                if (speaker := _SPEAKERS.get(message["role"])) is None:
                    raise Unfit(f"has a message of the role {message['role']}")
                turns.append({"from": speaker, "value": _said(message)})
        tools = self.reader.tools(row)
        told = {"tools": _text([tool["function"] for tool in tools])} if tools else {}
        yield {"conversations": turns, **({"system": system} if system else {}), **told}


class Alpaca(Format):
    """The last question of each conversation with its answer, and what came before as its history."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        return {
            "instruction": str,
            "input": str,
            "output": str,
            "system": str | None,
            "history": list[list[str]] | None,
        }

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        system, messages = _parted(read)
        if any(message.get("tool_calls") for message in messages):
            raise ConfigError("The format alpaca has no place for calls of tools. Save as sharegpt, trl or openai.")
        if [message["role"] for message in messages] != ["user", "assistant"] * (len(messages) // 2) or not messages:
            raise Unfit("does not take turns between user and assistant")
        turns = [[_content(ask), _said(answer)] for ask, answer in zip(messages[::2], messages[1::2], strict=True)]
        *history, (instruction, output) = turns
        more = {**({"system": system} if system else {}), **({"history": history} if history else {})}
        yield {**self._asked(instruction, row), "output": output, **more}

    def _asked(self, instruction: str, row: Row) -> dict[str, str]:
        """The instruction and its input, where the row tells them apart."""
        parts = row.get("instruction"), row.get("input")
        if f"{parts[0]}\n\n{parts[1]}" == instruction:
            return {"instruction": str(parts[0]), "input": str(parts[1])}
        return {"instruction": instruction, "input": ""}


class ChatML(Format):
    """Each conversation as one text, in ChatML."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        return {"text": str}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        system, messages = _parted(read)
        if tools := self.reader.tools(row):
            listed = "\n".join(map(_text, tools))
            system = f"{system or ''}\n\n# Tools\n\n<tools>\n{listed}\n</tools>".strip()
        turns = [("system", system)] if system else []
        for message in messages:
            text = _said(message)
            for call in message.get("tool_calls") or []:
                text += f"\n<tool_call>\n{_text(_call(call))}\n</tool_call>"
            if message["role"] == "tool":
                turns.append(("user", f"<tool_response>\n{text}\n</tool_response>"))
            else:
                turns.append((message["role"], text))
        yield {"text": "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)}


class Classification(Format):
    """A text and its class, for classifiers."""

    reads = "label"

    def columns(self) -> Mapping[str, Any]:
        return {"text": str, "label": Any if self.options.read_as else self.row_model.model_fields["label"].annotation}

    def records(self, read: Any, row: Row) -> Iterator[Record]:
        yield {"text": self.reader.read("text", row), "label": read}


def _parted(messages: Messages) -> tuple[str | None, Sequence[Message]]:
    """The system message, and the others."""
    if messages and messages[0]["role"] == "system":
        return _content(messages[0]), messages[1:]
    return None, messages


def _said(message: Message) -> str:
    return _thought(message.get("reasoning_content")) + _content(message)


def _content(message: Message) -> str:
    """The text of a message, also where it stands in parts."""
    content = message["content"]
    if isinstance(content, list):
        texts: list[Any] = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        content = "\n\n".join(texts) if all(isinstance(text, str) for text in texts) else None
    if not isinstance(content, str):
        raise Unfit("has a message that is not text")
    return content


def _thought(text: str | None) -> str:
    return f"<think>\n{text}\n</think>\n\n" if text else ""


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
