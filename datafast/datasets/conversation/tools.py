"""Tools that an assistant may call, in OpenAI's tool schema, and the check of calls and results against them.

    {"type": "function", "function": {"name": "get_weather", "description": "Weather of a place.",
     "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}

`tool_forms` has the other forms in which they may be given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.linear_schema import check_patterns, check_schema, linear_validator, without_booleans
from datafast._util.notify import did_you_mean
from datafast.datasets.conversation.tool_forms import as_openai, from_openai, output_schema_of
from datafast.datasets.conversation.tool_functions import FunctionTool
from datafast.errors import ConfigError

__all__ = ["ToolCall", "ToolResult", "Tools"]

_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_MAX_DEPTH = 30
_BY_NAME = {"properties", "patternProperties", "dependentSchemas"}
_LITERAL = {"enum", "const", "default", "examples", "required"}
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


class Tools:
    """A checked set of tools.

    Attributes:
        specs: each in OpenAI's full form.
        names: their names, in order.
        functions: those that were given as Python functions, by name.

    Raises:
        ConfigError: a tool has no name, two have the same name, or the parameters are not a JSON Schema of an object.
    """

    def __init__(self, given: Sequence[Mapping[str, Any] | FunctionTool]) -> None:
        self.specs: list[dict[str, Any]] = []
        self.functions: dict[str, FunctionTool] = {}
        self._parameters: dict[str, dict[str, Any]] = {}
        self._validators: dict[str, Any] = {}
        self._outputs: dict[str, dict[str, Any]] = {}
        self._output_validators: dict[str, Any] = {}
        for number, tool in enumerate(given):
            self._add(tool, f"tools[{number}]")

    @foreign_warnings_ignored()
    def _add(self, given: Mapping[str, Any] | FunctionTool, where: str) -> None:
        tool = given.spec if isinstance(given, FunctionTool) else given
        function: Any = tool.get("function", tool) if from_openai(tool) else as_openai(tool, where).get("function")
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(
                f"{where}: expected a function with a name of letters, digits, '_', '-' and '.', got {tool!r}."
            )
        if name in self._parameters:
            raise ConfigError(f"{where}: The tool {name!r} is given twice. Give each tool its own name.")
        parameters = function.get("parameters") or _NO_PARAMETERS
        if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
            raise ConfigError(
                f"{where}.function.parameters: expected a JSON Schema of type object, got {parameters!r}."
            )
        # A tool that names no parameters takes no arguments, unless it takes arguments of any name.
        named: dict[str, Any] = {} if _takes_any_names(parameters) else {"properties": {}}
        checked = _checked(parameters, f"{where}.function.parameters")
        self._parameters[name] = {"type": "object", **named, **checked}
        self._validators[name] = linear_validator(self._parameters[name])
        if (output := output_schema_of(tool)) is not None:
            if not isinstance(output, Mapping):
                raise ConfigError(f"{where}.outputSchema: expected a JSON Schema, got {output!r}.")
            self._outputs[name] = _checked(output, f"{where}.outputSchema")
            self._output_validators[name] = linear_validator(self._outputs[name])
        if isinstance(given, FunctionTool):
            self.functions[name] = given
        self.specs.append({"type": "function", "function": {**function, "parameters": dict(parameters)}})

    @property
    def names(self) -> list[str]:
        return list(self._parameters)

    def listing(self) -> str:
        """The tools for a prompt: one JSON object a line."""
        return "\n".join(orjson.dumps(spec["function"]).decode() for spec in self.specs)

    def full_listing(self) -> str:
        """The same with what the tools give back, where that is known."""
        told = [
            {
                **spec["function"],
                **({"returns": output} if (output := self._outputs.get(spec["function"]["name"])) else {}),
            }
            for spec in self.specs
        ]
        return "\n".join(orjson.dumps(tool).decode() for tool in told)

    def parameters(self, name: str) -> dict[str, Any]:
        """The JSON Schema of a tool's arguments."""
        return self._parameters[name]

    def output_schema(self, name: str) -> dict[str, Any] | None:
        """The JSON Schema of what a tool gives back; None where it has none."""
        return self._outputs.get(name)

    @foreign_warnings_ignored()
    def arguments_problem(self, name: str, arguments: Mapping[str, Any]) -> str | None:
        """What is wrong with some of a tool's arguments; None if nothing is."""
        from jsonschema.exceptions import best_match

        properties = self._parameters[name].get("properties", {})
        if problem := self.names_problem(name, arguments):
            return problem
        for key, value in arguments.items():
            error = best_match(linear_validator(properties.get(key, {})).iter_errors(value))
            if error is not None:
                return f"arguments of {name}.{key}: {error.message}"
        return None

    def names_problem(self, name: str, arguments: Mapping[str, Any]) -> str | None:
        """Which of these arguments a tool does not have; None if it has all. A schema without additionalProperties would allow them."""
        parameters = self._parameters[name]
        properties = parameters.get("properties", {})
        for key in () if _takes_any_names(parameters) else arguments:
            if key not in properties:
                return f"{name} has no argument {key!r}. {did_you_mean(key, properties)}".rstrip(".")
        return None

    @foreign_warnings_ignored()
    def result_problem(self, name: str, result: Any) -> str | None:
        """What is wrong with what a tool gives back; None if nothing is."""
        from jsonschema.exceptions import best_match

        validator = self._output_validators.get(name)
        error = best_match(validator.iter_errors(result)) if validator is not None else None
        if error is None:
            return None if _is_plain(result) else f"the result of {name}: JSON cannot hold it as it is"
        place = ".".join(str(part) for part in error.absolute_path)
        return f"the result of {name}{', ' + place if place else ''}: {error.message}"

    @foreign_warnings_ignored()
    def problem(self, call: Mapping[str, Any]) -> str | None:
        """What is wrong with a call of the form {"name", "arguments"}; None if nothing is."""
        from jsonschema.exceptions import best_match

        name = call.get("name")
        validator = self._validators.get(name) if isinstance(name, str) else None
        if validator is None:
            return f"there is no tool {name!r}; the tools are {', '.join(self.names)}"
        error = best_match(validator.iter_errors(call.get("arguments")))
        if error is None:
            return None if _is_plain(call) else f"arguments of {name}: a number is too large, infinite or NaN"
        place = ".".join(str(part) for part in error.absolute_path)
        return f"arguments of {name}{'.' + place if place else ''}: {error.message}"

    def call_schema(self) -> dict[str, Any]:
        """The JSON Schema of a call to any of the tools."""
        calls = [
            {
                "type": "object",
                "properties": {"name": {"type": "string", "enum": [name]}, "arguments": parameters},
                "required": ["name", "arguments"],
            }
            for name, parameters in self._parameters.items()
        ]
        return calls[0] if len(calls) == 1 else {"anyOf": calls}


class ToolCall:
    """Marks a field, in `Annotated[dict[str, Any], ToolCall(tools)]`, as a call that must fit one of the tools.

    Args:
        exact: whether all arguments have to be among the tool's parameters. A call may come in the form of OpenAI's API then.
    """

    def __init__(self, tools: Tools, *, exact: bool = False) -> None:
        self._tools = tools
        self._exact = exact

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self._tools.call_schema()

    def _check(self, call: dict[str, Any]) -> dict[str, Any]:
        call = _meant(call) if self._exact else call
        problem = self._tools.problem(call)
        if problem is None and self._exact:
            problem = self._tools.names_problem(call["name"], call["arguments"])
        if problem:
            raise ValueError(problem)
        return {"name": call["name"], "arguments": call["arguments"]}


class ToolResult:
    """Marks a field, in `Annotated[Any, ToolResult(tools, name)]`, as what a tool with an output schema gives back."""

    def __init__(self, tools: Tools, name: str) -> None:
        self._tools = tools
        self._name = name

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(self._tools.output_schema(self._name) or {})

    def _check(self, result: Any) -> Any:
        if problem := self._tools.result_problem(self._name, result):
            raise ValueError(problem)
        return result


def _meant(call: dict[str, Any]) -> dict[str, Any]:
    """A call in our form that came in that of OpenAI's API: below `function`, or with its arguments as a text."""
    if "name" not in call and isinstance(function := call.get("function"), dict):
        call = function
    if isinstance(arguments := call.get("arguments"), str):
        try:
            return {**call, "arguments": orjson.loads(arguments or "{}")}
        except orjson.JSONDecodeError:
            return call
    return call


@foreign_warnings_ignored()
def _checked(schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A user's JSON Schema without references.

    Raises:
        ConfigError: it is not one, or cannot be used; begins with `where`.
    """
    check_schema(schema, where)
    checked = without_booleans(_inlined(schema, schema, where))
    try:
        check_patterns(checked)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    return checked


def _takes_any_names(parameters: Mapping[str, Any]) -> bool:
    return bool(parameters.get("additionalProperties")) or bool(parameters.get("patternProperties"))


def _inlined(node: Any, root: Mapping[str, Any], where: str, depth: int = 0) -> Any:
    """A schema with its references replaced by their targets, because it becomes a part of another schema."""
    if depth > _MAX_DEPTH:
        raise ConfigError(
            f"{where}: The schema refers to itself, or is nested more than {_MAX_DEPTH} deep. Simplify it."
        )
    if isinstance(node, Mapping):
        if isinstance(target := node.get("$ref"), str):
            found = _inlined(_pointed_at(target, root, where), root, where, depth + 1)
            return {**found, **{key: value for key, value in node.items() if key != "$ref"}}
        kept = {key: value for key, value in node.items() if key not in {"$defs", "definitions", "$schema", "$id"}}
        return {
            key: _of_names(value, root, where, depth + 1)
            if key in _BY_NAME
            else value
            if key in _LITERAL
            else _inlined(value, root, where, depth + 1)
            for key, value in kept.items()
        }
    if isinstance(node, list):
        return [_inlined(value, root, where, depth + 1) for value in node]
    return node


def _of_names(named: Any, root: Mapping[str, Any], where: str, depth: int) -> Any:
    """Schemas by the names of the user's properties, which may have the names of keywords."""
    if not isinstance(named, Mapping):
        return named
    return {name: _inlined(schema, root, where, depth) for name, schema in named.items()}


def _is_plain(value: Any) -> bool:
    """Whether a value can be written as JSON and read again without a loss, which is not so for all numbers of a model."""
    try:
        return bool(orjson.loads(orjson.dumps(value)) == value)
    except TypeError:
        return False


def _pointed_at(target: str, root: Mapping[str, Any], where: str) -> Any:
    found: Any = root
    for part in target.removeprefix("#").strip("/").split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    if not target.startswith("#/") or found is None:
        raise ConfigError(f"{where}: The reference {target!r} has no target in this schema. Correct it.")
    return found
