"""Runs in batch mode against a real batch service on loopback: the planned rows, and nothing bought twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datafast.llms import OpenAIProvider
from tests.servers.batch_server import KEY, BatchServer
from tests.support import assert_balanced, raw, rows_of

BATCH = {"mode": "batch"}


def provider(server: BatchServer, model: str = "tiny", **options: Any) -> OpenAIProvider:
    return OpenAIProvider(model, api_base=f"{server.url}/v1", api_key=KEY, **options)


def test_all_calls_of_a_run_go_in_one_batch(tmp_path: Path, server: BatchServer) -> None:
    dataset = raw(tmp_path, topics=20, run=BATCH)
    dataset.generate([provider(server)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls, report.replayed) == (20, 20, 0)
    assert len(server.jobs) == 1
    assert server.online == 0
    assert set(server.bought.values()) == {1}
    assert len(rows_of(dataset.config.output_file)) == 20
