"""How far a sample is from a distribution, and how far a fair one is with a probability of 999 in 1000."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable


def distance(found: list[float], share: Callable[[float], float]) -> float:
    """Kolmogorov's and Smirnov's: the largest distance between the sample's distribution function and another."""
    ordered = sorted(found)
    return max(
        max(share(value) - number / len(ordered), (number + 1) / len(ordered) - share(value))
        for number, value in enumerate(ordered)
    )


def most_distant(count: int) -> float:
    """The `distance` that a fair sample of this size keeps below."""
    return 1.95 / math.sqrt(count)


def chi_square(found: list[int], probability: Callable[[int], float]) -> tuple[float, int]:
    """Pearson's statistic and its degrees of freedom; values that are rarer than 5 in the sample count together."""
    counts = Counter(found)
    expected = {value: len(found) * probability(value) for value in range(max(found) + 1)}
    usual = {value: often for value, often in expected.items() if often >= 5}
    statistic = sum((counts[value] - often) ** 2 / often for value, often in usual.items())
    rare, seen_rare = len(found) - sum(usual.values()), len(found) - sum(counts[value] for value in usual)
    if rare < 1:
        assert seen_rare < 5
        return statistic, len(usual) - 1
    return statistic + (seen_rare - rare) ** 2 / rare, len(usual)


def largest_fair(degrees: int) -> float:
    """The `chi_square` that a fair sample keeps below (E. B. Wilson and M. M. Hilferty, 1931)."""
    return degrees * (1 - 2 / (9 * degrees) + 3.09 * math.sqrt(2 / (9 * degrees))) ** 3
