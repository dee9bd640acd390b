"""`Dataset`: rows in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast import DataSetGeneratorError
from datafast.deepfabric import Dataset, load_dataset
from tests.export.support import REPO, TOKEN, stored
from tests.servers.hub_server import HubServer

ROWS = [
    {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}], "n": n}
    for n in range(10)
]


def test_it_is_filled_by_hand_and_saved(tmp_path: Path) -> None:
    dataset = Dataset()
    dataset.samples = ROWS[:2]
    dataset.save(tmp_path / "rows.jsonl")
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()] == ROWS[:2]
    assert Dataset.from_jsonl(tmp_path / "rows.jsonl") == dataset == Dataset.from_list(ROWS[:2])


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.json"])
def test_other_formats_are_written(tmp_path: Path, name: str) -> None:
    assert Dataset(ROWS).save(tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "rows.jsonl:1: This is not JSON"), ("\n7", "rows.jsonl:2: expected an object")]
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(DataSetGeneratorError, match=problem):
        Dataset.from_jsonl(tmp_path / "rows.jsonl")
    with pytest.raises(DataSetGeneratorError, match="Cannot read"):
        Dataset.from_jsonl(tmp_path / "none.jsonl")


def test_rows_and_columns_are_taken_out() -> None:
    dataset = Dataset(ROWS)
    assert (dataset[0], dataset[-1]["n"], dataset["n"]) == (ROWS[0], 9, list(range(10)))
    assert dataset[2:4] == Dataset(ROWS[2:4])
    assert (dataset.column_names, dataset.num_rows, len(dataset)) == (["messages", "n"], 10, 10)
    assert dataset.select([3, 1])["n"] == [3, 1]
    assert dataset.filter(lambda row: row["n"] > 7)["n"] == [8, 9]
    with pytest.raises(KeyError, match="There is no column 'm'"):
        dataset["m"]


def test_map_is_given_copies() -> None:
    dataset = Dataset(ROWS)
    mapped = dataset.map(lambda row: row | {"n": row.pop("n") + 1})
    assert mapped["n"] == list(range(1, 11))
    assert dataset["n"] == list(range(10))


def test_order_and_split_are_seeded_and_no_part_is_empty() -> None:
    dataset = Dataset(ROWS)
    parts = dataset.split(test_size=0.2, seed=3)
    assert (len(parts["train"]), len(parts["test"])) == (8, 2)
    assert sorted(parts["train"]["n"] + parts["test"]["n"]) == list(range(10))
    assert dataset.train_test_split(0.2, seed=3) == parts
    assert dataset.shuffle(1)["n"] != dataset.shuffle(2)["n"]
    assert [len(part) for part in Dataset(ROWS[:2]).split(0.01).values()] == [1, 1]
    for share in (0, 1, True, "0.5"):
        with pytest.raises(DataSetGeneratorError, match="test_size: expected a share"):
            dataset.split(share)  # type: ignore[arg-type]


def test_it_becomes_a_dataframe_and_a_dataset_of_hugging_face() -> None:
    assert Dataset(ROWS).to_pandas()["n"].tolist() == list(range(10))
    assert Dataset(ROWS).to_huggingface()["n"][:2] == Dataset(ROWS).to_hf()["n"][:2] == [0, 1]


def test_rows_that_are_not_conversations_are_refused() -> None:
    dataset = Dataset()
    refused, reasons = dataset.add_samples([ROWS[0], {"text": "a"}, {"messages": [{"role": "user"}]}])
    assert (len(dataset), len(refused), len(reasons)) == (1, 2, 2)
    assert dataset.failed_samples == refused


def test_statistics_count_messages_and_roles() -> None:
    found = Dataset(ROWS).get_statistics()
    assert (found["total_samples"], found["avg_messages_per_sample"], found["avg_content_length"]) == (10, 2, 2)
    assert found["role_distribution"] == {"user": 0.5, "assistant": 0.5}
    assert [len(row["messages"]) for row in Dataset(ROWS).filter_by_role("user")] == [1] * 10


def test_formatters_give_other_forms_and_write_their_files(tmp_path: Path) -> None:
    formatters = [
        {"name": "a", "template": "builtin://alpaca.py", "output": str(tmp_path / "a.jsonl")},
        {"name": "t", "template": "builtin://chatml"},
    ]
    made = Dataset(ROWS[:1]).apply_formatters(formatters)
    assert made["a"][0] == {"instruction": "q0", "input": "", "output": "a0"}
    assert json.loads((tmp_path / "a.jsonl").read_text("utf-8")) == made["a"][0]
    assert made["t"][0]["text"].startswith("<|im_start|>user\nq0")
    with pytest.raises(DataSetGeneratorError, match=r"'builtin://grpo' is not written by datafast\. The forms are trl"):
        Dataset(ROWS).apply_formatters([{"template": "builtin://grpo"}])


@pytest.mark.parametrize("name", ["harmony", "grpo", "xlam_v2", "single_tool_call"])
def test_a_formatter_without_a_form_of_ours_is_refused_with_those_that_there_are(tmp_path: Path, name: str) -> None:
    wanted = [{"name": "x", "template": f"builtin://{name}.py", "output": str(tmp_path / "x.jsonl")}]
    with pytest.raises(
        DataSetGeneratorError, match=rf"{name}.* is not written by datafast\. The forms are trl, openai,"
    ):
        Dataset([{"messages": []}]).apply_formatters(wanted)
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize(
    ("form", "keys"),
    [
        ("trl", ["messages"]),
        ("openai", ["messages"]),
        ("sharegpt", ["conversations"]),
        ("alpaca", ["instruction", "input", "output"]),
        ("chatml", ["text"]),
    ],
)
def test_rows_are_saved_in_the_forms_of_trainers(tmp_path: Path, form: str, keys: list[str]) -> None:
    rows = Dataset([{"messages": row["messages"]} for row in ROWS])
    written = rows.save(tmp_path / "rows.jsonl", format=form).read_text("utf-8").splitlines()
    assert [list(json.loads(line)) for line in written] == [keys] * 10


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what `datasets` uploads with
def test_it_is_pushed_into_a_private_repository(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_ENDPOINT", hub.url)
    Dataset(ROWS).push_to_hub(REPO, token=TOKEN)
    assert hub.repos[REPO].private
    assert [row["n"] for row in stored(hub, "train")] == list(range(10))


def test_a_tokenizer_writes_the_texts() -> None:
    class Tokenizer:
        def apply_chat_template(self, messages: list[dict[str, Any]], *, tools: Any, tokenize: bool) -> str:
            assert (tools, tokenize) == (None, False)
            return "|".join(message["content"] for message in messages)

    assert Dataset(ROWS[:1]).format(tokenizer=Tokenizer())["text"] == ["q0|a0"]
    with pytest.raises(DataSetGeneratorError, match=r"AutoTokenizer.from_pretrained\('org/model'\)"):
        Dataset(ROWS).format("org/model")


def test_a_file_is_loaded_as_the_split_train(tmp_path: Path) -> None:
    Dataset(ROWS).save(tmp_path / "rows.jsonl")
    found = load_dataset("json", data_files=tmp_path / "rows.jsonl")
    assert isinstance(found, dict)
    assert found["train"] == load_dataset(tmp_path / "rows.jsonl", split="train") == Dataset(ROWS)
    with pytest.raises(DataSetGeneratorError, match="only the split train"):
        load_dataset(tmp_path / "rows.jsonl", split="test")
    with pytest.raises(DataSetGeneratorError, match="not a JSONL file"):
        load_dataset("someone/things")
