"""50 items of every kind from a real server that decodes by the schema: each row is valid, and nothing fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.datasets.test_contract import CASES, ITEMS, Bench, others
from tests.servers.llama import LlamaServer

pytestmark = pytest.mark.slow

__all__ = ["others"]  # a fixture: kinds of other packages are there


@pytest.mark.filterwarnings("ignore:All 100 rows were filtered")  # of document_qa: this model cannot quote
@pytest.mark.parametrize("kind", CASES)
def test_50_items_of_a_real_server_are_all_valid(
    llama_server: LlamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("LLAMA_KEY", llama_server.key)
    spec: dict[str, Any] = {"provider": "openai_compatible", "model_id": llama_server.model_id}
    spec |= {"api_base": llama_server.url, "api_key_env": "LLAMA_KEY"}
    # The model picks words at random: now and then a text holds nothing but spaces, or two texts are the same.
    bench = Bench(kind, tmp_path / "one", spec, {"run": {"max_concurrency": 4, "max_parse_retries": 9, "top_up": True}})
    report = bench.run()
    assert report.requested == report.written + report.filtered >= ITEMS
    assert report.calls >= ITEMS
    model = bench.project.dataset().written_model
    for row in bench.rows:
        model.model_validate(row)
    # Only what such a model cannot do is filtered: to quote, and to write two responses of which one is better.
    assert set(report.filtered_by_stage) <= {"evidence", "pair"}
    assert bench.run().calls == 0
