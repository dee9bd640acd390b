"""The forms in which tools are given: all come to the same rows."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from datafast.datasets.conversation.tools import Tools
from datafast.schema.config import ConversationDatasetConfig
from tests.datasets.conversation.support import STYLES, generated, talk
from tests.datasets.conversation.tool_server import LEVEL, WITH_TOOLS, Cast, assert_sound, rows_with
from tests.servers.fault_server import FaultServer

FULL = {"type": "function", "function": LEVEL}
MCP = {"name": "tide_level", "description": LEVEL["description"], "inputSchema": LEVEL["parameters"]}
SCHEMA = {"title": "tide_level", "description": LEVEL["description"], **LEVEL["parameters"]}
LISTED = {
    "name": "tide_level",
    "description": LEVEL["description"],
    "parameters": [{"name": "station", "type": "str"}, {"name": "hour", "type": "int", "required": False}],
}


@pytest.mark.parametrize(
    "tools",
    [
        [FULL],
        [LEVEL],
        [MCP],
        [{**MCP, "input_schema": MCP["inputSchema"]}],
        [SCHEMA],
        MCP,
        {"tools": [MCP]},
        [{"tools": [MCP], "nextCursor": "x"}],
        {"jsonrpc": "2.0", "id": 1, "result": {"tools": [MCP]}},
        "tools.json",
        ["tools.yaml"],
        ["one.json"],
    ],
)
def test_every_form_comes_to_the_same_row(
    tmp_path: Path, fault_server: FaultServer, tools: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tools.json").write_text(json.dumps({"tools": [MCP]}), encoding="utf-8")
    Path("tools.yaml").write_text(json.dumps([LEVEL]), encoding="utf-8")
    Path("one.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    (row,) = rows_with(tmp_path, fault_server, tools=tools)
    assert row["tools"] == [FULL]


def test_a_file_is_looked_for_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps([LEVEL]), encoding="utf-8")
    fields = {"topics": ["a"], "output_file": "o.jsonl", **WITH_TOOLS, "tools": "tools.json"}
    made = ConversationDatasetConfig.model_validate(fields, context={"folder": tmp_path})
    assert made.tool_set is not None
    assert made.tool_set.names == ["tide_level"]


def test_deepfabrics_form_is_read(tmp_path: Path, fault_server: FaultServer) -> None:
    (row,) = rows_with(tmp_path, fault_server, tools=[{**LISTED, "returns": "A level in metres"}])
    function = row["tools"][0]["function"]
    assert function["description"] == "The level of the water. Returns: A level in metres"
    assert function["parameters"]["required"] == ["station"]


def test_an_agent_takes_the_other_forms_too(tmp_path: Path, fault_server: FaultServer) -> None:
    (row,) = generated(tmp_path, fault_server, **{**STYLES["agent"], "tools": [MCP]})
    assert row["tools"][0]["function"]["parameters"] == LEVEL["parameters"]


@pytest.mark.parametrize(
    ("tools", "problem"),
    [
        (["tools.txt"], r"tools\[0\]: expected a tool, or a file with tools that ends in .json or .yaml"),
        ([7], r"tools\[0\]: expected a tool, which is a mapping or a function, got 7"),
        (["missing.json"], r"tools\[0\]: .*missing.json"),
        (["empty.json"], r"tools\[0\]: .*empty.json has no tools"),
        ([LEVEL, MCP], r"tools\[1\]: The tool 'tide_level' is given twice"),
        (
            [{**MCP, "inputSchema": {"type": "array"}}],
            r"tools\[0\].function.parameters: expected a JSON Schema of type object",
        ),
        (
            [{**MCP, "inputSchema": {"type": "object", "properties": 3}}],
            r"tools\[0\].function.parameters.properties: This is not a JSON Schema",
        ),
        ([{**MCP, "outputSchema": "text"}], r"tools\[0\].outputSchema: expected a JSON Schema, got 'text'"),
        ([{**MCP, "outputSchema": {"type": "nothing"}}], r"tools\[0\].outputSchema.type: This is not a JSON Schema"),
        ([{"inputSchema": {}}], r"tools\[0\]: expected a function with a name"),
    ],
)
def test_what_is_not_a_tool_is_named_with_its_place(tmp_path: Path, tools: Any, problem: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValidationError, match=problem):
        talk(tmp_path, 1, **{**WITH_TOOLS, "tools": tools})


# -- Python functions


class Boat(BaseModel):
    name: str
    length_m: Annotated[float, Field(gt=0)]


def google(station: str, hour: Annotated[int, Field(ge=0, le=23)] = 12) -> dict[str, float]:
    """The level of the water.

    Of any station.

    Args:
        station (str): Where,
            by name.
        hour: When.

    Returns:
        The level.
    """
    raise NotImplementedError


def numpy(station: str, hour: Annotated[int, Field(ge=0, le=23)] = 12) -> dict[str, float]:
    """The level of the water.

    Of any station.

    Parameters
    ----------
    station : str
        Where,
        by name.
    hour : int, optional
        When.

    Returns
    -------
    dict
        The level.
    """
    raise NotImplementedError


def sphinx(station: str, hour: Annotated[int, Field(ge=0, le=23)] = 12) -> dict[str, float]:
    """The level of the water.

    Of any station.

    :param station: Where,
        by name.
    :param int hour: When.
    :returns: The level.
    """
    raise NotImplementedError


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_a_function_is_described_by_its_hints_and_its_docstring(
    tmp_path: Path, fault_server: FaultServer, function: Any
) -> None:
    tools = Tools(talk(tmp_path, 1, **{**WITH_TOOLS, "tools": [function]}).config.tools or [])
    assert tools.specs == [
        {
            "type": "function",
            "function": {
                "name": function.__name__,
                "description": "The level of the water.\n\nOf any station.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "station": {"type": "string", "description": "Where, by name."},
                        "hour": {"type": "integer", "minimum": 0, "maximum": 23, "description": "When.", "default": 12},
                    },
                    "required": ["station"],
                    "additionalProperties": False,
                },
            },
        }
    ]
    assert tools.output_schema(function.__name__) == {"type": "object", "additionalProperties": {"type": "number"}}


def test_a_function_may_take_models_and_words(tmp_path: Path) -> None:
    def moor(boat: Boat, side: Literal["port", "starboard"], *, copy: bool = False) -> str:
        """Moors a boat."""
        raise NotImplementedError

    (tool,) = talk(tmp_path, 1, **{**WITH_TOOLS, "tools": moor}).config.tools or []
    properties = tool.spec["inputSchema"]["properties"]
    assert properties["boat"]["properties"]["length_m"] == {"type": "number", "exclusiveMinimum": 0}
    assert properties["side"]["enum"] == ["port", "starboard"]
    assert "$ref" not in json.dumps(tool.spec)
    assert "outputSchema" not in tool.spec


def test_a_model_is_a_tool_of_its_name(tmp_path: Path, fault_server: FaultServer) -> None:
    class Moor(BaseModel):
        """Moors a boat."""

        boat: Boat

    made = Cast(calls=[[{"name": "Moor", "arguments": {"boat": {"name": "Ida", "length_m": 9.5}}}]])
    (row,) = rows_with(tmp_path, fault_server, tools=[Moor], cast=made)
    function = row["tools"][0]["function"]
    assert (function["name"], function["description"]) == ("Moor", "Moors a boat.")
    assert_sound(row)


def without_hint(station) -> str:  # type: ignore[no-untyped-def]
    raise NotImplementedError


def of_any_number(*stations: str) -> str:
    raise NotImplementedError


def of_a_lock(what: threading.Event) -> str:
    raise NotImplementedError


def of_a_callback(what: Callable[[], int]) -> str:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (without_hint, "tools[0]: The function without_hint has no type hint for 'station'. Give it one."),
        (of_any_number, "The function of_any_number takes *stations: 'str', which a call by name cannot give."),
        (of_a_lock, "The function of_a_lock has a hint that no JSON can be:"),
        (of_a_callback, "The function of_a_callback has a hint that no JSON can be:"),
    ],
)
def test_a_function_that_cannot_be_described_is_refused(tmp_path: Path, function: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(problem)):
        talk(tmp_path, 1, **{**WITH_TOOLS, "tools": [function]})
