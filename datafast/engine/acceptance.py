"""How many rows are drawn for those that are lacking, given how many of the earlier ones were accepted.

Model: each row that is drawn for a stratum is accepted with a probability that is not known. Before anything was drawn, each value of it is
as likely as any other (the prior is Beta(1, 1)), so after `accepted` of `drawn` rows it has the distribution
Beta(accepted + 1, drawn - accepted + 1), and the number accepted among the next rows a beta-binomial one.

Guarantee: a round draws as many rows as bring what is lacking with a probability of 0.8, unless more than a tenth of the target (or one
row) would be too many with a probability above 0.002. So few rounds do, and little is bought that is not wanted.
Limits: rows of a stratum count as independent. Where acceptance falls, because more and more rows are like earlier ones, there are
more rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["PILOT", "mean", "probability_below", "rows_to_draw", "surplus_allowed"]

PILOT = 100
"""Rows of a stratum that are drawn at most before its acceptance is known."""

_GROWTH = 8
"""How many times the rows so far a round draws at most, in case that acceptance changes."""
_ENOUGH = 0.8
_TOO_MANY = 0.002
_EXACT = 400
"""Rows up to which probabilities are added up; beyond, the normal distribution of the same mean and variance stands for them."""


def surplus_allowed(target: int) -> int:
    """Rows of a stratum beyond its target that may come to nothing."""
    return max(1, target // 10)


def mean(accepted: int, drawn: int) -> float:
    """The expected acceptance."""
    return (accepted + 1) / (drawn + 2)


def rows_to_draw(accepted: int, drawn: int, target: int) -> int:
    """The rows that the next round draws for a stratum.

    Args:
        accepted: of the rows that were drawn so far.
        target: rows that are to be accepted in all.
    """
    lacking = target - accepted
    if lacking <= 0:
        return 0
    if not drawn:
        return min(lacking, PILOT)
    if accepted == drawn:
        return lacking  # nothing has been lost yet
    most = max(PILOT, _GROWTH * drawn)
    too_many = lacking + surplus_allowed(target)

    def does(rows: int) -> bool:
        return _more_than(lacking - 1, rows, accepted, drawn) >= _ENOUGH

    def is_safe(rows: int) -> bool:
        return _more_than(too_many, rows, accepted, drawn) <= _TOO_MANY

    wanted = min(most, _first(does, lacking, most))
    return max(1, min(wanted, _first(lambda rows: not is_safe(rows), lacking, wanted + 1) - 1))


def probability_below(share: float, accepted: int, drawn: int) -> float:
    """The probability that a stratum's acceptance is below a share, given what was accepted."""
    return _beta_cdf(share, accepted + 1, drawn - accepted + 1)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first number from `low` on for which something holds that stays so; at most `high`."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _more_than(count: int, rows: int, accepted: int, drawn: int) -> float:
    """The probability that more than so many of the next rows are accepted."""
    if count >= rows:
        return 0.0
    a, b = accepted + 1.0, drawn - accepted + 1.0
    if rows <= _EXACT:
        return math.fsum(_beta_binomial(number, rows, a, b) for number in range(count + 1, rows + 1))
    p = a / (a + b)
    deviation = math.sqrt(rows * p * (1 - p) * (a + b + rows) / (a + b + 1))
    return 0.5 * math.erfc((count + 0.5 - rows * p) / (deviation * math.sqrt(2)))


def _beta_binomial(number: int, rows: int, a: float, b: float) -> float:
    choices = math.lgamma(rows + 1) - math.lgamma(number + 1) - math.lgamma(rows - number + 1)
    return math.exp(choices + _log_beta(number + a, rows - number + b) - _log_beta(a, b))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _beta_cdf(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function, by its continued fraction (Press et al., Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_cdf(1 - x, b, a)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - _log_beta(a, b)) / a
    tiny, factor, c, d = 1e-300, 1.0, 1.0, 0.0
    for step in range(10_000):
        m = step // 2
        if step == 0:
            numerator = 1.0
        elif step % 2:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / ((1 + numerator * d) or tiny)
        c = (1 + numerator / c) or tiny
        factor *= c * d
        if abs(1 - c * d) < 1e-12:
            break
    return front * (factor - 1)
