"""Columns of a dataset that there is already."""

from __future__ import annotations

from pathlib import Path

from datafast.columns.types.llm import TextColumn
from datafast.columns.types.source import SourceColumn
from datafast.facades.sample import sample
from tests.columns.support import SOURCE, refusal, rows, values


def test_columns_of_one_source_come_from_the_same_row(tmp_path: Path) -> None:
    for mode in ("cycle", "random"):
        schema = {name: {"type": "source", "source": SOURCE, "column": name, "mode": mode} for name in ("q", "a", "n")}
        found = rows(tmp_path / mode, schema, count=20)
        assert all(row in SOURCE for row in found)
        assert len({row["n"] for row in found}) == 5


def test_a_source_is_gone_through_once_before_it_begins_again(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "source", "source": SOURCE, "column": "n"}, count=15)
    assert all(sorted(found[start : start + 5]) == [0, 1, 2, 3, 4] for start in (0, 5, 10))
    assert len({tuple(found[start : start + 5]) for start in (0, 5, 10)}) > 1


def test_a_source_in_its_own_order(tmp_path: Path) -> None:
    assert values(tmp_path, {"type": "source", "source": SOURCE, "column": "n", "shuffle": False}, count=7) == [
        0,
        1,
        2,
        3,
        4,
        0,
        1,
    ]


def test_a_whole_row_of_a_source_and_what_stands_for_null(tmp_path: Path) -> None:
    source = [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    schema = {
        "row": {"type": "source", "source": source, "shuffle": False},
        "b": {"type": "source", "source": source, "column": "b", "shuffle": False, "default": "none"},
        "text": {"type": "expression", "template": "{row.a}"},
    }
    assert rows(tmp_path, schema, count=2) == [
        {"row": source[0], "b": "none", "text": "1"},
        {"row": source[1], "b": "x", "text": "2"},
    ]


def test_once_needs_as_many_rows_as_there_are(tmp_path: Path) -> None:
    column = {"type": "source", "source": SOURCE, "column": "n", "mode": "once"}
    assert sorted(values(tmp_path, column, count=5)) == [0, 1, 2, 3, 4]
    assert "6 rows are asked for and the list has 5" in refusal(tmp_path, {"x": column}, rows=6)


def test_a_column_may_draw_what_stands_for_null(tmp_path: Path) -> None:
    source = [{"b": None}, {"b": "x"}]
    column = sample.from_dataset(source, "b", shuffle=False, default=sample.choice(["one", "two"]))
    found = values(tmp_path, column, count=40)
    assert set(found[1::2]) == {"x"}
    assert set(found[::2]) == {"one", "two"}
    assert "got a column of the type 'text'" in refusal(
        tmp_path, {"x": {"type": "source", "source": source, "default": TextColumn(prompt="x")}}
    )


def test_what_is_secret_in_an_address_is_written_nowhere() -> None:
    column = SourceColumn(source="https://user:pa55@example.org/rows.csv?token=s3cret")
    assert column.model_dump()["source"] == "https://example.org/rows.csv"
    assert "s3cret" not in column.model_dump_json()
