"""Splits in files on this machine: what `load_dataset` finds, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from click.testing import CliRunner

from datafast import load
from datafast.cli.main import cli
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from tests.support import raw, rows_of

THREE = {"train_size": 0.5, "validation_size": 0.25}


def made(folder: Path, *, topics: int = 8) -> Any:
    return raw(folder, topics=topics, languages={"en": "English", "fr": "French"}).generate([SimulatedProvider("m")])


def uuids(rows: Any) -> list[str]:
    return [row["uuid"] for row in rows]


@pytest.mark.parametrize("container", ["jsonl", "json", "csv", "parquet", "arrow"])
def test_a_folder_of_splits_is_loaded_as_it_is(tmp_path: Path, container: str) -> None:
    dataset = made(tmp_path)
    written = dataset.export(tmp_path / "texts", container, **THREE)
    assert [one.path.name for one in written] == [f"{name}.{container}" for name in ("train", "validation", "test")]
    assert [one.rows for one in written] == [8, 4, 4]
    found = datasets.load_dataset(str(tmp_path / "texts"), cache_dir=str(tmp_path / "cache"))
    pushed = dataset.to_huggingface(**THREE)
    assert {name: uuids(rows) for name, rows in found.items()} == {name: uuids(rows) for name, rows in pushed.items()}


def test_several_formats_have_folders_of_their_own(tmp_path: Path) -> None:
    made(tmp_path).export(
        tmp_path / "all", ["language_modeling", "custom"], keep=["uuid"], custom={"x": "{{ text }}"}, train_size=0.75
    )
    found = [
        datasets.load_dataset(str(tmp_path / "all" / name), cache_dir=str(tmp_path / "cache"))
        for name in ("language_modeling", "custom")
    ]
    assert [part.num_rows for part in found] == [{"train": 12, "test": 4}] * 2
    assert uuids(found[0]["test"]) == uuids(found[1]["test"])


def test_a_saved_folder_of_splits_is_a_dataset_dict(tmp_path: Path) -> None:
    made(tmp_path).export(tmp_path / "saved", "save_to_disk", **THREE)
    assert datasets.load_from_disk(str(tmp_path / "saved")).num_rows == {"train": 8, "validation": 4, "test": 4}
    made(tmp_path).export(tmp_path / "saved", "save_to_disk", train_size=0.5)
    assert datasets.load_from_disk(str(tmp_path / "saved")).num_rows == {"train": 8, "test": 8}


def test_files_beside_each_other_are_named_by_their_split(tmp_path: Path) -> None:
    source = tmp_path / "qa.csv"
    source.write_text("question,answer,topic\n" + "".join(f"q{n},a{n},t{n % 5}\n" for n in range(20)), encoding="utf-8")
    output = tmp_path / "new" / "qa.jsonl"
    arguments = ["export", str(source), "--to", "jsonl", "-o", str(output), "--train-size", "0.6", "--group", "topic"]
    done = CliRunner().invoke(cli, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert [(one["split"], one["rows"]) for one in json.loads(done.output)] == [("train", 12), ("test", 8)]
    train, test = (rows_of(output.with_name(f"qa.{name}.jsonl")) for name in ("train", "test"))
    assert not {row["topic"] for row in train} & {row["topic"] for row in test}
    found = datasets.load_dataset(str(output.parent), cache_dir=str(tmp_path / "cache"))
    assert found.num_rows == {"train": 12, "test": 8}


def test_the_types_of_columns_are_those_of_all_splits(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    rows = [{"n": 1 if number % 2 else 1.5, "uuid": f"u{number}"} for number in range(8)]
    source.write_text(
        "".join(json.dumps(row) + "\n" for row in sorted(rows, key=lambda row: row["n"])), encoding="utf-8"
    )
    load(source).export(tmp_path / "out", "parquet", train_size=0.5, shuffle=False)
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert found["train"].features == found["test"].features
    assert found["train"].features["n"].dtype == "float64"


def test_without_shuffling_rows_keep_the_order_of_the_file_or_of_the_plan(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    dataset.export(tmp_path / "a", "jsonl", train_size=0.5, shuffle=False)
    assert uuids(rows_of(tmp_path / "a" / "train.jsonl")) == uuids(rows_of(tmp_path / "out.jsonl"))[:8]
    dataset.export(tmp_path / "plan.jsonl", "jsonl", order="plan")
    dataset.export(tmp_path / "b", "jsonl", order="plan", train_size=0.5, shuffle=False)
    assert uuids(rows_of(tmp_path / "b" / "train.jsonl")) == uuids(rows_of(tmp_path / "plan.jsonl"))[:8]


def test_a_file_that_would_be_read_as_another_split_is_not_left(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    dataset.export(tmp_path / "out", "jsonl", **THREE)
    with pytest.raises(ConfigError, match=r"validation\.jsonl is there already, and would be read"):
        dataset.export(tmp_path / "out", "jsonl", train_size=0.5)
    with pytest.raises(ConfigError, match=r"train\.jsonl is there already"):
        dataset.export(tmp_path / "out", "parquet", **THREE)
    assert len(list((tmp_path / "out").iterdir())) == 3
    dataset.export(tmp_path / "flat", "save_to_disk")
    with pytest.raises(ConfigError, match=r"state\.json is there already"):
        dataset.export(tmp_path / "flat", "save_to_disk", **THREE)


@pytest.mark.parametrize("name", ["train.jsonl", "pre-train.jsonl", "eval_2.jsonl"])
def test_a_name_that_would_be_read_as_a_split_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"would be read as the split (train|eval) because of '{name[:-5]}"):
        made(tmp_path).export(tmp_path / name, "jsonl", train_size=0.5)


def test_a_split_that_fails_leaves_no_other_behind(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    rows = [{"a": {"b": number} if number < 9 else {}} for number in range(10)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(ConfigError, match="custom"):
        load(source).export(tmp_path / "out", "custom", custom={"b": "{{ a.b }}"}, train_size=0.5, shuffle=False)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "key", "told"),
    [
        ({"seed": 1}, "seed", "seed: It says how rows are divided, and all are in one file. Give train_size"),
        ({"shuffle": False}, "shuffle", "shuffle: It says how"),
        ({"stratify": "language"}, "stratify", "stratify: It says how"),
        ({"train_size": 0.5, "order": "plan"}, "order", "order: The rows of splits have an order of their own"),
    ],
)
def test_what_would_do_nothing_is_refused(tmp_path: Path, asked: dict[str, Any], key: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        made(tmp_path).export(tmp_path / "out", "jsonl", **asked)
    assert caught.value.key == key


def test_what_says_which_row_is_in_which_split_is_not_replaced(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    dataset.to_huggingface(train_size=0.5, group="near_duplicates", stable=True)
    (record,) = dataset.paths.split_records
    before = record.read_bytes()
    for write in (lambda: dataset.export(record, "jsonl"), lambda: dataset.save(record, "jsonl")):
        with pytest.raises(ConfigError, match="is also used as which row is in which split"):
            write()
    assert record.read_bytes() == before


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"to": []}, "to: There is no format"),
        ({"to": ["openai", "OpenAI"]}, "A format is given twice"),
        ({"to": "jsonl", "order": "plann"}, "order: 'plann' is not known"),
        ({"to": "jsonl", "custom": {"a": "{{ text }}"}}, "custom: It is for the format custom, which is not asked for"),
        ({"to": "jsonl", "tokenizer": "x"}, "tokenizer: It is for the format chat_template, which is not asked for"),
    ],
)
def test_options_without_their_format_and_unknown_ones_are_refused(
    tmp_path: Path, how: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        made(tmp_path).export(tmp_path / "a.jsonl", **how)
    assert not (tmp_path / "a.jsonl").exists()
