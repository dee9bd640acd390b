"""Tools as users have them, in the form of OpenAI's schema, which is what prompts and rows have.

{"type": "function", "function": {"name": "tide", "parameters": {...}}}         OpenAI
{"name": "tide", "description": "...", "parameters": {...}}                      the same without what is around it
{"name": "tide", "inputSchema": {...}, "outputSchema": {...}}                    MCP; with input_schema, Anthropic
{"tools": [{"name": "tide", "inputSchema": {...}}]}                              the reply of an MCP server to tools/list
{"title": "tide", "type": "object", "properties": {...}}                         a JSON Schema of the arguments
{"name": "tide", "parameters": [{"name": "station", "type": "str"}], "returns": "..."}   DeepFabric
tide                                                                             a Python function, with hints and a docstring
Tide                                                                             a pydantic model of the arguments
tools.json, tools.yaml                                                           a file with any of the others
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from datafast._util.user_path import user_path
from datafast.datasets.conversation.tool_functions import FunctionTool
from datafast.errors import ConfigError
from datafast.sources.text_file import whole_text

__all__ = ["as_openai", "found_tools", "from_openai", "output_schema_of", "tools_in"]

_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
_FILES = frozenset([".json", ".yaml", ".yml"])
_INPUT = ("inputSchema", "input_schema")
_OUTPUT = ("outputSchema", "output_schema")


def found_tools(given: Any, folder: Path | None) -> list[Any]:
    """The tools in whatever a user gives for them: mappings as they are, and `FunctionTool`s.

    Args:
        folder: what paths of files are relative to; None for the working directory.

    Raises:
        ConfigError: a file cannot be read, or something is not a tool.
    """
    alone = isinstance(given, str | Path | Mapping) or callable(given)
    return [
        tool
        for number, entry in enumerate([given] if alone else given)
        for tool in _found(entry, folder, "tools" if alone else f"tools[{number}]")
    ]


def _found(entry: Any, folder: Path | None, where: str) -> Iterator[Any]:
    if isinstance(entry, FunctionTool):
        yield entry
    elif isinstance(entry, str | Path):
        path = user_path(entry)
        if path.suffix.lower() not in _FILES:
            raise ConfigError(
                f"{where}: expected a tool, or a file with tools that ends in .json or .yaml, got {entry!s:.60}."
            )
        yield from _listed((folder or Path()) / path, where)
    elif isinstance(entry, Mapping):
        nested = _nested(entry)
        yield from [dict(entry)] if nested is None else nested
    elif isinstance(entry, type) and issubclass(entry, BaseModel):
        yield entry.model_json_schema()
    elif callable(entry):
        yield FunctionTool(entry, where)
    else:
        raise ConfigError(f"{where}: expected a tool, which is a mapping or a function, got {entry!r:.60}.")


def _nested(entry: Mapping[str, Any]) -> list[Any] | None:
    """The tools of a reply to MCP's tools/list, with what JSON-RPC puts around it or without; None for a tool."""
    inner = entry.get("result", entry) if "jsonrpc" in entry else entry
    listed = inner.get("tools") if isinstance(inner, Mapping) and "name" not in inner else None
    return listed if isinstance(listed, list) else None


def _listed(path: Path, where: str) -> list[Any]:
    """What a JSON or YAML file lists; a mapping that is one tool by itself."""
    # Imported here, because few configs name a file, and it is large.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe", pure=True).load(whole_text(path))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that there is not
        raise ConfigError(f"{where}: Cannot read {path}: {error}. Check its content.") from error
    nested = _nested(found) if isinstance(found, Mapping) else found
    if nested is None and isinstance(found, Mapping) and ("name" in found or "function" in found or "title" in found):
        nested = [found]
    if not isinstance(nested, list) or not nested:
        raise ConfigError(f"{where}: {path} has no tools. Write a list of them, or a mapping with tools.")
    return nested


def tools_in(path: Path, where: str) -> list[dict[str, Any]]:
    """The tools in a JSON or YAML file, in OpenAI's schema.

    Raises:
        ConfigError: it cannot be read, or holds no tools; begins with `where`.
    """
    return [as_openai(tool, f"{where}: {path.name}[{number}]") for number, tool in enumerate(_listed(path, where))]


def from_openai(tool: object) -> bool:
    """Whether a tool is in OpenAI's form, with or without what is around it."""
    if not isinstance(tool, Mapping):
        return False
    function = tool.get("function", tool)
    if not isinstance(function, Mapping) or any(key in function for key in _INPUT):
        return False
    return isinstance(function.get("parameters", {}), Mapping) and ("name" in function or not _is_schema(function))


def as_openai(tool: object, where: str) -> dict[str, Any]:
    """A tool of any of the forms that a file can hold, in OpenAI's schema.

    Raises:
        ConfigError: it is none of them; begins with `where`.
    """
    if not isinstance(tool, Mapping):
        raise ConfigError(f"{where}: expected a tool, which is a mapping with a name, got {tool!r}.")
    if isinstance(tool.get("function"), Mapping):
        return dict(tool)
    if "name" not in tool and _is_schema(tool):
        rest = {key: value for key, value in tool.items() if key not in {"title", "description", "$schema", "$id"}}
        about = {"description": tool["description"]} if "description" in tool else {}
        return {"type": "function", "function": {"name": tool["title"], **about, "parameters": rest}}
    function = {"name": tool.get("name"), "description": _described(tool)}
    parameters = tool.get("parameters", next((tool[key] for key in _INPUT if key in tool), None))
    if isinstance(parameters, Sequence) and not isinstance(parameters, str):
        parameters = _from_list(parameters, where)
    if parameters is not None:
        function["parameters"] = parameters
    return {"type": "function", "function": function}


def output_schema_of(tool: Mapping[str, Any]) -> Any:
    """The JSON Schema of what a tool gives back; None where it has none."""
    function = tool.get("function", tool)
    return next((function[key] for key in _OUTPUT if isinstance(function, Mapping) and key in function), None)


def _is_schema(tool: Mapping[str, Any]) -> bool:
    return "title" in tool and ("properties" in tool or tool.get("type") == "object")


def _described(tool: Mapping[str, Any]) -> str:
    description, returns = str(tool.get("description") or ""), tool.get("returns")
    return f"{description.rstrip('.')}. Returns: {returns}" if returns else description


def _from_list(parameters: Sequence[Any], where: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for number, parameter in enumerate(parameters):
        if not isinstance(parameter, Mapping) or not isinstance(parameter.get("name"), str):
            raise ConfigError(f"{where}.parameters[{number}]: expected a mapping with a name, got {parameter!r}.")
        kind = str(parameter.get("type", "str"))
        schema = {"type": _TYPES.get(kind, kind)}
        if parameter.get("description"):
            schema["description"] = str(parameter["description"])
        properties[parameter["name"]] = schema
        if parameter.get("required", True):
            required.append(parameter["name"])
    return {"type": "object", "properties": properties, "required": required}
