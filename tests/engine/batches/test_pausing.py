"""A paused run submits no batches, and collects those that are under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafast.engine.batches import service
from datafast.engine.control import RunControl
from datafast.engine.events import BatchDelayed, BatchEnded, BatchSubmitted, Event, RunPaused, RunStarted
from datafast.llms import OpenAIProvider
from tests.running import Running, stays
from tests.servers.batch_server import KEY, BatchServer
from tests.servers.fault_server import Answer
from tests.support import raw


def provider(server: BatchServer) -> OpenAIProvider:
    return OpenAIProvider("tiny", api_base=f"{server.url}/v1", api_key=KEY)


def test_nothing_is_submitted_while_it_is_paused_and_what_is_under_way_is_collected(
    tmp_path: Path, server: BatchServer
) -> None:
    control = RunControl()
    control.pause()
    run = Running(raw(tmp_path, topics=5, run={"mode": "batch"}), [provider(server)], control=control)
    run.until(RunStarted)
    assert stays(lambda: run.count(BatchSubmitted))
    assert not server.jobs
    control.resume()
    run.until(BatchSubmitted)
    control.pause()
    run.until(BatchEnded)
    control.resume()
    assert run.ended().written == 5


def test_a_batch_that_was_put_off_waits_for_the_end_of_the_pause(
    tmp_path: Path, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FIRST_WAIT_S", 0.2)
    server.faults.refuse_submit.append(Answer(status=429, body={"error": {"message": "slow down"}}))
    control = RunControl()

    def pause_at_once(event: Event) -> None:
        if isinstance(event, BatchDelayed):
            control.pause()

    dataset = raw(tmp_path, topics=5, run={"mode": "batch"})
    run = Running(dataset, [provider(server)], control=control, also=pause_at_once)
    run.until(RunPaused)
    assert stays(lambda: run.count(BatchSubmitted), 0.4)
    assert not server.jobs
    run.control.resume()
    assert run.ended().written == 5
