"""Settings of drawn columns under conditions: which count, what may be set, and what they leave alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datafast import dataset, sample
from datafast.errors import DatafastWarning
from tests.columns.support import refusal, rows

AGE = {"type": "choice", "values": [10, 30, 70], "mode": "balanced"}


def test_the_first_case_that_holds_counts_and_the_column_itself_where_none_does(tmp_path: Path) -> None:
    cases = [{"when": "age < 18", "values": ["pupil"]}, {"when": "age < 60", "values": ["nurse"]}]
    schema = {"job": {"type": "choice", "values": ["retired"], "cases": cases}, "age": AGE}
    found = {row["age"]: row["job"] for row in rows(tmp_path, schema, count=9)}
    assert found == {10: "pupil", 30: "nurse", 70: "retired"}


def test_a_case_has_the_fields_that_differ(tmp_path: Path) -> None:
    cases = [{"when": "age < 18", "mean": 100}, {"when": "age > 60", "max": 0}]
    schema = {"age": AGE, "x": {"type": "normal", "mean": 0, "std": 1, "cases": cases}}
    for row in rows(tmp_path, schema, count=30):
        assert abs(row["x"] - (100 if row["age"] < 18 else 0)) < 5
        assert row["age"] < 60 or row["x"] <= 0


@pytest.mark.parametrize(
    ("column", "case", "young", "old"),
    [
        ({"type": "range", "start": 1, "end": 3}, {"end": 1}, {1}, {1, 2, 3}),
        ({"type": "poisson", "mean": 0}, {"mean": 5, "min": 5, "max": 5}, {5}, {0}),
        ({"type": "choice", "values": {"a": 1, "b": 0}}, {"values": {"a": 0, "b": 1}}, {"b"}, {"a"}),
        ({"type": "choice", "values": "[age]"}, {"values": "['x']"}, {"x"}, {30, 70}),
        ({"type": "person", "field": "sex", "sex": "male"}, {"sex": "female"}, {"female"}, {"male"}),
        (
            {"type": "datetime", "start": "2024-01-01", "end": "2024-01-01", "unit": "day"},
            {"start": "2020-05-05", "end": "2020-05-05"},
            {"2020-05-05"},
            {"2024-01-01"},
        ),
    ],
    ids=["range", "poisson", "choice", "choice from expression", "person", "datetime"],
)
def test_every_drawn_column_has_cases(
    tmp_path: Path, column: dict[str, Any], case: dict[str, Any], young: set[Any], old: set[Any]
) -> None:
    schema = {"age": AGE, "x": {**column, "cases": [{"when": "age < 18", **case}]}}
    found = rows(tmp_path, schema, count=60)
    assert {row["x"] for row in found if row["age"] < 18} == young
    assert {row["x"] for row in found if row["age"] > 18} == old


def test_rows_without_a_case_are_those_of_the_column_without_cases(tmp_path: Path) -> None:
    column = {"type": "normal", "mean": 0, "std": 1}
    plain = rows(tmp_path / "a", {"age": AGE, "x": column}, count=30)
    cased = rows(tmp_path / "b", {"age": AGE, "x": {**column, "cases": [{"when": "age < 18", "std": 3}]}}, count=30)
    assert [row for row in plain if row["age"] > 18] == [row for row in cased if row["age"] > 18]
    assert [row["x"] * 3 for row in plain if row["age"] < 18] == pytest.approx(
        [row["x"] for row in cased if row["age"] < 18]
    )


def test_a_text_that_may_mean_no_is_warned_of(tmp_path: Path) -> None:
    schema = {
        "flag": {"type": "constant", "value": "no"},
        "x": {"type": "poisson", "mean": 0, "cases": [{"when": "flag", "mean": 9, "min": 1}]},
    }
    with pytest.warns(DatafastWarning, match="x.cases.0.when: The text 'no' counts as true"):
        rows(tmp_path, schema)


def test_the_short_form_in_python_takes_them_too() -> None:
    ds = dataset({"age": 9, "x": sample.poisson(0, cases=[{"when": "age < 18", "mean": 3, "min": 2}])})
    assert ds.generate_sync(20)["x"].min() >= 2


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"mean": 1}, "columns.x.cases.0.when: expected an expression"),
        ({"when": "ages < 1", "mean": 1}, "columns.x.cases.0.when: There is no column 'ages'. Did you mean 'age'?"),
        ({"when": "x < 1", "mean": 1}, "The columns need one another in a circle"),
        ({"when": "age < 1", "maen": 1}, "columns.x.cases.0.maen: There is no such field. Did you mean 'mean'?"),
        ({"when": "age < 1", "mean": "agee"}, "columns.x.cases.0.mean: There is no column 'agee'."),
        ({"when": "age < 1", "std": -1}, "columns.x.cases.0.std: expected a number above 0, got -1."),
        ({"when": "age < 1", "decimals": 1}, "columns.x.cases.0.decimals: It is the same in all cases."),
        ({"when": "age < 1", "type": "poisson"}, "columns.x.cases.0.type: It is the same in all cases."),
        ({"when": "age < 1", "on_error": "stop"}, "columns.x.cases.0.on_error: It is the same in all cases."),
    ],
)
def test_what_is_no_case_is_refused_with_its_place(tmp_path: Path, case: dict[str, Any], words: str) -> None:
    assert words in refusal(tmp_path, {"age": AGE, "x": {"type": "normal", "mean": 0, "std": 1, "cases": [case]}})


def test_a_case_with_contradictory_fields_is_refused_with_its_place(tmp_path: Path) -> None:
    column = {"type": "range", "start": 1, "end": 3, "cases": [{"when": "age < 18", "start": 9}]}
    assert "columns.x.cases.0.start: 9 is larger than end, 3." in refusal(tmp_path, {"age": AGE, "x": column})


def test_values_that_another_column_depends_on_are_those_of_all_cases(tmp_path: Path) -> None:
    schema = {
        "age": AGE,
        "field": {"type": "choice", "values": ["a"], "cases": [{"when": "age < 18", "values": ["b"]}]},
        "topic": {"type": "choice", "by": "field", "values": {"a": ["x"]}},
    }
    assert "columns.topic.values: There is nothing for 'b', which 'field' can be." in refusal(tmp_path, schema)
