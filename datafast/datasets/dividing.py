"""Splits whose near-duplicates are found as the stage `near_duplicates` finds them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict, Unpack

from datafast.export.splits import Splitting

__all__ = ["SplitArguments", "splitting"]


class SplitArguments(TypedDict, total=False):
    """What may be said about splits; see `Splitting`. None stands for the default."""

    train_size: float | None
    validation_size: float | None
    seed: int | None
    shuffle: bool | None
    stratify: str | Sequence[str] | None
    group: str | Sequence[str] | None
    stable: bool


def splitting(**arguments: Unpack[SplitArguments]) -> Splitting:
    """What splits are asked for."""
    given: dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
    return Splitting(**given, find_groups=_near_duplicates)


def _near_duplicates(rows: Iterable[Mapping[str, Any]], about: Collection[str]) -> Sequence[int]:
    from datafast.quality.near_groups import near_duplicate_groups

    numbers: list[int] = near_duplicate_groups(rows, about=about).first.tolist()
    return numbers
