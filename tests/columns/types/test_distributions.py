"""Numbers from distributions: their shapes, bounds and types, and that a seed gives them in every version."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datafast import ColumnsDatasetConfig
from datafast.columns.types.distributions import NormalColumn
from tests.columns.statistics import chi_square, distance, largest_fair, most_distant
from tests.columns.support import refusal, rows, values
from tests.support import columns

COUNT = 1000
KNOWN = [
    {
        "normal": 56.5042963315,
        "between": 51.3,
        "lognormal": 153.665749079,
        "exponential": 15.4265480511,
        "poisson": 1031,
        "binomial": 14,
    },
    {
        "normal": 17.7923827662,
        "between": 58.0,
        "lognormal": 96.6501775816,
        "exponential": 2.80527882371,
        "poisson": 1036,
        "binomial": 8,
    },
    {
        "normal": 57.632886356,
        "between": 56.3,
        "lognormal": 135.523305594,
        "exponential": 4.05758826751,
        "poisson": 994,
        "binomial": 7,
    },
]
NORMAL = NormalDist(40, 12).cdf


def poisson(k: int) -> float:
    return math.exp(-4) * 4**k / math.factorial(k)


def binomial(k: int) -> float:
    return math.comb(12, k) * 0.3**k * 0.7 ** (12 - k)


def rounded_normal(k: int) -> float:
    return NORMAL(k + 0.5) - NORMAL(k - 0.5)


def between(low: int, high: int, probability: Callable[[int], float]) -> Callable[[int], float]:
    """The distribution of what is left between two bounds."""
    left = sum(map(probability, range(low, high + 1)))
    return lambda k: probability(k) / left if low <= k <= high else 0.0


@pytest.mark.parametrize(
    ("column", "share"),
    [
        ({"type": "normal", "mean": 40, "std": 12}, NORMAL),
        (
            {"type": "normal", "mean": 40, "std": 12, "min": 30, "max": 45},
            lambda x: (NORMAL(x) - NORMAL(30)) / (NORMAL(45) - NORMAL(30)),
        ),
        # Far out, where the share above a number has no digits left in 1 - share.
        (
            {"type": "normal", "mean": 0, "std": 1, "min": 12},
            lambda x: 1 - math.erfc(x / math.sqrt(2)) / math.erfc(12 / math.sqrt(2)),
        ),
        ({"type": "lognormal", "median": 100, "sigma": 0.5}, lambda x: NormalDist(math.log(100), 0.5).cdf(math.log(x))),
        ({"type": "exponential", "mean": 3}, lambda x: 1 - math.exp(-x / 3)),
        ({"type": "exponential", "mean": 3, "min": 50}, lambda x: 1 - math.exp(-(x - 50) / 3)),
    ],
    ids=["normal", "normal between", "normal far out", "lognormal", "exponential", "exponential far out"],
)
def test_fractional_numbers_have_the_shape_of_their_distribution(
    tmp_path: Path, column: dict[str, Any], share: Callable[[float], float]
) -> None:
    found = values(tmp_path, column, count=COUNT)
    assert distance(found, share) < most_distant(COUNT)
    assert {type(value) for value in found} == {float}


@pytest.mark.parametrize(
    ("column", "probability"),
    [
        ({"type": "poisson", "mean": 4}, poisson),
        ({"type": "poisson", "mean": 4, "min": 6}, between(6, 60, poisson)),
        ({"type": "binomial", "n": 12, "p": 0.3}, between(0, 12, binomial)),
        ({"type": "binomial", "n": 12, "p": 0.3, "min": 3, "max": 5.5}, between(3, 5, binomial)),
        (
            {"type": "normal", "mean": 40, "std": 12, "min": 30, "max": 45, "decimals": 0},
            between(30, 45, rounded_normal),
        ),
    ],
    ids=["poisson", "poisson from 6", "binomial", "binomial between", "rounded normal between"],
)
def test_whole_numbers_have_the_shape_of_their_distribution(
    tmp_path: Path, column: dict[str, Any], probability: Callable[[int], float]
) -> None:
    found = values(tmp_path, column, count=COUNT)
    assert {type(value) for value in found} == {int}
    statistic, degrees = chi_square(found, probability)
    assert statistic < largest_fair(degrees)


def test_a_seed_gives_the_same_numbers_in_every_version(tmp_path: Path) -> None:
    schema = {
        "normal": {"type": "normal", "mean": 40, "std": 12},
        "between": {"type": "normal", "mean": 40, "std": 12, "min": 50, "decimals": 1},
        "lognormal": {"type": "lognormal", "median": 100, "sigma": 0.5},
        "exponential": {"type": "exponential", "mean": 3},
        "poisson": {"type": "poisson", "mean": 1000},
        "binomial": {"type": "binomial", "n": 1000, "p": 0.01},
    }
    assert rows(tmp_path, schema, count=3, seed=5) == KNOWN


@pytest.mark.parametrize(
    ("column", "only"),
    [
        ({"type": "poisson", "mean": 0}, 0),
        ({"type": "binomial", "n": 7, "p": 0}, 0),
        ({"type": "binomial", "n": 7, "p": 1}, 7),
        ({"type": "binomial", "n": 0, "p": 0.5}, 0),
        ({"type": "poisson", "mean": 3, "min": 900, "max": 900}, 900),
        ({"type": "normal", "mean": 3, "std": 1, "min": -1.5, "max": -0.6, "decimals": 0}, -1),
    ],
)
def test_a_distribution_of_one_number(tmp_path: Path, column: dict[str, Any], only: int) -> None:
    assert values(tmp_path, column) == [only] * 6


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mean=st.floats(-1e6, 1e6),
    std=st.floats(1e-3, 1e6),
    low=st.floats(-1e6, 1e6),
    width=st.floats(0.5, 1e6),
    decimals=st.sampled_from([None, 1, 3]),
    share=st.floats(0, 1, exclude_max=True),
)
def test_no_number_is_beyond_its_bounds(
    mean: float, std: float, low: float, width: float, decimals: int | None, share: float
) -> None:
    column = NormalColumn(mean=mean, std=std, min=low, max=low + width, decimals=decimals)
    try:
        law = column.law({"mean": mean, "std": std, "min": low, "max": low + width})
    except ValueError as error:
        assert "no numbers there" in str(error)  # noqa: PT017 - one of two outcomes
        # Bounds move inward by less than a unit of the last decimal.
        inward = 0.0 if decimals is None else 10.0**-decimals
        assert max(low - mean, mean - low - width) + inward > 30 * std
        return
    value = law(share or 2.0**-54)
    assert low <= value <= low + width
    assert decimals is None or value == round(value, decimals)


def test_parameters_may_depend_on_other_columns(tmp_path: Path) -> None:
    schema = {
        "n": {"type": "choice", "values": [0, 2, 400]},
        "x": {"type": "binomial", "n": "n", "p": "1 if n < 100 else 0.5"},
        "y": {"type": "normal", "mean": "n", "std": 1, "min": "n - 1"},
    }
    for row in rows(tmp_path, schema, count=60):
        assert row["x"] == row["n"] or (row["n"] == 400 and 120 < row["x"] < 280)
        assert row["n"] - 1 <= row["y"] < row["n"] + 6


def test_a_parameter_that_a_row_makes_impossible_fails_the_row(tmp_path: Path) -> None:
    schema = {
        "n": {"type": "choice", "values": [1, -1], "mode": "round_robin"},
        "x": {"type": "normal", "mean": 0, "std": "n"},
    }
    dataset = columns(tmp_path, schema, rows=4)
    dataset.generate()
    assert dataset.report is not None
    assert (dataset.report.written, dataset.report.failed) == (2, 2)
    assert {item.error for item in dataset.failed_items} == {"x: std: expected a number above 0, got -1"}


@pytest.mark.parametrize("sigma", [60, 10**6])
def test_a_number_that_no_row_can_hold_fails_its_row(tmp_path: Path, sigma: int) -> None:
    dataset = columns(tmp_path, {"x": {"type": "lognormal", "median": 1, "sigma": sigma, "min": 1}}, rows=20)
    dataset.generate()
    assert dataset.report is not None
    assert dataset.report.failed > 0
    assert {item.error for item in dataset.failed_items} == {"x: the number that was drawn has more than 64 bits"}


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ({"type": "normal", "mean": 0, "std": 0}, "columns.x.std: expected a number above 0, got 0."),
        ({"type": "normal", "mean": 0, "std": 1, "min": 2, "max": 1}, "min: 2 is larger than max, 1. Exchange them."),
        ({"type": "normal", "mean": 0, "std": 1, "min": 100}, "columns.x.min: The distribution has no numbers there."),
        ({"type": "exponential", "mean": 1, "max": -1}, "columns.x.max: The distribution has no numbers there."),
        (
            {"type": "normal", "mean": 0, "std": 1, "min": 0.1, "max": 0.9, "decimals": 0},
            "There is no number with 0 decimals",
        ),
        ({"type": "normal", "mean": 0}, "columns.x.std: "),
        ({"type": "normal", "mean": float("nan"), "std": 1}, "expected a finite number"),
        ({"type": "lognormal", "median": -1, "sigma": 1}, "columns.x.median: expected a number above 0, got -1."),
        ({"type": "poisson", "mean": -1}, "columns.x.mean: expected a number from 0 to 10,000,000, got -1."),
        ({"type": "poisson", "mean": 1, "decimals": 1}, "columns.x.decimals: There is no such field."),
        ({"type": "binomial", "n": 1.5, "p": 0.1}, "columns.x.n: expected a whole number, got 1.5."),
        ({"type": "binomial", "n": 3, "p": 2}, "columns.x.p: expected a number from 0 to 1, got 2."),
        ({"type": "binomial", "n": 3, "p": 0.5, "min": 4}, "columns.x.min: The distribution has no numbers there."),
        ({"type": "normal", "mean": "y", "std": 1}, "columns.x.mean: There is no column 'y'."),
    ],
)
def test_what_is_no_distribution_is_refused(tmp_path: Path, column: dict[str, Any], words: str) -> None:
    assert words in refusal(tmp_path, {"x": column})


def test_exports_have_the_type_of_the_numbers(tmp_path: Path) -> None:
    schema = {
        "whole": {"type": "normal", "mean": 9, "std": 1, "decimals": 0},
        "count": {"type": "poisson", "mean": 2},
        "share": {"type": "exponential", "mean": 1, "decimals": 1},
    }
    dataset = columns(tmp_path, schema, rows=4)
    dataset.generate()
    dataset.save(tmp_path / "out.parquet")
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "out.parquet")}
    assert types == {"whole": "int64", "count": "int64", "share": "double"}


def test_scipy_is_asked_for_with_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    message = refusal(tmp_path, {"x": {"type": "distribution", "name": "gamma", "params": {"a": 2}}})
    assert "columns.x.name: " in message
    assert "pip install 'datafast[scipy]'" in message


@pytest.mark.parametrize("number", [1, "1"])
def test_a_config_reads_back_equal(tmp_path: Path, number: Any) -> None:
    schema = {
        "y": {"type": "poisson", "mean": 2},
        "x": {"type": "normal", "mean": 1, "std": number, "cases": [{"when": "y > 2", "mean": 5}]},
    }
    config = ColumnsDatasetConfig(num_rows=2, columns=schema, output_file=tmp_path / "x.jsonl")
    again = ColumnsDatasetConfig.model_validate(config.model_dump(mode="json"))
    assert again == config
    assert again.table.digest == config.table.digest
