"""Source files of text: cells of CSV and TSV are read to the letter, and files in the encodings that a mark or the config names."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.errors import ConfigError
from tests.sources.test_sources import opened, refusal

# -- CSV and TSV

SPELLED = ["01234", "+4917", "1e5", "0x1f", "1.10", "10:00", "", "NA", "null", " x ", "2024-01-31", "True"]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_cells_are_text_to_the_letter(tmp_path: Path, suffix: str, delimiter: str) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text("".join(f"{cell}{delimiter}y\n" for cell in ["x", *SPELLED]), encoding="utf-8")
    assert [row["x"] for row in opened(path)] == SPELLED


def test_types_make_numbers_and_an_empty_cell_null(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("i,f,b,t\n01,1e2,TRUE,01\n,,,\n", encoding="utf-8")
    types = {"i": "integer", "f": "number", "b": "boolean", "t": "text"}
    assert list(opened(path, types=types)) == [
        {"i": 1, "f": 100.0, "b": True, "t": "01"},
        {"i": None, "f": None, "b": None, "t": ""},
    ]


@pytest.mark.parametrize(
    ("types", "words"),
    [
        ({"x": "integer"}, ":3: '1.5' in the column 'x' is not a whole number"),
        ({"x": "boolean"}, ":2: '1' in the column 'x' is not true or false"),
        ({"z": "number"}, ":2: '1e400' in the column 'z' is not a number"),
        ({"y": "integer"}, "has no column 'y'"),
    ],
)
def test_a_cell_that_is_not_of_its_type_is_refused(tmp_path: Path, types: Any, words: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("x,z\n1,1e400\n1.5,\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        opened(path, types=types)
    assert words in str(caught.value)


def test_another_delimiter_is_read_where_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a;b\n1;"x;y"\n', encoding="utf-8")
    assert list(opened(path, delimiter=";")) == [{"a": "1", "b": "x;y"}]
    assert list(opened(path, delimiter=",")) == [{"a;b": '1;"x;y"'}]


def _cell(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return rng.choice(SPELLED)
    return "".join(rng.choice("ab ,;\t\"\n\r'é漢😀|\\") for _ in range(rng.choice([1, 5, 20, 200, 2_000])))


# The full measure: DATAFAST_TEST_CSV_FILES=1000 pytest tests/sources/test_text_files.py -k csv_module
CSV_FILES = int(os.environ.get("DATAFAST_TEST_CSV_FILES", "40"))


@pytest.mark.parametrize("seed", range(CSV_FILES))
def test_every_cell_is_what_the_csv_module_reads(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    delimiter, suffix = rng.choice([(",", ".csv"), ("\t", ".tsv")])
    path = tmp_path / f"rows{suffix}"
    columns = [f"c{number}" for number in range(rng.randrange(2, 7))]
    size = 1_500_000 if seed == 0 else 5_000_000 if seed % 100 == 99 else rng.choice([100, 5_000, 50_000])
    encoding = rng.choice(["utf-8", "utf-8-sig"])
    quoting: Any = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
        writer.writerow(columns)
        while file.tell() < size:
            writer.writerow([_cell(rng) for _ in columns])
    with path.open(encoding="utf-8-sig", newline="") as file:
        expected = [dict(zip(columns, cells, strict=True)) for cells in list(csv.reader(file, delimiter=delimiter))[1:]]
    rows = opened(path)
    order = rng.sample(range(len(rows)), min(len(rows), 300))
    assert len(rows) == len(expected)
    assert [rows[number] for number in order] == [expected[number] for number in order]


def test_the_limits_of_the_csv_module_stay_the_hosts(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("x,y\n" + "a" * 200_000 + ",b\n", encoding="utf-8")
    before = csv.field_size_limit()
    assert len(opened(path)[0]["x"]) == 200_000
    assert csv.field_size_limit() == before


# -- encodings

CAFE = {".csv": "q,n\nx,1\ncafé,2\n", ".tsv": "q\tn\nx\t1\ncafé\t2\n", ".jsonl": '{"q": "x"}\n{"q": "café"}\n'}
CAFE[".json"] = '[{"q": "x"},\n {"q": "café"}]'


@pytest.mark.parametrize("suffix", CAFE)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "cp1252", "utf-16-be"])
def test_other_encodings_are_read_where_a_mark_or_the_config_says_so(
    tmp_path: Path, suffix: str, encoding: str
) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text(CAFE[suffix], encoding=encoding, newline="")
    declared = {"encoding": encoding} if encoding in {"cp1252", "utf-16-be"} else {}
    assert [row["q"] for row in opened(path, **declared)] == ["x", "café"]


@pytest.mark.parametrize("suffix", CAFE)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_characters_without_a_mark_are_refused_with_the_encoding(
    tmp_path: Path, suffix: str, encoding: str
) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text(CAFE[suffix], encoding=encoding, newline="")
    assert f"Write encoding: {encoding}, or" in refusal(path)
    assert [row["q"] for row in opened(path, encoding=encoding)] == ["x", "café"]


@pytest.mark.parametrize("suffix", CAFE)
def test_bytes_that_are_not_text_are_refused_with_their_place_and_the_cure(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text(CAFE[suffix], encoding="cp1252", newline="")
    line = {".csv": 3, ".tsv": 3}.get(suffix, 2)
    place = "the column 'q'" if suffix in {".csv", ".tsv"} else f"column {CAFE[suffix].splitlines()[-1].index('é') + 1}"
    message = refusal(path)
    assert f"{path}:{line}: The byte 0xe9 in {place} is not UTF-8" in message
    assert "encoding: cp1252" in message


def test_a_declared_encoding_that_is_not_true_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"q": 1}\n{"q": "\xff"}\n')
    assert f"{path}:2: The byte 0xff in column 8 is not ascii" in refusal(path, encoding="ascii")
    with pytest.raises(ConfigError, match="There is no encoding 'utf8x' for text"):
        opened(path, encoding="utf8x")


def _by_csv(text: str) -> list[dict[str, str]] | None:
    """What Python's csv reads; None where the form is broken, or cells have no name of their own."""
    try:
        header, *rows = [cells for cells in csv.reader(io.StringIO(text, newline=""), strict=True) if cells]
    except (csv.Error, ValueError):
        return None
    is_form = len(set(header)) == len(header) and all(len(cells) == len(header) for cells in rows)
    return [dict(zip(header, cells, strict=True)) for cells in rows] if is_form and rows else None


@settings(max_examples=300)
@given(
    st.text('ab",\n\r é\u2028漢;', max_size=60),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "gb18030"]),
    st.booleans(),
)
def test_whatever_stands_in_a_file_is_what_the_csv_module_reads_or_refused(
    text: str, encoding: str, packed: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        data = text.encode(encoding)
        path = Path(name) / ("a.csv.gz" if packed else "a.csv")
        path.write_bytes(gzip.compress(data) if packed else data)
        given_encoding = encoding if encoding in {"utf-16-le", "gb18030"} else None
        expected = _by_csv(text)
        try:
            rows = opened(path, delimiter=",", encoding=given_encoding)
            found = list(rows)
        except ConfigError:
            found = None
        assert found == expected
        if found is not None:
            assert [rows[number] for number in reversed(range(len(rows)))] == list(reversed(found))


@settings(max_examples=300)
@given(
    st.lists(st.text('{}[]":,01e.-+ntrufals\\dé', max_size=12), min_size=1, max_size=4),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_whatever_stands_in_a_line_is_what_the_json_module_reads_or_refused(values: list[str], newline: str) -> None:
    lines = [f'{{"a": {value}}}' for value in values]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.jsonl"
        path.write_bytes(newline.join(lines).encode())
        try:
            expected = [json.loads(line, parse_constant=_no_number) for line in lines]
        except ValueError:
            expected = None
        told = ""
        found: list[dict[str, Any]] | None = None
        try:
            rows = opened(path)
            found = list(rows)
        except ConfigError as error:
            told = str(error)
        if found is None:
            assert expected is None or any(word in told for word in ("names", "infinity", "surrogate"))
        else:
            assert rows.refused or found == expected


def _no_number(name: str) -> Any:
    raise ValueError(name)
