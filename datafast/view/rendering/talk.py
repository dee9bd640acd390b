"""Conversations as conversations: who says what, what was thought, which tools there are and what they were called with and gave back.

Read are messages of OpenAI's chat completions (texts, or lists of parts), ShareGPT's turns, and mixtures; what cannot be read so is no
conversation, and is shown like any other value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datafast.export.talk import Unfit, message_of, parsed, tool_of
from datafast.view.rendering.texts import Path, ShownText, Texts, inside
from datafast.view.rendering.values import Value, is_plain, plainly, shown_value, tree_of

__all__ = ["Call", "Message", "Parameter", "Talk", "Tool", "is_talk", "talk_of", "tools_of"]

_MOST = 200
_MOST_CALLS = 50
_MOST_TOOLS = 60
_NAME = 100
_ROLES = {"system": "System", "developer": "Developer", "user": "User", "assistant": "Assistant", "tool": "Tool"}
_REASONING = ("reasoning_content", "reasoning", "thinking")
_KNOWN = frozenset({"role", "content", *_REASONING, "tool_calls", "tool_call_id", "name"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of a tool's."""

    name: str
    type: str
    is_required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that can be called; `schema` where its parameters are not plain ones."""

    name: str
    description: ShownText | None
    parameters: list[Parameter]
    schema: Value | None


@dataclass(slots=True)
class Call:
    """A call of a tool, with what came back."""

    name: str
    id: str
    arguments: Value | None
    results: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class Message:
    """One message. `parts` are texts, and values that are no texts."""

    role: str
    who: str
    parts: list[ShownText | Value] = field(default_factory=list)
    reasoning: ShownText | None = None
    calls: list[Call] = field(default_factory=list)
    others: list[Value] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation; `more` messages are not shown."""

    name: str
    messages: list[Message]
    more: int = 0


def is_talk(value: Any) -> bool:
    """Whether a value is a list of messages."""
    value = parsed(value) if isinstance(value, str) and value.startswith("[{") else value
    if not isinstance(value, list) or not value:
        return False
    return all(
        isinstance(turn, Mapping) and any(isinstance(turn.get(name), str) for name in ("role", "from"))
        and any(name in turn for name in ("content", "value", "tool_calls", "function_call", *_REASONING))
        for turn in value[:_MOST]
    )  # fmt: skip


def talk_of(name: str, value: Any, texts: Texts, path: Path) -> Talk:
    """A list of messages as a conversation, with the results of tools beside their calls."""
    turns, path_known = (parsed(value), None) if isinstance(value, str) else (value, path)
    messages: list[Message] = []
    waiting: list[Call] = []
    for number, turn in enumerate(turns[:_MOST]):
        message, call_id = _message(turn, texts, inside(path_known, number))
        if message.role == "tool" and (call := _asked_for(waiting, call_id)) is not None:
            call.results.append(message)
            waiting.remove(call)
            continue
        messages.append(message)
        if message.calls:
            waiting = list(message.calls)
    return Talk(name, messages, max(0, len(turns) - _MOST))


def _asked_for(waiting: Sequence[Call], call_id: str) -> Call | None:
    """The call that has this id; without ids, the first that waits."""
    for call in waiting:
        if call.id == call_id or not call_id or not call.id:
            return call
    return None


def _message(turn: Mapping[str, Any], texts: Texts, path: Path | None) -> tuple[Message, str]:
    try:
        known = message_of(turn)
    except Unfit:
        known = {"role": str(turn.get("role", turn.get("from"))), "content": turn.get("content", turn.get("value"))}
    role = known["role"][:_NAME]
    name = known.get("name")
    who = _ROLES.get(role, role) + (f" {name[:_NAME]}" if isinstance(name, str) and name else "")
    message = Message(role if role in _ROLES else "other", who)
    at = _content_path(turn, known, path)
    message.reasoning = next(
        (texts.shown(known[one], inside(path, one)) for one in _REASONING if _is_text(known.get(one))),
        None,
    )
    message.parts = list(_parts(known.get("content"), texts, at, message))
    message.calls = [_call(call, texts) for call in known.get("tool_calls", ())[:_MOST_CALLS]]
    message.others = [
        shown_value(str(key), value, texts, inside(path, str(key)))
        for key, value in known.items()
        if key not in _KNOWN and value not in (None, "", [], {})
    ]
    return message, str(known.get("tool_call_id") or "")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _content_path(turn: Mapping[str, Any], known: Mapping[str, Any], path: Path | None) -> Path | None:
    """Where the content of a message is in the row, if it stands there as it is."""
    for name in ("content", "value"):
        if path is not None and turn.get(name) is not None and turn[name] is known.get("content"):
            return (*path, name)
    return None


def _parts(content: Any, texts: Texts, path: Path | None, message: Message) -> Iterator[ShownText | Value]:
    if isinstance(content, str):
        thought, said = _after_thought(content)
        if thought and message.reasoning is None:
            message.reasoning = texts.shown(thought)
            path = None
        else:
            said = content
        if said.strip():
            yield _said(said, message.role, texts, path)
        return
    for number, part in enumerate(content if isinstance(content, list) else [] if content is None else [content]):
        at = inside(path, number, "text")
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            yield texts.shown(part["text"], at)
        elif isinstance(part, str):
            yield texts.shown(part, inside(path, number))
        else:
            sort = part.get("type") if isinstance(part, Mapping) else None
            yield Value(
                f"{sort}, not loaded" if isinstance(sort, str) else "part", tree_of(part, texts, inside(path, number))
            )


def _said(text: str, role: str, texts: Texts, path: Path | None) -> ShownText | Value:
    """What is said; what a tool gives back is JSON if it can be read as such."""
    value = parsed(text) if role == "tool" and text.lstrip()[:1] in ("{", "[") and len(text) < 100_000 else text
    return texts.shown(text, path) if isinstance(value, str) else shown_value("", value, texts, None)


def _after_thought(content: str) -> tuple[str, str]:
    """What stands in <think> tags at the beginning, and the rest."""
    begun = content.lstrip()
    for tag in ("think", "thinking", "reasoning"):
        if begun.startswith(f"<{tag}>"):
            thought, ended, rest = begun.removeprefix(f"<{tag}>").partition(f"</{tag}>")
            return (thought.strip(), rest.lstrip()) if ended else ("", content)
    return "", content


def _call(call: Mapping[str, Any], texts: Texts) -> Call:
    function = call["function"]
    arguments = function["arguments"]
    shown = None if arguments in (None, "", {}) else shown_value("", arguments, texts, None)
    return Call(function["name"][:_NAME], plainly(call.get("id") or "")[:_NAME], shown)


def tools_of(value: Any, texts: Texts) -> list[Tool] | None:
    """Definitions of tools; None if a value has none."""
    value = parsed(value)
    if not isinstance(value, list) or not value:
        return None
    try:
        return [_tool(tool_of(parsed(one)), texts) for one in value[:_MOST_TOOLS]]
    except Unfit:
        return None


def _tool(tool: Mapping[str, Any], texts: Texts) -> Tool:
    function = tool["function"]
    schema = function.get("parameters")
    parameters = list(_parameters(schema)) if isinstance(schema, Mapping) and _is_simple(schema) else []
    description = function.get("description")
    return Tool(
        plainly(function.get("name"))[:_NAME],
        texts.shown(description) if _is_text(description) else None,
        parameters,
        None if parameters or not schema else shown_value("parameters", schema, texts, None),
    )


def _is_simple(schema: Mapping[str, Any]) -> bool:
    """Whether a table says all that a schema says."""
    properties = schema.get("properties")
    return isinstance(properties, Mapping) and all(
        isinstance(one, Mapping) and not {"properties", "anyOf", "allOf", "$ref", "oneOf"} & set(one)
        for one in properties.values()
    )


def _parameters(schema: Mapping[str, Any]) -> Iterator[Parameter]:
    required = schema.get("required")
    for name, one in schema["properties"].items():
        items = one.get("items")
        inner = f" of {items['type']}" if isinstance(items, Mapping) and isinstance(items.get("type"), str) else ""
        notes = (
            [plainly(one["description"])]
            if is_plain(one.get("description", {})) or _is_text(one.get("description"))
            else []
        )
        notes += [f"One of: {', '.join(map(plainly, one['enum'][:20]))}."] if isinstance(one.get("enum"), list) else []
        notes += [
            f"{key}: {plainly(one[key])}"
            for key in ("default", "minimum", "maximum", "pattern")
            if is_plain(one.get(key, {}))
        ]
        yield Parameter(
            name[:_NAME],
            plainly(one.get("type", "any"))[:_NAME] + inner[:_NAME],
            isinstance(required, list) and name in required,
            " ".join(notes)[:1_000],
        )
