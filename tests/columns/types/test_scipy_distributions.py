"""Numbers from distributions of scipy's, where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.columns.statistics import chi_square, distance, largest_fair, most_distant
from tests.columns.support import refusal, rows, values

COUNT = 1000
stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")


@pytest.mark.parametrize(
    ("column", "share"),
    [
        ({"name": "gamma", "params": {"a": 2, "scale": 3}}, lambda x: stats.gamma(2, scale=3).cdf(x)),
        ({"name": "beta", "params": {"a": 2, "b": 5}}, lambda x: stats.beta(2, 5).cdf(x)),
        (
            {"name": "gamma", "params": {"a": 2}, "min": 1, "max": 1.5},
            lambda x: (
                (stats.gamma(2).cdf(x) - stats.gamma(2).cdf(1)) / (stats.gamma(2).cdf(1.5) - stats.gamma(2).cdf(1))
            ),
        ),
    ],
)
def test_fractional_numbers_have_the_shape_of_their_distribution(
    tmp_path: Path, column: dict[str, Any], share: Callable[[float], float]
) -> None:
    found = values(tmp_path, {"type": "distribution", **column}, count=COUNT)
    assert distance(found, share) < most_distant(COUNT)
    assert {type(value) for value in found} == {float}


def test_whole_numbers_have_the_shape_of_their_distribution(tmp_path: Path) -> None:
    column = {"type": "distribution", "name": "nbinom", "params": {"n": 4, "p": 0.5}, "min": 1}
    found = values(tmp_path, column, count=COUNT)
    assert {type(value) for value in found} == {int}
    statistic, degrees = chi_square(
        found, lambda k: stats.nbinom(4, 0.5).pmf(k) / stats.nbinom(4, 0.5).sf(0) if k else 0
    )
    assert statistic < largest_fair(degrees)


def test_numbers_depend_on_the_seed_and_not_on_numpys_random_state(tmp_path: Path) -> None:
    import numpy as np

    column = {"type": "distribution", "name": "t", "params": {"df": 3}}
    np.random.seed(1)
    one = values(tmp_path / "a", column, seed=4)
    np.random.seed(2)
    assert values(tmp_path / "b", column, seed=4) == one != values(tmp_path / "c", column, seed=5)


def test_parameters_may_depend_on_other_columns(tmp_path: Path) -> None:
    schema = {
        "high": {"type": "choice", "values": [5, 500]},
        "x": {"type": "distribution", "name": "uniform", "params": {"loc": "high", "scale": 1}},
    }
    assert all(row["high"] <= row["x"] <= row["high"] + 1 for row in rows(tmp_path, schema, count=20))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (
            {"name": "gama", "params": {"a": 2}},
            "columns.x.name: scipy.stats has no distribution 'gama'. Did you mean 'gamma'?",
        ),
        ({"name": "gamma"}, "columns.x.params: The distribution 'gamma' needs a."),
        (
            {"name": "gamma", "params": {"a": 1, "b": 2}},
            "columns.x.params.b: The distribution 'gamma' has no such parameter.",
        ),
        ({"name": "gamma", "params": {"a": -1}}, "columns.x.params: The distribution 'gamma' does not exist for a=-1."),
        (
            {"name": "poisson", "params": {"mu": 1}, "decimals": 1},
            "columns.x.decimals: The numbers of 'poisson' are whole.",
        ),
        ({"name": "uniform", "min": 2}, "columns.x.min: The distribution has no numbers there."),
    ],
)
def test_what_is_no_distribution_is_refused(tmp_path: Path, column: dict[str, Any], words: str) -> None:
    assert words in refusal(tmp_path, {"x": {"type": "distribution", **column}})
