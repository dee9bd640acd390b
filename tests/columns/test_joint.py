"""Joint rates: how often listed combinations come, and the others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datafast import ColumnsDatasetConfig, dataset, sample
from datafast.columns.joint import JointRate, joint_draws
from tests.columns.statistics import chi_square, largest_fair
from tests.columns.support import refusal, rows

A, B = {"x": 3, "y": 1}, {"p": 1, "q": 1, "r": 2}
LISTED = [{"values": {"a": "x", "b": "p"}, "rate": 0.5}, {"values": {"b": "q", "a": "y"}, "rate": 0.1}]
# 0.4 are left for the others, in proportion to the products of their weights: 3, 6, 1 and 2.
EXPECTED = {
    ("x", "p"): 0.5,
    ("y", "q"): 0.1,
    ("x", "q"): 0.4 * 3 / 12,
    ("x", "r"): 0.4 * 6 / 12,
    ("y", "p"): 0.4 * 1 / 12,
    ("y", "r"): 0.4 * 2 / 12,
}


def schema(mode: str = "random") -> dict[str, Any]:
    return {"a": {"type": "choice", "values": A, "mode": mode}, "b": {"type": "choice", "values": B, "mode": mode}}


def test_listed_combinations_come_at_their_rates_and_the_others_by_their_weights(tmp_path: Path) -> None:
    pairs = list(EXPECTED)
    found = [pairs.index((row["a"], row["b"])) for row in rows(tmp_path, schema(), joint=LISTED, count=1000)]
    statistic, degrees = chi_square(found, lambda place: EXPECTED[pairs[place]])
    assert statistic < largest_fair(degrees)


def test_balanced_columns_have_them_exactly_in_every_hundred_rows(tmp_path: Path) -> None:
    found = [(row["a"], row["b"]) for row in rows(tmp_path, schema("balanced"), joint=LISTED, count=300)]
    for start in (0, 100, 200):
        counts = Counter(found[start : start + 100])
        assert counts["x", "p"] == 50
        assert counts["y", "q"] == 10
        assert all(abs(counts[pair] - 100 * share) <= 1 for pair, share in EXPECTED.items())


def test_columns_that_are_not_named_stay_as_they_were_and_the_order_changes_nothing(tmp_path: Path) -> None:
    other = {"c": {"type": "range", "start": 1, "end": 1000}}
    plain = rows(tmp_path / "a", {**schema(), **other}, joint=[])
    joint = rows(tmp_path / "b", {**schema(), **other}, joint=LISTED)
    assert [row["c"] for row in plain] == [row["c"] for row in joint]
    turned = dict(reversed(schema().items()))
    assert [{**row} for row in rows(tmp_path / "c", {**turned, **other}, joint=LISTED[::-1])] == joint


def test_rates_that_add_up_to_1_leave_nothing_else(tmp_path: Path) -> None:
    listed = [{"values": {"a": a, "b": "p"}, "rate": rate} for a, rate in (("x", 0.9), ("y", 0.1))]
    assert {row["b"] for row in rows(tmp_path, schema(), joint=listed)} == {"p"}


def test_two_groups_of_columns_are_independent(tmp_path: Path) -> None:
    coin = {"type": "choice", "values": [True, False], "mode": "balanced"}
    listed = [{"values": dict.fromkeys(pair, value), "rate": 0.5} for pair in ("ab", "cd") for value in (True, False)]
    found = Counter(
        (row["a"], row["c"]) for row in rows(tmp_path, dict.fromkeys("abcd", coin), joint=listed, count=100)
    )
    assert len(found) == 4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    weights=st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=4), min_size=2, max_size=3),
    shares=st.lists(st.integers(0, 9), min_size=1, max_size=3),
)
def test_all_shares_add_up_and_listed_ones_are_the_rates(weights: list[list[int]], shares: list[int]) -> None:
    columns = {f"c{number}": dict(enumerate(some)) for number, some in enumerate(weights)}
    listed = {tuple((share + place) % len(some) for some in weights): 0.1 for place, share in enumerate(shares)}
    rates = [JointRate(values=dict(zip(columns, values, strict=True)), rate=rate) for values, rate in listed.items()]
    config = ColumnsDatasetConfig(
        num_rows=1,
        columns={name: {"type": "choice", "values": values} for name, values in columns.items()},
        joint=rates,
    )
    (draw,) = joint_draws(rates, config.columns)
    found = dict(zip(draw.options.values, draw.options.weights, strict=True))
    assert sum(found.values()) == pytest.approx(1)
    assert len(found) == len({*found})
    assert {values: found[values] for values in listed} == listed


def test_a_config_reads_back_equal() -> None:
    config = ColumnsDatasetConfig(num_rows=2, columns=schema(), joint=LISTED, constraints=["a != b"])
    again = ColumnsDatasetConfig.model_validate(config.model_dump(mode="json"))
    assert again == config
    assert again.table.digest == config.table.digest != ColumnsDatasetConfig(num_rows=2, columns=schema()).table.digest


def test_the_short_form_in_python_takes_them_too() -> None:
    ds = dataset(
        {"a": sample.choice(["x", "y"]), "b": sample.choice([1, 2])}, joint=[{"values": {"a": "x", "b": 1}, "rate": 1}]
    )
    assert set(ds.generate_sync(20)["a"]) == {"x"}


@pytest.mark.parametrize(
    ("joint", "words"),
    [
        ([{"values": {"a": "x", "z": 1}, "rate": 0.1}], "joint.0.values.z: There is no such column."),
        ([{"values": {"a": "xx", "b": "p"}, "rate": 0.1}], "joint.0.values.a: 'xx' is not one of the values of 'a'."),
        ([{"values": {"a": "x"}, "rate": 0.1}], "joint.0.values: "),
        ([{"values": {"a": "x", "b": "p"}, "rate": 0}], "joint.0.rate: "),
        ([*LISTED, {"values": {"a": "y", "b": "p"}, "rate": 0.5}], "add up to 1.1, more than 1. Lower them."),
        ([LISTED[0], LISTED[0]], "joint.1.values: The same combination was listed before."),
        (
            [LISTED[0], {"values": {"a": "x", "c": 1}, "rate": 0.1}],
            "joint.1.values: It shares 'a' with an entry before it",
        ),
        (
            [{"values": {"a": "x", "c": 1}, "rate": 0.1}],
            "joint.0.values.c: The column cannot be drawn together with others.",
        ),
        ([{"values": {"a": "x", "d": 1}, "rate": 0.1}], "joint.0.values: The columns a, d have several modes."),
        ([{"values": {"a": "x", "e": "q"}, "rate": 0.1}], "joint.0.values.e: The column cannot be drawn together"),
        (
            [{"values": {"b": b, "f": 1}, "rate": 0.2} for b in "pqr"],
            "joint.2.rate: The rates of b, f add up to 0.6, and no other combination has a weight for the rest.",
        ),
    ],
)
def test_what_is_no_joint_rate_is_refused_with_its_place(tmp_path: Path, joint: list[Any], words: str) -> None:
    more = {
        "c": {"type": "range", "start": 1, "end": 2},
        "d": {"type": "choice", "values": [1, 2], "mode": "balanced"},
        "e": {"type": "choice", "values": ["q"], "when": "a == 'x'"},
        "f": {"type": "choice", "values": [1]},
    }
    assert words in refusal(tmp_path, {**schema(), **more}, joint=joint)
