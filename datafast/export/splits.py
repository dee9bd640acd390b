"""How rows are shared out to the splits `train`, `validation` and `test`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from datafast.errors import ConfigError

__all__ = ["Splitting"]


@dataclass(frozen=True, slots=True)
class Splitting:
    """What splits are asked for.

    Args:
        train_size: share of the rows, between 0 and 1, that goes to `train`, rounded down.
        validation_size: the same of `validation`. What the two leave is `test`; if they are 1 together, there is no `test`, and rows
            that rounding leaves over are `validation`. Without train_size, what it leaves is `train`. Without both, all rows are `train`.
        seed: of the order, and so of the splits. None is 0.
        shuffle: order rows by a hash of seed and uuid, which is the same whatever order they were written in. False: the order of the
            file.

    Raises:
        ConfigError: an argument is not as it must be; names it.
    """

    train_size: float | None = None
    validation_size: float | None = None
    seed: int | None = 0
    shuffle: bool = True

    def __post_init__(self) -> None:
        for name in ("train_size", "validation_size"):
            _check_share(name, getattr(self, name))
        if self.seed is None:
            object.__setattr__(self, "seed", 0)
        elif isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise _unexpected("seed", self.seed, "a whole number")
        if not isinstance(self.shuffle, bool):
            raise _unexpected("shuffle", self.shuffle, "True or False")
        if sum(self._given.values()) > 1:
            raise ConfigError(
                f"train_size={self.train_size} and validation_size={self.validation_size} are more than 1 together. Make one of them "
                "smaller; what they leave is the test split.",
                key="validation_size",
            )

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


def _check_share(name: str, share: object) -> None:
    if share is None:
        return
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise _unexpected(name, share, "a number between 0 and 1, like 0.8")
    if not 0 < share < 1:
        raise ConfigError(
            f"{name}={share} is not between 0 and 1 (both excluded), for example 0.8. Leave it out to have no such split.",
            key=name,
        )


def _unexpected(name: str, given: object, expected: str) -> ConfigError:
    return ConfigError(f"{name}: expected {expected}, got {given!r} ({type(given).__name__}).", key=name)
