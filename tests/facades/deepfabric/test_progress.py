"""`DataSetGenerator`: the events of a call."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from datafast import DataSetGenerator, DataSetGeneratorError
from datafast.facades.deepfabric.generated import Dataset
from tests import support
from tests.facades.deepfabric.making import BAD, TREE, generator
from tests.running import wait_for
from tests.servers.fault_server import Answer, FaultServer


def events_of(made: DataSetGenerator, *call: Any) -> list[Any]:
    async def main() -> list[Any]:
        return [event async for event in made.create_data_with_events_async(*call)]

    return asyncio.run(main())


def test_events_come_in_order_with_their_keys_and_the_dataset_last(server: FaultServer) -> None:
    *events, dataset = events_of(generator(), 7, 3, TREE)
    assert isinstance(dataset, Dataset)
    told = [event for event in events if event["event"] not in {"call_complete", "retry"}]
    each = ["step_start", "step_complete"]
    assert [event["event"] for event in told] == ["generation_start", *each * 3, "generation_complete"]
    assert [event["step"] for event in told if event["event"] == "step_start"] == [1, 2, 3]
    told = [event for event in told if event["event"] != "step_start"]
    assert (told[0]["total_samples"], told[0]["batch_size"], told[0]["total_steps"]) == (7, 3, 3)
    steps = told[1:-1]
    assert [step["step"] for step in steps] == [1, 2, 3]
    assert sum(step["samples_generated"] for step in steps) == 7
    assert all(step["failed_in_step"] == 0 for step in steps)
    assert (told[-1]["total_samples"], told[-1]["failed_samples"]) == (7, 0)


TABLE = re.compile(r"^\| event \| keys \|\n\|[- |]+\n((?:\|.*\n)+)", re.MULTILINE)
OTHER_WORDS = {"step_complete", "DataSetGeneratorError", "KeyboardInterrupt", "CancelledError"}


def documented_keys() -> dict[str, set[str]]:
    """The keys of each event, or of events that share a row, as the page about scripts of DeepFabric has them."""
    page = (Path(__file__).parents[3] / "docs/coming-from/deepfabric.md").read_text(encoding="utf-8")
    found = TABLE.search(page)
    assert found is not None
    rows = [[re.findall(r"`(\w+)`", cell) for cell in line.split("|")[1:3]] for line in found[1].splitlines()]
    return {" ".join(events): set(keys) - OTHER_WORDS for events, keys in rows}


def test_every_event_has_the_keys_that_are_documented(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)
    server.answer_next(Answer(), Answer(status=500, body={"error": {"message": "down"}}), Answer(), BAD)
    *events, _ = events_of(generator(max_concurrency=1, sample_retries=0), 4, 1, TREE)
    told: list[dict[str, Any]] = []
    made = generator(max_concurrency=1, run={"max_calls": 1}).create_data_with_events(4, 1, TREE)
    with pytest.raises(DataSetGeneratorError, match="max_calls"):
        told += made
    assert told[-1]["event"] == "generation_error"
    found = {event["event"]: set(event) - {"event"} for event in [*events, *told]}
    found["generation_interrupted"] = {"message"}  # see below
    for names, keys in documented_keys().items():
        assert keys == set().union(*(found.pop(name) for name in names.split()))
    assert not found


def test_a_step_tells_of_its_failures_and_counts_once(server: FaultServer) -> None:
    def one_of_three(request: Any) -> Answer:
        return Answer(text='{"conversations": [{"exchanges": [{"user": "u", "assistant": "a"}]}]}')

    server.respond = one_of_three
    *events, dataset = events_of(generator(max_concurrency=8), 24, 3, TREE)
    steps = [event for event in events if event["event"] == "step_complete"]
    assert [(step["samples_generated"], step["failed_in_step"]) for step in steps] == [(1, 2)] * 8
    assert all("short_reply" in step["failure_reasons"][0] for step in steps)
    assert (events[-1]["total_samples"], events[-1]["failed_samples"], len(dataset)) == (8, 16, 8)


def test_an_interruption_is_an_event_of_its_own(server: FaultServer) -> None:
    from datafast.errors import RunStopped
    from datafast.facades.deepfabric.progress import Progress
    from datafast.types import StopCause

    made = generator()
    report = made.create_data(1, 1, TREE).report
    assert report is not None
    for cause, name in ((StopCause.INTERRUPTED, "generation_interrupted"), (StopCause.BUDGET, "generation_error")):
        stopped = RunStopped(dataclasses.replace(report, stop_cause=cause, stop_reason="Stopped."))
        progress = Progress.__new__(Progress)
        assert progress.stopped(stopped)["event"] == name


SCRIPTS = {
    "without a loop": """
for event in made.create_data_with_events(40, 1, tree):
    tell(event)
""",
    "in a loop": """
async def main():
    async for event in made.create_data_with_events_async(40, 1, tree):
        tell(event)
asyncio.run(main())
""",
}
HEAD = """
import asyncio, signal
from datafast import DataSetGenerator, Tree
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
def tell(event):
    print(event["event"], event.get("message", ""), flush=True)
tree = Tree.from_dict({"sea": ["tides", "ice", "waves", "salt"]})
made = DataSetGenerator(generation_system_prompt="You teach.", provider="openai", model_name="m-1", max_concurrency=2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_real_interruption_is_told_before_it_is_raised(server: FaultServer, script: str) -> None:
    usual = server.respond

    def respond(request: Any) -> Answer:
        number = len(server.requests)
        return dataclasses.replace(usual(request), until=lambda: number <= 4 or lands.is_set())

    lands = threading.Event()
    server.respond = respond
    with subprocess.Popen(
        [sys.executable, "-c", HEAD + SCRIPTS[script]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # The script must be waiting for the iteration when it is interrupted, not printing.
        steps = (line for line in process.stdout if line.startswith("step_complete"))
        assert len(list(itertools.islice(steps, 3))) == 3
        wait_for(lambda: len(server.requests) >= 6)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        threading.Timer(1.0, lands.set).start()
        told, errors = process.stdout.read(), process.stderr.read()
    assert told, errors
    assert told.splitlines()[-1].startswith("generation_interrupted Interrupted. Rows and replies so far are kept in")
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "RuntimeError" not in errors


def test_a_step_of_which_nothing_came_has_failed(server: FaultServer) -> None:
    server.respond = lambda request: BAD
    *events, _ = events_of(generator(), 1, 1, TREE)
    told = [event["event"] for event in events if event["event"].startswith("step")]
    assert told == ["step_start", "step_complete", "step_failed"]


def test_events_are_iterated_over_without_a_loop_and_below_one(server: FaultServer) -> None:
    *events, dataset = generator().create_data_with_events(4, 2, TREE)
    assert ([events[0]["event"], events[-1]["event"]], len(dataset)) == (["generation_start", "generation_complete"], 4)

    async def below() -> int:
        return len(list(generator().create_data_with_events(4, 2, TREE))[-1])

    assert asyncio.run(below()) == 4
