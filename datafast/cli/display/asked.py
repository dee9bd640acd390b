"""What a model is asked, for the terminal: the messages, and the form of the reply in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from datafast._util.notify import plain_text
from datafast.cli.display.lines import print_lines

if TYPE_CHECKING:
    from datafast.types import Message

__all__ = ["form_of", "show_messages"]

_LETTERS = 2_000
_DEPTH = 8
_FIELDS = 12


def show_messages(
    console: Console, messages: Sequence[Message], json_schema: dict[str, Any] | None, *, known: int = 0
) -> None:
    """Prints a conversation, long texts cut, and the form in which the reply is asked for.

    Args:
        known: the number of messages at its beginning that have been shown before.
    """
    if known:
        print_lines(console, Text(f"(the {known} messages above, and)" if known > 1 else "(the message above, and)"))
    for message in messages[known:]:
        text = message["content"]
        cut = text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."
        print_lines(console, Text.assemble((f"[{message['role']}] ", "bold"), plain_text(cut)))
    if json_schema is not None:
        print_lines(console, Text.assemble(("[reply] ", "bold"), plain_text(f"JSON: {form_of(json_schema)}")))


def form_of(json_schema: dict[str, Any]) -> str:
    """A JSON Schema in one line, as `{"texts": [text, 3 of them]}`."""
    return _form(json_schema, json_schema.get("$defs", {}), _DEPTH)


def _form(schema: dict[str, Any], named: dict[str, Any], depth: int) -> str:
    if not depth:
        return "..."
    if (reference := schema.get("$ref")) is not None:
        return _form(named.get(str(reference).rpartition("/")[2], {}), named, depth - 1)
    if (values := schema.get("enum")) is not None:
        return " | ".join(map(str, values[:_FIELDS])) + (" | ..." if len(values) > _FIELDS else "")
    if (choices := schema.get("anyOf") or schema.get("oneOf")) is not None:
        return " | ".join(dict.fromkeys(_form(choice, named, depth - 1) for choice in choices))
    if "properties" in schema:
        fields = [f'"{name}": {_form(part, named, depth - 1)}' for name, part in schema["properties"].items()]
        return f"{{{', '.join([*fields[:_FIELDS], *(['...'] if len(fields) > _FIELDS else [])])}}}"
    if schema.get("type") == "array":
        count = schema.get("minItems")
        of_them = f", {count} of them" if count and count == schema.get("maxItems") else ""
        return f"[{_form(schema.get('items', {}), named, depth - 1)}{of_them}]"
    return _WORDS.get(str(schema.get("type")), str(schema.get("const", "any value")))


_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true | false",
    "null": "null",
    "object": "object",
}
