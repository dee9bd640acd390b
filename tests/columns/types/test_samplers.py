"""Constants, ids and ranges."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.columns.support import refusal, rows, values


def test_uuids_are_unique_and_the_seed_decides_them(tmp_path: Path) -> None:
    one, two, other = (
        values(tmp_path / name, {"type": "uuid"}, count=50, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == two
    assert not set(one) & set(other)
    assert len(set(one)) == 50
    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value) for value in one
    )


@pytest.mark.parametrize(
    ("column", "possible"),
    [
        ({"start": 1, "end": 3}, {1, 2, 3}),
        ({"start": 0, "end": 10, "step": 5}, {0, 5, 10}),
        ({"start": 0, "end": 11, "step": 5}, {0, 5, 10}),
        ({"start": 0.1, "end": 0.4, "step": 0.1}, {0.1, 0.2, 0.3, 0.4}),
        ({"start": -1, "end": -1}, {-1}),
    ],
)
def test_a_range_includes_both_ends(tmp_path: Path, column: dict[str, Any], possible: set[Any]) -> None:
    found = values(tmp_path, {"type": "range", **column}, count=60)
    assert set(found) == possible
    assert {type(value) for value in found} == {type(next(iter(possible)))}


def test_a_range_of_fractions_is_rounded_if_asked(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "range", "start": 0, "end": 1.5, "decimals": 2}, count=50)
    assert all(0 <= value <= 1.5 and round(value, 2) == value for value in found)
    assert len(set(found)) > 20


@pytest.mark.parametrize(
    ("start", "end", "decimals", "possible"),
    [(0.16, 0.96, 1, {0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}), (0.5, 1.5, 0, {1.0}), (0.15, 0.25, 1, {0.2})],
)
def test_rounding_does_not_lead_out_of_a_range(
    tmp_path: Path, start: float, end: float, decimals: int, possible: set[float]
) -> None:
    column = {"type": "range", "start": start, "end": end, "decimals": decimals}
    assert set(values(tmp_path, column, count=120)) == possible


def test_a_range_may_depend_on_another_column(tmp_path: Path) -> None:
    schema = {
        "low": {"type": "range", "start": 1, "end": 100},
        "high": {"type": "range", "start": "low", "end": "low + 5"},
    }
    found = rows(tmp_path, schema, count=40)
    assert len(found) == 40
    assert all(row["low"] <= row["high"] <= row["low"] + 5 for row in found)


def test_numbers_may_be_numpys_but_not_booleans(tmp_path: Path) -> None:
    assert values(tmp_path / "a", {"type": "range", "start": np.int64(3), "end": np.float64(3)}) == [3] * 6
    message = refusal(tmp_path, {"x": {"type": "range", "start": 0, "end": True}})
    assert "columns.x.end: Value error, expected a number, or an expression that gives one." in message


@pytest.mark.parametrize(
    "bounds", [{"end": 2**70}, {"end": 10**5000}, {"end": float("inf")}, {"end": 9, "step": 2**64}]
)
def test_bounds_that_no_number_of_a_row_can_reach_are_refused(tmp_path: Path, bounds: dict[str, Any]) -> None:
    assert "expected a finite number of at most 64 bits" in refusal(
        tmp_path, {"x": {"type": "range", "start": 0, **bounds}}
    )
