"""Source rows: whatever a user has becomes rows with a digest, and what cannot be read is refused with its place."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.errors import ConfigError, DatafastWarning
from datafast.sources import SourceRows, open_source

ROWS = [{"q": "one", "n": 1}, {"q": "two", "n": 2}, {"q": "drei ü", "n": None}]


def opened(given_: Any, **options: Any) -> SourceRows:
    return open_source(given_, field="source", **options)


def refusal(given_: Any, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        opened(given_, **options)
    assert str(caught.value).startswith("source")
    return str(caught.value)


def write(path: Path) -> Path:
    """ROWS in the format of the path."""
    if path.suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(ROWS), encoding="utf-8")
    elif path.suffix == ".csv":
        path.write_text("q,n\none,1\ntwo,2\ndrei ü,\n", encoding="utf-8")
    else:
        pd.DataFrame(ROWS).astype({"n": "Int64"}).to_parquet(path)
    return path


# -- what can be opened


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_a_file_gives_its_rows(tmp_path: Path, suffix: str) -> None:
    rows = opened(str(write(tmp_path / f"rows{suffix}")))
    assert list(rows) == ROWS
    assert (len(rows), rows.columns, rows[-1], rows[:2]) == (3, ("q", "n"), ROWS[2], ROWS[:2])


@pytest.mark.parametrize(
    "given_",
    [
        ROWS,
        tuple(ROWS),
        {"q": ["one", "two", "drei ü"], "n": [1, 2, None]},
        pd.DataFrame({"q": ["one", "two", "drei ü"], "n": pd.array([1, 2, None], dtype="Int64")}),
        datasets.Dataset.from_list(ROWS),
        datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS), "test": datasets.Dataset.from_list(ROWS[:1])}),
        datasets.DatasetDict({"level_1": datasets.Dataset.from_list(ROWS)}),
        {"train": datasets.Dataset.from_list(ROWS)},
    ],
    ids=["list", "tuple", "columns", "frame", "dataset", "dict", "one split", "plain dict"],
)
def test_what_lies_in_memory_gives_its_rows(given_: Any) -> None:
    rows = opened(given_)
    assert list(rows) == ROWS
    assert rows.columns == ("q", "n")


def test_source_rows_are_source_rows() -> None:
    rows = opened(ROWS)
    assert opened(rows) is rows


def test_without_a_train_split_all_are_read_one_after_the_other_with_a_warning() -> None:
    one = datasets.Dataset.from_dict({"id": [1, 2]})
    other = datasets.Dataset.from_dict({"id": [3], "note": ["n"]})
    parts = datasets.DatasetDict({"level_1": one, "level_2": other})
    with pytest.warns(DatafastWarning, match="The splits level_1, level_2 are read one after the other"):
        rows = opened(parts)
    assert list(rows) == [{"id": 1, "note": None}, {"id": 2, "note": None}, {"id": 3, "note": "n"}]
    assert rows.columns == ("id", "note")


def test_a_split_is_chosen_by_its_name() -> None:
    parts = datasets.DatasetDict({"a": datasets.Dataset.from_list(ROWS), "b": datasets.Dataset.from_list(ROWS[:1])})
    assert len(opened(parts, split="b")) == 1
    assert "There is no split 'c'. Known: a, b." in refusal(parts, split="c")


def test_relative_paths_are_relative_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep" / "rows.csv")
    assert len(opened("rows.csv", folder=tmp_path / "deep")) == 3
    monkeypatch.chdir(tmp_path)
    assert len(opened("deep/rows.csv")) == 3
    assert len(opened(tmp_path / "deep" / "rows.csv", folder=Path("elsewhere"))) == 3


def test_a_dataset_on_the_hub_is_loaded_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def load(name: str, split: str | None = None) -> Any:
        asked.append((name, split))
        whole = datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)})
        return whole if split is None else whole[split]

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert [opened("user/name").name, len(opened("user/name", split="train"))] == ["user/name", 3]
    assert asked == [("user/name", None), ("user/name", "train")]


def test_a_dataset_that_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, split: str | None = None) -> Any:
        raise FileNotFoundError("no such dataset")

    monkeypatch.setattr(datasets, "load_dataset", load)
    message = refusal("user/name")
    assert "There is no file 'user/name' here" in message
    assert "FileNotFoundError: no such dataset" in message


# -- what rows hold


def test_values_are_plain_json() -> None:
    frame = pd.DataFrame(
        {"when": [date(2024, 1, 31)], "list": [[1, 2]], "deep": [{"a": 1}], "f": [float("nan")], "b": [True]}
    )
    assert opened(frame)[0] == {"when": "2024-01-31", "list": [1, 2], "deep": {"a": 1}, "f": None, "b": True}


def test_pandas_own_kinds_of_nothing_and_of_numbers_are_plain_too() -> None:
    frame = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "t": pd.to_datetime(["2024-01-31", None])})
    assert list(opened(frame)) == [{"n": 1, "t": "2024-01-31 00:00:00"}, {"n": None, "t": None}]


def test_numbers_that_are_none_are_null_also_in_lists_and_datasets() -> None:
    for given_ in ([{"x": float("nan")}], {"x": [float("inf")]}, datasets.Dataset.from_dict({"x": [float("nan")]})):
        assert opened(given_)[0] == {"x": None}


def test_numbers_of_numpy_become_numbers() -> None:
    import numpy as np

    (row,) = opened([{"i": np.int64(3), "f": np.float64(0.5), "a": np.arange(2), "n": np.float64("nan")}])
    assert row == {"i": 3, "f": 0.5, "a": [0, 1], "n": None}
    assert [type(value) for value in row.values()] == [int, float, list, type(None)]


def test_what_was_given_is_not_changed() -> None:
    given_ = [{"a": [1, {"b": 2}]}]
    before = json.dumps(given_)
    rows = opened(given_)
    rows[0]["a"].append(3)
    rows[0]["c"] = 4
    assert json.dumps(given_) == before
    assert rows[0] == {"a": [1, {"b": 2}]}


def test_columns_are_those_of_the_first_rows_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"b": 1}\n{"a": 1, "b": 2}\n')
    assert opened(path).columns == ("b", "a")


# -- the digest


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_a_copy_of_a_file_has_its_digest_and_a_changed_one_another(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}")
    copy = tmp_path / f"b{suffix}"
    copy.write_bytes(path.read_bytes())
    assert opened(path).digest == opened(copy).digest
    if suffix != ".parquet":
        copy.write_text(path.read_text(encoding="utf-8").replace("two", "2wo"), encoding="utf-8")
        assert opened(path).digest != opened(copy).digest


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.dictionaries(st.text(max_size=3), st.one_of(st.integers(-9, 9), st.text(max_size=3), st.none())),
        min_size=1,
        max_size=4,
    )
)
def test_equal_lists_have_equal_digests_and_other_lists_others(rows: list[dict[str, Any]]) -> None:
    digest = opened(rows).digest
    assert digest == opened(json.loads(json.dumps(rows))).digest
    assert digest != opened([*rows, {"x": 1}]).digest
    assert digest != opened([{**rows[0], "one more": 1}, *rows[1:]]).digest


IN_A_PROCESS = """
import sys
import datasets, pandas
from datafast.sources import open_source
rows = [{"q": "one", "n": 1}, {"q": "two", "n": 2}]
for given in (rows, pandas.DataFrame(rows), datasets.Dataset.from_list(rows), {"q": ["one"]}):
    print(open_source(given, field="source").digest.hex())
"""


def test_a_digest_is_the_same_in_every_process() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", IN_A_PROCESS],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_datasets_that_differ_in_a_value_have_different_digests() -> None:
    one, two = (datasets.Dataset.from_dict({"q": ["a", "b", value]}) for value in ("c", "d"))
    assert opened(one).digest != opened(two).digest
    assert opened(one).digest == opened(datasets.Dataset.from_dict({"q": ["a", "b", "c"]})).digest


def test_datasets_that_were_selected_from_differ_from_the_whole() -> None:
    whole = datasets.Dataset.from_dict({"q": ["a", "b", "c"]})
    digests = {
        opened(part).digest for part in (whole, whole.select([2, 1, 0]), whole.filter(lambda row: row["q"] != "b"))
    }
    assert len(digests) == 3


# -- what is refused


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.jsonl", '{"a": 1}\n\n{"a": \n', ":3: This line is not JSON"),
        ("rows.jsonl", "[1]\n", ":1: expected a JSON object, got list"),
        ("rows.jsonl", "", "has no rows"),
        ("rows.jsonl", "\n\n", "has no rows"),
        ("rows.json", '{"a": 1}', "expected a list of objects"),
        ("rows.json", "[1]", "[0]: expected a mapping"),
        ("rows.json", "[{", "is not JSON"),
        ("rows.csv", "a,b\n1,2,3\n", "Cannot read"),
        ("rows.csv", "a,b\n", "has no rows"),
        ("rows.parquet", "no parquet", "Cannot read"),
        ("rows.txt", "a", "does not end in one of .jsonl, .json, .csv, .parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    message = refusal(path)
    assert words in message
    assert name in message or "[0]" in message


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ([], "has no rows"),
        ([1], "source[0]: expected a mapping"),
        ({"a": [1], "b": [1, 2]}, "The columns differ in length: a has 1, b has 2"),
        ({"a": 1}, "expected a mapping of column names to lists"),
        (3, "expected rows"),
        (b"rows", "expected rows"),
        ([{"a": {1, 2}}], "can be written as JSON"),
        ("no-such-file.csv", "There is no file"),
    ],
)
def test_what_is_no_source_is_refused(given_: Any, words: str) -> None:
    assert words in refusal(given_)
