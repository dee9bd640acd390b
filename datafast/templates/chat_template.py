"""Messages as one text, by the chat template that a tokenizer comes with, as trainers see it.

Guarantee: the text is that of `apply_chat_template` of transformers without a generation prompt, which needs not be installed. A template
that cannot take the arguments of calls as objects gets them as JSON text.
A template runs in Jinja's sandbox. Limits: special tokens that the files of a tokenizer do not name are empty in the template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from datafast.errors import ConfigError

__all__ = ["ChatTemplate", "RefusedByTemplate"]

_CONFIG = "tokenizer_config.json"
_FILE = "chat_template.jinja"
_MORE = "additional_chat_templates"
_TOKENS = "special_tokens_map.json"
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")  # the names under which templates look for reasoning
_PARAMETERS = {"type": "object", "properties": {"key": {"type": "string", "description": "A key."}}}
_PROBED = [{"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": _PARAMETERS}}]
_PROBE: list[dict[str, Any]] = [
    {"role": "user", "content": "Find it."},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "call00000",
                "type": "function",
                "function": {"name": "find", "arguments": {"key": "datafast_probe"}},
            }
        ],
    },
    {"role": "tool", "content": "Here.", "name": "find", "tool_call_id": "call00000"},
    {"role": "assistant", "content": "Here it is."},
]


class RefusedByTemplate(Exception):
    """The template makes no text of these messages; the text says why."""


class ChatTemplate:
    """The chat template of the folder of a tokenizer.

    Raises:
        ConfigError: the folder has none, or a file of it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._sources = _templates_in(folder)
        if not self._sources:
            raise ConfigError(
                f"tokenizer: {folder} has no chat template ({_FILE}, or chat_template in {_CONFIG}), which messages need. "
                "Give the folder of a model that chats."
            )
        self._values = _special_tokens(folder)

    @property
    def written(self) -> str:
        """All that its texts depend on, beside the messages."""
        return json.dumps([self._sources, self._values], sort_keys=True)

    def render(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None) -> str:
        """The text of messages.

        Raises:
            RefusedByTemplate: the template refuses them, because the roles do not alternate for instance.
        """
        name = "tool_use" if tools and "tool_use" in self._sources else "default"
        if name not in self._sources:
            raise ConfigError(
                f"tokenizer: It has the chat templates {', '.join(sorted(self._sources))} and no default."
            )
        told = [_plain(message) for message in messages]
        try:
            return self._rendered(name, told, tools)
        except TypeError as error:
            as_text = [_with_text_arguments(message) for message in told]
            if as_text == told:
                raise RefusedByTemplate(str(error)) from error
        # Some put arguments of calls together with text, so they have to be text.
        try:
            return self._rendered(name, as_text, tools)
        except TypeError as error:
            raise RefusedByTemplate(str(error)) from error

    def _rendered(self, name: str, messages: Sequence[Mapping[str, Any]], tools: Any) -> str:
        try:
            text: str = self._compiled[name].render(
                messages=messages, tools=tools or None, documents=None, add_generation_prompt=False, **self._values
            )
        except TemplateError as error:
            raise RefusedByTemplate(str(error)) from error
        return text

    @cached_property
    def leaves_calls_away(self) -> bool:
        """Whether its texts are without the calls of tools that messages have, as of templates that know none."""
        try:
            return "datafast_probe" not in self.render(_PROBE, _PROBED)
        except RefusedByTemplate:
            return False  # and so may be the messages themselves

    @cached_property
    def _compiled(self) -> dict[str, Any]:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        try:
            return {name: environment.from_string(source) for name, source in self._sources.items()}
        except TemplateError as error:
            raise ConfigError(
                f"tokenizer: Its chat template cannot be read: {error}. Give another tokenizer."
            ) from None


class _Generation(Extension):
    """`{% generation %}`, which marks what a model says; the text is as without it."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message without what it does not have, and with its reasoning under each name that templates know it by."""
    found = {key: value for key, value in message.items() if value is not None}
    thought = next((found[name] for name in _THOUGHTS if name in found), None)
    return found if thought is None else {"thinking": thought, **found, "reasoning_content": thought}


def _with_text_arguments(message: dict[str, Any]) -> dict[str, Any]:
    """A message with the arguments of its calls as JSON text."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_call_with_text(call) for call in calls]}


def _call_with_text(call: Any) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), Mapping):
        return call
    return {**call, "function": {**function, "arguments": _to_json(function["arguments"])}}


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, **more: Any) -> str:
    """As templates expect it: Jinja's own filter escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, **more)


def _templates_in(folder: Path) -> dict[str, str]:
    """The templates by name: those of files before those of the config."""
    given = _json_of(folder / _CONFIG).get("chat_template")
    found: dict[str, str] = {}
    if isinstance(given, str):
        found["default"] = given
    elif isinstance(given, list):
        found = {str(each["name"]): str(each["template"]) for each in given}
    if (file := folder / _FILE).is_file():
        found["default"] = _text_of(file)
    for file in sorted((folder / _MORE).glob("*.jinja")):
        found[file.stem] = _text_of(file)
    return found


def _special_tokens(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in (_json_of(folder / _TOKENS) | _json_of(folder / _CONFIG)).items():
        token = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(token, str):
            found[name] = token
    return found


def _json_of(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(_text_of(path))
    except ValueError as error:
        raise ConfigError(f"tokenizer: {path} is not JSON: {error}. Give the folder of a model.") from None
    return found if isinstance(found, dict) else {}


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"tokenizer: {path} cannot be read: {error}. Give the folder of a model.") from None
