"""Tools as DeepFabric's users have them: by name, in its own form, in MCP's, or in OpenAI's, which is what the rows have.

{"name": "tide", "description": "...", "parameters": [{"name": "station", "type": "str", "required": true}], "returns": "..."}
{"name": "tide", "description": "...", "inputSchema": {"type": "object", "properties": {...}}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from datafast._util.notify import did_you_mean, warn_user
from datafast.errors import ConfigError
from datafast.sources.text_file import whole_text

__all__ = [
    "BUILT_IN",
    "FILE_TOOLS",
    "as_openai",
    "chosen_tools",
    "get_default_tools",
    "load_tools_from_file",
    "tools_in",
]

_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}


def as_openai(tool: object, where: str) -> dict[str, Any]:
    """A tool of any of the forms, in OpenAI's schema.

    Raises:
        ConfigError: it is none of them; begins with `where`.
    """
    if not isinstance(tool, Mapping):
        raise ConfigError(f"{where}: expected a tool, which is a mapping with a name, got {tool!r}.")
    if isinstance(tool.get("function"), Mapping):
        return dict(tool)
    function = {"name": tool.get("name"), "description": _described(tool)}
    parameters = tool.get("parameters", tool.get("inputSchema", tool.get("input_schema")))
    if isinstance(parameters, Sequence) and not isinstance(parameters, str):
        parameters = _from_list(parameters, where)
    if parameters is not None:
        function["parameters"] = parameters
    return {"type": "function", "function": function}


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


def tools_in(path: Path, where: str) -> list[dict[str, Any]]:
    """The tools in a JSON or YAML file: a list, or a mapping with `tools`.

    Raises:
        ConfigError: it cannot be read, or holds no tools; begins with `where`.
    """
    try:
        found = YAML(typ="safe", pure=True).load(whole_text(path))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that there is not
        raise ConfigError(f"{where}: Cannot read {path}: {error}. Check its content.") from error
    listed = found.get("tools") if isinstance(found, Mapping) else found
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"{where}: {path} has no tools. Write a list of them, or a mapping with tools.")
    return [as_openai(tool, f"{where}: {path.name}[{number}]") for number, tool in enumerate(listed)]


def chosen_tools(names: Sequence[str], given: Sequence[Mapping[str, Any]] | None, where: str) -> list[dict[str, Any]]:
    """The tools with these names, among the given ones, or else among those that DeepFabric has built in; all where none is named.

    Names that there are not are left out, as by DeepFabric, with a warning.

    Raises:
        ConfigError: none of the names is there; begins with `where`.
    """
    known = {tool["function"]["name"]: dict(tool) for tool in (BUILT_IN if given is None else given)}
    if not names:
        return list(known.values()) if given is not None else [known[name] for name in _BY_DEFAULT]
    missing = [name for name in names if name not in known]
    if len(missing) == len(names):
        raise ConfigError(f"{where}: There is no tool {missing[0]!r}. {did_you_mean(missing[0], known)}")
    if missing:
        warn_user(
            f"{where}: There is no tool {', '.join(missing)}, so the agent goes without. Define it, or take it out of the list."
        )
    return [known[name] for name in names if name in known]


def _tool(name: str, description: str, required: str = "", optional: str = "", **types: str) -> dict[str, Any]:
    properties = {
        parameter: {"type": types.get(parameter, "string")} for parameter in [*required.split(), *optional.split()]
    }
    parameters = {"type": "object", "properties": properties, "required": required.split()}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


FILE_TOOLS = [
    _tool("read_file", "Gives the content of a file.", "file_path"),
    _tool("write_file", "Puts content into a file, in the place of what is there.", "file_path content"),
    _tool("list_files", "Lists all files."),
    _tool("delete_file", "Removes a file.", "file_path"),
]
"""The tools of DeepFabric's component `builtin`."""

_EVERYDAY = [
    _tool("get_weather", "Tells the weather of a place.", "location", "time"),
    _tool("get_time", "Tells the date and time in a time zone.", optional="timezone"),
    _tool("search_web", "Finds pages on the web, with titles and excerpts.", "query", "limit", limit="integer"),
    _tool("get_news", "Finds recent news about a topic.", "topic", "limit", limit="integer"),
    _tool("calculate", "Computes the value of an arithmetical expression.", "expression"),
    _tool("get_stock_price", "Tells the price of a share by its ticker symbol.", "symbol"),
    _tool("send_email", "Sends a message by email.", "to subject body"),
    _tool("translate", "Translates a text into another language.", "text target_lang"),
    _tool(
        "get_directions", "Describes the way from one place to another, and how long it takes.", "origin destination"
    ),
    _tool("get_traffic", "Tells how dense the traffic between two places is.", "origin destination"),
    _tool("get_calendar_events", "Lists the entries of the calendar for a day.", "date"),
    _tool("set_reminder", "Sets a reminder for a time.", "message time"),
]
_BY_DEFAULT = [tool["function"]["name"] for tool in _EVERYDAY]
BUILT_IN = [
    *_EVERYDAY,
    _tool("calculator", "Computes the value of an arithmetical expression.", "expression"),
    _tool("web_search", "Finds pages on the web, with titles and excerpts.", "query", "limit", limit="integer"),
    *FILE_TOOLS,
]
"""Tools that DeepFabric's configs name without defining them."""


def get_default_tools() -> list[dict[str, Any]]:
    """The everyday tools that DeepFabric has built in."""
    return chosen_tools([], None, "tools")


def load_tools_from_file(path: str | Path) -> list[dict[str, Any]]:
    """The tools in a JSON or YAML file, in OpenAI's schema.

    Raises:
        ConfigError: it cannot be read, or holds no tools.
    """
    return tools_in(Path(path), "path")
