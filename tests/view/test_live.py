"""The page of a run: its state as JSON and as a stream, what can be done to it, and how each sort of end is told."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.control import RunControl
from datafast.engine.events import CallFinished, ConcurrencyChanged, Event, RunPaused, RunResumed
from datafast.engine.live import LiveRun
from datafast.errors import DatafastWarning, RunStopped
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.types import StopCause
from datafast.view.outputs import Output, Outputs
from datafast.view.recorded import State, newest_rows
from datafast.view.serving import ViewerServer
from datafast.view.viewer import Viewer
from tests.running import Running, wait_for
from tests.support import fork_server, raw
from tests.view.client import Client, viewing


@contextlib.contextmanager
def shown(
    folder: Path, *, topics: int = 2000, latency_s: float = 0.1, pauses_after: int | None = None
) -> Iterator[tuple[Client, Running]]:
    """A run of this process with a viewer that can control it: one that outlasts any test, or that pauses itself after some calls."""
    control = RunControl()
    live = LiveRun(control)
    calls = itertools.count(1)

    def take(event: Event) -> None:
        live.take(event)
        if isinstance(event, CallFinished) and next(calls) == pauses_after:
            control.pause()

    outputs = Outputs(folder / "out.jsonl", is_coming=True)
    with ViewerServer(Viewer(outputs, permits=["control"], run=live)) as server:
        client = Client(server)
        client.enter()
        one = SimulatedProvider("m", latency_s=latency_s)
        dataset = raw(folder, topics=topics, run={"max_concurrency": 2})
        run = Running(dataset, [one], control=control, also=take)
        try:
            yield client, run
        finally:
            control.stop()
            run.ended()


def figures(client: Client, path: str = "/api/live") -> Any:
    answer = client.get(path)
    assert answer.status == 200, answer.text
    return answer.json()


@contextlib.contextmanager
def streaming(client: Client, path: str) -> Iterator[Iterator[Any]]:
    """The states that a stream gives."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", client.server.port, timeout=20)) as connection:
        connection.request("GET", path, headers={"Host": client.host, "Cookie": client.cookie or ""})
        answer = connection.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield (json.loads(line[6:]) for line in iter(answer.readline, b"") if line.startswith(b"data: "))


# -- a run of this process


def test_a_run_is_steered_by_its_page(tmp_path: Path) -> None:
    with shown(tmp_path) as (client, run):
        run.until(CallFinished)
        assert client.post("/api/live/pause", {}).status == 200
        run.until(RunPaused)
        wait_for(lambda: figures(client)["run"]["phase"] == "paused")
        assert client.post("/api/live/concurrency", {"provider": "simulated/m", "concurrency": 7}).status == 200
        assert run.until(ConcurrencyChanged).concurrency == 7
        client.post("/api/live/resume", {})
        run.until(RunResumed)
        wait_for(lambda: figures(client)["run"]["providers"][0]["limits"]["in_flight"] == 7)
        client.post("/api/live/stop", {})
        assert run.ended().stop_cause is StopCause.INTERRUPTED
        wait_for(lambda: figures(client)["recorded"]["state"] == "stopped")
        ended = figures(client)
        assert ended["run"]["report"]["stop_reason"] == ended["recorded"]["stop_reason"] == "interrupted"


@pytest.mark.parametrize(
    "wrong",
    [{"provider": "nobody", "concurrency": 3}, {"provider": "simulated/m", "concurrency": 0}, {"provider": "a"}, [], 1],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(tmp_path: Path, wrong: Any) -> None:
    with shown(tmp_path) as (client, run):
        run.until(CallFinished)
        answer = client.post("/api/live/concurrency", wrong)
        assert answer.status == 422
        assert answer.json()["error"]["message"]
        assert figures(client)["run"]["providers"][0]["limits"]["concurrency"] == 2


@pytest.mark.parametrize("what", ["pause", "resume", "stop", "concurrency"])
def test_only_its_own_page_steers_a_run(tmp_path: Path, what: str) -> None:
    with shown(tmp_path) as (client, run):
        run.until(CallFinished)
        path = f"/api/live/{what}"
        assert client.post(path, {}, Origin="http://elsewhere.example").status == 403
        assert client.post(path, {}, Origin="").status == 403
        assert client.post(path, {}, Host="elsewhere.example").status == 403
        assert client.post(path, {}, Cookie="").status == 403
        assert client.get(path).status == 405
        assert not run.control.is_paused
        assert not run.control.is_stopped
    with viewing(tmp_path / "out.jsonl") as other:
        answer = other.post(path, {})
        assert (answer.status, "Only the command that runs it" in answer.text) == (403, True)


def test_a_stream_begins_with_the_whole_state_and_ends_with_the_run(tmp_path: Path) -> None:
    with shown(tmp_path, topics=30, latency_s=0.02, pauses_after=3) as (client, run):
        run.until(RunPaused)
        with streaming(client, "/api/live/stream") as states:
            first = next(states)
            run.control.resume()
            assert first["run"]["requested"] == 30
            assert first["run"]["providers"][0]["name"] == "simulated/m"
            *_, last = states
        assert (last["run"]["phase"], last["run"]["report"]["written"]) == ("ended", 30)
        assert (last["recorded"]["state"], last["recorded"]["written"]) == ("complete", 30)
        assert len(last["recorded"]["rows"]) == 6
        wait_for(lambda: client.server.viewer.watchers == 0)


def test_the_first_address_leads_to_the_run_before_there_is_a_file(tmp_path: Path) -> None:
    with shown(tmp_path) as (client, _):
        assert client.get("/").headers["location"] == "/live"
        page = client.get("/live")
        assert (page.status, 'data-own="yes"' in page.text) == (200, True)


# -- what is recorded of others' runs


def recorded(folder: Path) -> Any:
    with viewing(folder / "out.jsonl") as client:
        output = client.output("out.jsonl")
        assert client.get("/live").headers["location"] == f"/o/{output}/live"
        page = client.get(f"/o/{output}/live")
        assert (page.status, 'id="pause"' in page.text) == (200, False)
        state = figures(client, f"/api/o/{output}/live")
        assert state["run"] is None
        return state["recorded"]


def test_a_run_that_is_complete(tmp_path: Path) -> None:
    raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
    found = recorded(tmp_path)
    assert (found["state"], found["written"], found["pending"], found["command"]) == ("complete", 5, 0, None)
    assert found["providers"][0][:2] == ["simulated/m", 5]


def test_a_run_that_has_failed_rows(tmp_path: Path) -> None:
    one = SimulatedProvider("m", faults={"refused": 0.5})
    raw(tmp_path, topics=20).generate([one])
    found = recorded(tmp_path)
    assert found["state"] == "flawed"
    assert found["failures"][0][0] == "refused"
    assert found["failures"][0][1] == found["failed"] > 0


def test_a_run_that_a_budget_has_ended(tmp_path: Path) -> None:
    with pytest.raises(RunStopped):
        raw(tmp_path, topics=20, run={"max_calls": 4}).generate([SimulatedProvider("m")])
    found = recorded(tmp_path)
    assert (found["state"], found["pending"]) == ("budget", 16)
    assert "max_calls" in found["stop_reason"]
    with contextlib.closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as ledger, ledger:
        ledger.execute("UPDATE meta SET value = 'eclipse' WHERE name = 'stop_cause'")  # as a later version may
    assert recorded(tmp_path)["state"] == "failed"


def test_a_run_that_a_provider_has_ended(tmp_path: Path) -> None:
    with pytest.raises(RunStopped):
        raw(tmp_path, topics=20).generate([SimulatedProvider("m", faults={"authentication": 1.0})])
    assert recorded(tmp_path)["state"] == "failed"


def test_a_run_of_a_part(tmp_path: Path) -> None:
    raw(tmp_path, topics=20).generate([SimulatedProvider("m")], limit=5)
    found = recorded(tmp_path)
    assert (found["state"], found["written"], found["pending"]) == ("partial", 5, 15)


def test_rows_that_stages_have_filtered_by_reason(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=10, quality=[{"stage": "length", "min_words": 100_000}])
    with pytest.warns(DatafastWarning, match="All 10 rows were filtered"):
        dataset.generate([SimulatedProvider("m")])
    found = recorded(tmp_path)
    assert found["filtered"] == 10
    assert [row[0] for row in found["by_stage"]] == ["length"]
    assert (sum(row[2] for row in found["by_stage"]), found["more_filtered"]) == (10, 0)


def test_a_file_without_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text('{"text": "a"}\n')
    found = recorded(tmp_path)
    assert (found["state"], found["rows"]) == ("unknown", [[["text", "a"]]])


def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    raw(tmp_path, topics=2).generate([SimulatedProvider("m")])
    (tmp_path / "out.jsonl.ledger").write_bytes(b"not a ledger" * 500)
    found = recorded(tmp_path)
    assert found["state"] == "unknown"
    assert found["problem"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_a_run_that_was_killed_is_not_called_running(tmp_path: Path) -> None:
    with fork_server() as server:
        assert server.run("tests.killed:run", folder=str(tmp_path), at=9) == -signal.SIGKILL
    found = recorded(tmp_path)
    assert (found["state"], found["stop_reason"]) == ("killed", None)
    assert found["pending"] >= 10
    assert found["changed_at"] > 1e9
    raw(tmp_path, topics=20).generate([SimulatedProvider("m")])
    assert recorded(tmp_path)["state"] == "complete"


def test_a_run_that_goes_on_elsewhere_is_shown_as_it_grows(tmp_path: Path) -> None:
    with shown(tmp_path, topics=60, latency_s=0.02, pauses_after=5) as (_, run):
        run.until(RunPaused)
        with viewing(tmp_path / "out.jsonl") as other:
            output = other.output("out.jsonl")
            assert figures(other, f"/api/o/{output}/live")["recorded"]["state"] == "running"
            with streaming(other, f"/api/o/{output}/live/stream") as states:
                before = next(states)["recorded"]
                run.control.resume()
                run.ended()
                after = next(one["recorded"] for one in states if one["recorded"]["state"] == State.COMPLETE)
    assert before["written"] < after["written"] == 60


# -- the newest rows


def test_newest_rows_are_cut_and_shown_as_text(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    hostile = {"text": "<script>\u202e\x1b[31m" + "a" * 1_000, "n": [1, 2], "metadata": {"x": 1}, "uuid": "u"}
    whole = [json.dumps({"number": number}) for number in range(9)]
    file.write_text("\n".join([*whole, json.dumps(hostile), '{"half": ']))
    rows = newest_rows(Output(file, "rows.jsonl"))
    assert [row[0] for row in rows[1:]] == [("number", str(number)) for number in (8, 7, 6, 5, 4)]
    (name, text), more = rows[0]
    assert (name, more, len(text) < 400) == ("text", ("n", "[1,2]"), True)
    assert text.startswith("<script>\\u202e\\x1b[31m")


def test_of_a_large_file_only_the_end_is_read(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    with file.open("w") as out:
        for number in range(4):
            out.write(json.dumps({"number": number, "text": "x" * 100_000}) + "\n")
        out.write(json.dumps({"text": "y" * 5_000_000}) + "\n")
    assert newest_rows(Output(file, "rows.jsonl")) == ()
    with file.open("a") as out:
        out.write('{"number": 5}\n')
    assert newest_rows(Output(file, "rows.jsonl")) == ((("number", "5"),),)
