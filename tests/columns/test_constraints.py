"""Constraints between drawn columns: that they hold, what they leave alone, and what is said where they cannot hold."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast import ColumnsDatasetConfig, dataset, sample
from datafast.errors import ConfigError
from tests.columns.statistics import chi_square, largest_fair
from tests.columns.support import refusal, rows
from tests.support import CountingProvider, columns, requests_in, rows_of

DIE = {"type": "range", "start": 1, "end": 6}


def refused(folder: Path, schema: dict[str, Any], constraint: str) -> str:
    return refusal(folder, schema, constraints=[constraint])


def test_a_constraint_holds_in_every_row(tmp_path: Path) -> None:
    found = rows(tmp_path, {"a": DIE, "b": DIE}, constraints=["a < b"], count=200)
    assert all(row["a"] < row["b"] for row in found)


def test_values_are_those_of_the_distribution_given_the_constraint(tmp_path: Path) -> None:
    pairs = [(a, b) for a in range(1, 7) for b in range(1, 7) if a < b]
    found = rows(tmp_path, {"a": DIE, "b": DIE}, constraints=["a < b"], count=600)
    places = [pairs.index((row["a"], row["b"])) for row in found]
    statistic, degrees = chi_square(places, lambda place: 1 / len(pairs) if place < len(pairs) else 0)
    assert statistic < largest_fair(degrees)


def test_constraints_that_share_a_column_are_met_together_without_preferring_any(tmp_path: Path) -> None:
    triples = list(itertools.combinations(range(1, 7), 3))
    found = rows(tmp_path, {"a": DIE, "b": DIE, "c": DIE}, constraints=["a < b", "b < c"], count=600)
    places = [triples.index((row["a"], row["b"], row["c"])) for row in found]
    statistic, degrees = chi_square(places, lambda place: 1 / len(triples) if place < len(triples) else 0)
    assert statistic < largest_fair(degrees)


def test_rows_that_fulfil_it_anyway_and_columns_that_it_does_not_name_stay_as_they_were(tmp_path: Path) -> None:
    schema = {"a": DIE, "b": DIE, "c": DIE, "id": {"type": "uuid"}}
    plain = rows(tmp_path / "a", schema, count=60)
    kept = rows(tmp_path / "b", schema, constraints=["a < b"], count=60)
    assert [(row["c"], row["id"]) for row in plain] == [(row["c"], row["id"]) for row in kept]
    pairs = [(old, new) for old, new in zip(plain, kept, strict=True) if old["a"] < old["b"]]
    assert 10 < len(pairs) < 50
    assert all(old == new for old, new in pairs)


def test_the_same_seed_gives_the_same_rows_whatever_columns_come_later(tmp_path: Path) -> None:
    schema = {"a": DIE, "b": DIE}
    one = rows(tmp_path / "a", schema, constraints=["a < b"], seed=3)
    more = rows(tmp_path / "b", {"z": DIE, **schema}, constraints=["a < b"], seed=3)
    assert (
        one
        == [{"a": row["a"], "b": row["b"]} for row in more]
        != rows(tmp_path / "c", schema, constraints=["a < b"], seed=4)
    )


def test_what_depends_on_a_column_that_is_drawn_again_follows_it(tmp_path: Path) -> None:
    schema = {
        "double": {"type": "expression", "expression": "a * 2"},
        "c": {"type": "range", "start": "a", "end": "a"},
        "a": DIE,
        "b": DIE,
    }
    for row in rows(tmp_path, schema, constraints=["double < b", "c > 1"], count=60):
        assert row["double"] == row["a"] * 2 < row["b"]
        assert row["c"] == row["a"] > 1


def test_fixed_columns_stay_and_the_others_fit_themselves_to_them(tmp_path: Path) -> None:
    schema = {
        "limit": {"type": "source", "source": [{"n": n} for n in (2, 4, 6)], "column": "n", "shuffle": False},
        "turn": {"type": "choice", "values": [1, 2], "mode": "round_robin"},
        "a": DIE,
    }
    found = rows(tmp_path, schema, constraints=["turn <= a", "a <= limit"], count=60)
    assert [row["limit"] for row in found] == [2, 4, 6] * 20
    assert [row["turn"] for row in found] == [1, 2] * 30
    assert all(row["turn"] <= row["a"] <= row["limit"] for row in found)


@pytest.mark.parametrize("form", [None, "%d.%m.%Y", "%d %B %Y, %H:%M"])
def test_dates_are_compared_as_moments_whatever_their_format(tmp_path: Path, form: str | None) -> None:
    day = {
        "type": "datetime",
        "start": "2023-01-01",
        "end": "2024-12-31",
        "unit": "hour" if form else "day",
        "format": form,
    }
    found = rows(tmp_path, {"start": day, "end": day}, constraints=["start < end", "start >= '2023-07-01'"], count=80)
    compared = (
        ColumnsDatasetConfig(num_rows=1, columns={"start": day}, output_file=tmp_path / "x").columns["start"].compared
    )
    assert all("2023-07-01" <= compared(row["start"]) < compared(row["end"]) for row in found)
    assert form is None or any(row["start"] > row["end"] for row in found)


def test_a_day_counts_as_its_midnight_beside_a_time(tmp_path: Path) -> None:
    day = {"type": "datetime", "start": "2024-02-01", "end": "2024-02-02", "unit": "day"}
    time = {**day, "start": "2024-02-01T00:00:00", "end": "2024-02-02T00:00:00", "unit": "hour"}
    same = rows(tmp_path, {"day": day, "time": time}, constraints=["day == time"], count=8)
    assert {(row["day"], row["time"]) for row in same} <= {
        ("2024-02-01", "2024-02-01"),
        ("2024-02-02", "2024-02-02"),
        ("2024-02-01", "2024-02-01T00:00:00"),
        ("2024-02-02", "2024-02-02T00:00:00"),
    }
    first = rows(tmp_path, {"time": time}, constraints=["time <= '2024-02-01'"], count=3)
    assert [row["time"] for row in first] == ["2024-02-01T00:00:00"] * 3


@pytest.mark.parametrize("written", ["03.02.2025", "2025-2-3", "spring"])
@pytest.mark.parametrize("sign", ["<", ">", "!="])
def test_a_text_that_is_no_date_cannot_be_compared_with_one(tmp_path: Path, sign: str, written: str) -> None:
    day = {"type": "datetime", "start": "2025-01-01", "end": "2025-12-31", "unit": "day", "format": "%d.%m.%Y"}
    constant = {"type": "constant", "value": written}
    for schema, other in (({"day": day}, repr(written)), ({"day": day, "other": constant}, "other")):
        with pytest.raises(ConfigError) as caught:
            rows(tmp_path, schema, constraints=[f"day {sign} {other}"], count=2)
        assert f"{written!r} is not a date as 2024-01-31 or 2024-01-31T12:00:00" in str(caught.value)


def test_a_date_that_is_written_down_may_have_any_form_of_iso(tmp_path: Path) -> None:
    time = {
        "type": "datetime",
        "start": "2025-01-01T00:00:00+02:00",
        "end": "2025-01-01T23:00:00+02:00",
        "unit": "hour",
    }
    found = rows(tmp_path, {"time": time}, constraints=["'2025-01-01 02:00+02:00' <= time <= '20250101T01'"], count=9)
    assert {row["time"] for row in found} <= {f"2025-01-01T0{hour}:00:00+02:00" for hour in (2, 3)}


@pytest.mark.parametrize("form", ["%B %Y", "%H:%M", "%d.%m.%y", "%Y-%m-%d %I:%M"])
def test_a_format_that_does_not_tell_the_moment_is_refused(tmp_path: Path, form: str) -> None:
    day = {"type": "datetime", "start": "2023-01-01", "end": "2024-12-31", "format": form}
    assert (
        f"constraints.0: The column 'end' cannot be compared. Its format, {form!r}, does not tell the moment."
        in refused(tmp_path, {"start": DIE, "end": day}, "end > '2023'")
    )


def test_what_a_named_column_depends_on_is_drawn_once_unless_it_is_named_too(tmp_path: Path) -> None:
    schema = {
        "field": {"type": "choice", "values": ["sea", "sky"]},
        "topic": {"type": "choice", "by": "field", "values": {"sea": ["tides"], "sky": ["moons"]}},
    }
    with pytest.raises(
        ConfigError, match=r"10,000 draws of topic for row \d+, which depend on field as drawn before\."
    ):
        columns(tmp_path / "a", schema, constraints=["topic == 'moons'"]).generate()
    found = rows(tmp_path / "b", schema, constraints=["topic == 'moons' and field"])
    assert {row["field"] for row in found} == {"sky"}


def test_what_is_null_is_not_compared(tmp_path: Path) -> None:
    found = rows(tmp_path, {"a": DIE, "b": {**DIE, "when": "a > 3"}}, constraints=["b > a"], count=60)
    assert {row["b"] is None for row in found if row["a"] <= 3} == {True}
    assert all(row["b"] is None or row["b"] > row["a"] for row in found)


def test_a_draw_that_cannot_be_made_is_made_again(tmp_path: Path) -> None:
    schema = {"a": DIE, "b": DIE, "c": {"type": "range", "start": "a", "end": "b"}}
    assert all(
        row["a"] <= row["c"] <= row["b"] for row in rows(tmp_path, schema, constraints=["a <= b", "c > 1"], count=60)
    )


def test_one_that_cannot_hold_is_told_before_anything_is_paid_for(tmp_path: Path) -> None:
    log = tmp_path / "requests"
    schema = {"a": DIE, "b": {"type": "range", "start": 7, "end": 9}, "t": {"type": "text", "prompt": "{a}"}}
    made = columns(tmp_path, schema, constraints=["a > 1", "b < a"])
    with pytest.raises(ConfigError) as caught:
        made.generate({"default": CountingProvider(log=log)})
    assert "constraints.1: 'b < a' did not hold in " in str(caught.value)
    assert " of 10,000 draws of a, b for row " in str(caught.value)
    assert requests_in(log) == []
    assert not made.config.output_file.exists()


def test_a_row_whose_constraints_cannot_hold_asks_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.columns.table._MOST_CHECKED", 0)
    log = tmp_path / "requests"
    limits = [{"n": 9}, {"n": 0}]
    schema = {
        "limit": {"type": "source", "source": limits, "column": "n", "shuffle": False},
        "a": DIE,
        "t": {"type": "text", "prompt": "{limit}"},
    }
    made = columns(tmp_path, schema, constraints=["a < limit"], rows=2)
    made.generate({"default": CountingProvider(log=log)})
    assert (made.report.written, made.report.failed, len(requests_in(log))) == (1, 1, 1)
    (failed,) = made.failed_items
    assert failed.error == "constraints.0: 'a < limit' did not hold in 10,000 of 10,000 draws of a for row 1"
    assert failed.category == "column_error"


def test_an_error_of_a_column_is_still_its_own(tmp_path: Path) -> None:
    schema = {
        "a": DIE,
        "b": {"type": "expression", "expression": "a // 0"},
        "c": {**DIE, "start": "b", "on_error": "null"},
    }
    made = columns(tmp_path / "a", schema, constraints=["a < b"], rows=2)
    made.generate()
    assert {item.error.partition(":")[0] for item in made.failed_items} == {"b"}
    schema["b"]["on_error"] = "null"
    found = rows(tmp_path / "b", schema, constraints=["a < b", "a > 2"], count=4)
    assert all(row["a"] > 2 and row["b"] is None and row["c"] is None for row in found)


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        ("a < z", "constraints.0: There is no column 'z'."),
        ("a <", "constraints.0: 'a <' is not an expression"),
        ("1 < 2", "constraints.0: None of its columns can be drawn again."),
        ("k < 2", "constraints.0: None of its columns can be drawn again."),
        ("a < t | length", "constraints.0: It needs the column 't', which a model writes."),
        ("a < long", "constraints.0: It needs the column 't', which a model writes."),
    ],
)
def test_what_is_no_constraint_is_refused(tmp_path: Path, constraint: str, words: str) -> None:
    schema = {
        "a": DIE,
        "k": {"type": "constant", "value": 1},
        "t": {"type": "text", "prompt": "{a}"},
        "long": {"type": "expression", "expression": "t | length"},
    }
    assert words in refused(tmp_path, schema, constraint)


def test_values_of_different_types_are_told(tmp_path: Path) -> None:
    made = columns(tmp_path, {"a": DIE, "b": {"type": "choice", "values": ["x", "y"]}}, constraints=["a < b"])
    with pytest.raises(ConfigError, match=r"constraints.0: 'a < b' failed \(.*'<' not supported"):
        made.generate()


def test_a_constraint_that_is_added_makes_the_rows_again_without_asking_again(tmp_path: Path) -> None:
    log = tmp_path / "requests"
    provider = {"default": CountingProvider(log=log)}
    schema = {"a": DIE, "b": DIE, "t": {"type": "text", "prompt": "Say something about {a} and {b}."}}
    plain = columns(tmp_path, schema, rows=20)
    plain.generate(provider)
    kept = sum(row["a"] < row["b"] for row in rows_of(tmp_path / "out.jsonl"))
    made = columns(tmp_path, schema, constraints=["a < b"], rows=20)
    made.generate(provider, on_change=lambda _: True)
    assert all(row["a"] < row["b"] for row in rows_of(tmp_path / "out.jsonl"))
    assert len(requests_in(log)) == 20 + (20 - kept)


def test_the_short_form_in_python_takes_them_too() -> None:
    ds = dataset({"a": sample.range(1, 6), "b": sample.range(1, 6)}, constraints=["a < b"])
    frame = ds.generate_sync(40)
    assert all(frame["a"] < frame["b"])
    with pytest.raises(ConfigError, match="constraints: expected a list"):
        dataset({"a": 1}, constraints="a < b")


def test_joint_columns_are_drawn_again_together(tmp_path: Path) -> None:
    choice = {"type": "choice", "values": [1, 2, 3]}
    joint = [{"values": {"a": 1, "b": 3}, "rate": 0.5}, {"values": {"a": 3, "b": 1}, "rate": 0.5}]
    found = rows(tmp_path, {"a": choice, "b": choice, "c": DIE}, constraints=["c < a"], count=60, joint=joint)
    assert Counter((row["a"], row["b"]) for row in found) == {(3, 1): 60}
