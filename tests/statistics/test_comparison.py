"""How two files differ: configs, rows, lengths, values, diversity, cost."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from datafast.errors import ConfigError
from datafast.statistics import Comparison, Judging, Statistics, compare, measure
from datafast.store.paths import OutputPaths
from tests.support import CountingProvider, raw, rows_of


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def _rows(number: int, *, words: int, french: float, seed: int = 1) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    vocabulary = [f"w{place}" for place in range(200)]
    return [
        {
            "uuid": f"{seed}-{place}",
            "text": " ".join(rng.choices(vocabulary, k=rng.randrange(words // 2, 2 * words))),
            "language": "fr" if rng.random() < french else "en",
        }
        for place in range(number)
    ]


def _output(folder: Path, name: str, **fields: Any) -> Any:
    given = {"languages": {"en": "English", "fr": "French"}, "output_file": folder / name, **fields}
    dataset = raw(folder, **given)
    dataset.generate([CountingProvider("m", log=folder / f"{name}.log")])
    return dataset


def test_a_file_does_not_differ_from_itself(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", _rows(200, words=20, french=0.5))
    found = compare(path, path)
    assert found.rows is not None
    assert (found.rows.only_in_a, found.rows.only_in_b, found.rows.same, found.rows.changed) == (0, 0, 200, 0)
    assert [number.delta.value for number in found.numbers] == [0.0, 0.0]
    assert all(number.delta.low < 0 < number.delta.high for number in found.numbers)
    (language,) = found.categories
    assert (language.field, language.total_variation.value, language.cramers_v.value) == ("language", 0.0, 0.0)
    assert found.a.diversity == found.b.diversity
    assert found.config is None
    assert found.a.cost_usd is None


def test_differences_of_known_size_are_found_with_their_intervals(tmp_path: Path) -> None:
    a = _write(tmp_path / "a.jsonl", _rows(600, words=20, french=0.2, seed=1))
    b = _write(tmp_path / "b.jsonl", _rows(600, words=30, french=0.5, seed=2))
    found = compare(a, b)
    words = next(number for number in found.numbers if number.field == "words")
    # Lengths are even from 10 to 39 and from 15 to 59.
    truth = sum((y > x) - (y < x) for x in range(10, 40) for y in range(15, 60)) / (30 * 45)
    assert words.delta.low < truth < words.delta.high
    assert words.delta.low > 0
    assert (words.a_median, words.b_median) == (pytest.approx(24.5, abs=2), pytest.approx(37, abs=3))
    (language,) = found.categories
    assert language.total_variation.low < 0.3 < language.total_variation.high
    assert language.shares[0].a - language.shares[0].b == pytest.approx(language.shares[1].b - language.shares[1].a)
    assert (language.a_rows, language.num_values) == (600, 2)
    assert language.cramers_v.low > 0.1


def test_rows_are_told_apart_by_uuid(tmp_path: Path) -> None:
    rows = _rows(10, words=10, french=0.5)
    changed = [{**row, "text": "other"} if place < 3 else row for place, row in enumerate(rows[:8])]
    a, b = (
        _write(tmp_path / "a.jsonl", rows),
        _write(tmp_path / "b.jsonl", [*changed[::-1], *_rows(5, words=10, french=0, seed=2)]),
    )
    found = compare(a, b).rows
    assert found is not None
    assert (found.only_in_a, found.only_in_b, found.same, found.changed) == (2, 5, 5, 3)


def test_files_of_other_tools_are_compared_by_what_is_known(tmp_path: Path) -> None:
    frame = pd.DataFrame({"question": [f"What is {n}?" for n in range(30)], "level": ["hard", "easy"] * 15})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.assign(level=["hard"] * 30).to_csv(tmp_path / "b.csv", index=False)
    found = compare(tmp_path / "a.parquet", str(tmp_path / "b.csv"))
    assert found.rows is None
    assert found.config is None
    assert (found.a.rows, found.b.rows, found.a.has_ledger) == (30, 30, False)
    assert [number.delta.value for number in found.numbers] == [0.0, 0.0] or found.numbers[0].a_mean > 0


def test_outputs_are_compared_by_their_configs_and_costs_too(tmp_path: Path) -> None:
    stage = {"stage": "keep_if", "expression": "language == 'en'"}
    _output(tmp_path, "a.jsonl", topics=["ice", "tides"])
    _output(tmp_path, "b.jsonl", topics=["tides", "reefs"], quality=[stage])
    found = compare(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert found.config is not None
    assert {one.field: (one.a, one.b) for one in found.config} == {
        "topics": (["ice"], ["reefs"]),
        "quality": ([], [{**stage, "reason": None}]),
    }
    assert (found.a.dataset_kind, found.a.providers, found.a.requested) == ("raw", ["simulated/m"], 4)
    assert (found.a.rows, found.a.filtered, found.a.calls, found.a.cost_usd) == (4, 0, 4, 0.0)
    assert (found.b.rows, found.b.filtered) == (2, 2)
    assert found.rows is not None
    # One row about tides stays, one is dropped.
    assert (found.rows.same, found.rows.only_in_a, found.rows.only_in_b) == (1, 3, 1)
    assert Comparison.model_validate_json(found.model_dump_json()) == found


def test_a_field_that_is_the_same_in_all_rows_of_a_file_is_compared_too(tmp_path: Path) -> None:
    for name, level in (("a", "easy"), ("b", "hard")):
        _write(tmp_path / f"{name}.jsonl", [{**row, "level": level} for row in _rows(40, words=9, french=0.5)])
    (level,) = [one for one in compare(tmp_path / "a.jsonl", tmp_path / "b.jsonl").categories if one.field == "level"]
    assert (level.total_variation.value, level.num_values) == (1.0, 2)


def test_fields_inside_others_are_named_by_their_path(tmp_path: Path) -> None:
    _output(tmp_path, "a.jsonl", topics=2, run={"seed": 1}, quality=[{"stage": "length", "min_words": 1}])
    _output(tmp_path, "b.jsonl", topics=2, run={"seed": 2}, quality=[{"stage": "length", "min_words": 2}])
    found = compare(tmp_path / "a.jsonl", tmp_path / "b.jsonl").config
    assert found is not None
    assert {one.field: (one.a, one.b) for one in found} == {"run.seed": (1, 2), "quality[0].min_words": (1, 2)}


def test_diversity_is_measured_on_as_many_texts_of_both(tmp_path: Path) -> None:
    a = _write(tmp_path / "a.jsonl", _rows(300, words=20, french=0.5, seed=1))
    b = _write(tmp_path / "b.jsonl", _rows(40, words=20, french=0.5, seed=2))
    found = compare(a, b)
    assert found.a.diversity is not None
    assert found.b.diversity is not None
    assert found.a.diversity.rows == found.b.diversity.rows == 40
    assert found.notes == ["Diversity was measured on 40 texts of each file."]


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    a = _write(tmp_path / "a.jsonl", _rows(100, words=20, french=0.4, seed=1))
    b = _write(tmp_path / "b.jsonl", _rows(100, words=20, french=0.5, seed=2))
    assert compare(a, b) == compare(a, b)
    assert compare(a, b, seed=5).categories[0].total_variation != compare(a, b).categories[0].total_variation


def test_lines_that_are_not_rows_are_left_out_and_told(tmp_path: Path) -> None:
    rows = _rows(20, words=10, french=0.5)
    a, b = _write(tmp_path / "a.jsonl", rows), _write(tmp_path / "b.jsonl", rows)
    with b.open("ab") as file:
        file.write(b'{"text": "cut of')
    found = compare(a, b)
    assert found.rows is not None
    assert found.rows.same == 20
    assert any("b.jsonl: 1 line" in note for note in found.notes)


def test_judges_are_asked_on_request(tmp_path: Path) -> None:
    def reply(request: Any) -> str:
        first, second = (
            text.count("w") for text in request.messages[-1]["content"].split("First:")[1].split("Second:")
        )
        scores = {"first_score": 5 if first > second else 1, "second_score": 5 if second > first else 1}
        return json.dumps({"first_reason": "so", "second_reason": "so", **scores})

    a = _write(tmp_path / "a.jsonl", _rows(100, words=4, french=0, seed=1))
    b = _write(tmp_path / "b.jsonl", _rows(100, words=40, french=0, seed=2))
    judge = CountingProvider("j", log=tmp_path / "log", reply=reply)
    found = compare(a, b, judging=Judging(judges=[judge], file=tmp_path / "v.jsonl", match="random")).verdicts
    assert found is not None
    assert (found.preferred, found.pairs, found.matched) == ("b", 20, "random")
    assert len(rows_of(tmp_path / "v.jsonl")) == 20


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    a = _write(tmp_path / "a.jsonl", _rows(3, words=5, french=0))
    with pytest.raises(ConfigError, match=r"nowhere\.jsonl"):
        compare(a, tmp_path / "nowhere.jsonl")


def test_an_empty_file_has_nothing_to_compare(tmp_path: Path) -> None:
    a, b = _write(tmp_path / "a.jsonl", _rows(3, words=5, french=0)), _write(tmp_path / "b.jsonl", [])
    found = compare(a, b)
    assert (found.a.rows, found.b.rows, found.numbers, found.categories) == (3, 0, [], [])
    assert found.a.diversity is None


def test_rows_that_only_python_reads_are_compared_and_told(tmp_path: Path) -> None:
    rows = [
        {
            "uuid": str(number),
            "text": f"half \ud800 {number}",
            "topic": f"{'ab'[number % 2]}\udc00",
            "n": float("nan"),
            "big": 2**70,
        }
        for number in range(40)
    ]
    file = tmp_path / "odd.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    found = compare(file, file)
    assert found.rows is not None
    assert (found.rows.same, found.rows.changed) == (40, 0)
    assert Comparison.model_validate_json(found.model_dump_json()) == found
    statistics = measure(OutputPaths.of(file))
    assert [group.value for group in statistics.grouping("topic").groups] == ["a\ufffd", "b\ufffd"]
    assert Statistics.model_validate_json(statistics.model_dump_json()) == statistics
    statistics._repr_html_().encode()
    assert len(statistics.to_pandas()) == 3
