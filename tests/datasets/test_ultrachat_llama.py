"""Chats of a real server: one model plays users and assistant, and every row holds what was said."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafast.datasets import UltrachatDataset
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import RunConfig, UltrachatDatasetConfig
from tests.servers.llama import LlamaServer
from tests.support import assert_balanced, rows_of

pytestmark = pytest.mark.slow


def test_50_chats_of_a_real_server_are_all_valid(llama_server: LlamaServer, tmp_path: Path) -> None:
    config = UltrachatDatasetConfig(
        domain="Harbours",
        topics_and_subtopics={f"topic {number}": ["cranes", "tides"] for number in range(5)},
        personas=["A harbour master.", "A child."],
        num_samples=5,
        max_turns=3,
        output_file=tmp_path / "out.jsonl",
        # The model picks words at random: now and then a text holds nothing but spaces.
        run=RunConfig(max_concurrency=4, max_parse_retries=9, top_up=True),
    )
    provider = OpenAICompatibleProvider(
        "tiny", api_base=llama_server.url, api_key=llama_server.key, max_completion_tokens=200
    )
    dataset = UltrachatDataset(config).generate([provider])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (50, 0, 0)
    turns = set()
    for row in rows_of(tmp_path / "out.jsonl"):
        said = row["messages"]
        assert [message["role"] for message in said] == ["user", "assistant"] * (len(said) // 2)
        assert all(message["content"].strip() for message in said)
        users = [message["content"] for message in said[::2]]
        assert len(set(users)) == len(users)
        turns.add(len(users))
    assert turns == {1, 2, 3}
