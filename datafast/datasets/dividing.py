"""Splits whose near-duplicates are found as the stage `near_duplicates` finds them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from datafast.export.splits import Splitting

__all__ = ["splitting"]


def splitting(
    train_size: float | None = None,
    validation_size: float | None = None,
    seed: int | None = None,
    *,
    shuffle: bool = True,
    stratify: str | Sequence[str] | None = None,
    group: str | Sequence[str] | None = None,
    stable: bool = False,
) -> Splitting:
    """What splits are asked for; see `Splitting`."""
    return Splitting(train_size, validation_size, seed, shuffle, stratify, group, stable, _near_duplicates)


def _near_duplicates(rows: Iterable[Mapping[str, Any]], about: Collection[str]) -> Sequence[int]:
    from datafast.quality.near_groups import near_duplicate_groups

    numbers: list[int] = near_duplicate_groups(rows, about=about).first.tolist()
    return numbers
