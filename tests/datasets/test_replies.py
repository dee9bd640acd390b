"""Texts that one reply brings: which of them become rows."""

from __future__ import annotations

from pathlib import Path

from datafast.llms import OpenAICompatibleProvider
from tests.servers.fault_server import Answer, FaultServer
from tests.support import raw

REPEATING = '{"texts": ["a", " a ", "b", "a"]}'


def test_a_text_that_comes_again_in_a_reply_counts_as_missing(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=REPEATING)
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=4)
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    assert [row.text for row in dataset.data_rows] == ["a", "b"]
    assert dataset.report.failures == {"short_reply": 2}


def test_topping_up_asks_for_what_repeats_left_out(tmp_path: Path, fault_server: FaultServer) -> None:
    texts = iter([REPEATING, '{"texts": ["c", "d"]}'])
    fault_server.respond = lambda request: Answer(text=next(texts))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=4, run={"top_up": True})
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    assert [row.text for row in dataset.data_rows] == ["a", "b", "c", "d"]
    assert "Write 2 different texts" in fault_server.requests[1].prompt


def test_repeats_are_taken_where_the_config_says_so(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=REPEATING)
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=4, keep_repeats=True)
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    assert [row.text for row in dataset.data_rows] == ["a", "a", "b", "a"]
