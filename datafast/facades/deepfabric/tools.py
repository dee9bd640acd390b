"""Tools as DeepFabric's users have them: by name, in its own form, in MCP's, or in OpenAI's, which is what the rows have.

{"name": "tide", "description": "...", "parameters": [{"name": "station", "type": "str", "required": true}], "returns": "..."}
{"name": "tide", "description": "...", "inputSchema": {"type": "object", "properties": {...}}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datafast._util.notify import did_you_mean, warn_user
from datafast.datasets.conversation.tool_forms import as_openai, tools_in
from datafast.errors import ConfigError

__all__ = [
    "BUILT_IN",
    "FILE_TOOLS",
    "as_openai",
    "chosen_tools",
    "get_default_tools",
    "load_tools_from_file",
    "tools_in",
]


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
