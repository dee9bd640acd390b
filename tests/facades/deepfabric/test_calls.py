"""`DataSetGenerator`: what its calls send and give back, and that a call that ended early goes on where it stopped."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from datafast import DataSetGenerator, DataSetGeneratorError, Graph, Tree
from datafast.facades.deepfabric.generated import Dataset
from tests.facades.deepfabric.making import TREE, generator
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import rows_of


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


def test_topics_may_be_the_path_of_a_file(server: FaultServer, tmp_path: Path) -> None:
    Tree.from_dict({"sea": ["tides", "ice"]}).save(tmp_path / "sea.jsonl")
    assert len(generator().create_data(topic_model=str(tmp_path / "sea.jsonl"))) == 2
    assert "1. tides" in server.requests[0].prompt


def test_without_topics_the_model_chooses_what_each_row_is_about(server: FaultServer) -> None:
    assert len(generator().create_data(2, 1)) == 2
    assert all("a subject of your choice" in request.prompt for request in server.requests)


def test_a_topic_that_comes_again_is_asked_about_from_another_side(server: FaultServer) -> None:
    generator(max_concurrency=1).create_data(4, 1, ["tides"])
    first, *further = [request.prompt for request in server.requests]
    assert "taken up" not in first
    assert all("tides, taken up " in prompt for prompt in further)
    assert len(set(further)) == 3


@pytest.mark.parametrize("conversation_type", ["basic", "cot_freetext", "cot_structured"])
def test_rows_of_every_type_have_messages(server: FaultServer, conversation_type: str) -> None:
    (row,) = generator(conversation_type=conversation_type).create_data(1, 1, TREE)
    _, question, answer = row["messages"]
    assert (question["role"], answer["role"]) == ("user", "assistant")
    assert answer["content"]
    assert bool(answer.get("reasoning_content")) is (conversation_type != "basic")


def test_a_reply_without_its_reasoning_is_asked_for_again(server: FaultServer) -> None:
    exchange = {"user": "u", "assistant": "a"}
    answers = [{"conversations": [{"exchanges": [exchange | more]}]} for more in ({}, {"reasoning": "r"})]
    server.answer_next(*[Answer(text=json.dumps(answer)) for answer in answers])
    (row,) = generator(conversation_type="cot_freetext").create_data(1, 1, TREE)
    assert row["messages"][-1] == {"role": "assistant", "content": "a", "reasoning_content": "r"}
    assert len(server.requests) == 2


def test_topics_of_the_first_versions_are_a_topic_tree(server: FaultServer) -> None:
    async def awaited() -> int:
        return len(await generator().create_data_async(2, 1, topic_tree=TREE))

    async def told() -> int:
        events = [event async for event in generator().create_data_with_events_async(2, 1, topic_tree=TREE)]
        return len(events[-1])

    assert (asyncio.run(awaited()), asyncio.run(told())) == (2, 2)
    assert ["tides" in request.prompt for request in server.requests].count(True) == 2


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


def test_the_synchronous_call_works_below_a_running_loop(server: FaultServer) -> None:
    async def main() -> int:
        return len(generator().create_data(2, 1, TREE))

    assert asyncio.run(main()) == 2


def test_the_coroutine_composes_with_others(server: FaultServer) -> None:
    async def main() -> list[int]:
        made = await asyncio.gather(*[generator().create_data_async(2, 1, TREE) for _ in range(3)])
        return [len(dataset) for dataset in made]

    assert asyncio.run(main()) == [2, 2, 2]


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
    assert rows_of(dataset.to_jsonl(tmp_path / "lines")) == list(dataset)
    header = dataset.to_csv(tmp_path / "sheet").read_text(encoding="utf-8").partition("\n")[0]
    assert header == ",".join(dataset.column_names)
    assert dataset.to_parquet(tmp_path / "table").read_bytes()[:4] == b"PAR1"


def test_there_is_nothing_to_save_before_the_first_call(tmp_path: Path) -> None:
    with pytest.raises(DataSetGeneratorError, match="create_data"):
        generator().save_dataset(tmp_path / "a.jsonl")


def test_a_name_of_an_unknown_format_is_refused(server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(
        DataSetGeneratorError,
        match=r"There is no format 'xml'\. Known: parquet, csv, json, jsonl, ",
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
    assert f"kept in {caught.value.output_file}." in str(caught.value)
    assert len(rows_of(Path(caught.value.output_file))) == 2
    assert caught.value.report is not None
    assert caught.value.report.pending == 2
    asked = len(server.requests)
    server.respond = lambda request: Answer()
    assert len(made.create_data(4, 1, TREE)) == 4
    assert len(server.requests) - asked == 2


def test_two_generators_share_a_tree(server: FaultServer) -> None:
    before = TREE.to_dict()
    one, two = generator(instructions="Be deep."), generator(model_name="m-2", instructions="Be simple.")
    assert len(one.create_data(4, 2, TREE)) == len(two.create_data(4, 2, TREE)) == 4
    assert TREE.to_dict() == before
    assert sorted(request.json["model"] for request in server.requests) == ["m-1", "m-1", "m-2", "m-2"]


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() or path.parent != folder]


def test_folders_of_the_newest_calls_stay_until_the_process_ends(
    server: FaultServer, temporary_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.facades.deepfabric.calls._MOST_FINISHED", 2)
    monkeypatch.setattr("datafast.facades.deepfabric.calls._FINISHED", deque())
    made = generator()
    for number in range(4):
        assert len(made.create_data(2, 1, TREE)) == 2
        assert len(server.requests) == 2 * (number + 1)
    assert len(list(temporary_files.rglob("rows.jsonl"))) == 2


def test_a_call_without_its_key_leaves_no_folder(temporary_files: Path) -> None:
    with pytest.raises(DataSetGeneratorError, match="OPENAI_API_KEY"):
        generator().create_data(4, 2, TREE)
    assert not files_in(temporary_files)


async def cancelled(made: DataSetGenerator, server: FaultServer, *, after: int) -> None:
    """Cancels a call that makes four rows while the request of this number is in flight, which then lands."""
    lands = threading.Event()
    server.respond = lambda request: Answer(until=lambda: len(server.requests) < after or lands.is_set())
    task = asyncio.ensure_future(made.create_data_async(4, 1, TREE))
    while len(server.requests) < after:
        await asyncio.sleep(0.005)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, lands.set)
    await task


def test_a_cancelled_call_keeps_what_was_paid_for_and_the_same_call_goes_on(
    server: FaultServer, temporary_files: Path
) -> None:
    made = generator(max_concurrency=1)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled(made, server, after=3))
    assert len(made.create_data(4, 1, TREE)) == 4
    assert len(server.requests) == 4


def test_events_that_are_left_early_end_the_run_and_the_same_call_goes_on(
    server: FaultServer, temporary_files: Path
) -> None:
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


def test_equal_calls_at_once_do_not_take_each_others_rows(server: FaultServer, temporary_files: Path) -> None:
    made = generator()
    server.respond = lambda request: Answer(delay_s=0.01 * (len(server.requests) % 3))

    async def together() -> list[Dataset]:
        return await asyncio.gather(*(made.create_data_async(4, 1, TREE) for _ in range(3)))

    assert [len(dataset) for dataset in asyncio.run(together())] == [4, 4, 4]
    assert len(server.requests) == 12


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


SCRIPT = """\
import os, sys
from datafast import DataSetGenerator, Tree
made = DataSetGenerator(generation_system_prompt="You teach.", provider="openai", model_name="m-1", max_concurrency=1, api_base=sys.argv[1])
topics = Tree.from_dict({"sea": ["tides", "ice", "waves", "salt"]})
one, other = made.create_data(4, 1, topics), made.create_data(2, 1, topics)
again = made.create_data(4, 1, topics)
if sys.argv[2] == "dies":
    os.kill(os.getpid(), 9)
one.save(sys.argv[2])
print(len(one), len(other), len(again), {row["messages"][-1]["content"] for row in one} & {row["messages"][-1]["content"] for row in again})
"""


@pytest.mark.parametrize("ends", ["dies", "none/there/rows.xml"])
def test_a_script_that_ends_before_it_saves_gets_its_rows_back(
    server: FaultServer, temporary_files: Path, tmp_path: Path, ends: str
) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary_files)}
    command = [sys.executable, "-c", SCRIPT, server.url]
    numbers = itertools.count()

    def respond(request: Recorded) -> Answer:
        told = {"conversations": [{"exchanges": [{"user": "u", "assistant": f"answer {next(numbers)}"}]}]}
        return Answer(text=json.dumps(told))

    server.respond = respond
    failed = subprocess.run([*command, ends], env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode != 0
    assert ("The script ended with an error. Its rows are kept in" in failed.stderr) is (ends != "dies")
    assert len(server.requests) == 4 + 2 + 4
    done = subprocess.run(
        [*command, str(tmp_path / "rows.jsonl")], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "4 2 4 set()\n"
    assert len(server.requests) == 4 + 2 + 4
    assert not files_in(temporary_files)


def test_a_script_without_an_output_file_that_is_killed_goes_on(server: FaultServer, temporary_files: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary_files)}
    command = [sys.executable, "-c", SCRIPT, server.url, str(temporary_files.parent / "rows.jsonl")]
    server.respond = lambda request: Answer(delay_s=0 if len(server.requests) < 3 else 2)
    process = subprocess.Popen(command, env=environment)
    while len(server.requests) < 3:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert files_in(temporary_files)
    server.respond = lambda request: Answer()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("4 2 4 ")
    assert len(server.requests) <= 5 + 2 + 4  # two were answered, one was under way
    assert not files_in(temporary_files)


def test_an_interruption_names_the_folder(server: FaultServer, temporary_files: Path) -> None:
    made = generator(max_concurrency=1)
    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(cancelled(made, server, after=2))
    notes = " ".join([*getattr(caught.value, "__notes__", ()), *getattr(caught.value.__context__, "__notes__", ())])
    assert "Rows and replies so far are kept in" in notes
