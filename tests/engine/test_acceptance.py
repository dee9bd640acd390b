"""How many rows are drawn for those that are lacking: few rounds, hardly any surplus, and a stratum that gives nothing is seen as such."""

from __future__ import annotations

import math
import random

import pytest

from datafast.engine.acceptance import PILOT, mean, probability_below, rows_to_draw, surplus_allowed


def simulated(target: int, share: float, seed: int) -> tuple[int, int, int]:
    """Rounds, surplus and rows drawn until a target is met."""
    accept, rounds, accepted, drawn = random.Random(f"{target} {share} {seed}"), 0, 0, 0
    while accepted < target:
        rows = rows_to_draw(accepted, drawn, target)
        assert rows > 0
        rounds, drawn = rounds + 1, drawn + rows
        accepted += sum(accept.random() < share for _ in range(rows))
    return rounds, accepted - target, drawn


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.9])
@pytest.mark.parametrize("target", [10, 100, 1000])
def test_a_target_is_met_in_few_rounds_with_hardly_any_surplus(target: int, share: float) -> None:
    runs = [simulated(target, share, seed) for seed in range(20)]
    rounds, surplus, drawn = zip(*runs, strict=True)
    assert sum(rounds) / len(runs) < 8
    assert sum(surplus) / len(runs) <= 0.05 * target
    assert sum(number > surplus_allowed(target) for number in surplus) <= 1
    assert sum(drawn) / len(runs) == pytest.approx(target / share, rel=0.25)


def test_without_any_loss_nothing_is_drawn_in_vain() -> None:
    assert simulated(5000, 1.0, 0) == (2, 0, 5000)
    assert simulated(40, 1.0, 0) == (1, 0, 40)


def test_the_first_round_is_small_and_a_met_target_draws_nothing() -> None:
    assert rows_to_draw(0, 0, 100_000) == PILOT
    assert rows_to_draw(0, 0, 7) == 7
    assert rows_to_draw(9, 20, 8) == rows_to_draw(8, 20, 8) == 0


@pytest.mark.parametrize(("accepted", "drawn"), [(0, 40), (3, 60), (30, 100)])
def test_the_probability_is_that_of_the_posterior(accepted: int, drawn: int) -> None:
    # A beta distribution of whole parameters is a sum of binomial probabilities.
    tries = drawn + 1
    for share in (0.01, 0.05, 0.3):
        exact = sum(math.comb(tries, k) * share**k * (1 - share) ** (tries - k) for k in range(accepted + 1, tries + 1))
        assert probability_below(share, accepted, drawn) == pytest.approx(exact, abs=1e-9)


def test_a_stratum_that_gives_nothing_is_known_after_58_rows() -> None:
    assert probability_below(0.05, 0, 57) < 0.95 < probability_below(0.05, 0, 58)
    assert mean(0, 58) == pytest.approx(1 / 60)
