"""The events of a run as a stream: `generate_events`, `--events FILE`, and what the console makes of them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast import ConfigError, RunStopped
from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.engine.events import (
    CallFinished,
    Event,
    ItemDone,
    ItemFailed,
    Retry,
    RunEnded,
    RunStarted,
    event_to_dict,
)
from datafast.engine.progress import Progress
from datafast.llms import OpenAICompatibleProvider
from datafast.llms.simulated.provider import SimulatedProvider
from tests.servers.fault_server import Answer, FaultServer
from tests.support import ROOT, CountingProvider, assert_balanced, preference, raw, requests_in, rows_of

CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [pumps, valves, seals]
num_samples_per_prompt: 1
providers:
  - {provider: simulated, model_id: a, faults: {%s}}
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls `datafast` in an empty folder that holds c.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG % "", encoding="utf-8")
    return lambda *arguments: CliRunner().invoke(cli, [str(argument) for argument in arguments])


async def collected(dataset: RawDataset, provider: Any, **options: Any) -> list[Event]:
    return [event async for event in dataset.generate_events([provider], **options)]


# -- generate_events


def test_the_events_of_a_run_come_in_order_from_its_start_to_its_end(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=20)
    events = asyncio.run(collected(dataset, SimulatedProvider()))
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunEnded)
    assert sum(isinstance(event, CallFinished) for event in events) == 20
    assert sum(event.rows for event in events if isinstance(event, ItemDone)) == 20
    assert assert_balanced(dataset.report) == events[-1].report


def test_the_stream_holds_what_a_callback_gets_and_the_callback_still_gets_it(tmp_path: Path) -> None:
    called: list[Event] = []
    assert asyncio.run(collected(raw(tmp_path), SimulatedProvider(), on_event=called.append)) == called
    assert sum(isinstance(event, ItemDone) for event in called) == 6


def test_a_reply_that_states_no_usage_is_told_with_no_tokens_and_no_cost(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    price = {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0}
    message = {"message": {"role": "assistant", "content": '{"texts": ["a text"]}'}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 40, "completion_tokens": 10}
    fault_server.answer_next(Answer(body={"choices": [message]}), Answer(body={"choices": [message], "usage": usage}))
    dataset = raw(tmp_path, topics=2, run={"max_concurrency": 1})
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url, price=price)
    calls = [event for event in asyncio.run(collected(dataset, provider)) if isinstance(event, CallFinished)]
    told = [(event.input_tokens, event.output_tokens, event.cost_usd) for event in calls]
    assert told == [(0, 0, None), (40, 10, pytest.approx(60e-6))]
    report = assert_balanced(dataset.report)
    assert (report.calls, report.input_tokens, report.output_tokens, report.cost_usd) == (2, 40, 10, None)


def test_a_preference_dataset_streams_its_events_too(tmp_path: Path) -> None:
    async def events() -> list[str]:
        model = SimulatedProvider()
        stream = preference(tmp_path, documents=1).generate_events(
            question_gen_llm=model, chosen_response_gen_llm=model, rejected_response_gen_llm=model, judge_llm=model
        )
        return [event.type async for event in stream]

    types = asyncio.run(events())
    assert (types[0], types[-1]) == ("run_started", "run_ended")
    assert types.count("call_finished") == 1 + 2 * 4


def test_an_early_stop_is_raised_after_the_last_event(tmp_path: Path) -> None:
    events: list[Event] = []

    async def go() -> None:
        stream = raw(tmp_path).generate_events([SimulatedProvider(faults={"authentication": 1.0})])
        async for event in stream:
            events.append(event)

    with pytest.raises(RunStopped):
        asyncio.run(go())
    assert isinstance(events[-1], RunEnded)
    assert events[-1].report.stop_reason


def test_a_config_error_is_raised_without_any_event(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="limit: expected at least 1"):
        asyncio.run(collected(raw(tmp_path), SimulatedProvider(), limit=0))
    with pytest.raises(ConfigError, match="The list is empty"):
        raw(tmp_path).generate_events([])


def test_whoever_takes_events_slowly_does_not_slow_the_run_down(tmp_path: Path) -> None:
    """The run ends, although nobody takes a second event before it has."""
    done = threading.Event()

    async def go() -> list[str]:
        def watch(event: Event) -> None:
            if isinstance(event, RunEnded):
                done.set()

        types = []
        async for event in raw(tmp_path, topics=50).generate_events([SimulatedProvider()], on_event=watch):
            if not types:
                assert await asyncio.to_thread(done.wait, 60)
            types.append(event.type)
        return types

    types = asyncio.run(go())
    assert types.count("item_done") == 50
    assert types[-1] == "run_ended"


TOPICS = 400  # so many that a run of slow replies has not ended when somebody who left it after a row is heard


def slow(folder: Path) -> CountingProvider:
    return CountingProvider("m", log=folder / "log", latency_s=0.05)


async def left_after_one_row(dataset: RawDataset, provider: Any, leave: str) -> None:
    """Leaves the stream after the first row in one of the ways there are."""
    stream = dataset.generate_events([provider])
    if leave == "aclosing":
        async with contextlib.aclosing(stream):
            async for event in stream:
                if isinstance(event, ItemDone):
                    break
        return
    async for event in stream:
        if isinstance(event, ItemDone):
            if leave == "error":
                raise RuntimeError("mine")
            break
    if leave == "aclose":
        await stream.aclose()


@pytest.mark.parametrize("leave", ["aclosing", "aclose", "break", "error"])
def test_leaving_the_stream_early_lands_what_is_in_flight_and_a_later_run_goes_on(tmp_path: Path, leave: str) -> None:
    dataset = raw(tmp_path, topics=TOPICS, run={"max_concurrency": 4})
    with pytest.raises(RuntimeError, match="mine") if leave == "error" else contextlib.nullcontext():
        asyncio.run(left_after_one_row(dataset, slow(tmp_path), leave))
    gc.collect()
    assert dataset.report is not None
    assert dataset.report.stop_reason == "interrupted"
    report = assert_balanced(dataset.report)
    sent = len(requests_in(tmp_path / "log"))
    assert report.written == report.calls == sent < TOPICS
    quick = CountingProvider("m", log=tmp_path / "log")
    assert assert_balanced(dataset.generate([quick]).report).written == TOPICS
    assert len(requests_in(tmp_path / "log")) == TOPICS


def test_leaving_at_the_very_end_is_no_interruption(tmp_path: Path) -> None:
    dataset = raw(tmp_path)

    async def go() -> None:
        async with contextlib.aclosing(dataset.generate_events([SimulatedProvider()])) as stream:
            async for event in stream:
                if isinstance(event, RunEnded):
                    break

    asyncio.run(go())
    report = assert_balanced(dataset.report)
    assert (report.written, report.stop_reason) == (6, None)
    assert dataset.generate([SimulatedProvider()]).report.calls == 0


def test_cancelling_the_task_that_iterates_lands_what_is_in_flight(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=TOPICS, run={"max_concurrency": 4})

    async def go() -> None:
        seen = asyncio.Event()

        async def iterate() -> None:
            async for event in dataset.generate_events([slow(tmp_path)]):
                if isinstance(event, ItemDone):
                    seen.set()

        task = asyncio.create_task(iterate())
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    assert assert_balanced(dataset.report).written == len(requests_in(tmp_path / "log")) < TOPICS


def test_two_streams_at_once_keep_their_events_apart(tmp_path: Path) -> None:
    async def go() -> tuple[list[Event], list[Event]]:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        return await asyncio.gather(
            collected(raw(tmp_path / "a", topics=5), SimulatedProvider()),
            collected(raw(tmp_path / "b", topics=7), SimulatedProvider()),
        )

    one, other = asyncio.run(go())
    assert [sum(isinstance(event, ItemDone) for event in events) for events in (one, other)] == [5, 7]


# -- events as plain values


@pytest.mark.parametrize(
    "event",
    [
        CallFinished(provider="p", role="r", latency_s=0.5, input_tokens=1, output_tokens=2, cost_usd=None),
        ItemFailed(item="0a", provider="p", category="refused", error="no", rows=3),
        Retry(provider="p", reason="timeout", attempt=1, wait_s=0.1),
    ],
)
def test_an_event_as_plain_values_has_its_type_a_utc_time_and_its_fields(event: Event) -> None:
    at = datetime(2025, 5, 4, 3, 2, 1, tzinfo=timezone(timedelta(hours=2)))
    plain = event_to_dict(event, at)
    assert plain.pop("type") == event.type
    assert plain.pop("at") == "2025-05-04T01:02:01.000Z"
    assert plain == {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}


# -- generate --events


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text(encoding="utf-8").splitlines()]


def test_events_are_written_as_json_lines_with_the_report_in_the_last(run: Run) -> None:
    result = run("generate", "c.yaml", "--events", "e.jsonl", "--json")
    found = lines("e.jsonl")
    assert [found[0]["type"], found[-1]["type"]] == ["run_started", "run_ended"]
    assert found[-1]["report"] == json.loads(result.stdout)
    assert sum(line["rows"] for line in found if line["type"] == "item_done") == 3
    moments = [datetime.fromisoformat(line["at"]) for line in found]
    assert moments == sorted(moments)
    assert all(moment.utcoffset() == timedelta(0) for moment in moments)


def test_a_second_run_appends_its_events(run: Run) -> None:
    run("generate", "c.yaml", "--events", "e.jsonl", "--limit", 1)
    run("generate", "c.yaml", "--events", "e.jsonl")
    assert [line["type"] for line in lines("e.jsonl")].count("run_started") == 2


def test_events_can_go_to_stdout(run: Run) -> None:
    out = run("generate", "c.yaml", "--events", "-").stdout
    assert [json.loads(line)["type"] for line in out.splitlines()][-1] == "run_ended"


def test_events_and_report_cannot_share_stdout(run: Run) -> None:
    result = run("generate", "c.yaml", "--events", "-", "--json")
    assert result.exit_code == 2
    assert "both write to stdout" in result.stderr
    assert not Path("rows.jsonl").exists()


@pytest.mark.parametrize("name", ["no/such/folder/e.jsonl", ".", "rows.jsonl", "rows.jsonl.ledger", "c.yaml"])
def test_events_that_cannot_be_written_end_with_2_before_anything_is_sent(run: Run, name: str) -> None:
    before = Path("c.yaml").read_bytes()
    result = run("generate", "c.yaml", "--events", name)
    assert result.exit_code == 2
    assert "--events" in result.stderr
    assert not Path("rows.jsonl").exists()
    assert Path("c.yaml").read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_events_that_cannot_be_written_any_more_stop_the_run_and_everything_is_saved(run: Run) -> None:
    result = run("generate", "c.yaml", "--events", "/dev/full")
    assert result.exit_code == 4
    assert "Cannot write events to /dev/full" in result.stderr
    assert run("generate", "c.yaml").exit_code == 0
    assert len(rows_of(Path("rows.jsonl"))) == 3


def test_whoever_reads_events_from_a_pipe_may_go_away(run: Run) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    topics = ", ".join(
        f"topic {number}" for number in range(200)
    )  # there is something to tell when the reader has gone
    config = CONFIG.replace("simulated, ", "simulated, latency_s: 0.05, ").replace("pumps, valves, seals", topics)
    Path("c.yaml").write_text(config % "", encoding="utf-8")
    command = [sys.executable, "-m", "datafast", "generate", "c.yaml", "--events", "-", "--max-concurrency", "1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["type"] == "run_started"
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 4, said
    assert "Exception ignored" not in said


# -- the console


def test_the_closing_summary_tells_which_share_failed_and_why(run: Run) -> None:
    Path("c.yaml").write_text(CONFIG % "refused: 1.0", encoding="utf-8")
    said = run("generate", "c.yaml").stderr
    assert "3 refused (100 % of the rows that are done)" in said
    assert "tokens/s" in said
    assert "datafast failures rows.jsonl" in said


def test_the_progress_line_tells_success_causes_rates_and_cost() -> None:
    progress = Progress()
    started = RunStarted(
        requested=100, written=10, filtered=0, failed=2, output_file="o", providers=["p"], simulated=False
    )
    call = CallFinished(provider="p", role="r", latency_s=1.0, input_tokens=40, output_tokens=60, cost_usd=0.25)
    progress.take(started)
    assert progress.line() == "10/100 rows, 2 failed (2 in earlier runs), 0 calls, 0 tokens, cost $0.00"
    for event in (
        *([call] * 4),
        ItemDone(item="0a", provider="p", rows=3, filtered=0, replayed=False),
        ItemFailed(item="0a", provider="p", category="refused", error="no", rows=1),
        Retry(provider="p", reason="rate_limited", attempt=1, wait_s=0.0),
    ):
        progress.take(event)
    line = progress.line()
    assert line.startswith("13/100 rows, 3 failed (1 refused, 2 in earlier runs), 75.0 % of this run's rows good, ")
    assert "1 retries (1 rate_limited), 400 tokens, " in line
    assert " rows/s, 4 calls" in line
    assert " tokens/s, cost $1.00, about " in line
