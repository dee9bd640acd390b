"""What the tests of conversations share: configs of every style, replies, and what is said in rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast import ConversationDataset
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import ConversationDatasetConfig
from tests.servers.fault_server import Answer, FaultServer
from tests.support import assert_balanced, rows_of

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "tide_level",
            "description": "The level of the water.",
            "parameters": {
                "type": "object",
                "properties": {"station": {"type": "string"}, "hour": {"type": "integer", "minimum": 0, "maximum": 23}},
                "required": ["station"],
            },
        },
    },
    {"name": "wind", "parameters": {"type": "object", "properties": {"place": {"enum": ["pier", "buoy"]}}}},
]
STYLES: dict[str, dict[str, Any]] = {
    "basic": {},
    "freetext": {"conversation_type": "chain_of_thought", "reasoning_style": "freetext"},
    "agent": {"conversation_type": "cot", "reasoning_style": "agent"},
    "tools": {"conversation_type": "cot", "reasoning_style": "agent", "tools": TOOLS},
}
CALL = {"name": "tide_level", "arguments": {"station": "Husum"}}
EXCHANGES: dict[str, dict[str, Any]] = {
    "basic": {"user": "Why?", "assistant": "Because."},
    "freetext": {"user": "Why?", "reasoning": "Two bulges.", "assistant": "Because."},
    "agent": {
        "user": "Why?",
        "steps": [{"thought": "Look.", "action": "Open the almanac", "observation": "It says so."}],
        "assistant": "Because.",
    },
    "tools": {
        "user": "Why?",
        "steps": [{"thought": "Look.", "action": CALL, "observation": "0.7 m"}],
        "assistant": "Because.",
    },
}
every_style = pytest.mark.parametrize("style", STYLES)
SHOWN = [{"user": f"u{number}", "n": number, "tags": ["a", None]} for number in range(9)]


def talk(folder: Path, topics: Any = 4, **fields: Any) -> ConversationDataset:
    names = [f"topic {number}" for number in range(topics)] if isinstance(topics, int) else topics
    return ConversationDataset(
        ConversationDatasetConfig(topics=names, **{"output_file": folder / "out.jsonl", **fields})
    )


def provider(server: FaultServer, model: str = "m", **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider(model, api_base=server.url, **options)


def said(*exchanges: dict[str, Any], count: int = 1) -> Answer:
    """So many conversations of these exchanges; in all but the first the answers are numbered, for equal ones count once."""
    numbered = [
        [{**exchange, "assistant": f"{exchange['assistant']} {number}"} for exchange in exchanges]
        for number in range(1, count)
    ]
    return Answer(text=json.dumps({"conversations": [{"exchanges": one} for one in [list(exchanges), *numbered]]}))


def generated(folder: Path, server: FaultServer, **fields: Any) -> list[dict[str, Any]]:
    """The rows of one topic."""
    talk(folder, 1, **fields).generate([provider(server)])
    return rows_of(folder / "out.jsonl")


def spoken(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row["messages"]]


def refused_then_taken(folder: Path, server: FaultServer, style: str, bad: dict[str, Any], **fields: Any) -> list[Any]:
    """The messages of the second request, after a bad reply and before a good one."""
    server.answer_next(said(bad), said(EXCHANGES[style]))
    dataset = talk(folder, 1, **STYLES[style], **fields).generate([provider(server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls, report.failed) == (1, 2, 0)
    messages: list[Any] = server.requests[1].json["messages"]
    return messages


def calling(call: Any) -> dict[str, Any]:
    return {**EXCHANGES["tools"], "steps": [{"thought": "Look.", "action": call, "observation": "0.7 m"}]}
