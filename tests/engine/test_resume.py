"""A second run makes no call for what is there, failed items are taken up only on request, and every way of stopping can be resumed."""

from __future__ import annotations

import asyncio
import json
import math
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import RawDataset
from datafast.datasets.raw import TextRow
from datafast.engine.events import CallFinished, Event, ItemDone
from datafast.engine.job import Job
from datafast.engine.stop import StopSignal
from datafast.errors import CallFailed, ErrorKind, MissingKeyError, OutputError, ProviderError, RunStopped
from datafast.executors.local import LocalExecutor
from datafast.llms import OpenAICompatibleProvider, OpenAIProvider
from datafast.llms.base import Request
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import RawDatasetConfig
from datafast.types import RunReport
from tests.running import WAIT_S, HeldProvider, wait_for
from tests.servers.fault_server import Answer, FaultServer
from tests.support import (
    ROOT,
    CountingProvider,
    assert_balanced,
    one_of_two,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
    same_rows,
    snapshot,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


@pytest.fixture
def provider(log: Path) -> CountingProvider:
    return CountingProvider("m", log=log)


# -- the second run


def test_a_second_run_makes_no_call_and_changes_no_byte(tmp_path: Path, provider: CountingProvider, log: Path) -> None:
    raw(tmp_path).generate([provider])
    before, asked = snapshot(tmp_path, "out.jsonl"), len(requests_in(log))
    dataset = raw(tmp_path).generate([provider])
    report = assert_balanced(dataset.report)
    assert (report.calls, report.written) == (0, 6)
    assert snapshot(tmp_path, "out.jsonl") == before
    assert len(requests_in(log)) == asked == 6
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.jsonl",
        "out.jsonl.ledger",
        "out.jsonl.ledger-lock",
        "out.jsonl.manifest.json",
        "requests",
    }


def test_a_second_run_of_the_same_dataset_in_one_process_makes_no_call(
    tmp_path: Path, provider: CountingProvider, log: Path
) -> None:
    dataset = raw(tmp_path)
    dataset.generate([provider])
    dataset.generate([provider])
    assert len(requests_in(log)) == 6
    assert_balanced(dataset.report)


def test_a_second_run_with_roles_makes_no_call(tmp_path: Path, provider: CountingProvider, log: Path) -> None:
    preference(tmp_path).generate_roles(roles(provider))
    asked = len(requests_in(log))
    dataset = preference(tmp_path).generate_roles(roles(provider))
    assert len(requests_in(log)) == asked == 4 * (1 + 4 + 4)
    assert assert_balanced(dataset.report).written == 8


def test_data_rows_are_the_lines_of_the_file(tmp_path: Path, provider: CountingProvider) -> None:
    dataset = raw(tmp_path).generate([provider])
    lines = rows_of(tmp_path / "out.jsonl")
    assert [row.model_dump(mode="json") for row in dataset.data_rows] == lines
    assert [row.uuid for row in dataset.data_rows[1:3]] == [line["uuid"] for line in lines[1:3]]
    assert dataset.data_rows[-1].text == lines[-1]["text"]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_replies_changes_no_row(tmp_path: Path, seed: int) -> None:
    plain = preference(tmp_path / "plain")
    plain.generate_roles(roles(SimulatedProvider("m")))
    shuffled = preference(tmp_path / "shuffled")
    shuffled.generate_roles(roles(_Shuffled("m", seed)))
    assert same_rows(rows_of(tmp_path / "plain" / "out.jsonl"), rows_of(tmp_path / "shuffled" / "out.jsonl"))


class _Shuffled(SimulatedProvider):
    """Answers in an order that depends on the seed alone."""

    def __init__(self, model_id: str, order: int) -> None:
        super().__init__(model_id)
        self._order = random.Random(order)

    def open(self, *, max_connections: int) -> Any:
        inner, order = super().open(max_connections=max_connections), self._order

        class Backend:
            async def complete(self, request: Request) -> Any:
                await asyncio.sleep(order.uniform(0, 0.01))
                return await inner.complete(request)

            async def aclose(self) -> None:
                await inner.aclose()

        return Backend()


def test_rows_of_an_item_stand_together(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=30, num_samples_per_prompt=3)
    dataset.generate([SimulatedProvider("m", latency_jitter_s=0.02)])
    topics = [row["metadata"]["topic"] for row in rows_of(tmp_path / "out.jsonl")]
    assert [topics[n] for n in range(0, 90, 3) if len(set(topics[n : n + 3])) == 1] == topics[::3]


# -- failures


def failing(number: int) -> Any:
    """Replies that are no JSON for one topic."""
    return lambda request: "no JSON at all" if f"topic {number}." in request.messages[0]["content"] else None


def test_a_failed_item_is_left_alone_until_it_is_asked_for(tmp_path: Path, log: Path) -> None:
    broken, whole = CountingProvider("m", log=log, reply=failing(2)), CountingProvider("m", log=log)
    first = assert_balanced(raw(tmp_path).generate([broken]).report)
    assert (first.written, first.failed, first.failures) == (5, 1, {"invalid_reply": 1})
    assert len(requests_in(log)) == 5 + 3
    second = assert_balanced(raw(tmp_path).generate([whole]).report)
    assert (second.calls, second.failed) == (0, 1)
    third = assert_balanced(raw(tmp_path).generate([whole], retry_failed=True).report)
    assert (third.calls, third.written, third.failed) == (1, 6, 0)
    assert len(requests_in(log)) == 5 + 3 + 1


def test_a_retry_that_fails_again_can_be_retried_again(tmp_path: Path, log: Path) -> None:
    broken, whole = CountingProvider("m", log=log, reply=failing(2)), CountingProvider("m", log=log)
    raw(tmp_path).generate([broken])
    for _ in range(2):
        report = assert_balanced(raw(tmp_path).generate([broken], retry_failed=True).report)
        assert (report.calls, report.failed) == (3, 1)
    assert assert_balanced(raw(tmp_path).generate([whole], retry_failed=True).report).calls == 1


@pytest.mark.parametrize("top_up", [False, True])
def test_a_short_reply_is_topped_up_once_per_retry_and_keeps_its_rows(tmp_path: Path, log: Path, top_up: bool) -> None:
    """Many rows are asked for and each reply brings one: a retry asks once more, or three times where the run tops up."""

    def one(request: Request) -> str:
        return json.dumps({"texts": [f"text {len(requests_in(log))}"]})

    provider = CountingProvider("m", log=log, reply=one)
    fields: dict[str, Any] = {"topics": 1, "num_samples_per_prompt": 20}
    raw(tmp_path, **fields, run={"top_up": top_up}).generate([provider])
    asks = 3 if top_up else 1
    before: list[Any] = []
    for retry in range(4):
        rows = rows_of(tmp_path / "out.jsonl")
        assert len(rows) == len(requests_in(log)) == 1 + asks * retry + (3 if top_up else 0)
        assert rows[: len(before)] == before
        before = rows
        dataset = raw(tmp_path, **fields, run={"top_up": top_up}).generate([provider], retry_failed=True)
        assert_balanced(dataset.report)


def test_turning_top_up_off_again_loses_no_row(tmp_path: Path, log: Path) -> None:
    provider = CountingProvider("m", log=log, reply=lambda request: json.dumps({"texts": ["only one"]}))
    fields: dict[str, Any] = {"topics": 2, "num_samples_per_prompt": 6, "keep_repeats": True}
    assert assert_balanced(raw(tmp_path, **fields, run={"top_up": True}).generate([provider]).report).written == 8
    report = assert_balanced(raw(tmp_path, **fields).generate([provider], retry_failed=True).report)
    assert (report.written, report.failed) == (10, 2)
    (tmp_path / "out.jsonl").unlink()
    asked = len(requests_in(log))
    report = assert_balanced(raw(tmp_path, **fields).generate([provider]).report)
    assert (report.written, report.failed) == (10, 2)
    assert len(requests_in(log)) == asked


def test_a_short_reply_buys_only_the_missing_rows(tmp_path: Path, log: Path) -> None:
    provider = CountingProvider("m", log=log, reply=one_of_two)
    fields: dict[str, Any] = {"topics": 4, "num_samples_per_prompt": 2}
    report = assert_balanced(raw(tmp_path, **fields).generate([provider]).report)
    assert (report.written, report.failed, report.failures) == (6, 2, {"short_reply": 2})
    report = assert_balanced(raw(tmp_path, **fields).generate([provider], retry_failed=True).report)
    assert (report.written, report.failed) == (8, 0)
    assert ["exactly 1." in prompt for _, prompt in requests_in(log)[4:]] == [True, True]


def test_one_failed_question_leaves_the_other_rows_and_is_retried_alone(tmp_path: Path, log: Path) -> None:
    refused: list[str] = []

    def refuse_one(request: Request) -> Exception | None:
        prompt = request.messages[-1]["content"]
        if "superficial" in prompt and not refused:
            refused.append(prompt)
        if prompt in refused:
            return ProviderError("no", kind=ErrorKind.CONTENT_FILTER, status=400)
        return None

    dataset = preference(tmp_path).generate_roles(roles(CountingProvider("m", log=log, reply=refuse_one)))
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed) == (7, 1)
    asked = len(requests_in(log))
    whole = preference(tmp_path).generate_roles(roles(CountingProvider("m", log=log)), retry_failed=True)
    report = assert_balanced(whole.report)
    assert (report.written, report.failed) == (8, 0)
    assert len(requests_in(log)) == asked + 1 + 2  # the rejected response, and both judgements


class _Buggy(RawDataset):
    """A kind with a bug in the part that runs after the reply."""

    bug = True

    async def produce(self, item: Any, generate: Any) -> list[TextRow]:
        rows = await super().produce(item, generate)
        if self.bug and "topic 2" in item.values["topic"]:
            raise KeyError("a bug of the kind")
        return rows


def test_a_bug_in_a_kind_costs_no_reply(tmp_path: Path, provider: CountingProvider, log: Path) -> None:
    config = raw(tmp_path).config
    report = assert_balanced(_Buggy(config).generate([provider]).report)
    assert (report.written, report.failed) == (5, 1)
    fixed = _Buggy(config)
    fixed.bug = False
    report = assert_balanced(fixed.generate([provider], retry_failed=True).report)
    assert (report.written, report.calls) == (6, 0)
    assert len(requests_in(log)) == 6


def test_a_kind_that_fails_after_some_rows_were_written_keeps_the_counts_right(tmp_path: Path, log: Path) -> None:
    provider = CountingProvider("m", log=log, reply=one_of_two)
    config = raw(tmp_path, num_samples_per_prompt=2).config
    fixed = _Buggy(config)
    fixed.bug = False
    assert assert_balanced(fixed.generate([provider]).report).written == 9
    assert_balanced(_Buggy(config).generate([provider], retry_failed=True).report)


class _Overfull(RawDataset):
    """A kind that turns one reply into more rows than were asked for, or a failure in place of a row."""

    async def produce(self, item: Any, generate: Any) -> Any:
        rows = await super().produce(item, generate)
        error = CallFailed("no", category="x", provider="p", role="r", attempts=1, prompt="p")
        return [error, *rows, *rows]


def test_more_rows_than_asked_for_are_dropped_and_counted_right(tmp_path: Path, provider: CountingProvider) -> None:
    dataset = _Overfull(raw(tmp_path, num_samples_per_prompt=2).config).generate([provider])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed) == (6, 6)


# -- limit


def test_a_limit_takes_every_provider_and_language_first_and_goes_on_later(tmp_path: Path, log: Path) -> None:
    fields: dict[str, Any] = {"topics": 5, "languages": {"en": "English", "fr": "French", "de": "German"}}
    providers = [CountingProvider(name, log=log) for name in ("a", "b")]
    report = assert_balanced(raw(tmp_path, **fields).generate(providers, limit=3).report)
    assert (report.requested, report.written, report.pending, report.stop_reason) == (30, 3, 27, None)
    rows = rows_of(tmp_path / "out.jsonl")
    assert {row["language"] for row in rows} == {"en", "fr", "de"}
    assert {row["model_id"] for row in rows} == {"simulated/a", "simulated/b"}
    assert assert_balanced(raw(tmp_path, **fields).generate(providers, limit=3).report).calls == 0
    assert assert_balanced(raw(tmp_path, **fields).generate(providers, limit=10).report).calls == 7
    assert assert_balanced(raw(tmp_path, **fields).generate(providers).report).written == 30
    assert len(requests_in(log)) == 30


def test_a_limit_beyond_the_plan_is_the_whole_plan(tmp_path: Path, provider: CountingProvider) -> None:
    assert assert_balanced(raw(tmp_path).generate([provider], limit=1000).report).written == 6


def test_a_limit_is_no_reason_to_raise(tmp_path: Path, provider: CountingProvider) -> None:
    assert raw(tmp_path).generate([provider], limit=1).report.pending == 5


def test_a_retry_with_a_limit_opens_only_the_failed_items_that_it_takes(tmp_path: Path, log: Path) -> None:
    refused = CountingProvider("m", log=log, reply=lambda request: '{"texts": []}')
    run = {"max_parse_retries": 0}
    assert assert_balanced(raw(tmp_path, topics=10, run=run).generate([refused]).report).failed == 10
    whole = CountingProvider("m", log=log)
    report = assert_balanced(raw(tmp_path, topics=10, run=run).generate([whole], retry_failed=True, limit=3).report)
    assert (report.written, report.failed, report.pending, report.calls) == (3, 7, 0, 3)
    report = assert_balanced(raw(tmp_path, topics=10, run=run).generate([whole]).report)
    assert (report.written, report.failed, report.calls) == (3, 7, 0)
    report = assert_balanced(raw(tmp_path, topics=10, run=run).generate([whole], retry_failed=True).report)
    assert (report.written, report.failed, report.calls) == (10, 0, 7)


# -- keys and refusals


def test_a_missing_key_is_reported_before_any_request_and_any_file(tmp_path: Path, provider: CountingProvider) -> None:
    folder = tmp_path / "new"
    with pytest.raises(MissingKeyError) as raised:
        raw(folder).generate([OpenAIProvider("m")])
    assert raised.value.variable == "OPENAI_API_KEY"
    assert not folder.exists()


def test_a_refused_key_stops_its_provider_and_no_other(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Any) -> Answer:
        wrong = request.json["model"] == "wrong"
        return Answer(status=401, body={"error": {"message": "bad key"}}) if wrong else Answer()

    fault_server.respond = respond
    good = OpenAICompatibleProvider("good", api_base=fault_server.url)
    wrong = OpenAICompatibleProvider("wrong", api_base=fault_server.url, max_concurrency=1)
    dataset = raw(tmp_path, topics=20)
    with pytest.raises(RunStopped) as stopped:
        dataset.generate([good, wrong])
    report = assert_balanced(stopped.value.report)
    assert dataset.report is report
    assert (report.written, report.pending, report.failed) == (20, 20, 0)
    assert list(report.stopped_providers) == ["openai_compatible/wrong"]
    assert Counter(request.json["model"] for request in fault_server.requests) == {"good": 20, "wrong": 1}
    fault_server.respond = lambda request: Answer()
    assert assert_balanced(raw(tmp_path, topics=20).generate([good, wrong]).report).written == 40
    assert len(fault_server.requests) == 20 + 1 + 20


# -- stopping


def test_an_error_of_a_callback_is_raised_after_everything_is_saved(
    tmp_path: Path, provider: CountingProvider, log: Path
) -> None:
    def callback(event: Event) -> None:
        if isinstance(event, CallFinished):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        raw(tmp_path, topics=40).generate([provider], on_event=callback)
    asked = len(requests_in(log))
    assert 0 < asked <= 8 + 1
    assert len(rows_of(tmp_path / "out.jsonl")) == asked
    raw(tmp_path, topics=40).generate([provider])
    assert len(requests_in(log)) == 40


@pytest.mark.parametrize("kind", ["run_started", "item_done", "run_ended"])
def test_an_error_of_a_callback_is_raised_whenever_it_comes(
    tmp_path: Path, provider: CountingProvider, kind: str
) -> None:
    def callback(event: Event) -> None:
        if event.type == kind:
            raise LookupError(kind)

    with pytest.raises(LookupError, match=kind):
        raw(tmp_path).generate([provider], on_event=callback)
    assert_balanced(raw(tmp_path).generate([provider]).report)


def _script(folder: Path, callback: str) -> subprocess.CompletedProcess[str]:
    """A run of forty items in a process of its own, with this event callback."""
    script = (
        "import sys; from pathlib import Path; from tests.support import CountingProvider, raw\n"
        f"folder = Path({str(folder)!r}); provider = CountingProvider('m', log=folder / 'requests', latency_s=0.005)\n"
        f"def callback(event):\n    {callback}\n"
        "raw(folder, topics=40).generate([provider], on_event=callback)\n"
    )
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_callback_may_leave_the_program_and_loses_nothing(
    tmp_path: Path, provider: CountingProvider, log: Path
) -> None:
    """`sys.exit()` in a callback must neither hang nor lose what was paid for."""
    ended = _script(tmp_path, "event.type == 'item_done' and sys.exit(3)")
    asked = len(requests_in(log))
    assert len(rows_of(tmp_path / "out.jsonl")) == asked < 40
    assert ended.returncode == 3
    raw(tmp_path, topics=40).generate([provider])
    assert len(requests_in(log)) == 40


class _Observed(LocalExecutor):
    """Its job's signal to stop can be read."""

    stopping: StopSignal | None = None

    async def _carry_out(self, job: Job, stop: StopSignal) -> RunReport:
        self.stopping = stop
        return await super()._carry_out(job, stop)


def test_cancelling_lands_what_is_in_flight(tmp_path: Path, log: Path) -> None:
    provider = HeldProvider("m", log=log, lands=16)
    dataset = raw(tmp_path, topics=60)
    dataset.executor = executor = _Observed()

    async def main() -> None:
        task = asyncio.ensure_future(dataset.generate_async([provider]))
        await asyncio.to_thread(wait_for, lambda: len(requests_in(log)) == 24)
        task.cancel()
        await asyncio.to_thread(wait_for, lambda: bool(executor.stopping))
        provider.lands = math.inf
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    asked = len(requests_in(log))
    assert asked == 24
    assert len(rows_of(tmp_path / "out.jsonl")) == asked
    assert assert_balanced(dataset.report).written == asked  # there is a report although nothing was returned
    raw(tmp_path, topics=60).generate([CountingProvider("m", log=log)])
    assert len(requests_in(log)) == 60


def test_what_does_not_land_in_time_is_given_up(tmp_path: Path, log: Path) -> None:
    provider = CountingProvider("m", log=log, latency_s=60)

    async def main() -> None:
        dataset = raw(tmp_path, run={"grace_s": 0.05})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dataset.generate_async([provider]), 0.1)

    asyncio.run(main())
    dataset = raw(tmp_path).generate([CountingProvider("m", log=log)])
    assert assert_balanced(dataset.report).written == 6


def test_the_executor_stops_on_request_from_any_thread(tmp_path: Path, log: Path) -> None:
    dataset = raw(tmp_path, topics=60)
    provider = HeldProvider("m", log=log, lands=16)

    def stop() -> None:
        wait_for(lambda: len(requests_in(log)) == 24)
        dataset.executor.stop("enough")
        provider.lands = math.inf  # what was told the loop before comes before

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(RunStopped, match="enough") as stopped:
        dataset.generate([provider])
    thread.join()
    report = assert_balanced(stopped.value.report)
    assert report.stop_reason == "enough"
    assert report.written == len(requests_in(log)) == 24


# -- where it is called from


def test_it_runs_in_a_thread(tmp_path: Path, provider: CountingProvider) -> None:
    dataset = raw(tmp_path)
    thread = threading.Thread(target=dataset.generate, args=([provider],))
    thread.start()
    thread.join()
    assert assert_balanced(dataset.report).written == 6


def test_two_datasets_run_at_once_in_two_threads(tmp_path: Path) -> None:
    datasets = [raw(tmp_path / str(number), topics=40) for number in range(2)]
    shared = SimulatedProvider("m", latency_s=0.01)
    threads = [threading.Thread(target=dataset.generate, args=([shared],)) for dataset in datasets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [assert_balanced(dataset.report).written for dataset in datasets] == [40, 40]


def test_it_runs_below_a_running_event_loop(tmp_path: Path, provider: CountingProvider) -> None:
    async def main() -> None:
        raw(tmp_path / "sync").generate([provider])
        ticks = 0
        held = HeldProvider("m", log=tmp_path / "held", lands=0)
        # A loop that is blocked does not tick: the run then ends all the same, for the test to say so.
        ends = threading.Timer(WAIT_S, setattr, (held, "lands", math.inf))
        ends.start()

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += len(requests_in(tmp_path / "held")) == 6
                held.lands = math.inf if ticks > 3 else 0
                await asyncio.sleep(0.005)

        ticking = asyncio.ensure_future(tick())
        dataset = await raw(tmp_path / "async").generate_async([held])
        ends.cancel()
        ticking.cancel()
        assert assert_balanced(dataset.report).written == 6
        assert ticks > 3

    asyncio.run(main())


def test_a_run_may_not_be_started_and_waited_for_inside_another_one(tmp_path: Path) -> None:
    """A callback runs on the loop that would have to carry out the inner run: waiting there would never end."""
    ended = _script(tmp_path, "event.type == 'item_done' and raw(folder / 'inner').generate([provider])")
    assert "Await generate_async()" in ended.stderr.splitlines()[-1]


def test_rebuilding_leaves_the_loop_free(tmp_path: Path, provider: CountingProvider) -> None:
    """Replies that come from the ledger need no waiting; rows are written all the same while there are more to come."""
    fields: dict[str, Any] = {"topics": 1500}
    raw(tmp_path, **fields).generate([provider])
    path = tmp_path / "out.jsonl"
    path.unlink()
    sizes: list[int] = []

    def callback(event: Event) -> None:
        if isinstance(event, ItemDone):
            sizes.append(path.stat().st_size)

    report = assert_balanced(raw(tmp_path, **fields).generate([provider], on_event=callback).report)
    assert report.calls == 0
    assert sizes[len(sizes) // 2] > 0


def test_a_provider_that_cannot_be_opened_leaves_the_output_usable(tmp_path: Path, provider: CountingProvider) -> None:
    class Broken(SimulatedProvider):
        def open(self, *, max_connections: int) -> Any:
            raise OSError("no such device")

    raw(tmp_path).generate([provider], limit=2)
    with pytest.raises(OSError, match="no such device"):
        raw(tmp_path).generate([Broken("m")])
    assert assert_balanced(raw(tmp_path).generate([provider]).report).written == 6


def test_config_and_output_errors_leave_no_report(tmp_path: Path, provider: CountingProvider) -> None:
    (tmp_path / "out.jsonl").write_text('{"mine": 1}\n')
    dataset = RawDataset(RawDatasetConfig(document_types=["a"], topics=["b"], output_file=tmp_path / "out.jsonl"))
    with pytest.raises(OutputError):
        dataset.generate([provider])
    assert dataset.report is None
    assert (tmp_path / "out.jsonl").read_text() == '{"mine": 1}\n'
