"""Conversations from a real server that decodes by the schema: of every type and style, all valid."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from datafast import ConversationDataset, RunConfig
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import ConversationDatasetConfig
from tests.datasets.conversation.tool_server import WIND, assert_sound
from tests.servers.llama import LlamaServer
from tests.support import assert_balanced, rows_of

pytestmark = pytest.mark.slow

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "tide_level",
            "parameters": {
                "type": "object",
                "properties": {"station": {"enum": ["Husum", "Dover"]}, "hour": {"type": "integer"}},
                "required": ["station"],
            },
        },
    },
    {"name": "now"},
]
CONVERSATIONS = int(os.environ.get("DATAFAST_TEST_CONVERSATIONS", "60"))
"""Of each style: a real model takes its time, so all 200 are tried by hand."""
AGENT = {"conversation_type": "cot", "reasoning_style": "agent"}
STYLES: dict[str, dict[str, Any]] = {
    "basic": {},
    "freetext": {"conversation_type": "chain_of_thought", "reasoning_style": "freetext"},
    "agent": AGENT,
    "tools": {**AGENT, "tools": TOOLS},
}


@pytest.mark.parametrize("style", STYLES)
def test_conversations_of_a_real_server_are_all_valid(llama_server: LlamaServer, tmp_path: Path, style: str) -> None:
    config = ConversationDatasetConfig(
        topics=[f"topic {number}" for number in range(50)],
        num_rows=CONVERSATIONS,
        output_file=tmp_path / "out.jsonl",
        # The model picks words at random: now and then a text holds nothing but spaces.
        run=RunConfig(max_concurrency=4, max_parse_retries=9),
        **STYLES[style],
    )
    dataset = ConversationDataset(config)
    dataset.generate([OpenAICompatibleProvider("tiny", api_base=llama_server.url, api_key=llama_server.key)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (CONVERSATIONS, 0, 0)
    assert report.calls <= 1.1 * CONVERSATIONS + 5
    for row in rows_of(tmp_path / "out.jsonl"):
        check(style, row)


def test_conversations_with_tools_of_a_real_server_are_all_sound(llama_server: LlamaServer, tmp_path: Path) -> None:
    wind = {**WIND, "outputSchema": {**WIND["outputSchema"], "additionalProperties": False}}
    config = ConversationDatasetConfig(
        topics=[f"topic {number}" for number in range(12)],
        conversation_type="tools",
        tools=[*TOOLS, wind],
        tool_results={"now": {"table": [{"arguments": {}, "result": "12:00"}]}},
        share_without_calls=0.3,
        max_turns=2,
        max_steps=2,
        max_parallel_calls=2,
        output_file=tmp_path / "out.jsonl",
        # The model picks words at random: now and then a text holds nothing but spaces.
        run=RunConfig(max_concurrency=4, max_parse_retries=9),
    )
    dataset = ConversationDataset(config)
    dataset.generate([OpenAICompatibleProvider("tiny", api_base=llama_server.url, api_key=llama_server.key)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (12, 0, 0)
    rows = rows_of(tmp_path / "out.jsonl")
    for row in rows:
        assert_sound(row)
    at_once = [len(message["tool_calls"]) for row in rows for message in row["messages"] if "tool_calls" in message]
    assert at_once
    assert set(at_once) <= {1, 2}


def check(style: str, row: dict[str, Any]) -> None:
    messages = row["messages"]
    roles = Counter(message["role"] for message in messages)
    assert (roles["system"], roles["user"], messages[-1]["role"]) == (1, 1, "assistant")
    assert all(message["content"].strip() for message in messages)
    if style == "freetext":
        assert messages[-1]["reasoning_content"] == row["reasoning"][0] != ""
    if style in {"agent", "tools"}:
        assert 1 <= len(row["steps"]) <= 5
    if style == "tools":
        calls = [orjson.loads(step["action"]) for step in row["steps"]]
        assert {call["name"] for call in calls} <= {"tide_level", "now"}
        for call in calls:
            schema = TOOLS[0]["function"]["parameters"] if call["name"] == "tide_level" else {"maxProperties": 0}
            jsonschema.validate(call["arguments"], schema)
