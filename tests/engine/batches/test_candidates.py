"""`best_of_n` in batch mode: candidates are one wave, what a judge says the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datafast.errors import RunStopped
from datafast.llms import OpenAIProvider
from tests.servers.batch_server import KEY, BatchServer
from tests.support import assert_balanced, raw, rows_of, same_rows

BATCH = {"mode": "batch"}


def provider(server: BatchServer, model: str = "tiny") -> OpenAIProvider:
    return OpenAIProvider(model, api_base=f"{server.url}/v1", api_key=KEY)


def judged(server: BatchServer) -> dict[str, Any]:
    return {"n": 3, "judge": {"providers": [provider(server, "judge")], "rubric": "Is it true?"}}


def test_candidates_are_one_wave_and_judgements_the_next(tmp_path: Path, server: BatchServer) -> None:
    dataset = raw(tmp_path, topics=4, best_of_n=judged(server), run=BATCH)
    report = assert_balanced(dataset.generate([provider(server)]).report)
    assert (report.written, report.calls) == (4, 24)
    assert [len(job.requests) for job in server.jobs.values()] == [12, 12]
    assert server.online == 0
    assert set(server.bought_ids.values()) == {1}


def test_a_run_that_does_not_wait_goes_on_where_it_was(tmp_path: Path, server: BatchServer) -> None:
    dataset = raw(tmp_path, topics=3, best_of_n=judged(server), run=BATCH)
    for _ in range(20):
        try:
            dataset.generate([provider(server)], wait=False)
            break
        except RunStopped:
            continue
    assert assert_balanced(dataset.report).written == 3
    assert server.online == 0
    assert set(server.bought_ids.values()) == {1}
    rows = rows_of(tmp_path / "out.jsonl")
    (tmp_path / "out.jsonl").unlink()
    assert dataset.generate([provider(server)]).report.calls == 0  # type: ignore[union-attr]
    assert same_rows(rows_of(tmp_path / "out.jsonl"), rows)


@pytest.mark.parametrize("passes", ["true", "false"])
def test_with_a_check_each_candidate_is_a_wave_of_those_that_still_need_one(
    tmp_path: Path, server: BatchServer, passes: str
) -> None:
    dataset = raw(tmp_path, topics=3, best_of_n={"n": 2, "check": f"text and {passes}"}, run=BATCH)
    report = assert_balanced(dataset.generate([provider(server)]).report)
    waves = [len(job.requests) for job in server.jobs.values()]
    assert waves == ([3] if passes == "true" else [3, 3])
    assert report.failures == ({} if passes == "true" else {"rejected": 3})
