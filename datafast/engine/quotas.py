"""Exact shares: which of several providers gets which item of a plan of a given number of rows.

Guarantee: each gets its part of all items in proportion to its weight, rounded by largest remainder. Who gets an item depends only on
its position, the weights and the number of items, so a resumed run goes on as it began.

Method: the items are divided into blocks of as many as the weights, as whole numbers, add up to, so that each block is divided
without a remainder; within a block the order is random, so that no provider gets the same topics or languages throughout.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate

from datafast._util.permutation import Permutation
from datafast.plan.items import Plan, digest
from datafast.plan.members import members_of

__all__ = ["Quotas", "largest_remainder", "rows_by_share"]

_LARGEST_BLOCK = 1000
_MOST_COUNTED = 100_000


class Quotas:
    """The shares of `total` items. `counts` has the number of items of each."""

    def __init__(self, weights: Sequence[float], total: int) -> None:
        parts = _whole(weights)
        self.counts = largest_remainder(parts, total)
        if sum(parts) > _LARGEST_BLOCK:  # a single block
            self._block, self._full = max(total, 1), self.counts
        else:
            self._block, self._full = sum(parts), parts
        self._num_full, rest = divmod(total, self._block)
        self._last = largest_remainder(parts, rest)

    def share_of(self, position: int) -> int:
        """The number of the share that gets the item at a position."""
        number, place = divmod(position, self._block)
        sums = list(accumulate(self._full if number < self._num_full else self._last))
        return bisect_right(sums, _order(sums[-1], number)[place])


def rows_by_share(weights: Sequence[float], plan: Plan) -> list[int]:
    """The rows of each share of a plan of a given number of rows, or of a shard of it; those of a large shard in proportion."""
    quotas, members = Quotas(weights, len(plan)), members_of(plan)
    if len(members) == len(plan):
        counts = quotas.counts
    elif len(members) > _MOST_COUNTED:
        counts = largest_remainder(weights, len(members))
    else:
        found = Counter(map(quotas.share_of, members))
        counts = [found[share] for share in range(len(weights))]
    rows = [number * plan[len(plan) - 1].most_rows for number in counts]
    for end in map(plan.__getitem__, plan.ends):
        rows[quotas.share_of(end.position)] -= end.most_rows - end.num_rows
    return rows


def largest_remainder(weights: Sequence[float], total: int) -> list[int]:
    """`total` divided in proportion to the weights: each quota rounded down, and what is left to the largest remainders."""
    parts = _whole(weights)
    quotas = [divmod(total * part, sum(parts)) for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda number: -quotas[number][1])
    left = total - sum(whole for whole, _ in quotas)
    return [whole + (number in by_remainder[:left]) for number, (whole, _) in enumerate(quotas)]


def _whole(weights: Sequence[float]) -> list[int]:
    """The smallest whole numbers in these proportions; a weight counts as it is written."""
    fractions = [Fraction(repr(weight)) for weight in weights]
    scale = math.lcm(*(fraction.denominator for fraction in fractions))
    numbers = [int(fraction * scale) for fraction in fractions]
    common = math.gcd(*numbers)
    return [number // common for number in numbers]


@lru_cache(maxsize=64)
def _order(size: int, block: int) -> Permutation:
    return Permutation(size, digest("shares", str(size), str(block)))
