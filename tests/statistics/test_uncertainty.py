"""Effect sizes and their intervals, against cases that can be worked out by hand and samples whose difference is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from datafast.statistics.uncertainty import WinRate, cliffs_delta, cramers_v, total_variation


def test_cliffs_delta_counts_the_pairs_in_which_the_other_is_larger():
    # Of the 6 pairs (1, 2, 2) x (2, 3), four are larger in the second, none smaller, two equal.
    assert cliffs_delta({1: 1, 2: 2}, {2: 1, 3: 1}).value == pytest.approx(4 / 6)
    assert cliffs_delta({2: 1, 3: 1}, {1: 1, 2: 2}).value == pytest.approx(-4 / 6)
    assert cliffs_delta({1: 5}, {1: 9}) == (0.0, 0.0, 0.0)
    assert cliffs_delta({1: 5}, {2: 9}) == (1.0, 1.0, 1.0)


def test_total_variation_is_the_share_that_would_have_to_change():
    assert total_variation({"en": 50, "fr": 50}, {"en": 70, "fr": 30}).value == pytest.approx(0.2)
    assert total_variation({"en": 10}, {"fr": 10}) == (1.0, 1.0, 1.0)
    assert total_variation({"en": 10}, {"en": 99}) == (0.0, 0.0, 0.0)


def test_cramers_v_is_one_where_the_category_gives_the_sample_away_and_zero_where_it_says_nothing():
    assert cramers_v({"en": 40}, {"fr": 40}).value == pytest.approx(1.0)
    assert cramers_v({"en": 40, "fr": 40}, {"en": 40, "fr": 40}).value == 0.0
    assert cramers_v({"en": 40}, {"en": 40}).value == 0.0
    # chi-squared of ((50, 50), (70, 30)) is 8.333 of 200 rows; the bias of one degree of freedom is 1/199
    assert cramers_v({"a": 50, "b": 50}, {"a": 70, "b": 30}).value == pytest.approx(
        ((8.3333 / 200 - 1 / 199) / (1 - 1 / 199)) ** 0.5, abs=1e-4
    )


@pytest.mark.parametrize("measure", [total_variation, cramers_v, cliffs_delta])
def test_a_seed_gives_the_same_interval_again(measure):
    one, other = {1: 30, 2: 20, 3: 9}, {1: 12, 2: 33, 3: 20}
    assert measure(one, other, seed=3) == measure(one, other, seed=3)
    assert measure(one, other, seed=3) != measure(one, other, seed=4)


@pytest.mark.parametrize("measure", [total_variation, cramers_v, cliffs_delta])
def test_intervals_of_samples_that_do_not_differ_hold_zero_about_nineteen_times_in_twenty(measure):
    rng = np.random.default_rng(7)
    drawn = [[Counter(rng.integers(0, 5, 200).tolist()) for _ in range(2)] for _ in range(60)]
    found = [measure(one, other, seed=number) for number, (one, other) in enumerate(drawn)]
    assert sum(one.low <= 0 <= one.high for one in found) >= 53


@pytest.mark.parametrize(
    ("measure", "truth"), [(total_variation, 0.2), (cliffs_delta, 0.2), (cramers_v, (0.01 / 0.6 + 0.01 / 0.4) ** 0.5)]
)
def test_intervals_of_a_known_difference_hold_it(measure, truth):
    rng = np.random.default_rng(8)
    held = 0
    for number in range(60):
        one = Counter(rng.choice(2, 300, p=[0.7, 0.3]).tolist())
        other = Counter(rng.choice(2, 300, p=[0.5, 0.5]).tolist())
        found = measure(one, other, seed=number)
        held += found.low <= truth <= found.high
        assert found.low <= found.value <= found.high
    assert held >= 52


def _values(rate: float, ties: float, number: int, rng: np.random.Generator) -> list[float]:
    return [0.5 if rng.random() < ties else float(rng.random() < rate) for _ in range(number)]


@pytest.mark.parametrize("rate", [0.5, 0.7, 0.95])
def test_a_win_rate_is_held_at_all_times_at_once_nineteen_times_in_twenty(rate):
    rng = np.random.default_rng(9)
    truth, missed = 0.1 * 0.5 + 0.9 * rate, 0
    for _ in range(60):
        found = WinRate()
        intervals = []
        for value in _values(rate, 0.1, 150, rng):
            found.add(value)
            intervals.append(found.interval)
        missed += any(not low <= truth <= high for low, high in intervals)
    assert missed <= 7  # 3 of 60 are expected at most


def test_a_win_rate_narrows_and_tells_a_clear_winner_after_a_few_values():
    found = WinRate()
    assert found.mean is None
    assert found.interval == (0.0, 1.0)
    width = 1.0
    for number in range(1, 40):
        found.add(1.0)
        low, high = found.interval
        assert high - low <= width
        width = high - low
        if number == 20:
            assert low > 0.5
    assert found.mean == 1.0
    assert found.count == 39


def test_ties_alone_never_tell_a_winner():
    found = WinRate()
    for _ in range(500):
        found.add(0.5)
    low, high = found.interval
    assert low <= 0.5 <= high
    assert high - low < 0.1
