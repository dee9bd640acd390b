"""A server's answers to conversations with tools, each by what it is asked for; and what holds for every row of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

from datafast import ConversationDataset
from tests.datasets.conversation.support import provider, talk
from tests.servers.fault_server import Answer, FaultServer, Recorded, schema_of
from tests.support import rows_of

LEVEL: dict[str, Any] = {
    "name": "tide_level",
    "description": "The level of the water.",
    "parameters": {
        "type": "object",
        "properties": {"station": {"type": "string"}, "hour": {"type": "integer", "minimum": 0, "maximum": 23}},
        "required": ["station"],
    },
}
WIND: dict[str, Any] = {
    "name": "wind",
    "inputSchema": {"type": "object", "properties": {"place": {"enum": ["pier", "buoy"]}}, "required": ["place"]},
    "outputSchema": {
        "type": "object",
        "properties": {"knots": {"type": "number", "minimum": 0}},
        "required": ["knots"],
    },
}
WITH_TOOLS: dict[str, Any] = {"conversation_type": "tools", "tools": [LEVEL, WIND], "share_without_calls": 0.0}
HUSUM = {"name": "tide_level", "arguments": {"station": "Husum"}}
PIER = {"name": "wind", "arguments": {"place": "pier"}}


def asked_for(request: Recorded) -> str:
    """openings, message, calls, answer, either, or results."""
    properties = (schema_of(request.json) or {})["properties"]
    first = next(iter(properties))
    if first != "next":
        return {"messages": "openings", "message": "message"}.get(first, "results")
    text = json.dumps(schema_of(request.json))
    return (
        "either"
        if "anyOf" in text and '"answer"' in text and '"calls"' in text
        else "answer"
        if '"answer"' in text
        else "calls"
    )


@dataclass
class Cast:
    """Who says what: for each sort of request a function of it, or what is said one after the other (the last for ever)."""

    openings: Any = None
    message: Any = field(default_factory=lambda: ["And tomorrow?"])
    calls: Any = field(default_factory=lambda: [[HUSUM]])
    either: Any = field(default_factory=lambda: ["It is 0.7 m."])
    answer: Any = field(default_factory=lambda: ["Hello."])
    results: Any = field(default_factory=lambda: ["0.7 m"])

    def __call__(self, request: Recorded) -> Answer:
        sort = asked_for(request)
        said = self._next(sort, request)
        if sort == "openings":
            count = schema_of(request.json)["properties"]["messages"]["minItems"]  # type: ignore[index]
            said = said or [f"How high is it? {request.prompt[-60:]} {number}" for number in range(count)]
            return Answer(text=json.dumps({"messages": said}))
        if sort == "message":
            return Answer(text=json.dumps({"message": said}))
        if sort == "results":
            names = schema_of(request.json)["properties"]  # type: ignore[index]
            given = said if isinstance(said, list) else [said] * len(names)
            return Answer(text=json.dumps(dict(zip(names, given, strict=True))))
        step = {"calls": said} if isinstance(said, list) else {"answer": said}
        return Answer(text=json.dumps({"next": step}))

    def _next(self, sort: str, request: Recorded) -> Any:
        given = getattr(self, sort)
        if isinstance(given, Callable):  # type: ignore[arg-type]
            return given(request)
        return given and (given.pop(0) if len(given) > 1 else given[0])


def cast(
    folder: Path, server: FaultServer, topics: Any = 1, /, cast: Cast | None = None, **fields: Any
) -> ConversationDataset:
    """A dataset of conversations with tools, generated with this cast."""
    server.respond = cast or Cast()
    return talk(folder, topics, **{**WITH_TOOLS, **fields}).generate([provider(server)], progress=False)


def rows_with(folder: Path, server: FaultServer, topics: Any = 1, /, **fields: Any) -> list[dict[str, Any]]:
    cast(folder, server, topics, **fields)
    return rows_of(folder / "out.jsonl")


def assert_sound(row: Mapping[str, Any]) -> None:
    """Every call fits its tool, every call is answered once and in order, and ids are unique."""
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in row["tools"]}
    open_calls: list[tuple[str, str]] = []
    seen: set[str] = set()
    expected = {"user"}
    for message in row["messages"]:
        role = message["role"]
        if role == "system":
            assert message is row["messages"][0]
            continue
        assert role in expected
        if role == "tool":
            assert (message["tool_call_id"], message["name"]) == open_calls.pop(0)
            assert isinstance(message["content"], str)
            expected = {"tool"} if open_calls else {"assistant"}
        elif calls := message.get("tool_calls"):
            assert message["content"] == ""
            for call in calls:
                assert len(call["id"]) == 9
                assert call["id"].isalnum()
                assert call["id"] not in seen
                seen.add(call["id"])
                function = call["function"]
                jsonschema.validate(function["arguments"], schemas[function["name"]])
                open_calls.append((call["id"], function["name"]))
            expected = {"tool"}
        else:
            assert message["content"].strip()
            expected = {"assistant"} if role == "user" else {"user"}
    assert expected == {"user"}
    assert json.loads(json.dumps(row["messages"])) == row["messages"]
