"""Instructions from a real server that decodes by the schema: evolved, judged, all rows valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import RunConfig
from datafast.schema.data_rows import InstructionRow
from tests.datasets.instruction.support import instructions
from tests.servers.llama import LlamaServer
from tests.support import assert_balanced, rows_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("with_input", ["never", "sometimes", "always"])
def test_50_instructions_of_a_real_server_are_all_valid(
    llama_server: LlamaServer, tmp_path: Path, with_input: str
) -> None:
    dataset = instructions(
        tmp_path,
        topics=[f"topic {number}" for number in range(25)],
        num_samples_per_prompt=2,
        with_input=with_input,
        evolution={"rounds": 2, "information_gain": "model"},
        judge={},
        # The model picks words at random: now and then a text holds nothing but spaces, and a task is left out.
        run=RunConfig(max_concurrency=4, max_parse_retries=9, top_up=True),
        keep_repeats=True,
    )
    dataset.generate([OpenAICompatibleProvider("tiny", api_base=llama_server.url, api_key=llama_server.key)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures, report.pending) == (50, {}, 0)
    for row in map(InstructionRow.model_validate, rows_of(tmp_path / "out.jsonl")):
        assert row.instruction.strip()
        assert row.response.strip()
        assert len(row.evolutions) == 2
        assert row.score in range(1, 6)
        if with_input == "never":
            assert row.input is None
        if with_input == "always":
            assert row.input
