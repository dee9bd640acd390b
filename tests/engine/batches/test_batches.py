"""Runs in batch mode against a real batch service on loopback: the planned rows, and nothing bought twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.batches import lookup
from datafast.errors import ConfigError, DatafastWarning, OutputError, RunStopped
from datafast.llms import AnthropicProvider, OpenAIProvider
from datafast.llms.batches.base import BatchStatus
from datafast.llms.batches.openai import OpenAIBatches
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.types import StopCause
from tests.servers.batch_server import KEY, BatchServer
from tests.servers.fault_server import Answer
from tests.support import assert_balanced, preference, raw, roles, rows_of

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


def test_each_shard_has_a_batch_of_its_own(tmp_path: Path, server: BatchServer) -> None:
    uuids = []
    for number in (1, 2):
        dataset = raw(tmp_path, topics=20, run=BATCH)
        dataset.generate([provider(server)], shard=(number, 2))
        assert assert_balanced(dataset.report).pending == 0
        uuids += [row["uuid"] for row in rows_of(dataset.paths.rows)]
    assert (len(server.jobs), len(set(uuids)), server.online) == (2, 20, 0)


def test_a_kind_of_two_steps_goes_in_two_waves(tmp_path: Path, server: BatchServer) -> None:
    dataset = preference(tmp_path, documents=4, run=BATCH)
    dataset.generate(roles(provider(server)))
    report = assert_balanced(dataset.report)
    assert report.written == 8
    assert server.online == 0
    assert [len(job.requests) for job in server.jobs.values()] == [4, 16, 16]
    assert set(server.bought_ids.values()) == {1}


def test_each_provider_has_batches_of_its_own(tmp_path: Path, server: BatchServer) -> None:
    dataset = preference(tmp_path, documents=3, run=BATCH)
    dataset.generate(roles(provider(server), rejected=provider(server, "small"), judge=provider(server, "judge")))
    assert_balanced(dataset.report)
    assert sorted(len(job.requests) for job in server.jobs.values()) == [3, 6, 6, 12]


def test_a_provider_without_batches_is_asked_online_in_the_same_run(tmp_path: Path, server: BatchServer) -> None:
    class Online(OpenAIProvider):
        def open_batches(self) -> None:
            return None

    judge = Online("judge", api_base=f"{server.url}/v1", api_key=KEY)
    dataset = preference(tmp_path, documents=3, run=BATCH)
    with pytest.warns(DatafastWarning, match="openai/judge has no batches, so it is asked online"):
        dataset.generate(roles(provider(server), judge=judge))
    assert assert_balanced(dataset.report).written == 6
    assert server.online == 12


def test_a_server_without_a_batch_service_is_asked_online(tmp_path: Path, server: BatchServer) -> None:
    server.faults.no_service = True
    dataset = raw(tmp_path, topics=5, run=BATCH)
    with pytest.warns(DatafastWarning, match="has no batch service"):
        dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 5
    assert server.online == 5


def test_without_waiting_the_next_run_collects(tmp_path: Path, server: BatchServer) -> None:
    dataset = preference(tmp_path, documents=3, run=BATCH)
    server.faults.polls = 3
    for _ in range(9):
        with pytest.raises(RunStopped, match="1 batch is under way at openai/tiny") as stopped:
            dataset.generate(roles(provider(server)), wait=False)
        assert stopped.value.report.stop_cause is StopCause.BATCH
    dataset.generate(roles(provider(server)), wait=False)
    assert assert_balanced(dataset.report).written == 6
    assert [len(job.requests) for job in server.jobs.values()] == [3, 12, 12]
    assert set(server.bought_ids.values()) == {1}


def test_all_batches_are_named_that_are_under_way(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 2
    dataset = preference(tmp_path, documents=3, run=BATCH)
    providers = roles(provider(server), rejected=provider(server, "small"))
    for _ in range(3):
        with pytest.raises(RunStopped) as stopped:
            dataset.generate(providers, wait=False)
    told = str(stopped.value.report.stop_reason)
    assert told.startswith("2 batches are under way at openai/tiny (6 calls), openai/small (6 calls)")


def test_an_online_run_settles_open_batches_and_sends_only_what_is_in_none(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 3
    with pytest.raises(RunStopped, match=r"1 batch is under way at openai/tiny \(4 calls\)"):
        raw(tmp_path, topics=4, run=BATCH).generate([provider(server)], wait=False)
    dataset = raw(tmp_path, topics=6)
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 6
    assert server.online == 2
    assert set(server.bought.values()) == {1}


def test_rows_are_ordered_in_the_end(tmp_path: Path, server: BatchServer) -> None:
    dataset = preference(tmp_path, documents=12, run={**BATCH, "ordered": True, "max_concurrency": 2})
    server.faults.shuffled = True
    dataset.generate(roles(provider(server)))
    assert_balanced(dataset.report)
    online = preference(tmp_path / "online", documents=12, run={"ordered": True})
    online.generate(roles(provider(server)))
    key = "input_document"
    assert [row[key] for row in rows_of(dataset.config.output_file)] == [
        row[key] for row in rows_of(online.config.output_file)
    ]


def test_the_run_is_not_started_over_while_batches_are_under_way(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 10
    dataset = raw(tmp_path, topics=4, run=BATCH)
    with pytest.raises(RunStopped):
        dataset.generate([provider(server)], wait=False)
    with pytest.raises(OutputError, match="cannot be started over: 1 batch is under way"):
        dataset.generate([provider(server)], fresh=True)


def test_a_batch_of_a_provider_that_is_gone_is_an_error(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 10
    dataset = raw(tmp_path, topics=4, run=BATCH)
    with pytest.raises(RunStopped):
        dataset.generate([provider(server)], wait=False)
    with pytest.raises(ConfigError, match="1 batch is under way at openai/tiny"):
        dataset.generate([provider(server, "other")])


def test_what_expires_is_asked_again(tmp_path: Path, server: BatchServer) -> None:
    server.faults.expire, server.faults.partly = 2, 0.5
    dataset = raw(tmp_path, topics=8, run=BATCH)
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 8
    assert [len(job.requests) for job in server.jobs.values()] == [8, 4, 2]
    assert set(server.bought.values()) == {1}


@pytest.mark.parametrize(
    "fault", ["duplicates", "shuffled", "junk", "cut", "metadata", "lost", "lost-blind", "429", "full"]
)
def test_faults_of_the_service_cost_time_and_nothing_else(tmp_path: Path, server: BatchServer, fault: str) -> None:
    faults = server.faults
    match fault:
        case "duplicates":
            faults.duplicates, faults.shuffled = 2, True
        case "shuffled":
            faults.shuffled = True
        case "junk":
            faults.junk = [b"not json", b"{}"]
        case "cut":
            faults.cut_downloads.extend((100, 2000))
        case "metadata":
            faults.no_metadata = True
        case "lost":
            faults.lose_submit = 1
        case "lost-blind":
            faults.lose_submit, faults.no_metadata = 2, True
        case "429":
            faults.refuse_submit.append(Answer(status=429, body={"error": {"message": "slow down"}}))
        case "full":
            faults.fail.extend([("token_limit_exceeded", "too much is enqueued")] * 2)
    dataset = preference(tmp_path, documents=5, run=BATCH)
    dataset.generate(roles(provider(server)))
    assert assert_balanced(dataset.report).written == 10
    assert set(server.bought_ids.values()) == {1}
    assert sum(server.bought.values()) == 5 + 20 + 20


def test_a_budget_counts_what_is_in_batches(tmp_path: Path, server: BatchServer) -> None:
    dataset = raw(tmp_path, topics=20, run={**BATCH, "max_calls": 12})
    with pytest.raises(RunStopped, match="max_calls: 12 of 12 used"):
        dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 12
    assert sum(server.bought.values()) == 12


def test_room_that_a_batch_leaves_in_the_budget_is_used_by_the_next(tmp_path: Path, server: BatchServer) -> None:
    priced = {"price": {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}, "max_completion_tokens": 1000}
    dataset = raw(tmp_path, topics=12, run={**BATCH, "budget_usd": 0.003})
    dataset.generate([provider(server, **priced)])
    report = assert_balanced(dataset.report)
    assert report.written == 12
    assert len(server.jobs) > 1
    assert report.cost_usd is None or report.cost_usd < 0.003


@pytest.mark.filterwarnings("ignore:The config has changed")
def test_items_that_leave_the_config_while_under_way_come_back_free(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 2
    with pytest.raises(RunStopped):
        raw(tmp_path, topics=["a", "b", "c"], run=BATCH).generate([provider(server)], wait=False)
    changed = raw(tmp_path, topics=["b", "d"], run=BATCH)
    changed.generate([provider(server)])
    assert assert_balanced(changed.report).written == 2
    again = raw(tmp_path, topics=["a", "b", "c", "d"])
    again.generate([provider(server)])
    assert assert_balanced(again.report).written == 4
    assert server.online == 0
    assert set(server.bought.values()) == {1}


@pytest.mark.filterwarnings("ignore:The config has changed")
def test_a_config_that_comes_back_while_its_batch_is_open_waits_for_it(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 4
    with pytest.raises(RunStopped):
        raw(tmp_path, topics=["a", "b"], run=BATCH).generate([provider(server)], wait=False)
    raw(tmp_path, topics=["c"]).generate([provider(server)], wait=False)
    again = raw(tmp_path, topics=["a", "b", "c"])
    again.generate([provider(server)])
    assert assert_balanced(again.report).written == 3
    assert server.online == 1
    assert set(server.bought.values()) == {1}


def test_nothing_is_left_beside_the_output(tmp_path: Path, server: BatchServer) -> None:
    dataset = preference(tmp_path, documents=3, run=BATCH)
    dataset.generate(roles(provider(server)))
    left = {path.name for path in tmp_path.iterdir() if "lock" not in path.name}
    assert left <= {
        "out.jsonl",
        "out.jsonl.ledger",
        "out.jsonl.ledger-wal",
        "out.jsonl.ledger-shm",
        "out.jsonl.manifest.json",
    }
    assert not server.files


def test_a_job_that_shows_up_late_after_a_long_upload_is_not_bought_twice(tmp_path: Path, server: BatchServer) -> None:
    server.faults.upload_s, server.faults.listed_after_s, server.faults.lose_submit = 0.5, 0.15, 1
    report = assert_balanced(raw(tmp_path, topics=3, run=BATCH).generate([provider(server)]).report)
    assert (report.written, set(server.bought.values()), len(server.jobs)) == (3, {1}, 1)


def test_a_list_that_is_long_on_its_way_does_not_say_that_there_is_no_job(
    tmp_path: Path, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, is_first = OpenAIBatches.find, iter([True])

    async def find(self: OpenAIBatches, **named: Any) -> list[BatchStatus]:
        found = await own(self, **named)
        if next(is_first, False):
            await asyncio.sleep(lookup.ON_ITS_WAY_S + 0.1)
        return found

    monkeypatch.setattr(OpenAIBatches, "find", find)
    server.faults.listed_after_s, server.faults.lose_submit = 0.2, 1
    report = assert_balanced(raw(tmp_path, topics=3, run=BATCH).generate([provider(server)]).report)
    assert (report.written, set(server.bought.values()), len(server.jobs)) == (3, {1}, 1)


def test_a_batch_is_known_although_its_first_results_do_not_say_whose_they_are(
    tmp_path: Path, server: BatchServer
) -> None:
    server.faults.lose_submit, server.faults.no_metadata = 1, True
    server.faults.junk = [b"not json", b'{"custom_id": "nobody-1"}']
    address = {"api_base": server.url, "api_key": KEY}
    dataset = raw(tmp_path, topics=3, run=BATCH)
    dataset.generate([AnthropicProvider("claude-haiku-4-5-20251001", **address)])
    assert assert_balanced(dataset.report).written == 3
    assert set(server.bought.values()) == {1}


def test_simulated_rows_are_refused_while_batches_are_under_way(tmp_path: Path, server: BatchServer) -> None:
    server.faults.polls = 3
    dataset = raw(tmp_path, topics=3, run=BATCH)
    with pytest.raises(RunStopped):
        dataset.generate([provider(server)], wait=False)
    with pytest.raises(OutputError, match=r"1 batch is under way at .*, and this run would add simulated rows"):
        raw(tmp_path, topics=3).generate([SimulatedProvider()])
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 3
    assert set(server.bought.values()) == {1}
