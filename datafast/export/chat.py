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

from collections.abc import Iterator, Mapping
from typing import Any

from typing_extensions import TypedDict

from datafast.errors import ConfigError
from datafast.export.formats import Format, Record, Row
from datafast.export.messages import Tools
from datafast.export.reading import Unfit, as_answer, as_prompt
from datafast.export.turns import (
    SaidBy,
    call_of,
    content_of,
    json_text,
    openai_messages,
    said,
    sharegpt_turns,
    system_and_rest,
)
from datafast.types import Messages, Preference

__all__ = ["Alpaca", "ChatML", "Classification", "OpenAI", "OpenAIDpo", "ShareGPT"]


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
        if not read or read[-1]["role"] != "assistant":
            raise Unfit("ends without an answer")
        tools = self.reader.tools(row)
        yield {"messages": openai_messages(read), **({"tools": tools} if tools else {})}


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
        outputs = [openai_messages(as_answer(answer)) for answer in (read.chosen, read.rejected)]
        if any(len(output) != 1 or "tool_calls" in output[0] for output in outputs):
            raise Unfit("has an answer of more than one message, or with calls of tools")
        told = {
            "messages": openai_messages(as_prompt(read.prompt)),
            "tools": self.reader.tools(row),
            "parallel_tool_calls": True,
        }
        yield {"input": told, "preferred_output": outputs[0], "non_preferred_output": outputs[1]}


class ShareGPT(Format):
    """Conversations as ShareGPT had them, with tools as LLaMA-Factory reads them."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        return {"conversations": list[SaidBy], "system": str | None, "tools": str | None}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        system, messages = system_and_rest(read)
        turns = sharegpt_turns(messages)
        tools = self.reader.tools(row)
        told = {"tools": json_text([tool["function"] for tool in tools])} if tools else {}
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
        system, messages = system_and_rest(read)
        if any(message.get("tool_calls") for message in messages):
            raise ConfigError("The format alpaca has no place for calls of tools. Save as sharegpt, trl or openai.")
        if [message["role"] for message in messages] != ["user", "assistant"] * (len(messages) // 2) or not messages:
            raise Unfit("does not take turns between user and assistant")
        turns = [[content_of(ask), said(answer)] for ask, answer in zip(messages[::2], messages[1::2], strict=True)]
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
        system, messages = system_and_rest(read)
        if tools := self.reader.tools(row):
            listed = "\n".join(map(json_text, tools))
            system = f"{system or ''}\n\n# Tools\n\n<tools>\n{listed}\n</tools>".strip()
        turns = [("system", system)] if system else []
        for message in messages:
            text = said(message)
            for call in message.get("tool_calls") or []:
                text += f"\n<tool_call>\n{json_text(call_of(call))}\n</tool_call>"
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
