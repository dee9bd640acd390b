"""What a message says as one text, and conversations as turns that alternate, which many trainers demand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from typing_extensions import TypedDict

from datafast.export.reading import Unfit
from datafast.types import Messages

__all__ = [
    "OPENAI_KEYS",
    "TEMPLATE_KEYS",
    "Message",
    "SaidBy",
    "call_of",
    "content_of",
    "json_text",
    "openai_messages",
    "reasoning_of",
    "said",
    "sharegpt_turn",
    "sharegpt_turns",
    "system_and_rest",
    "turns_of",
]

Message = Mapping[str, Any]
SaidBy = TypedDict("SaidBy", {"from": str, "value": str})
"""A turn of ShareGPT."""

OPENAI_KEYS = ("role", "content", "tool_calls", "tool_call_id")
"""What messages of OpenAI's API have."""
TEMPLATE_KEYS = (*OPENAI_KEYS, "name", "reasoning_content")
"""What chat templates look for."""
_SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation"}


def system_and_rest(messages: Messages) -> tuple[str | None, Messages]:
    """The system message, and the others. Raises Unfit."""
    if messages and messages[0]["role"] == "system":
        return content_of(messages[0]), messages[1:]
    return None, messages


def content_of(message: Message) -> str:
    """The text of a message, also where it stands in parts. Raises Unfit."""
    content = message["content"]
    if isinstance(content, list):
        texts: list[Any] = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        content = "\n\n".join(texts) if all(isinstance(text, str) for text in texts) else None
    if not isinstance(content, str):
        raise Unfit("has a message that is not text")
    return content


def said(message: Message) -> str:
    """What a message says, after what was thought. Raises Unfit."""
    return _thought(reasoning_of(message)) + content_of(message)


def reasoning_of(message: Message) -> str:
    """What was thought before a message; empty if nothing is known of it."""
    text = message.get("reasoning_content")
    return text if isinstance(text, str) else ""


def _thought(text: str) -> str:
    return f"<think>\n{text}\n</think>\n\n" if text else ""


def call_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call of a tool by its name and its arguments alone."""
    return {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}


def json_text(value: Any) -> str:
    return orjson.dumps(value).decode()


def openai_messages(messages: Messages, keys: Collection[str] = OPENAI_KEYS) -> Messages:
    """Messages with these keys alone, with the arguments of calls as JSON text."""
    told = [{key: message[key] for key in keys if key in message} for message in messages]
    for message in told:
        if "tool_calls" in message:
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": json_text(call["function"]["arguments"])}}
                for call in message["tool_calls"]
            ]
    return told


def turns_of(messages: Sequence[Message], *, answered: bool = True) -> list[list[Message]]:
    """Messages as turns of the user (or of tools) and of the assistant, which alternate; the results of several tools are one turn.

    Args:
        messages: without that of the system.
        answered: the last turn is one of the assistant; else it is the other's.

    Raises:
        Unfit: they are not so.
    """
    turns: list[list[Message]] = []
    for message in messages:
        if message["role"] not in _SPEAKERS:
            raise Unfit(f"has a message of the role {message['role']}")
        if message["role"] == "tool" and turns and turns[-1][0]["role"] == "tool":
            turns[-1].append(message)
        else:
            turns.append([message])
    if any((turn[0]["role"] == "assistant") != bool(number % 2) for number, turn in enumerate(turns)):
        raise Unfit("does not take turns between user and assistant")
    if not turns or len(turns) % 2 == answered:
        raise Unfit("ends without an answer" if answered else "has a prompt that is not a question")
    return turns


def sharegpt_turns(messages: Sequence[Message], *, answered: bool = True) -> list[dict[str, str]]:
    """Messages as ShareGPT's turns: calls are one of `function_call`, JSON of one or a list of several, and their results one of
    `observation`. Raises Unfit."""
    return [sharegpt_turn(turn) for turn in turns_of(messages, answered=answered)]


def sharegpt_turn(turn: Sequence[Message]) -> dict[str, str]:
    """One turn of ShareGPT. Raises Unfit."""
    first = turn[0]
    calls = [call_of(call) for call in first.get("tool_calls") or ()]
    if calls:
        # The turns of a call and its result alternate, so what is said before a call has its place in the turn of the call.
        before = "\n\n".join(filter(None, [reasoning_of(first), content_of(first)]))
        return {"from": "function_call", "value": _thought(before) + json_text(calls if len(calls) > 1 else calls[0])}
    return {"from": _SPEAKERS[first["role"]], "value": "\n".join(said(message) for message in turn)}
