"""Messages of other tools, read as those of OpenAI's chat completions.

Known forms: `role` and `content` (OpenAI, TRL), `from` and `value` (ShareGPT), and mixtures of both; the roles that ShareGPT's files have;
calls of tools as objects or as JSON text, also the one `function_call` that came before them. A whole list may be JSON text, as a table of
commas has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from datafast.errors import DatafastError
from datafast.types import Messages

__all__ = ["Unfit", "message_of", "parsed", "system_of", "talk_of", "to_last_question", "tool_of"]

_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "observation": "tool",
    "function": "tool",
}


class Unfit(DatafastError):
    """A row that cannot be read this way, and why; it is left out and counted."""


def talk_of(turns: Any) -> Messages:
    """A list of messages, or the JSON text of one. Raises Unfit."""
    turns = parsed(turns)
    if not isinstance(turns, list) or not turns:
        raise Unfit("has no messages")
    return [message_of(turn) for turn in turns]


def system_of(row: Mapping[str, Any]) -> Messages:
    """The system message that stands in a column of its own, if there is one."""
    system = row.get("system")
    return [{"role": "system", "content": system}] if isinstance(system, str) and system else []


def to_last_question(messages: Messages) -> int:
    """How many messages there are up to the last one of the user, with it. Raises Unfit where there is none."""
    asked = max((number for number, one in enumerate(messages, 1) if one["role"] == "user"), default=0)
    if not asked:
        raise Unfit("has no question")
    return asked


def message_of(turn: Any) -> dict[str, Any]:
    """One message, without nulls, with the arguments of calls as objects. Raises Unfit."""
    if not isinstance(turn, Mapping):
        raise Unfit("has a message that is not an object")
    message = {key: value for key, value in turn.items() if value is not None}
    for name, other in (("content", "value"), ("role", "from")):
        if name not in message and other in message:
            message = {name: message.pop(other), **message}
    role = message.get("role")
    if not isinstance(role, str):
        raise Unfit("has a message without a role")
    if role == "function_call":
        return _calling(message.get("content"))
    message["role"] = _ROLES.get(role, role)
    _take_calls(message)
    content = message.setdefault("content", "" if "tool_calls" in message else None)
    if not isinstance(content, str | list):
        raise Unfit("has a message that is not text")
    return message


def _take_calls(message: dict[str, Any]) -> None:
    one = message.pop("function_call", None)
    calls = message.pop("tool_calls", None) or ([{"type": "function", "function": one}] if one else [])
    if not isinstance(calls, list):
        raise Unfit("has calls that are not a list")
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]


def _call(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise Unfit("has a call without a function")
    return {**call, "function": {**function, "arguments": parsed(function.get("arguments"))}}


def _calling(said: Any) -> dict[str, Any]:
    """A turn of ShareGPT that is one call or several, and what was thought before it."""
    thought, told = _after_thought(said) if isinstance(said, str) else ("", None)
    found = parsed(told)
    calls = found if isinstance(found, list) else [found]
    if not calls or not all(isinstance(call, Mapping) and isinstance(call.get("name"), str) for call in calls):
        raise Unfit("has a call that is not JSON")
    return {"role": "assistant", "content": thought, "tool_calls": [_called(call) for call in calls]}


def _after_thought(said: str) -> tuple[str, str]:
    """What stands in <think> tags before a call, and the call."""
    thought, ended, told = said.strip().partition("</think>")
    return (thought.removeprefix("<think>").strip(), told) if ended and thought.startswith("<think>") else ("", said)


def _called(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": call["name"], "arguments": parsed(call.get("arguments", {}))}}


def tool_of(tool: Any) -> dict[str, Any]:
    """A tool in OpenAI's schema, also one that is its function alone. Raises Unfit."""
    if isinstance(tool, Mapping) and isinstance(tool.get("function"), Mapping):
        return dict(tool)
    if isinstance(tool, Mapping) and isinstance(tool.get("name"), str):
        return {"type": "function", "function": dict(tool)}
    raise Unfit("has a tool without a function")


def parsed(value: Any) -> Any:
    """JSON text as what it stands for; other text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
