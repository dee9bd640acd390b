"""Source rows: whatever a user has becomes rows with a digest, and what cannot be read is refused with its place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
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
    elif path.suffix == ".tsv":
        path.write_text("q\tn\none\t1\ntwo\t2\ndrei ü\t\n", encoding="utf-8")
    else:
        pd.DataFrame(ROWS).astype({"n": "Int64"}).to_parquet(path)
    return path


# -- what can be opened


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_a_file_gives_its_rows(tmp_path: Path, suffix: str) -> None:
    types = {"types": {"n": "integer"}} if suffix in {".csv", ".tsv"} else {}
    rows = opened(str(write(tmp_path / f"rows{suffix}")), **types)
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
        raise FileNotFoundError("no such dataset.")

    monkeypatch.setattr(datasets, "load_dataset", load)
    message = refusal("user/name")
    assert "There is no file 'user/name' here" in message
    assert "FileNotFoundError: no such dataset. Check" in message


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


@settings(max_examples=50)
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
        ("rows.csv", "a,b\n1,2\n1,2,3\n", ":3: This record has 3 cells and the header 2"),
        ("rows.csv", "a,b\n1\n", ":2: This record has 1 cells and the header 2"),
        ("rows.csv", 'a,b\n1,2\n3,"4\n5,6\n', ":3: This record is not CSV: a quoted cell does not end"),
        ("rows.csv", 'a,b\n1,"2"3\n', ":2: This record is not CSV"),
        ("rows.csv", "a,b,a\n1,2,3\n", "Two columns are named 'a'"),
        ("rows.csv", "a,,\n1,2,3\n", "Two columns are named ''"),
        ("rows.csv", "sep=,\na,b\n1,2\n", "The first line begins with 'sep=': it is for Excel alone"),
        ("rows.csv", "sep=;\na;b\n1;2\n", "The first line begins with 'sep=;': it is for Excel alone"),
        ("rows.csv", "a;b\n1;2\n", "write delimiter: ';'"),
        ("rows.csv", "a\tb\n1\t2\n", r"write delimiter: '\t'"),
        ("rows.jsonl", '{"a": 1}\n' * 1_499 + '{"a": \n', ":1500: This line is not JSON"),
        (
            "rows.jsonl",
            '{"a": 1}\n{"a": 1, "a": 2}\n',
            ":2: An object names 'a' twice, with different values. Keep one",
        ),
        ("rows.jsonl", '{"a": {"b": [{"c": 1, "c": 2}]}}\n', ":1: An object names 'c' twice"),
        ("rows.json", '[{"a": 1, "a": "1"}]', "An object names 'a' twice"),
        ("rows.csv", "a,b\n", "has no rows"),
        ("rows.parquet", "no parquet", "Cannot read"),
        ("rows.xml", "a", "does not end in one of .jsonl, .ndjson, .json, .csv, .tsv, .tab, .parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    message = refusal(path)
    assert words in message
    assert name in message


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ([], "has no rows"),
        ([1], "source[0]: expected a mapping"),
        ({"a": [1], "b": [1, 2]}, "The columns differ in length: a has 1, b has 2"),
        ({"a": 1}, "expected a mapping of column names to lists"),
        (3, "expected rows"),
        ("", "source: It is empty. Name a file"),
        (" ", "source: It is empty. Name a file"),
        (b"rows", "expected rows"),
        ("no-such-file.csv", "There is no file"),
        (
            "<list>",
            "<list> stands for rows in memory in a config that was written down, which does not hold them. Give",
        ),
    ],
)
def test_what_is_no_source_is_refused(given_: Any, words: str) -> None:
    assert words in refusal(given_)


# -- cells that no row can hold


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1, 2}, "holds set, which cannot be written as JSON"),
        (b"caf\xe9", "holds bytes and no text; say what they are, for example by encoding: utf-8"),
        ({"deep": [b"x"]}, "holds bytes and no text"),
        (2**63, "holds a whole number of more than 64 bits; write it as text"),
        ({"deep": 2**64}, "holds a whole number of more than 64 bits"),
        ("half \ud83d", "holds half of a surrogate pair"),
        (object(), "holds object, which cannot be written as JSON"),
    ],
    ids=["set", "bytes", "deep bytes", "uint64", "deep integer", "surrogate", "object"],
)
def test_a_cell_that_no_row_can_hold_is_refused_where_its_column_is_used(value: Any, words: str) -> None:
    rows = opened([{"q": "fine", "x": 1}, {"q": "fine", "x": value}])
    rows.check(["q"], field="source")
    with pytest.raises(ConfigError, match=r"^source: the list, row 1: The column 'x' ") as caught:
        rows.check(rows.columns, field="source")
    assert words in str(caught.value)


def test_two_columns_of_a_row_that_differ_in_the_type_of_their_names_are_refused() -> None:
    rows = opened([{"q": "fine", 1: "a", "1": "b"}])
    rows.check(["q"], field="source")
    with pytest.raises(ConfigError, match="The column '1' stands twice in a row"):
        rows.check(["1"], field="source")


def test_a_value_that_is_nested_too_deep_is_refused() -> None:
    value: Any = 1
    for _ in range(900):
        value = [value]
    with pytest.raises(ConfigError, match="nested more than 250 deep"):
        opened([{"x": value}]).check(["x"], field="source")


def test_bytes_are_text_where_the_encoding_is_declared(tmp_path: Path) -> None:

    pq.write_table(pa.table({"x": pa.array([b"caf\xe9"], pa.binary())}), tmp_path / "a.parquet")
    assert opened(tmp_path / "a.parquet", encoding="cp1252")[0] == {"x": "café"}
    with pytest.raises(ConfigError, match="holds bytes that are not utf-8; declare their true encoding"):
        opened(tmp_path / "a.parquet", encoding="utf-8").check(["x"], field="source")


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_whole_numbers_of_more_than_64_bits_never_become_floats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    row = '{"n": 12345678901234567890123, "q": "x"}'
    path.write_text(row if suffix == ".jsonl" else f"[{row}]", encoding="utf-8")
    with pytest.raises(ConfigError, match="The column 'n' holds a whole number of more than 64 bits"):
        opened(path).check(["n"], field="source")
    path.write_text(path.read_text().replace("12345678901234567890123", "1e300"))
    assert opened(path)[0] == {"n": 1e300, "q": "x"}


# -- what tells rows apart


def test_a_row_keeps_its_id_whatever_becomes_of_others() -> None:
    ids = [opened(ROWS).id_of(number) for number in range(3)]
    changed = opened([{"q": "new"}, ROWS[0], {"q": "2wo", "n": 2}, ROWS[2]])
    assert [changed.id_of(1), changed.id_of(3)] == [ids[0], ids[2]]
    assert changed.id_of(2) not in ids


def test_equal_rows_have_ids_of_their_own() -> None:
    rows = opened([{"q": "a"}, {"q": "b"}, {"q": "a"}, {"q": "a"}])
    assert len({rows.id_of(number) for number in range(4)}) == 4
    assert rows.id_of(0) == opened([{"q": "a"}]).id_of(0)


def test_the_digest_of_a_dataset_is_of_its_rows_alone(tmp_path: Path) -> None:
    made = datasets.Dataset.from_list(ROWS)
    path = write(tmp_path / "rows.jsonl")
    digest = opened(made).digest
    assert opened(made.map(lambda row: row)).digest == digest == opened(ROWS).digest == opened(path).digest
    assert opened(made.with_format("pandas")).digest == digest


def test_a_file_that_changes_while_it_is_used_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv")
    rows = opened(path)
    os.utime(path, (1, 1))
    assert rows[0]["q"] == "one"
    path.write_text(path.read_text(encoding="utf-8").replace("one", "uno"), encoding="utf-8")
    with pytest.raises(ConfigError, match="has changed while it was used"):
        rows[0]


# -- more of what lies in memory


def test_streamed_datasets_polars_frames_and_frames_with_lists_give_their_rows() -> None:
    streamed = datasets.Dataset.from_list(ROWS).to_iterable_dataset()
    assert list(opened(streamed)) == ROWS
    assert list(opened(datasets.IterableDatasetDict({"train": streamed}))) == ROWS
    frame = pd.DataFrame({"tags": [["a", "b"], []], "deep": [{"x": [1]}, None]})
    assert list(opened(frame)) == [{"tags": ["a", "b"], "deep": {"x": [1]}}, {"tags": [], "deep": None}]
    assert list(opened({"a": pd.Series([1, 2])})) == [{"a": 1}, {"a": 2}]


class LikePolars:
    """What is used of a polars DataFrame."""

    columns: ClassVar = ["q", "n"]

    def iter_rows(self, *, named: bool) -> Any:
        assert named
        return iter(ROWS)


def test_a_frame_of_polars_gives_its_rows() -> None:
    assert list(opened(LikePolars())) == ROWS


def test_two_columns_of_one_name_are_refused_in_a_frame() -> None:
    for name in ("a", ""):
        assert f"two columns named {name!r}" in refusal(pd.DataFrame([[1, 2]], columns=[name, name]))


@pytest.mark.parametrize("streamed", [False, True])
def test_no_row_of_a_parquet_file_or_a_stream_is_held_in_memory(tmp_path: Path, streamed: bool) -> None:
    class Stream:
        """What is told from a streamed dataset of `datasets` by nothing that we look at."""

        column_names = features = ("n", "t")

        def __iter__(self) -> Iterator[dict[str, Any]]:
            return ({"n": number, "t": f"{number} " * 200} for number in range(10_000))

    if not streamed:
        table = pa.Table.from_pylist(list(Stream()))
        pq.write_table(table, tmp_path / "a.parquet")
        del table
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    rows = opened(Stream() if streamed else tmp_path / "a.parquet")
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert held < 2_000_000  # of more than ten
    assert rows[9_999] == {"n": 9_999, "t": "9999 " * 200}
    assert rows[0] == {"n": 0, "t": "0 " * 200}
    assert len({rows.id_of(number) for number in range(10_000)}) == 10_000


def repeating(path: Path, value: Any, rows: int) -> Path:
    """A Parquet file of a few hundred bytes in which each row has the same value."""
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))
    pq.write_table(pa.table({"t": repeated}), path, compression="zstd", store_schema=False)
    return path


def test_a_parquet_file_that_holds_far_more_than_its_size_fills_neither_memory_nor_disk(tmp_path: Path) -> None:
    path = repeating(tmp_path / "a.parquet", "x" * 2**22, 100_000)
    assert path.stat().st_size < 10_000
    before = pa.default_memory_pool().max_memory()
    tracemalloc.start()
    words = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"source: {path}: Its rows take more than 268,435,456 bytes, a thousand times the file. " in words
    assert max(peak, pa.default_memory_pool().max_memory() - before) < 2**28


def test_what_each_row_repeats_is_read_as_ever(tmp_path: Path) -> None:
    rows = opened(repeating(tmp_path / "a.parquet", "x" * 10_000, 1_200))
    assert (len(rows), rows[0]) == (1_200, rows[1_199])


@pytest.mark.parametrize("streamed", [False, True])
def test_rows_that_would_fill_the_disk_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    table = pa.table({"t": [f"{number}" * 1_000 for number in range(10_000)]})
    pq.write_table(table, tmp_path / "a.parquet")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=usage.total // 10_000))
    words = refusal(datasets.Dataset(table).to_iterable_dataset() if streamed else tmp_path / "a.parquet")
    assert "There is no room for a temporary file of its rows in " in words
    assert words.endswith("Free some space, or name another folder in TMPDIR.")


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.99])
def test_a_damaged_parquet_file_is_refused(tmp_path: Path, place: float) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"t": [f"text {number}" for number in range(3_000)]}).to_parquet(path)
    data = bytearray(path.read_bytes())
    start = int(len(data) * place)
    data[start : start + 300] = bytes(300)
    path.write_bytes(data)
    assert "Cannot read" in refusal(path)
