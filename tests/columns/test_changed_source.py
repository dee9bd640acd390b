"""A source that changes: what was paid for stays with its row, wherever that now stands; only rows that changed are bought again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.columns.support import refusal
from tests.support import CountingProvider, assert_balanced, columns, requests_in, rows_of

FACTS = [{"id": str(number), "fact": f"fact {number}"} for number in range(200)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


def write(path: Path, facts: list[dict[str, str]]) -> Path:
    lines = [",".join(cells) for cells in (facts[0], *(row.values() for row in facts))]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def bought(folder: Path, source: Any, log: Path, *, rows: int | None = None, **options: Any) -> list[str]:
    """The prompts that a run over the source has sent, each row of it once."""
    before = len(requests_in(log))
    schema = {
        "fact": {"type": "source", "source": source, "column": "fact", "mode": "once", **options},
        "level": {"type": "choice", "values": ["easy", "hard"]},
        "question": {"type": "text", "prompt": "Ask about {fact}, {level}"},
    }
    dataset = columns(folder, schema, rows=rows or len(FACTS))
    dataset.generate({"default": CountingProvider("m", log=log)})
    assert assert_balanced(dataset.report).pending == 0
    facts = [row["fact"] for row in rows_of(dataset.config.output_file)]
    assert len(set(facts)) == len(facts)
    return [prompt for _, prompt in requests_in(log)[before:]]


@pytest.mark.parametrize("shuffle", [True, False])
def test_one_typo_buys_one_row(tmp_path: Path, log: Path, shuffle: bool) -> None:
    path = write(tmp_path / "facts.csv", FACTS)
    assert len(bought(tmp_path, str(path), log, shuffle=shuffle)) == 200
    write(path, [{**row, "fact": "mended"} if row["id"] == "77" else row for row in FACTS])
    (prompt,) = bought(tmp_path, str(path), log, shuffle=shuffle)
    assert "mended" in prompt


@pytest.mark.parametrize("shuffle", [True, False])
def test_rows_that_come_and_go_and_move_buy_those_that_came(tmp_path: Path, log: Path, shuffle: bool) -> None:
    path = write(tmp_path / "facts.csv", FACTS)
    bought(tmp_path, str(path), log, shuffle=shuffle)
    new = [{"id": f"n{number}", "fact": f"new {number}"} for number in range(3)]
    write(path, [new[0], *reversed(FACTS[50:]), *new[1:], *FACTS[:40]])
    prompts = bought(tmp_path, str(path), log, shuffle=shuffle, rows=193)
    assert sorted(prompt.split(",")[0] for prompt in prompts) == [f"Ask about new {number}" for number in range(3)]


def test_a_touched_and_moved_source_buys_nothing(tmp_path: Path, log: Path) -> None:
    path = write(tmp_path / "facts.csv", FACTS)
    bought(tmp_path, str(path), log)
    moved = tmp_path / "elsewhere" / "renamed.csv"
    moved.parent.mkdir()
    path.rename(moved)
    os.utime(moved, (1, 1))
    assert bought(tmp_path, str(moved), log) == []


def test_another_form_of_the_same_rows_buys_nothing(tmp_path: Path, log: Path) -> None:
    bought(tmp_path, str(write(tmp_path / "facts.csv", FACTS)), log)
    assert bought(tmp_path, FACTS, log) == []
    assert bought(tmp_path, datasets.Dataset.from_list(FACTS), log) == []
    assert bought(tmp_path, datasets.Dataset.from_list(FACTS).map(lambda row: row), log) == []


def test_with_a_key_whatever_else_of_a_row_changes_buys_what_its_prompts_say(tmp_path: Path, log: Path) -> None:
    path = write(tmp_path / "facts.csv", FACTS)
    bought(tmp_path, str(path), log, key="id")
    write(path, [{**row, "note": "new column"} for row in reversed(FACTS)])
    assert bought(tmp_path, str(path), log, key="id") == []


@pytest.mark.parametrize("mode", ["once", "cycle"])
def test_a_row_that_changes_under_its_key_is_made_anew(tmp_path: Path, log: Path, mode: str) -> None:
    bought(tmp_path, FACTS, log, key="id", mode=mode)
    edited = [{**row, "fact": "mended"} if row["id"] == "77" else row for row in reversed(FACTS)]
    (prompt,) = bought(tmp_path, edited, log, key="id", mode=mode)
    assert "mended" in prompt
    facts = {row["fact"] for row in rows_of(tmp_path / "out.jsonl")}
    assert facts == {row["fact"] for row in edited}


def test_what_no_prompt_asks_about_is_made_anew_without_a_call(tmp_path: Path, log: Path) -> None:
    def run(facts: list[dict[str, str]]) -> list[dict[str, Any]]:
        source = {"type": "source", "source": facts, "key": "id", "mode": "once"}
        schema = {
            "fact": {**source, "column": "fact"},
            "note": {**source, "column": "note"},
            "question": {"type": "text", "prompt": "Ask about {fact}"},
        }
        dataset = columns(tmp_path, schema, rows=5).generate({"default": CountingProvider("m", log=log)})
        return rows_of(dataset.config.output_file)

    notes = [{**row, "note": "old"} for row in FACTS[:5]]
    run(notes)
    assert {row["note"] for row in run([{**row, "note": "new"} for row in notes])} == {"new"}
    assert len(requests_in(log)) == 5


def test_where_limit_and_sample_choose_rows_of_a_column_too(tmp_path: Path, log: Path) -> None:
    chosen = {"where": "id | int % 2 == 0", "limit": 60, "sample": 20}
    first = bought(tmp_path, FACTS, log, rows=20, **chosen)
    assert {int(prompt.split(",")[0].split()[-1]) % 2 for prompt in first} == {0}
    assert bought(tmp_path, [*FACTS, {"id": "1001", "fact": "odd"}], log, rows=20, **chosen) == []


def test_a_second_source_buys_nothing_of_what_does_not_use_it(tmp_path: Path, log: Path) -> None:
    schema = {
        "fact": {"type": "source", "source": FACTS, "column": "fact"},
        "question": {"type": "text", "prompt": "Ask about {fact}"},
    }
    provider = CountingProvider("m", log=log)
    columns(tmp_path, schema, rows=20).generate({"default": provider})
    more = {**schema, "tone": {"type": "source", "source": [{"t": "dry"}, {"t": "warm"}], "column": "t"}}
    columns(tmp_path, more, rows=20).generate({"default": provider})
    changed = {**schema, "tone": {"type": "source", "source": [{"t": "dry"}, {"t": "hot"}], "column": "t"}}
    dataset = columns(tmp_path, changed, rows=20).generate({"default": provider})
    assert len(requests_in(log)) == 20
    assert {row["tone"] for row in rows_of(dataset.config.output_file)} == {"dry", "hot"}


def test_a_changed_row_that_is_drawn_buys_the_rows_that_drew_it(tmp_path: Path, log: Path) -> None:
    def run(facts: list[dict[str, str]]) -> list[str]:
        before = len(requests_in(log))
        schema = {
            "fact": {"type": "source", "source": facts, "column": "fact", "mode": "random"},
            "question": {"type": "text", "prompt": "Ask about {fact}"},
        }
        columns(tmp_path, schema, rows=40).generate({"default": CountingProvider("m", log=log)})
        return [prompt for _, prompt in requests_in(log)[before:]]

    first = run(FACTS[:5])
    again = run([{**row, "fact": "mended"} if row["id"] == "3" else row for row in FACTS[:5]])
    assert again == ["Ask about mended"] * first.count("Ask about fact 3")


def test_sources_of_one_size_are_not_gone_through_side_by_side(tmp_path: Path) -> None:
    schema = {
        name: {"type": "source", "source": [{"x": f"{name}{n}"} for n in range(12)], "column": "x"} for name in "ab"
    }
    dataset = columns(tmp_path, schema, rows=48).generate({})
    assert len({tuple(row.values()) for row in rows_of(dataset.config.output_file)}) > 36


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ({"key": "no"}, "x.key: the list has no column 'no'"),
        ({"key": "twice"}, "x.key: the list: row 0 and row 2 have the same twice, 'a'"),
        ({"key": "empty"}, "x.key: the list, row 1: empty is empty. Choose a column whose values are all"),
        ({"key": "q", "mode": "random"}, "x.key: With mode: random, a key has no effect"),
        ({"column": "bytes"}, "x.source: the list, row 1: The column 'bytes' holds bytes and no text"),
        ({"column": None}, "x.source: the list, row 1: The column 'bytes' holds bytes and no text"),
        ({"types": {"q": "integer"}}, "x.types: This is for CSV and TSV files"),
        ({"where": "nn > 1"}, "x.where: the list has no column 'nn'"),
        ({"where": "q > 1"}, "x.where: the list, row 0: "),
        ({"where": "twice == 'c'"}, "x.source: the list has no rows that where and limit leave"),
        ({"delimiter": ";"}, "x.delimiter: This is for CSV and TSV files"),
        ({"encoding": "latin-99"}, "x.encoding: There is no encoding 'latin-99' for text"),
    ],
)
def test_what_cannot_be_used_of_a_source_is_refused_before_anything_is_sent(
    tmp_path: Path, column: dict[str, Any], words: str
) -> None:
    source = [
        {"q": "1", "twice": "a", "empty": 1, "bytes": "x"},
        {"q": "2", "twice": "b", "empty": None, "bytes": b"x"},
        {"q": "3", "twice": "a", "empty": 2, "bytes": "x"},
    ]
    assert words in refusal(tmp_path, {"x": {"type": "source", "source": source, "column": "q", **column}})


def test_a_broken_line_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text('{"q": "x"}\n' * 1_499 + '{"q": "x"\n', encoding="utf-8")
    words = refusal(tmp_path, {"x": {"type": "source", "source": str(path), "column": "q"}})
    assert f"x.source: {path}:1500: This line is not JSON" in words


def test_the_default_of_another_type_makes_a_column_of_both(tmp_path: Path) -> None:
    source = [{"n": 1}, {"n": None}]
    schema = {"n": {"type": "source", "source": source, "column": "n", "default": "none", "shuffle": False}}
    dataset = columns(tmp_path, schema, rows=2).generate({})
    assert rows_of(dataset.config.output_file) == [{"n": 1}, {"n": "none"}]
