"""`Dataset.save`: the rows of any kind in a file of any format, whole or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from pyarrow import parquet
from pydantic import BaseModel

from datafast.datasets import ClassificationDataset, ConversationDataset
from datafast.errors import ConfigError
from datafast.export.files import save_rows
from datafast.llms import SimulatedProvider
from datafast.schema.config import ClassificationDatasetConfig, ConversationDatasetConfig
from tests.support import columns, preference, raw, roles, rows_of

MODEL = SimulatedProvider("m")
SCHEMA = {
    "level": {"type": "choice", "values": [1, 2]},
    "question": {"type": "text", "prompt": "Ask, level {level}.", "provider": "m"},
}


def made_raw(folder: Path) -> Any:
    return raw(folder).generate([MODEL])


def made_classification(folder: Path) -> Any:
    classes = [{"name": name, "description": f"is {name}"} for name in ("good", "bad")]
    config = ClassificationDatasetConfig(classes=classes, output_file=folder / "out.jsonl")  # type: ignore[arg-type]
    return ClassificationDataset(config).generate([MODEL])


def made_preference(folder: Path) -> Any:
    return preference(folder).generate_roles(roles(MODEL))


def made_conversation(folder: Path) -> Any:
    config = ConversationDatasetConfig(topics=["tides", "ice"], output_file=folder / "out.jsonl")
    return ConversationDataset(config).generate([MODEL])


def made_columns(folder: Path) -> Any:
    return columns(folder, SCHEMA, rows=4).generate({"m": MODEL})


KINDS = [made_raw, made_classification, made_preference, made_conversation, made_columns]


@pytest.mark.parametrize("make", KINDS)
def test_every_kind_has_the_short_ways_to_other_formats_and_libraries(tmp_path: Path, make: Any) -> None:
    dataset = make(tmp_path)
    rows = rows_of(tmp_path / "out.jsonl")
    assert parquet.read_table(dataset.to_parquet(tmp_path / "table")).num_rows == len(rows)
    with dataset.to_csv(tmp_path / "sheet").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert rows_of(dataset.to_jsonl(tmp_path / "lines")) == rows
    frame = dataset.to_pandas()
    assert list(frame.columns) == list(dataset.row_model.model_fields)
    assert json.loads(frame.to_json(orient="records"))[0].keys() == rows[0].keys()
    assert frame["uuid"].tolist() == [row["uuid"] for row in rows] if "uuid" in rows[0] else len(frame) == len(rows)
    found = dataset.to_huggingface()
    assert (found.num_rows, found.column_names) == (len(rows), list(rows[0]))


@pytest.mark.parametrize("way", ["to_csv", "to_parquet", "to_jsonl", "to_huggingface", "to_pandas", "inspect"])
def test_there_is_nothing_to_convert_before_rows_are_made(tmp_path: Path, way: str) -> None:
    arguments = [tmp_path / "new"] if way in ("to_csv", "to_parquet", "to_jsonl") else []
    with pytest.raises(ConfigError, match=r"There are no rows in .*out\.jsonl\. Generate the dataset first\.$"):
        getattr(raw(tmp_path), way)(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", KINDS)
def test_every_kind_is_saved_in_every_format(tmp_path: Path, make: Any) -> None:
    dataset = make(tmp_path)
    rows = rows_of(tmp_path / "out.jsonl")
    assert rows
    names = list(rows[0])
    assert dataset.save(tmp_path / "a.json") == tmp_path / "a.json"
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == rows
    assert rows_of(dataset.save(tmp_path / "a.txt", "jsonl")) == rows
    table = parquet.read_table(dataset.save(tmp_path / "a.parquet"))
    assert (table.column_names, table.num_rows) == (names, len(rows))
    assert table.column(names[0]).to_pylist() == [row[names[0]] for row in rows] or isinstance(rows[0][names[0]], list)
    with dataset.save(str(tmp_path / "a.csv")).open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [list(row) for row in read] == [names] * len(rows)


def test_saving_reads_an_output_of_another_process_and_touches_nothing_of_it(tmp_path: Path) -> None:
    made_raw(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    raw(tmp_path).save(tmp_path / "copy.jsonl")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after.pop("copy.jsonl") == before["out.jsonl"]
    assert after == before


def test_nothing_is_saved_before_there_are_rows(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There are no rows in"):
        raw(tmp_path).save(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("own", ["out.jsonl", "out.jsonl.ledger", "sub/../out.jsonl"])
def test_an_output_is_never_replaced_by_its_own_copy(tmp_path: Path, own: str) -> None:
    dataset = made_raw(tmp_path)
    (tmp_path / "sub").mkdir()
    before = (tmp_path / "out.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="is also used as output_file"):
        dataset.save(tmp_path / own, "jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_a_copy_never_replaces_what_the_rows_were_made_from(tmp_path: Path) -> None:
    source = tmp_path / "source.jsonl"
    source.write_text('{"a": 1}\n', encoding="utf-8")
    dataset = columns(tmp_path, {"a": {"type": "source", "source": str(source), "column": "a"}}, rows=1).generate({})
    with pytest.raises(ConfigError, match="is also used as a source"):
        dataset.save(source)
    assert source.read_text("utf-8") == '{"a": 1}\n'


def test_a_line_that_is_not_a_row_is_named_and_no_file_is_left(tmp_path: Path) -> None:
    dataset = made_raw(tmp_path)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    row = orjson.loads(lines[2])
    del row["text"]
    (tmp_path / "out.jsonl").write_bytes(b"".join([*lines[:2], orjson.dumps(row) + b"\n", *lines[3:]]))
    with pytest.raises(ConfigError, match=r"out\.jsonl: line 3 is not a TextRow \(text: "):
        dataset.save(tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_a_format_that_is_not_known_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'parquet'"):
        made_raw(tmp_path).save(tmp_path / "a.paquet")


def test_lists_of_a_source_stay_lists(tmp_path: Path) -> None:
    source = [{"tags": ["a", "b"], "n": [1]}, {"tags": [], "n": [0.5]}, {"tags": None, "n": []}]
    schema = {name: {"type": "source", "source": source, "column": name, "shuffle": False} for name in ("tags", "n")}
    dataset = columns(tmp_path, schema, rows=3).generate({})
    table = parquet.read_table(dataset.save(tmp_path / "a.parquet"))
    assert [str(kind) for kind in table.schema.types] == ["list<element: string>", "list<element: double>"]
    assert table.to_pylist() == source
    from datafast.export.features import row_schema

    assert [column.label for column in row_schema(dataset.row_model).columns] == ["list of string", "list of float64"]


def test_a_number_that_its_column_cannot_hold_is_named_with_its_row(tmp_path: Path) -> None:
    class Row(BaseModel):
        n: int

    with pytest.raises(ConfigError, match="Row 2: The column 'n' is int64 and cannot hold 18446744073709551615"):
        save_rows([{"n": 1}, {"n": 2**64 - 1}], tmp_path / "a.parquet", row_model=Row)
    assert not (tmp_path / "a.parquet").exists()


@pytest.mark.parametrize("name", ["rows.csv", "rows.PARQUET", "rows.tsv"])
def test_an_output_that_is_named_as_another_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"Rows are written as JSON Lines, also into {name}. Name it rows.jsonl; "):
        raw(tmp_path, output_file=tmp_path / name)


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.jsonl.ZST"])
def test_an_output_that_is_named_as_a_compressed_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} would hold JSON Lines that are not compressed. Name it rows.jsonl."):
        raw(tmp_path, output_file=tmp_path / name)
