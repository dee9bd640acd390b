"""Rows in a file, in each format; formats of other packages."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from datafast.errors import ConfigError, OutputWriteError
from datafast.export.files import export_rows, save_rows, targets_of
from datafast.export.formats import FORMATS


class Fact(BaseModel):
    text: str
    tags: list[str]
    about: dict[str, Any] | None


ROWS = [
    {"text": 'Ein "Satz", 日本', "tags": ["a", "b"], "about": {"n": 1}},
    {"text": "second\nline", "tags": [], "about": None},
]
TSV = """
def write_tsv(rows, path, row_model):
    with path.open("w", encoding="utf-8") as file:
        file.writelines("\\t".join(str(row[name]) for name in row_model.model_fields) + "\\n" for row in rows)
"""


def read_back(path: Path, form: str) -> list[dict[str, Any]]:
    match form:
        case "jsonl":
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        case "json":
            loaded: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            return loaded
        case "csv":
            with path.open(encoding="utf-8", newline="") as file:
                return [
                    {
                        "text": row["text"],
                        "tags": json.loads(row["tags"]),
                        "about": json.loads(row["about"] or "null"),
                    }
                    for row in csv.DictReader(file)
                ]
        case _:
            from pyarrow import parquet

            rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
            return [{**row, "about": json.loads(row["about"] or "null")} for row in rows]


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "jsonl"])
def test_what_is_written_is_what_is_read_back(form: str, tmp_path: Path) -> None:
    path = save_rows(ROWS, tmp_path / f"facts.{form}", row_model=Fact)
    assert read_back(path, form) == ROWS
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "jsonl"])
def test_no_rows_make_a_file_that_says_so(form: str, tmp_path: Path) -> None:
    assert read_back(save_rows([], tmp_path / "none", form, row_model=Fact), form) == []


@pytest.mark.parametrize(("name", "form"), [("a.ndjson", "jsonl"), ("a.pq", "parquet"), ("a.JSON", "json")])
def test_other_endings_of_a_format(name: str, form: str, tmp_path: Path) -> None:
    assert read_back(save_rows(ROWS, tmp_path / name, row_model=Fact), form) == ROWS


def test_a_format_of_another_package_works_like_a_built_in_one(offer: Callable[..., None], tmp_path: Path) -> None:
    offer("tables", {"tables.py": TSV}, entry_points="[datafast.formats]\ntsv = tables:write_tsv")
    assert FORMATS.names()[-1] == "tsv"
    path = save_rows(ROWS[:1], tmp_path / "facts.tsv", row_model=Fact)
    assert path.read_text(encoding="utf-8") == "Ein \"Satz\", 日本\t['a', 'b']\t{'n': 1}\n"


BAD = """
from datafast.export.formats import Format

class Bad(Format):
    reads = {reads!r}

    def columns(self):
        return {columns}

    def records(self, read, row):
        {records}
"""


@pytest.mark.parametrize(
    ("reads", "columns", "records", "told"),
    [
        ("row", "{'a': int}", "raise KeyError('no')", r"Row 1: bad\.Bad raised KeyError in records\(\): 'no'\."),
        ("row", "{'a': int}", "return None", r"Row 1: bad\.Bad raised TypeError in records"),
        (
            "row",
            "{'a': int}",
            "yield {'b': 1}",
            r"Row 1: The format bad made a column 'b', which its columns\(\) lacks\.",
        ),
        ("row", "None", "yield {}", r"bad\.Bad raised AttributeError in columns"),
        ("rows", "{}", "yield {}", "its `reads` is none of row, text, messages"),
    ],
)
def test_a_format_that_fails_is_named_and_leaves_nothing(
    offer: Callable[..., None], tmp_path: Path, reads: str, columns: str, records: str, told: str
) -> None:
    code = BAD.format(reads=reads, columns=columns, records=records)
    offer("bad", {"bad.py": code}, entry_points="[datafast.formats]\nbad = bad:Bad")
    for container in ("jsonl", "csv", "parquet"):
        with pytest.raises(ConfigError, match=told):
            export_rows(ROWS[:1], targets_of(tmp_path / "out" / "a", ["bad"], container), row_model=Fact)
    assert not [*tmp_path.glob("out/*")]


def test_a_writer_that_fails_leaves_no_half_file_behind(tmp_path: Path) -> None:
    def rows() -> Any:
        yield ROWS[0]
        raise OSError(28, "No space left on device")

    target = tmp_path / "facts.jsonl"
    with pytest.raises(OutputWriteError, match=r"Cannot write .*: No space left on device\. Choose another place\."):
        save_rows(rows(), target, row_model=Fact)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.parqet", "There is no format 'parqet'. Did you mean 'parquet'?"),
        ("x.xml", f"There is no format 'xml'. Known: {', '.join(FORMATS.names())}."),
        ("x", f"x does not say its format. Give format=, one of {', '.join(FORMATS.names())}."),
    ],
)
def test_a_format_that_is_not_known_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        save_rows(ROWS, Path(name), row_model=Fact)
    assert str(caught.value) == message
    assert caught.value.key == "format"
