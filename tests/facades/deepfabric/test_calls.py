"""`DataSetGenerator`: the names that are promised, and that each of them does something."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from datafast import DataSetGenerator, DataSetGeneratorError, Graph, Tree
from datafast.facades.deepfabric.generated import Dataset
from tests import support
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import rows_of

TREE = Tree.from_dict({"sea": ["tides", "ice", "waves", "salt"]})
MANY = Tree.from_dict({"sea": ["zeppelin", *(f"wave {number}" for number in range(11))]})
BAD = Answer(text='{"conversations": []}')


@pytest.fixture
def server(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", fault_server.url)
    return fault_server


def generator(**fields: Any) -> DataSetGenerator:
    given = {"generation_system_prompt": "You teach.", "provider": "openai", "model_name": "m-1", **fields}
    return DataSetGenerator(**given)


# -- names


def test_the_constructor_has_the_documented_names_and_defaults() -> None:
    found = {name: p.default for name, p in inspect.signature(DataSetGenerator).parameters.items()}
    documented = {
        "instructions": "",
        "temperature": 0.7,
        "max_retries": 3,
        "request_timeout": 30,
        "default_batch_size": 5,
        "default_num_examples": 3,
        "conversation_type": "basic",
        "reasoning_style": None,
        "sys_msg": True,
        "rate_limit": None,
        "example_data": None,
    }
    assert {name: found[name] for name in documented} == documented


@pytest.mark.parametrize("method", ["create_data", "create_data_async", "create_data_with_events_async"])
def test_every_way_to_create_takes_the_same_names(method: str) -> None:
    names = list(inspect.signature(getattr(DataSetGenerator, method)).parameters)
    assert names[:6] == ["self", "num_steps", "batch_size", "topic_model", "model_name", "sys_msg"]
    assert names[6:] == ["num_example_demonstrations", "retry_failed"]


@pytest.mark.parametrize("name", ["generation_system_prompt", "provider", "model_name"])
@pytest.mark.parametrize("given", ["left out", "None"])
def test_what_is_needed_is_named(name: str, given: str) -> None:
    fields = {"generation_system_prompt": "You teach.", "provider": "openai", "model_name": "m-1", name: None}
    if given == "left out":
        del fields[name]
    with pytest.raises(DataSetGeneratorError, match=f"{name}: is missing. A DataSetGenerator needs"):
        DataSetGenerator(**fields)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"instruction": "x"}, "instruction: .*Did you mean 'instructions'"),
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"timeout_s": 1}, "Did you mean 'timeout'"),
        ({"api_bse": "x"}, "Did you mean 'api_base'"),
        ({"rate_limit": {"max_request_per_minute": 1}}, "Did you mean 'max_requests_per_minute'"),
        ({"rate_limit": {"max_retries": -1}}, "max_retries.*greater than or equal to 0"),
        ({"rate_limit": "fast"}, "rate_limit"),
        ({"temperature": 2.5}, "temperature"),
        ({"request_timeout": 0}, "request_timeout: "),
        ({"model_name": ""}, "model_name: "),
        ({"rate_limit": {"initial_retry_delay": 9000}}, "initial_retry_delay: "),
        ({"run": {"budget": 1}}, "budget: There is no such field. Did you mean 'budget_usd'"),
        ({"agent_mode": "many"}, "agent_mode: There is no mode 'many'"),
        ({"model": "m-2"}, "model: This is also given as model_name"),
        ({"max_retries": -1}, "max_retries"),
        ({"default_batch_size": 0}, "default_batch_size"),
        ({"default_batch_size": 1000}, "batch_size"),
        ({"default_num_examples": -1}, "default_num_examples"),
        ({"provider": "openia"}, "openia"),
        ({"generation_system_prompt": " "}, "generation_system_prompt: must not be blank"),
        ({"model_name": ""}, "model"),
        ({"conversation_type": "chain_of_thought"}, "freetext or agent"),
        ({"reasoning_style": "agent"}, "Basic conversations have no"),
        ({"conversation_type": "cot", "reasoning_style": "agent", "tools": [{"nme": 1}]}, r"tools\[0\]"),
    ],
)
def test_what_is_wrong_is_refused_with_its_name(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataSetGeneratorError, match=problem):
        generator(**fields)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ({"num_steps": 0}, "num_steps"),
        ({"num_steps": True}, "num_steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 101}, "batch_size"),
        ({"topic_model": []}, "topic_model"),
        ({"topic_model": 7}, "topic_model"),
        ({"topic_model": "missing.json"}, "missing.json"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_sent(
    server: FaultServer, call: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DataSetGeneratorError, match=problem):
        generator().create_data(**{"topic_model": TREE, **call})
    assert not server.requests


def test_create_batch_says_what_to_use() -> None:
    with pytest.raises(DataSetGeneratorError, match="create_data"):
        generator().create_batch()


# -- what arrives at the server


def test_num_steps_is_rows_and_batch_size_rows_in_a_call(server: FaultServer) -> None:
    dataset = generator(instructions="Be brief.").create_data(num_steps=7, batch_size=3, topic_model=TREE)
    assert (len(dataset), len(server.requests)) == (7, 3)
    request = server.requests[0].json
    assert (request["model"], request["temperature"]) == ("m-1", 0.7)
    assert request["messages"][0] == {"role": "system", "content": "You teach."}
    assert "Be brief." in server.requests[0].prompt
    assert all(list(row) == ["messages"] for row in dataset)


def test_the_default_batch_size_holds_where_none_is_given(server: FaultServer) -> None:
    generator().create_data(num_steps=6, topic_model=TREE)
    assert len(server.requests) == 2


def test_without_num_steps_each_topic_gets_one_row(server: FaultServer) -> None:
    assert len(generator().create_data(topic_model=TREE)) == 4


@pytest.mark.parametrize(
    "topics", [["tides", "ice"], {"sea": ["tides", "ice"]}, Graph.from_paths([["sea", "tides"], ["sea", "ice"]])]
)
def test_topics_may_be_a_list_a_mapping_or_a_graph(server: FaultServer, topics: Any) -> None:
    generator().create_data(topic_model=topics)
    assert "1. tides" in server.requests[0].prompt


def test_the_default_number_of_examples_is_shown(server: FaultServer) -> None:
    rows = [{"q": n} for n in range(9)]
    generator(example_data=rows, default_num_examples=2).create_data(num_steps=1, topic_model=TREE)
    assert server.requests[0].prompt.count('{"q":') == 2


def test_another_model_and_system_switch_hold_for_one_call_alone(server: FaultServer) -> None:
    made = generator()
    first = made.create_data(1, 1, TREE, model_name="m-2", sys_msg=False)
    second = made.create_data(1, 1, TREE)
    assert [request.json["model"] for request in server.requests] == ["m-2", "m-1"]
    assert [dataset[0]["messages"][0]["role"] for dataset in (first, second)] == ["user", "system"]


def test_a_request_that_takes_too_long_is_given_up(server: FaultServer) -> None:
    server.respond = lambda request: Answer(delay_s=5 if "zeppelin" in request.prompt else 0.02)
    start = time.monotonic()
    made = generator(request_timeout=0.3, max_retries=0, max_concurrency=2)
    assert len(made.create_data(12, 1, MANY)) == 11
    assert time.monotonic() - start < 4
    assert made.summarize_failures()["failure_types"] == {"timeout": 1}


def down_for_zeppelins(request: Recorded) -> Answer:
    return (
        Answer(status=500, body={"error": {"message": "down"}})
        if "zeppelin" in request.prompt
        else Answer(delay_s=0.01)
    )


def about_zeppelins(server: FaultServer) -> list[Recorded]:
    return [request for request in server.requests if "zeppelin" in request.prompt]


@pytest.mark.parametrize(
    ("fields", "requests"),
    [({}, 4), ({"max_retries": 1}, 2), ({"max_retries": 1, "rate_limit": {"max_retries": 2}}, 3)],
)
def test_a_request_is_repeated_so_often_and_the_rate_limit_wins(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], requests: int
) -> None:
    support.short_waits(monkeypatch)
    server.respond = down_for_zeppelins
    generator(max_concurrency=1, **fields).create_data(12, 1, MANY)
    assert len(about_zeppelins(server)) == requests


def gaps(server: FaultServer) -> list[float]:
    times = [request.at_s for request in server.requests]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_the_delays_of_repeats_begin_and_end_where_they_are_told(server: FaultServer) -> None:
    server.respond = down_for_zeppelins
    limits = {"initial_retry_delay": 0.02, "max_retry_delay": 0.03, "max_retries": 6}
    generator(max_concurrency=1, rate_limit=limits).create_data(12, 1, MANY)
    assert len(about_zeppelins(server)) == 7
    assert max(gaps(server)) < 0.5  # the default would begin with up to a second


def test_requests_per_minute_are_kept(server: FaultServer) -> None:
    generator(rate_limit={"max_requests_per_minute": 120}).create_data(4, 1, TREE)
    assert sum(gaps(server)) > 0.4


def test_tokens_per_minute_are_kept(server: FaultServer) -> None:
    text = json.dumps({"conversations": [{"exchanges": [{"user": "u", "assistant": "a"}]}]})
    costly = {
        "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 100, "total_tokens": 600},
    }
    server.answer_next(Answer(body=costly))
    limits = {"max_tokens_per_minute": 24_000}
    generator(max_concurrency=1, max_completion_tokens=100, rate_limit=limits).create_data(2, 1, TREE)
    assert gaps(server)[0] > 0.5


# -- event loops and events


def test_the_synchronous_call_works_below_a_running_loop(server: FaultServer) -> None:
    async def main() -> int:
        return len(generator().create_data(2, 1, TREE))

    assert asyncio.run(main()) == 2


def test_the_coroutine_composes_with_others(server: FaultServer) -> None:
    async def main() -> list[int]:
        made = await asyncio.gather(*[generator().create_data_async(2, 1, TREE) for _ in range(3)])
        return [len(dataset) for dataset in made]

    assert asyncio.run(main()) == [2, 2, 2]


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


def test_a_step_tells_of_its_failures_and_counts_once(server: FaultServer) -> None:
    def one_of_three(request: Any) -> Answer:
        return Answer(text='{"conversations": [{"exchanges": [{"user": "u", "assistant": "a"}]}]}')

    server.respond = one_of_three
    *events, dataset = events_of(generator(max_concurrency=8), 24, 3, TREE)
    steps = [event for event in events if event["event"] == "step_complete"]
    assert [(step["samples_generated"], step["failed_in_step"]) for step in steps] == [(1, 2)] * 8
    assert all("short_reply" in step["failure_reasons"][0] for step in steps)
    assert (events[-1]["total_samples"], events[-1]["failed_samples"], len(dataset)) == (8, 16, 8)


# -- failures


def test_failures_are_listed_counted_and_printed(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.respond = lambda request: BAD if "tides" in request.json["messages"][1]["content"] else Answer()
    made = generator()
    dataset = made.create_data(4, 1, TREE)
    (sample,) = made.failed_samples
    assert (len(dataset), sample["topic"], sample["category"]) == (3, "tides", "invalid_reply")
    assert sample["raw_content"]
    summary = made.summarize_failures()
    assert (summary["total_failures"], summary["failure_types"]) == (1, {"invalid_reply": 1})
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


# -- what is kept


@pytest.mark.parametrize("name", ["a.jsonl", "new/folder/a.json"])
def test_rows_are_saved_by_generator_and_by_dataset(server: FaultServer, tmp_path: Path, name: str) -> None:
    made = generator()
    dataset = made.create_data(3, 1, TREE)
    made.save_dataset(tmp_path / name)
    first = (tmp_path / name).read_bytes()
    dataset.save(str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == first
    read = json.loads(first) if name.endswith("json") else rows_of(tmp_path / name)
    assert read == list(dataset)


def test_there_is_nothing_to_save_before_the_first_call(tmp_path: Path) -> None:
    with pytest.raises(DataSetGeneratorError, match="create_data"):
        generator().save_dataset(tmp_path / "a.jsonl")


def test_a_name_of_an_unknown_format_is_refused(server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(
        DataSetGeneratorError,
        match=r"There is no format 'xml'\. Known: parquet, csv, json, jsonl, trl, openai, sharegpt, alpaca, chatml",
    ):
        generator().create_data(1, 1, TREE).save(tmp_path / "a.xml")


def stopping_after(number: int, server: FaultServer) -> None:
    refused = Answer(status=401, body={"error": {"message": "bad key"}})
    server.respond = lambda request: Answer() if len(server.requests) <= number else refused


@pytest.mark.parametrize("own_file", [True, False])
def test_an_early_stop_keeps_what_came_and_the_same_call_goes_on(
    server: FaultServer, tmp_path: Path, own_file: bool
) -> None:
    stopping_after(2, server)
    made = generator(max_concurrency=1, output_file=tmp_path / "rows.jsonl" if own_file else None)
    with pytest.raises(DataSetGeneratorError, match="401") as caught:
        made.create_data(4, 1, TREE)
    assert caught.value.output_file is not None
    assert len(rows_of(Path(caught.value.output_file))) == 2
    assert caught.value.report is not None
    assert caught.value.report.pending == 2
    asked = len(server.requests)
    server.respond = lambda request: Answer()
    assert len(made.create_data(4, 1, TREE)) == 4
    assert len(server.requests) - asked == 2
    assert Path(caught.value.output_file).exists() is own_file


def test_two_generators_share_a_tree(server: FaultServer) -> None:
    before = TREE.to_dict()
    one, two = generator(instructions="Be deep."), generator(model_name="m-2", instructions="Be simple.")
    assert len(one.create_data(4, 2, TREE)) == len(two.create_data(4, 2, TREE)) == 4
    assert TREE.to_dict() == before
    assert sorted(request.json["model"] for request in server.requests) == ["m-1", "m-1", "m-2", "m-2"]


# -- calls that end in other ways


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made in this test."""
    found = tmp_path / "temporary"
    found.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(found))
    return found


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() or path.parent != folder]


def test_a_call_that_ends_well_leaves_no_folder(server: FaultServer, folders: Path) -> None:
    generator().create_data(4, 2, TREE)
    assert not files_in(folders)


def test_a_call_without_its_key_leaves_no_folder(folders: Path) -> None:
    with pytest.raises(DataSetGeneratorError, match="OPENAI_API_KEY"):
        generator().create_data(4, 2, TREE)
    assert not files_in(folders)


async def cancelled(made: DataSetGenerator, server: FaultServer, *, after: int) -> None:
    """Cancels a call that makes four rows once the server has seen so many requests."""
    server.respond = lambda request: Answer(delay_s=0.05)
    task = asyncio.ensure_future(made.create_data_async(4, 1, TREE))
    while len(server.requests) < after:
        await asyncio.sleep(0.005)
    task.cancel()
    await task


def test_a_cancelled_call_keeps_what_was_paid_for_and_the_same_call_goes_on(server: FaultServer, folders: Path) -> None:
    made = generator(max_concurrency=1)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled(made, server, after=3))
    assert len(made.create_data(4, 1, TREE)) == 4
    assert len(server.requests) == 4
    assert not files_in(folders)


def test_events_that_are_left_early_end_the_run_and_the_same_call_goes_on(server: FaultServer, folders: Path) -> None:
    made = generator(max_concurrency=1)

    async def left() -> None:
        events = made.create_data_with_events_async(4, 1, TREE)
        async for event in events:
            if isinstance(event, dict) and event["event"] == "step_complete":
                break
        await events.aclose()

    asyncio.run(left())
    asked = len(server.requests)
    assert 1 <= asked <= 4
    assert len(made.create_data(4, 1, TREE)) == 4
    assert len(server.requests) == 4
    assert not files_in(folders)


def test_equal_calls_at_once_do_not_take_each_others_rows(server: FaultServer, folders: Path) -> None:
    made = generator()
    server.respond = lambda request: Answer(delay_s=0.01 * (len(server.requests) % 3))

    async def together() -> list[Dataset]:
        return await asyncio.gather(*(made.create_data_async(4, 1, TREE) for _ in range(3)))

    assert [len(dataset) for dataset in asyncio.run(together())] == [4, 4, 4]
    assert len(server.requests) == 12
    assert not files_in(folders)


def growing(request: Any) -> Answer:
    asked = "subtopic" in request.prompt
    return Answer(text='{"subtopics": ["tides", "ice"]}') if asked else Answer()


def test_a_tree_that_is_not_built_yet_is_grown_once_and_a_stopped_call_goes_on(server: FaultServer) -> None:
    tree = Tree("sea", provider="openai", model_name="m-1", degree=2, depth=1)
    made = generator(max_concurrency=1)
    key = Answer(status=401, body={"error": {"message": "no"}})
    server.respond = lambda request: key if len(server.requests) >= 3 else growing(request)
    with pytest.raises(DataSetGeneratorError, match="401"):
        made.create_data(2, 1, tree)
    assert tree.leaves() == ["tides", "ice"]
    refused = len(server.requests) - 2
    server.respond = growing
    assert len(made.create_data(2, 1, tree)) == 2
    assert len(server.requests) == 1 + 1 + refused + 1
    assert len(generator(instructions="Short.").create_data(2, 1, tree)) == 2
    assert len(server.requests) == refused + 3 + 2


@pytest.mark.parametrize("split", [None, "train"])
def test_example_data_may_be_a_hugging_face_dataset_or_one_of_its_splits(
    server: FaultServer, split: str | None
) -> None:
    import datasets

    rows = datasets.Dataset.from_list([{"question": f"q{number}", "answer": "a"} for number in range(9)])
    given = rows if split is None else datasets.DatasetDict({split: rows})
    generator(example_data=given, default_num_examples=4).create_data(1, 1, TREE)
    shown = [line for line in server.requests[0].prompt.split("\n") if line.startswith("{")]
    assert len({json.loads(line)["question"] for line in shown}) == len(shown) == 4


def test_example_data_may_be_a_dataframe_with_lists_in_its_cells(server: FaultServer) -> None:
    import pandas as pd

    shown = [{"messages": [{"role": "user", "content": f"q{number}"}], "tags": ["a", "b"]} for number in range(3)]
    generator(example_data=pd.DataFrame(shown), default_num_examples=3).create_data(1, 1, TREE)
    lines = [json.loads(line) for line in server.requests[0].prompt.split("\n") if line.startswith("{")]
    assert lines == shown


# -- failed samples, later


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


SCRIPT = """\
import sys
from datafast import DataSetGenerator, Tree
made = DataSetGenerator(generation_system_prompt="You teach.", provider="openai", model_name="m-1", max_concurrency=1, api_base=sys.argv[1])
print(len(made.create_data(4, 1, Tree.from_dict({"sea": ["tides", "ice", "waves", "salt"]}))))
"""


def test_a_script_without_an_output_file_that_is_killed_goes_on(server: FaultServer, folders: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(folders)}
    command = [sys.executable, "-c", SCRIPT, server.url]
    server.respond = lambda request: Answer(delay_s=0 if len(server.requests) < 3 else 2)
    process = subprocess.Popen(command, env=environment)
    while len(server.requests) < 3:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert files_in(folders)
    server.respond = lambda request: Answer()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "4\n"
    assert len(server.requests) <= 5  # two were answered, one was under way
    assert not files_in(folders)


def test_an_interruption_names_the_folder(server: FaultServer, folders: Path) -> None:
    made = generator(max_concurrency=1)
    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(cancelled(made, server, after=2))
    notes = " ".join([*getattr(caught.value, "__notes__", ()), *getattr(caught.value.__context__, "__notes__", ())])
    assert "Rows and replies so far are kept in" in notes


# -- names of other versions


def test_names_of_other_versions_are_taken(server: FaultServer) -> None:
    made = DataSetGenerator(
        system_prompt="You teach.",
        model="openai/m-1",
        base_url=server.url,
        prompt_template=None,
        conversation_type="agent_cot_tools",
        available_tools=["get_time"],
        max_tools_per_query=2,
        max_agent_steps=4,
        max_tokens=700,
    )
    (row,) = made.create_data(1, 1, TREE)
    request = server.requests[0]
    assert (request.json["model"], request.json["max_completion_tokens"]) == ("m-1", 700 * 5)
    assert "in one to 2 steps" in request.prompt
    assert [tool["function"]["name"] for tool in row["tools"]] == ["get_time"]


@pytest.mark.parametrize(
    ("output_format", "keys"), [("instruction", ["instruction", "response"]), ({"q": "{instruction}"}, ["q"])]
)
def test_rows_may_have_another_form(server: FaultServer, output_format: Any, keys: list[str]) -> None:
    (row,) = generator(output_format=output_format).create_data(1, 1, TREE)
    assert list(row) == keys


def test_tools_come_from_a_file_and_turns_and_repetitions_are_bounded(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text('[{"name": "tide", "parameters": [{"name": "station", "type": "str"}]}]')
    server.respond = lambda request: BAD
    made = generator(
        conversation_type="chain_of_thought",
        agent_mode="multi_turn",
        tool_registry_path=tmp_path / "tools.json",
        sample_retries=1,
    )
    made.create_data(1, 1, TREE)
    assert len(server.requests) == 2
    first = server.requests[0].prompt
    assert '"name":"tide"' in first
    assert "at least 2 and at most 4 exchanges" in first
