"""Formats of files with conversations, as trainers take them. All are JSON lines, an object for each row with `messages`.

    trl        {"messages": [...], "tools": [...]}, for chat templates: the row without anything about its origin
    openai     the same as OpenAI's fine-tuning reads it: arguments of calls are JSON text; without reasoning
    sharegpt   {"conversations": [{"from": "human", "value": ...}, ...], "system": ..., "tools": "[...]"}
    alpaca     {"instruction": ..., "input": "", "output": ..., "system": ..., "history": [[question, answer], ...]}
    chatml     {"text": "<|im_start|>user\\n...<|im_end|>\\n..."}

Reasoning stands in <think> tags before its answer where a format has no field for it: that of the message, or that of a row which has it
in a field (`reasoning: field`) and one answer. In sharegpt a call is a turn of `function_call`
and its result one of `observation`; in chatml they stand in <tool_call> and <tool_response> tags, as Qwen's templates put them.
Limits: alpaca has no place for calls of tools, so rows with such calls are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from datafast.errors import ConfigError

__all__ = ["FORMS", "write_alpaca", "write_chatml", "write_openai", "write_sharegpt", "write_trl"]

Row = Mapping[str, Any]
Message = Mapping[str, Any]

_OPENAI_KEYS = ("role", "content", "tool_calls", "tool_call_id")
_SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation"}


def write_trl(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    """Writes conversations for TRL, and for whatever calls `apply_chat_template`."""
    _write("trl", rows, path, row_model)


def write_openai(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    """Writes conversations as OpenAI's fine-tuning reads them."""
    _write("openai", rows, path, row_model)


def write_sharegpt(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    """Writes conversations as ShareGPT had them, with tools as LLaMA-Factory reads them."""
    _write("sharegpt", rows, path, row_model)


def write_alpaca(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    """Writes the last question of each conversation with its answer, and what came before as its history."""
    _write("alpaca", rows, path, row_model)


def write_chatml(rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    """Writes each conversation as one text."""
    _write("chatml", rows, path, row_model)


def _write(name: str, rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
    if "messages" not in row_model.model_fields:
        raise ConfigError(
            f"The format {name} is for conversations with messages. These rows have {', '.join(row_model.model_fields)}.",
            key="format",
        )
    with path.open("wb") as file:
        file.writelines(orjson.dumps(FORMS[name](_with_thought(row))) + b"\n" for row in rows)


def _with_thought(row: Row) -> Row:
    """The row with its field `reasoning`, if that is one text, as the reasoning of its answer. Where there are several answers it is not
    known which of them it belongs to, and where an answer has its own, that stands."""
    answers = [number for number, message in enumerate(row["messages"]) if message["role"] == "assistant"]
    thought = row.get("reasoning")
    if not (isinstance(thought, str) and thought) or len(answers) != 1:
        return row
    messages = list(row["messages"])
    messages[answers[0]] = {"reasoning_content": thought, **_present(messages[answers[0]])}
    return {**row, "messages": messages}


def _present(message: Message) -> Message:
    return {key: value for key, value in message.items() if value is not None}


def _tools(row: Row) -> dict[str, Any]:
    return {"tools": row["tools"]} if row.get("tools") else {}


def _trl(row: Row) -> dict[str, Any]:
    return {"messages": row["messages"], **_tools(row)}


def _openai(row: Row) -> dict[str, Any]:
    messages = [
        {key: message[key] for key in _OPENAI_KEYS if message.get(key) is not None} for message in row["messages"]
    ]
    for message in messages:
        if "tool_calls" in message:
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": _text(call["function"]["arguments"])}}
                for call in message["tool_calls"]
            ]
    return {"messages": messages, **_tools(row)}


def _sharegpt(row: Row) -> dict[str, Any]:
    system, messages = _parted(row)
    turns = []
    for message in messages:
        if calls := message.get("tool_calls"):
            # The turns of a call and its result alternate, so the thought before a call has its place in the turn of the call.
            value = "\n".join(_text(_call(call)) for call in calls)
            turns.append({"from": "function_call", "value": _thought(message["content"]) + value})
        else:
            turns.append({"from": _SPEAKERS[message["role"]], "value": _said(message)})
    tools = {"tools": _text([tool["function"] for tool in row["tools"]])} if row.get("tools") else {}
    return {"conversations": turns, **({"system": system} if system else {}), **tools}


def _alpaca(row: Row) -> dict[str, Any]:
    system, messages = _parted(row)
    if any(message.get("tool_calls") for message in messages):
        raise ConfigError("The format alpaca has no place for calls of tools. Save as sharegpt, trl or openai.")
    turns = [[ask["content"], _said(answer)] for ask, answer in zip(messages[::2], messages[1::2], strict=True)]
    *history, (instruction, output) = turns
    more = {**({"system": system} if system else {}), **({"history": history} if history else {})}
    return {"instruction": instruction, "input": "", "output": output, **more}


def _chatml(row: Row) -> dict[str, Any]:
    system, messages = _parted(row)
    if row.get("tools"):
        listed = "\n".join(map(_text, row["tools"]))
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
    return {"text": "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)}


def _parted(row: Row) -> tuple[str | None, Sequence[Message]]:
    """The system message, and the others."""
    messages = row["messages"]
    if messages and messages[0]["role"] == "system":
        return str(messages[0]["content"]), messages[1:]
    return None, messages


def _said(message: Message) -> str:
    return _thought(message.get("reasoning_content")) + str(message["content"])


def _thought(text: str | None) -> str:
    return f"<think>\n{text}\n</think>\n\n" if text else ""


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


FORMS: Mapping[str, Callable[[Row], dict[str, Any]]] = {
    "trl": _trl,
    "openai": _openai,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "chatml": _chatml,
}
"""The form of a row with messages, by the name of its format."""
