"""Rows that are gone through once more are those that are found one by one, whatever they are read from."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datafast.errors import ConfigError
from datafast.sources import SourceRows
from tests.sources.test_sources import opened

ROWS = [{"text": f"text\n{number}", "n": str(number)} for number in range(200)]


def write(folder: Path, ending: str, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"a.{ending}"
    if ending == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "n"])
            writer.writeheader()
            writer.writerows(rows)
    elif ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def source(folder: Path, what: str) -> Any:
    if what == "stream":
        return datasets.Dataset.from_list(ROWS).to_iterable_dataset()
    if what == "list":
        return ROWS
    if what.startswith("two "):
        write(folder / "one", what[4:], ROWS[:90])
        write(folder / "two", what[4:], ROWS[90:])
        return f"{folder}/*/*"
    return write(folder / "one", what, ROWS)


def by_number(rows: SourceRows) -> list[dict[str, Any]]:
    return [rows[number] for number in range(len(rows))]


@pytest.mark.parametrize("what", ["jsonl", "csv", "parquet", "stream", "list", "two jsonl", "two csv", "two parquet"])
@pytest.mark.parametrize(
    "how", [{}, {"where": "n | int % 3 != 1"}, {"limit": 95}, {"sample": 120}, {"sample": 2}, {"where": "n == '150'"}]
)
def test_rows_in_turn_are_those_by_their_numbers(tmp_path: Path, what: str, how: dict[str, Any]) -> None:
    for spool in (None, tmp_path / "sources", tmp_path / "sources"):
        rows = opened(source(tmp_path, what), spool=spool, **how)
        expected = by_number(rows)
        assert list(rows) == expected
        assert len(expected) == len(rows) > 0
        assert list(rows.several(range(1, len(rows)))) == expected[1:]


def test_what_is_wrong_in_rows_that_are_left_out_is_not_noted_again(tmp_path: Path) -> None:
    path = write(tmp_path, "jsonl", [{"n": 1}, {"n": 2**70, "left": "out"}, {"n": 2}])
    rows = opened(path, where="left is not defined or left == none")
    assert list(rows) == by_number(rows)
    rows.check(["n"], field="source")


def test_a_source_that_has_become_shorter_is_noticed(tmp_path: Path) -> None:
    rows = opened(write(tmp_path, "jsonl", ROWS))
    rows._part.again = lambda: iter([(0, ROWS[0])])  # as if it were cut off while it is read
    with pytest.raises(ConfigError, match="has changed while it was used"):
        list(rows)
