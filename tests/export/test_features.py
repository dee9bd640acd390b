"""Rows as columns with types: every type of a row model, and whatever rows hold comes back from Parquet."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from datafast import load
from datafast.errors import ConfigError
from datafast.export.features import row_schema
from datafast.export.parquet import export_parquet
from datafast.export.splits import Splitting
from datafast.export.splits.rows import SplitRows
from tests.export.support import (
    Answer,
    TextRow,
    text_rows,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_large_splits_are_written_as_numbered_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.export.parquet._BATCH_ROWS", 4)
    source = write(tmp_path / "rows.jsonl", text_rows(10))
    export = export_parquet(SplitRows.of(source, Splitting()), tmp_path, row_model=TextRow, max_shard_bytes=1)
    assert [file.path_in_repo for file in export.files] == [f"data/train-0000{n}-of-00003.parquet" for n in range(3)]
    assert export.num_rows == 10


class Colour(StrEnum):
    RED = "red"


class Tree(BaseModel):
    children: list[Tree] = []


class EveryType(BaseModel):
    colour: Colour | None
    level: Literal["a", "b"]
    number: int | float
    flags: list[bool]
    nested: list[Answer]
    matrix: tuple[tuple[float, ...], ...]
    tools: list[dict[str, Any]]
    anything: Any
    mixed: str | int
    tree: Tree | None


def test_columns_have_the_types_of_the_row_model() -> None:
    from datasets import List, Value

    assert dict(row_schema(EveryType).features) == {
        "colour": Value("string"),
        "level": Value("string"),
        "number": Value("float64"),
        "flags": List(Value("bool")),
        "nested": List({"text": Value("string"), "comment": Value("string")}),
        "matrix": List(List(Value("float64"))),
        "tools": List(Value("string")),
        "anything": Value("string"),
        "mixed": Value("string"),
        "tree": {"children": List(Value("string"))},
    }


def test_a_type_without_a_column_is_refused_by_the_name_of_its_field() -> None:
    class Row(BaseModel):
        payload: bytes

    with pytest.raises(ConfigError, match="field 'payload' of Row"):
        row_schema(Row)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


class FreeRow(BaseModel):
    uuid: str
    texts: list[str | None]
    score: float | None
    count: int | None
    nested: Answer | None
    metadata: dict[str, Any]


@settings(max_examples=40)
@given(
    st.lists(
        st.builds(
            FreeRow,
            uuid=st.text(),
            texts=st.lists(st.none() | st.text(), max_size=3),
            score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
            count=st.none() | st.integers(-(2**63), 2**63 - 1),
            nested=st.none() | st.builds(Answer, text=st.text(), comment=st.none() | st.text()),
            metadata=st.dictionaries(st.text(), JSON, max_size=3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_the_rows_hold_comes_back_from_parquet_unchanged(tmp_path: Path, rows: list[FreeRow]) -> None:
    import pyarrow.parquet as pq

    source = write(tmp_path / "free.jsonl", rows)
    export = export_parquet(SplitRows.of(source, Splitting(shuffle=False)), tmp_path, row_model=FreeRow)
    found = pq.read_table(export.files[0].path).to_pylist()
    assert [dict(row, metadata=json.loads(row["metadata"])) for row in found] == [row.model_dump() for row in rows]


ODD = {
    "_id": "a1",
    "text": "Tides.",
    "model_config": {"n": 1},
    "__base__": [1],
    "": "e",
    "json": 5,
    "a.b": None,
    "日本": "x",
}


@pytest.mark.parametrize("name", ["jsonl", "json", "csv", "parquet", "arrow"])
def test_columns_of_files_may_have_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "theirs.jsonl").write_text(f"{json.dumps(ODD)}\n{json.dumps({'_id': 'a2'})}\n", encoding="utf-8")
    path = tmp_path / f"ours.{name}"
    load(tmp_path / "theirs.jsonl").export(path, name)
    found = load(path)
    assert set(found.written_model.model_fields) == set(ODD)
    first, second = found.rows_to_export()
    assert (first["_id"], second["_id"], first["日本"]) == ("a1", "a2", "x")
    assert {key for key, value in first.items() if value not in (None, "")} == ODD.keys() - {"a.b"}


def test_a_column_with_an_odd_name_is_kept_beside_others_and_filled_in(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(ODD), encoding="utf-8")
    rows = load(tmp_path / "a.jsonl")
    rows.export(tmp_path / "b.jsonl", "language_modeling", keep=["_id"])
    rows.export(tmp_path / "c.parquet", "custom", custom={"_n": "{{ model_config.n }}", "id": "{{ _id }}"})
    assert json.loads((tmp_path / "b.jsonl").read_text(encoding="utf-8")) == {"text": "Tides.", "_id": "a1"}
    assert load(tmp_path / "c.parquet").to_pandas().to_dict("records") == [{"_n": 1, "id": "a1"}]
    assert rows.to_huggingface()[0]["_id"] == "a1"
