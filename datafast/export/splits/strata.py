"""Strata: each is divided as the whole is."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

__all__ = ["divided"]

Numbers = NDArray[np.int64]


def divided(strata: Numbers, sizes: Numbers) -> Numbers:
    """How many rows of each stratum go to each split.

    Each number is the exact share, rounded down or up, so that all rows of a stratum and all rows of a split are there (controlled
    rounding; Cox 1987). Of two splits, those strata are rounded up whose remainders are the largest. Of three, that is where it begins,
    and rows are then moved where the remainders differ least.

    Args:
        strata: the rows of each stratum, most important first where remainders are equal.
        sizes: the rows of each split, which are the same in total.
    """
    exact = strata[:, None] * sizes[None, :]
    down, rest = np.divmod(exact, sizes.sum())
    ranks = np.argsort(np.argsort(-rest, axis=1, kind="stable"), axis=1, kind="stable")
    up = ranks < (strata - down.sum(axis=1))[:, None]
    while (surplus := down.sum(axis=0) + up.sum(axis=0) - sizes).any():
        _move(up, rest, surplus)
    result: Numbers = down + up
    return result


def _move(up: NDArray[np.bool_], rest: Numbers, surplus: Numbers) -> None:
    """Moves rows from a split that has too many to one that has too few, directly or by way of a third one."""
    ends = list(product(np.flatnonzero(surplus > 0).tolist(), np.flatnonzero(surplus < 0).tolist()))
    others = range(len(surplus))
    paths = [*ends, *((a, by, b) for a, b in ends for by in others if by not in (a, b))]
    for path in paths:
        steps = [_strata(up, rest, a, b) for a, b in pairwise(path)]
        count = min(int(surplus[path[0]]), int(-surplus[path[-1]]), *map(len, steps))
        if count:
            for (a, b), strata in zip(pairwise(path), steps, strict=True):
                up[strata[:count], a], up[strata[:count], b] = False, True
            return
    raise AssertionError("there is always a way to round each share down or up")  # a flow with these bounds exists


def _strata(up: NDArray[np.bool_], rest: Numbers, a: int, b: int) -> Numbers:
    """The strata of which a row can move from one split to another, those first that lose least by it."""
    strata = np.flatnonzero(up[:, a] & ~up[:, b] & (rest[:, b] > 0))
    order: Numbers = strata[np.argsort(rest[strata, a] - rest[strata, b], kind="stable")]
    return order
