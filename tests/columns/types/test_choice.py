"""Choices: at random, by weight, balanced, in turn, and from an expression."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.columns.support import rows, values


def test_a_choice_is_drawn_from_its_values(tmp_path: Path) -> None:
    found = Counter(values(tmp_path, {"type": "choice", "values": ["a", "b", "c"]}, count=300))
    assert set(found) == {"a", "b", "c"}
    assert min(found.values()) > 60


def test_a_weighted_choice_follows_its_weights(tmp_path: Path) -> None:
    found = Counter(values(tmp_path, {"type": "choice", "values": {"a": 0.9, "b": 0.1, "never": 0}}, count=400))
    assert set(found) == {"a", "b"}
    assert 15 < found["b"] < 75


def test_a_balanced_choice_gives_each_value_as_often_in_an_order_of_its_own(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "choice", "values": ["a", "b", "c"], "mode": "balanced"}, count=60)
    assert Counter(found) == {"a": 20, "b": 20, "c": 20}
    assert all(set(found[start : start + 3]) == {"a", "b", "c"} for start in range(0, 60, 3))
    assert len({tuple(found[start : start + 3]) for start in range(0, 60, 3)}) > 3


def test_a_balanced_choice_with_whole_weights_comes_out_exactly_in_every_block(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "choice", "values": {"a": 3, "b": 1}, "mode": "balanced"}, count=40)
    assert all(Counter(found[start : start + 4]) == {"a": 3, "b": 1} for start in range(0, 40, 4))


def test_a_balanced_choice_with_fractions_is_off_by_one_at_most_in_a_hundred_rows(tmp_path: Path) -> None:
    found = Counter(
        values(tmp_path, {"type": "choice", "values": {"a": 0.25, "b": 0.75}, "mode": "balanced"}, count=100)
    )
    assert found["a"] == pytest.approx(25, abs=1)


def test_two_balanced_columns_do_not_go_together(tmp_path: Path) -> None:
    column = {"type": "choice", "values": list("ab"), "mode": "balanced"}
    found = Counter((row["x"], row["y"]) for row in rows(tmp_path, {"x": column, "y": column}, count=80))
    assert len(found) == 4


def test_round_robin_takes_the_values_in_turn(tmp_path: Path) -> None:
    assert values(tmp_path, {"type": "choice", "values": [1, 2, 3], "mode": "round_robin"}, count=7) == [
        1,
        2,
        3,
        1,
        2,
        3,
        1,
    ]


def test_a_choice_may_depend_on_another_column(tmp_path: Path) -> None:
    given = {"sea": ["tides"], "sky": {"moon": 1, "stars": 0}, "1": ["one"]}
    schema = {
        "topic": {"type": "choice", "by": "field", "values": given},
        "field": {"type": "choice", "values": ["sea", "sky", 1]},
    }
    pairs = {(row["field"], row["topic"]) for row in rows(tmp_path, schema, count=30)}
    assert pairs == {("sea", "tides"), ("sky", "moon"), (1, "one")}


def test_a_choice_from_an_expression(tmp_path: Path) -> None:
    schema = {"list": {"type": "constant", "value": ["a", "b"]}, "x": {"type": "choice", "values": "list + ['c']"}}
    assert {row["x"] for row in rows(tmp_path, schema, count=40)} == {"a", "b", "c"}
