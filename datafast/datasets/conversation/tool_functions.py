"""Python functions as tools: their schema from type hints and docstring, and their call with arguments of a model.

Descriptions of parameters are read from docstrings in the styles of Google, numpy and Sphinx, or from `Annotated[..., Field(...)]`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NotRequired, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python
from typing_extensions import TypedDict

from datafast.errors import ConfigError
from datafast.llms.strict_schema import inlined_schema, mapped_schema

__all__ = ["FunctionTool"]

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Other Parameters|Returns?|Yields?|Raises|Examples?|Notes?):\s*$")
_UNDERLINED = re.compile(r"^-{3,}\s*$")
_GOOGLE = re.compile(r"^(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY = re.compile(r"^(\w+)(?:\s*:.*)?$")
_SPHINX = re.compile(r"^:(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)$")
_OF_PARAMETERS = {"Args", "Arguments", "Parameters", "Other Parameters"}
_WITHOUT_SCHEMA: tuple[Any, ...] = (Any, str, None, type(None), inspect.Signature.empty)


class FunctionTool:
    """A Python function that is given as a tool.

    Attributes:
        function: the function.
        spec: the tool as MCP writes it: its name, description, inputSchema and, where its hint says what it returns, outputSchema.

    Raises:
        ConfigError: a parameter has no hint, or one that no JSON Schema can tell; begins with `where`.
    """

    def __init__(self, function: Callable[..., Any], where: str) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self._where = f"{where}: The function {self.name}"
        about, told = _documented(inspect.getdoc(function) or "")
        self.spec: dict[str, Any] = {"name": self.name, "description": about, "inputSchema": self._input_schema(told)}
        if (output := self._output_schema()) is not None:
            self.spec["outputSchema"] = output

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionTool) and other.function == self.function

    def __hash__(self) -> int:
        return hash(self.function)

    def bound(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of a call, which fit the schema, as what the hints say: dates, enums, models of pydantic."""
        return dict(self._adapter.validate_python(arguments))

    @cached_property
    def _hints(self) -> dict[str, Any]:
        target = self.function if inspect.isroutine(self.function) else type(self.function).__call__
        try:
            return get_type_hints(target, include_extras=True)
        except (NameError, TypeError) as error:
            raise ConfigError(f"{self._where} has a hint that cannot be read: {error}. Correct it.") from error

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ConfigError(
                    f"{self._where} takes {parameter}, which a call by name cannot give. Name its parameters."
                )
            if parameter.name not in self._hints:
                raise ConfigError(f"{self._where} has no type hint for {parameter.name!r}. Give it one.")
            hint = self._hints[parameter.name]
            fields[parameter.name] = hint if parameter.default is parameter.empty else NotRequired[hint]
        arguments = TypedDict(f"{self.name}_arguments", fields)  # type: ignore[misc]  # made at run time
        arguments.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
        try:
            return TypeAdapter(arguments)
        except PydanticUserError as error:
            raise ConfigError(
                f"{self._where} has a hint that no JSON can be: {_first_line(error)} Change it."
            ) from error

    def _input_schema(self, told: Mapping[str, str]) -> dict[str, Any]:
        schema = _untitled(self._schema_of(self._adapter, "validation"))
        parameters = inspect.signature(self.function).parameters
        for name, part in schema.get("properties", {}).items():
            if name in told:
                part.setdefault("description", told[name])
            default = parameters[name].default
            if default is not inspect.Parameter.empty and default is not None:
                try:
                    part.setdefault("default", to_jsonable_python(default))
                except PydanticSerializationError as error:
                    raise ConfigError(
                        f"{self._where} has a default for {name!r} that is not JSON. Change it."
                    ) from error
        return {"type": "object", "properties": {}, **schema}

    def _output_schema(self) -> dict[str, Any] | None:
        hint = self._hints.get("return", Any)
        if hint in _WITHOUT_SCHEMA:
            return None
        try:
            adapter = TypeAdapter(hint)
        except PydanticUserError as error:
            raise ConfigError(
                f"{self._where} returns what no JSON can be: {_first_line(error)} Change its hint."
            ) from error
        schema = _untitled(self._schema_of(adapter, "serialization"))
        return None if schema in ({}, {"type": "object", "additionalProperties": True}) else schema

    def _schema_of(self, adapter: TypeAdapter[Any], mode: Any) -> dict[str, Any]:
        try:
            return adapter.json_schema(mode=mode)
        except PydanticUserError as error:
            raise ConfigError(
                f"{self._where} has a hint that no JSON can be: {_first_line(error)} Change it."
            ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") + "."


def _untitled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without what pydantic adds: titles and, where none refers to itself, references."""
    return mapped_schema(inlined_schema(dict(schema)), lambda node: node.pop("title", None))


def _documented(text: str) -> tuple[str, dict[str, str]]:
    """What a docstring says about the function, and about its parameters by name."""
    about: list[str] = []
    parts: dict[str, list[str]] = {}
    for section, name, line in _lines_of(text):
        if name is not None:
            parts.setdefault(name, []).append(line)
        elif section is None:
            about.append(line)
    paragraph = re.split(r"\n\s*\n", "\n".join(about).strip())
    told = {name: " ".join(" ".join(lines).split()) for name, lines in parts.items()}
    return "\n\n".join(" ".join(part.split()) for part in paragraph), {name: t for name, t in told.items() if t}


def _lines_of(text: str) -> Iterator[tuple[str | None, str | None, str]]:
    """The lines of a docstring, each with its section and the parameter that it is about."""
    lines = text.splitlines()
    section: str | None = None
    name: str | None = None
    indent: int | None = None
    for number, line in enumerate(lines):
        words, depth = line.strip(), len(line) - len(line.lstrip())
        if _UNDERLINED.match(words):
            continue
        is_underlined = number + 1 < len(lines) and bool(_UNDERLINED.match(lines[number + 1].strip()))
        if is_underlined or _SECTION.match(words):
            section, name, indent = words.rstrip(":"), None, None
            continue
        if sphinx := _SPHINX.match(words):
            section, name, indent = "", sphinx[1], depth
            yield section, name, sphinx[2]
            continue
        if words.startswith(":") and section in (None, ""):  # :returns: and the like
            section, name = "", None
            continue
        if section in _OF_PARAMETERS and words:
            indent = depth if indent is None else indent
            begun = (_GOOGLE.match(words) or _NUMPY.match(words)) if depth <= indent else None
            if begun:
                name = begun[1]
                yield section, name, begun[2] if begun.re is _GOOGLE and indent else ""
                continue
        yield section, name, words
