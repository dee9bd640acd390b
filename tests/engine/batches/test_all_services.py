"""Runs in batch mode at every batch service, whatever goes wrong: the planned rows, and nothing bought twice."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.batches.settling import give_up
from datafast.engine.stop import StopSignal
from datafast.errors import DatafastWarning, RunStopped
from datafast.llms import LLMProvider
from datafast.store.paths import OutputPaths
from tests.llms.batches.support import SERVICES
from tests.servers.batch_server import BatchServer
from tests.servers.fault_server import Answer
from tests.support import assert_balanced, preference, raw, roles, rows_of

BATCH = {"mode": "batch"}
LIMITED = ("token_limit_exceeded", "Enqueued token limit reached.")


@pytest.fixture(params=["anthropic", "azure", "gemini", "mistral", "openai"])
def provider(request: pytest.FixtureRequest, server: BatchServer) -> LLMProvider:
    return SERVICES[request.param](server.url)


def polls(server: BatchServer) -> None:
    server.faults.polls = 3


def half(server: BatchServer) -> None:
    server.faults.expire = 2


def half_without_a_word(server: BatchServer) -> None:
    server.faults.expire, server.faults.unnamed = 1, True


def doubled(server: BatchServer) -> None:
    server.faults.duplicates, server.faults.shuffled = 1, True
    server.faults.junk = [b"<html>", b'{"custom_id": "nobody-1", "key": "nobody-1"}']


def lost(server: BatchServer) -> None:
    server.faults.lose_submit = 2


def limited(server: BatchServer) -> None:
    body: dict[str, Any] = {"error": {"message": "slow down"}}
    server.faults.refuse_submit.extend([Answer(status=429, body=body)] * 2)


def broken_files(server: BatchServer) -> None:
    server.faults.lose_upload = 1
    server.faults.cut_downloads.extend([50])


@pytest.mark.parametrize("fault", [polls, half, half_without_a_word, doubled, lost, limited, broken_files])
def test_the_planned_rows_come_and_nothing_is_bought_twice(
    tmp_path: Path, server: BatchServer, provider: LLMProvider, fault: Callable[[BatchServer], None]
) -> None:
    fault(server)
    dataset = raw(tmp_path, topics=6, run=BATCH)
    dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 6
    assert len(rows_of(dataset.config.output_file)) == 6
    assert server.online == 0
    assert set(server.bought.values()) == {1}
    assert not server.files  # what was refused or collected is removed


def test_a_kind_of_several_steps_goes_in_waves(tmp_path: Path, server: BatchServer, provider: LLMProvider) -> None:
    dataset = preference(tmp_path, documents=2, run=BATCH)
    dataset.generate(roles(provider))
    assert assert_balanced(dataset.report).written == 4
    assert server.online == 0
    assert set(server.bought_ids.values()) == {1}


def test_a_refusal_that_passes_is_waited_out(tmp_path: Path, server: BatchServer, provider: LLMProvider) -> None:
    if provider.provider_name in {"anthropic", "mistral"}:
        pytest.skip("It refuses no batch as a whole, or tells the reason in words alone.")
    server.faults.fail.extend([LIMITED, LIMITED])
    dataset = raw(tmp_path, topics=3, run=BATCH)
    dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 3
    assert set(server.bought.values()) == {1}
    assert not server.files


def test_a_run_that_does_not_wait_is_gone_on_with(tmp_path: Path, server: BatchServer, provider: LLMProvider) -> None:
    server.faults.polls = 2
    with pytest.raises(RunStopped, match="1 batch is under way"):
        raw(tmp_path, topics=3, run=BATCH).generate([provider], wait=False)
    dataset = raw(tmp_path, topics=3, run=BATCH)
    dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 3
    assert set(server.bought.values()) == {1}


def test_a_server_without_batches_is_asked_online(tmp_path: Path, server: BatchServer, provider: LLMProvider) -> None:
    server.faults.no_service = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = raw(tmp_path, topics=3, run=BATCH)
        dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 3
    assert server.online == 3


def begun(tmp_path: Path, server: BatchServer, provider: LLMProvider) -> None:
    """Submits a batch of three calls, and waits until it has ended at its service."""
    with pytest.raises(RunStopped, match="1 batch is under way"):
        raw(tmp_path, topics=3, run=BATCH).generate([provider], wait=False)


def test_results_that_are_no_longer_kept_are_bought_again_with_a_warning(
    tmp_path: Path, server: BatchServer, provider: LLMProvider
) -> None:
    begun(tmp_path, server, provider)
    server.faults.lose_results = 1
    dataset = raw(tmp_path, topics=3, run=BATCH)
    with pytest.warns(DatafastWarning, match="Requests whose replies are lost are asked again"):
        dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 3
    assert set(server.bought.values()) == {2}


def test_a_batch_that_is_not_known_stops_its_provider_until_it_is_given_up(
    tmp_path: Path, server: BatchServer, provider: LLMProvider
) -> None:
    begun(tmp_path, server, provider)
    others = dict(server.jobs)
    server.jobs.clear()
    dataset = raw(tmp_path, topics=3, run=BATCH)
    with pytest.raises(RunStopped, match="knows no batch"):
        dataset.generate([provider])
    assert not server.bought
    server.jobs.update(others)
    dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 3
    assert set(server.bought.values()) == {1}


def test_giving_up_closes_a_batch_that_is_not_known(tmp_path: Path, server: BatchServer, provider: LLMProvider) -> None:
    begun(tmp_path, server, provider)
    server.jobs.clear()
    dataset = raw(tmp_path, topics=3, run=BATCH)
    paths = OutputPaths.of(dataset.config.output_file)
    with pytest.warns(DatafastWarning, match="It is given up now"):
        (done,) = asyncio.run(give_up(paths, {provider.label: provider}, stop=StopSignal()))
    assert not done.problem
    dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 3
