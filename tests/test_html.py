"""HTML for notebooks: escaped, and of a bounded size, whatever the values are."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from datafast.html import facts, paragraph, row_table, table
from datafast.llms import SimulatedProvider
from tests.support import raw

ALLOWED = {"b", "p", "table", "tbody", "td", "th", "thead", "tr"}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert [name for name, _ in attrs] in ([], ["style"])

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert set(reader.tags) <= ALLOWED
    return reader


VALUES = st.one_of(st.text(max_size=300), st.integers(), st.none(), st.lists(st.text(max_size=30), max_size=5))


@given(st.lists(st.dictionaries(st.text(max_size=20), VALUES, max_size=6), max_size=6))
def test_no_value_becomes_a_tag(rows: list[dict[str, Any]]) -> None:
    read(row_table(rows))
    read(facts([(name, value) for row in rows for name, value in row.items()]))


def test_a_value_reads_as_it_is() -> None:
    assert read(paragraph("<b>&amp;</b>")).text == "<b>&amp;</b>"
    assert read(table(["<x>"], [["a & b"]])).text == "<x>a & b"


def test_a_value_changes_neither_the_direction_nor_the_colour_of_a_page() -> None:
    assert read(paragraph("a\u202eb\x1b[31m\nc")).text == "a\\u202eb\\x1b[31m\nc"


def test_whatever_is_shown_is_small() -> None:
    rows = [{f"column {number}": "<" * 100_000 for number in range(1_000)}] * 1_000
    assert len(row_table(rows)) < 1_500_000
    assert "and 980 more columns" in row_table(rows)


def test_a_dataset_shows_its_first_rows_and_lines_that_were_edited(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=["<i>tides</i>", *map(str, range(9))])
    assert "No rows in" in read(dataset._repr_html_()).text
    dataset.generate([SimulatedProvider()])
    shown = read(dataset._repr_html_())
    assert "the first 5 of 10 rows" in shown.text
    assert "10 rows requested: 10 written" in shown.text
    file = Path(dataset.config.output_file)
    file.write_bytes(b"<script>\n[1]\n" + orjson.dumps({"text": "<u>"}) + b"\n")
    assert "<script>" in read(dataset._repr_html_()).text


def test_outside_of_a_notebook_a_dataset_names_its_file_and_its_counts(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=3)
    assert repr(dataset) == f"<RawDataset in {tmp_path / 'out.jsonl'}>"
    dataset.generate([SimulatedProvider()])
    assert repr(dataset).endswith("out.jsonl: 3 rows requested: 3 written, 0 filtered, 0 failed, 0 pending>")
