"""What splits are asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from datafast.errors import ConfigError

__all__ = ["NEAR_DUPLICATES", "SPLITS", "FindGroups", "Splitting"]

SPLITS = ("train", "validation", "test")

NEAR_DUPLICATES = "near_duplicates"

FindGroups = Callable[[Iterable[Mapping[str, Any]], Collection[str]], Sequence[int]]
"""Takes the rows of a file, and the fields that are about a row and no texts of it; gives for each row a number that near-duplicates
share."""


@dataclass(frozen=True, slots=True, init=False)
class Splitting:
    """How rows are shared out to the splits `train`, `validation` and `test`.

    Args:
        train_size: share of the rows, between 0 and 1, that goes to `train`, rounded down.
        validation_size: the same of `validation`. What the two leave is `test`; if they are 1 together, there is no `test`, and rows
            that rounding leaves over are `validation`. Without train_size, what it leaves is `train`. Without both, all rows are `train`.
        seed: of the order, and so of the splits. None is 0.
        shuffle: order rows by a hash of seed and uuid, which is the same whatever order they were written in. False: the order of the
            file.
        stratify: fields, keys of the metadata or parts of either, like `metadata.topic`. The rows with the same values in them are a
            stratum, and are divided as all rows are, within one row. Rows without a value are a stratum too.
        group: the same. Rows that share a value in one of these fields are in one split; a row without a value stands alone. With
            "near_duplicates" among them, this goes for rows that are nearly the same too. Sizes are as near as whole groups allow.
        stable: a row's split depends on a hash of the seed and its group, or its uuid, alone: rows that come later move none. Sizes are
            approximate.
        find_groups: finds near-duplicates.

    Raises:
        ConfigError: an argument is not as it must be; names it.
    """

    train_size: float | None
    validation_size: float | None
    seed: int
    shuffle: bool
    stratify: Sequence[str]
    group: Sequence[str]
    stable: bool
    find_groups: FindGroups | None = field(repr=False, compare=False)

    def __init__(
        self,
        train_size: float | None = None,
        validation_size: float | None = None,
        seed: int | None = 0,
        shuffle: bool = True,
        stratify: str | Sequence[str] | None = None,
        group: str | Sequence[str] | None = None,
        stable: bool = False,
        find_groups: FindGroups | None = None,
    ) -> None:
        checked = {
            "train_size": _share("train_size", train_size),
            "validation_size": _share("validation_size", validation_size),
            "seed": _whole("seed", 0 if seed is None else seed),
            "shuffle": _yes_or_no("shuffle", shuffle),
            "stratify": _fields("stratify", stratify),
            "group": _fields("group", group),
            "stable": _yes_or_no("stable", stable),
            "find_groups": find_groups,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_together()

    def _check_together(self) -> None:
        if sum(self._given.values()) > 1:
            raise ConfigError(
                f"train_size={self.train_size} and validation_size={self.validation_size} are more than 1 together. Make one of them "
                "smaller; what they leave is the test split.",
                key="validation_size",
            )
        for name in ("stratify", "group", "stable"):
            if getattr(self, name) and not self.is_asked:
                raise ConfigError(
                    f"{name}: It says how rows are divided, and there is only one split. Give train_size or validation_size too.",
                    key=name,
                )
        if self.stable and self.stratify:
            raise ConfigError(
                "stratify: With stable=True a row's split depends on its hash alone, so that strata cannot be divided exactly. Leave out "
                "one of the two.",
                key="stratify",
            )
        if NEAR_DUPLICATES in self.stratify:
            raise ConfigError(
                f"stratify: {NEAR_DUPLICATES!r} is no field. To keep near-duplicates in one split, use group={NEAR_DUPLICATES!r}.",
                key="stratify",
            )
        if shared := [name for name in self.stratify if name in self.group]:
            raise ConfigError(
                f"stratify: {shared[0]!r} is in group too. Rows with the same value are either in one split or shared out to all of them. "
                "Leave out one of the two.",
                key="stratify",
            )

    @property
    def group_fields(self) -> Sequence[str]:
        """The fields of `group`."""
        return [name for name in self.group if name != NEAR_DUPLICATES]

    @property
    def is_asked(self) -> bool:
        """Whether there is more than one split."""
        return bool(self._given)

    @property
    def _given(self) -> dict[str, Decimal]:
        # As decimals: 0.29 of 100 rows are 29, where binary floats give 28.
        given = {"train": self.train_size, "validation": self.validation_size}
        return {name: Decimal(repr(float(share))) for name, share in given.items() if share is not None}

    @property
    def shares(self) -> dict[str, Decimal]:
        """The share of each split, in their order; they are 1 together."""
        given = self._given
        rest = 1 - sum(given.values(), Decimal(0))
        shares = {
            "train": given.get("train", rest),
            "validation": given.get("validation", Decimal(0)),
            "test": rest if "train" in given else Decimal(0),
        }
        return {name: share for name, share in shares.items() if share}

    def sizes(self, num_rows: int) -> dict[str, int]:
        """The rows of each split of a dataset, in their order.

        What rounding down leaves over is in the split whose size was not given: the last one, or `train` without train_size. A split that
        is left without a row gets one of the largest split.

        Raises:
            ConfigError: there are fewer rows than splits.
        """
        shares = self.shares
        if num_rows < len(shares):
            given = " and ".join(f"{name}_size={getattr(self, f'{name}_size')}" for name in self._given)
            raise ConfigError(
                f"{given} of {num_rows} row{'s' * (num_rows != 1)}: {' and '.join(shares)} need at least {len(shares)} rows, one each. "
                "Generate more, or leave the sizes out for a single split."
            )
        sizes = {name: int(share * num_rows) for name, share in shares.items()}
        sizes["train" if self.train_size is None else [*sizes][-1]] += num_rows - sum(sizes.values())
        for name in [name for name, size in sizes.items() if not size]:
            sizes[max(sizes, key=lambda other: sizes[other])] -= 1
            sizes[name] = 1
        return sizes


def _share(name: str, share: object) -> float | None:
    if share is None:
        return None
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise _unexpected(name, share, "a number between 0 and 1, like 0.8")
    if not 0 < share < 1:
        raise ConfigError(
            f"{name}={share} is not between 0 and 1 (both excluded), for example 0.8. Leave it out to have no such split.",
            key=name,
        )
    return float(share)


def _whole(name: str, number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise _unexpected(name, number, "a whole number")
    return number


def _yes_or_no(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _unexpected(name, value, "True or False")
    return value


def _fields(name: str, given: object) -> Sequence[str]:
    fields = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(fields, list | tuple) or not all(isinstance(field, str) and field for field in fields):
        raise _unexpected(name, given, "the name of a field, or several")
    return tuple(dict.fromkeys(fields))


def _unexpected(name: str, given: object, expected: str) -> ConfigError:
    return ConfigError(f"{name}: expected {expected}, got {given!r} ({type(given).__name__}).", key=name)
