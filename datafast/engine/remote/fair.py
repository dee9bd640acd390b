"""Dividing something scarce among those who want some of it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["fair"]


def fair(total: int, wants: Sequence[int]) -> list[int]:
    """Max-min fair parts of `total` in whole numbers: nobody gets more than it wants, and nobody could get more unless one with no more
    than that got less. What is left over of equal parts goes to the first who want it."""
    parts = [0] * len(wants)
    left = total
    rising = sorted(range(len(wants)), key=wants.__getitem__)
    for place, one in enumerate(rising):
        parts[one] = min(wants[one], left // (len(wants) - place))
        left -= parts[one]
    for one, want in enumerate(wants):
        if not left:
            break
        if parts[one] < want:
            parts[one] += 1
            left -= 1
    return parts
