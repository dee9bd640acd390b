"""`DataSetGenerator`: failed samples: listed, counted, tried again; and what stops a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from datafast import DataSetGeneratorError
from tests.facades.deepfabric.making import BAD, TREE, generator
from tests.servers.fault_server import Answer, FaultServer


def test_failures_are_listed_counted_and_printed(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.respond = lambda request: BAD if "tides" in request.json["messages"][1]["content"] else Answer()
    made = generator()
    dataset = made.create_data(4, 1, TREE)
    (sample,) = made.failed_samples
    assert (len(dataset), sample["topic"], sample["category"]) == (3, "tides", "invalid_reply")
    keys = ["topic", "category", "error", "provider", "attempts", "prompt", "raw_content", "uuid"]
    assert sorted(sample) == sorted(keys)
    assert all(sample[key] for key in keys)
    summary = made.summarize_failures()
    assert (summary["total_failures"], summary["failure_types"]) == (1, {"invalid_reply": 1})
    assert summary["failure_examples"] == {"invalid_reply": sample["error"]}
    made.print_failure_summary()
    assert "1 invalid_reply" in capsys.readouterr().out


def test_each_failed_sample_has_its_own_topic(server: FaultServer) -> None:
    one = Answer(text='{"conversations": [{"exchanges": [{"user": "u", "assistant": "a"}]}]}')
    server.respond = lambda request: one
    made = generator()
    made.create_data(6, 3, TREE)  # tides, ice, waves; salt, tides, ice
    assert sorted(sample["topic"] for sample in made.failed_samples) == ["ice", "ice", "tides", "waves"]


def test_without_failures_the_summary_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    made = generator()
    assert not made.failed_samples
    assert made.summarize_failures() == {"total_failures": 0, "failure_types": {}, "failure_examples": {}}
    made.print_failure_summary()
    assert capsys.readouterr().out == "0 samples failed\n"


def test_failures_of_a_later_call_count_too(server: FaultServer) -> None:
    server.respond = lambda request: BAD
    made = generator()
    made.create_data(2, 1, TREE)
    made.create_data(2, 1, TREE)
    assert made.summarize_failures()["total_failures"] == 4


def test_the_same_call_into_the_same_file_counts_its_failures_once(server: FaultServer, tmp_path: Path) -> None:
    server.respond = lambda request: BAD
    made = generator(output_file=tmp_path / "rows.jsonl")
    made.create_data(2, 1, TREE)
    made.create_data(2, 1, TREE)
    assert made.summarize_failures()["total_failures"] == 2


def bad_at_first(server: FaultServer) -> None:
    server.respond = lambda request: BAD if "tides" in request.json["messages"][1]["content"] else Answer()


@pytest.mark.parametrize("own_file", [True, False])
def test_failed_samples_are_tried_again_and_nothing_else(server: FaultServer, tmp_path: Path, own_file: bool) -> None:
    bad_at_first(server)
    made = generator(output_file=tmp_path / "rows.jsonl" if own_file else None)
    assert len(made.create_data(4, 1, TREE)) == 3
    asked = len(server.requests)
    server.respond = lambda request: Answer()
    dataset = made.create_data(4, 1, TREE, retry_failed=True)
    assert (len(dataset), len(server.requests) - asked) == (4, 1)
    assert dataset.report is not None
    assert (dataset.report.requested, dataset.report.written, dataset.report.failed) == (4, 4, 0)


def test_failed_samples_are_tried_again_with_events_and_awaited(server: FaultServer) -> None:
    for again in (
        lambda made: asyncio.run(made.create_data_async(4, 1, TREE, retry_failed=True)),
        lambda made: list(made.create_data_with_events(4, 1, TREE, retry_failed=True))[-1],
    ):
        bad_at_first(server)
        made = generator()
        made.create_data(4, 1, TREE)
        server.respond = lambda request: Answer()
        assert len(again(made)) == 4


def test_the_same_call_without_retry_failed_makes_new_rows(server: FaultServer) -> None:
    bad_at_first(server)
    made = generator()
    made.create_data(4, 1, TREE)
    asked = len(server.requests)
    server.respond = lambda request: Answer()
    assert len(made.create_data(4, 1, TREE)) == 4
    assert len(server.requests) - asked == 4


def test_missing_samples_are_topped_up_where_the_run_says_so(server: FaultServer) -> None:
    one = Answer(text='{"conversations": [{"exchanges": [{"user": "u", "assistant": "a"}]}]}')
    server.answer_next(one)
    assert len(generator(run={"top_up": True}).create_data(3, 3, TREE)) == 3
    assert len(server.requests) == 2


def test_a_budget_stops_the_run_and_a_larger_one_goes_on(server: FaultServer) -> None:
    with pytest.raises(DataSetGeneratorError, match="max_calls") as caught:
        generator(run={"max_calls": 2}, max_concurrency=1).create_data(4, 1, TREE)
    assert caught.value.report is not None
    assert caught.value.report.pending == 2
    assert len(generator(run={"max_calls": 9}, max_concurrency=1).create_data(4, 1, TREE)) == 4
    assert len(server.requests) == 4
