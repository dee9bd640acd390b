"""Groups of rows that go to one split as a whole.

Without strata the split that is filled first is as near to its size as whole groups allow: the sums that groups can have are bits of a
number, from which it is read how many groups of each size are taken. So sizes of groups occur in each split about as often as in all
rows. With strata groups are given out one after the other, the largest first, to the split that lacks most of such rows.

Cost: for groups of d different sizes (at most 1,414 in a million rows) d numbers of twice as many bits as the smaller splits have rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datafast._util.mixed import mixed
from datafast.export.splits.keys import ALONE

__all__ = ["Groups", "balanced", "filled"]

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows in groups.

    Attributes:
        of_row: the number of each row's group.
        keys: of each group a hash, which does not depend on the order of the rows.
        can_merge: whether groups can become one when rows are added.
    """

    of_row: Numbers
    keys: Keys
    can_merge: bool

    @classmethod
    def of(cls, ranks: Keys, fields: Sequence[Keys], clusters: Numbers | None) -> Groups:
        """Those of rows that share a value in any of the fields, or a cluster.

        Args:
            ranks: of each row.
            fields: for each field a hash of each row's value, or ALONE.
            clusters: of each row a number that rows of one cluster share.
        """
        # A row alone has its rank as its value: by chance one in 10**13 of a million rows shares it with a group.
        parts = [np.where(hashes == ALONE, ranks, hashes) for hashes in fields]
        if len(parts) == 1 and clusters is None:
            keys, of_row = np.unique(parts[0], return_inverse=True)
            return cls(of_row, keys, can_merge=False)
        codes = [
            np.unique(part, return_inverse=True)[1] for part in [*parts, *([] if clusters is None else [clusters])]
        ]
        _, of_row = np.unique(_joined(codes, len(ranks)), return_inverse=True)
        keys = np.full(of_row.max() + 1, np.iinfo(np.uint64).max, np.uint64)
        np.minimum.at(keys, of_row, ranks)
        return cls(of_row, keys, can_merge=True)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def sizes(self) -> Numbers:
        """The rows of each group."""
        return np.bincount(self.of_row, minlength=len(self))


def _joined(parts: Sequence[Numbers], count: int) -> Numbers:
    """For each row the first one that it is connected with by rows that share a code in any of the parts."""
    first = np.arange(count)
    while True:
        before = first
        for codes in parts:
            least = np.full(codes.max() + 1, count)
            np.minimum.at(least, codes, first)
            first = least[codes]
        first = first[first]
        if np.array_equal(first, before):
            return first


def filled(groups: Groups, order: Numbers, sizes: Sequence[int]) -> Numbers:
    """The split of each group, where there are no strata.

    Args:
        order: the groups in the order in which those of one size are taken.
        sizes: the rows that each split should have; there are as many groups at least.
    """
    rows = groups.sizes
    split = np.full(len(groups), -1)
    *first, last = sorted(range(len(sizes)), key=lambda number: sizes[number])
    for left, number in zip(range(len(first), 0, -1), first, strict=True):
        keys = mixed(groups.keys + np.uint64(number))  # so that what one split has left is not what the next one leaves
        free = order[split[order] < 0]
        taken = _taken(free, rows[free], keys[free], sizes[number])
        if len(free) - len(taken) < left:  # each of the others gets one of the largest groups
            free = free[np.argsort(rows[free], kind="stable")][:-left]
            taken = _taken(free, rows[free], keys[free], sizes[number])
        split[taken] = number
    split[split < 0] = last
    return split


def _taken(groups: Numbers, rows: Numbers, keys: Keys, target: int) -> Numbers:
    """Groups, one at least, that have together as nearly as possible so many rows."""
    by_size: dict[int, Numbers] = {}
    for size in np.unique(rows)[::-1].tolist():
        by_size[size] = np.flatnonzero(rows == size)
    counts = {size: len(found) for size, found in by_size.items()}
    chance = {size: int(keys[found[0]]) / 2**64 for size, found in by_size.items()}
    take = _counts(counts, target, chance)
    taken: Numbers = groups[np.concatenate([found[: take[size]] for size, found in by_size.items()])]
    return taken


def _counts(counts: Mapping[int, int], target: int, chance: Mapping[int, float]) -> dict[int, int]:
    """How many groups of each size, so that their rows are nearest to a target, and one at least.

    Args:
        counts: how many there are of each size, the largest size first.
        chance: where to round between 0 and 1.
    """
    sums = _sums(counts, limit=max(min(2 * target, target + max(counts)), min(counts)))
    left = _nearest(sums[0], target)
    take: dict[int, int] = {}
    total = sum(size * count for size, count in counts.items())
    for (size, count), rest in zip(counts.items(), sums[1:], strict=True):
        reachable = rest.to_bytes(rest.bit_length() // 8 + 1, "little")
        wanted = int(count * left / total + chance[size]) if total else 0
        most = min(count, left // size)
        options = sorted(range(max(0, wanted - 1), min(most, wanted + 1) + 1), key=lambda number: abs(number - wanted))
        fitting = (n for n in [*options, *range(most + 1)] if _has(reachable, left - n * size))
        take[size] = next(fitting)
        left -= take[size] * size
        total -= count * size
    return take


def _sums(counts: Mapping[int, int], limit: int) -> list[int]:
    """The sums up to a limit that groups can have, as bits: of all sizes, of all but the first, and so on to those of none."""
    mask = (1 << limit + 1) - 1
    sums = [1]
    for size, count in [*counts.items()][::-1]:
        found, left, step = sums[-1], min(count, limit // size), 1
        while left:
            step = min(step, left)
            found |= found << step * size & mask
            left -= step
            step *= 2
        sums.append(found)
    return sums[::-1]


def _nearest(sums: int, target: int) -> int:
    """The sum nearest to a target, but for 0; the lower one of two."""
    below = (sums & (1 << target + 1) - 1).bit_length() - 1
    above = sums >> target + 1
    higher = target + (above & -above).bit_length() if above else 0
    return higher if higher and (not below or higher - target < target - below) else below


def _has(bits: bytes, number: int) -> bool:
    return 0 <= number < len(bits) * 8 and bool(bits[number >> 3] >> (number & 7) & 1)


def balanced(groups: Groups, strata: Numbers, wanted: Numbers) -> Numbers:
    """The split of each group, where there are strata.

    Args:
        strata: the number of each row's stratum.
        wanted: the rows of each stratum that each split should have.
    """
    num_strata, num_splits = wanted.shape
    codes, counts = np.unique(groups.of_row * num_strata + strata, return_counts=True)
    of_pair = codes // num_strata
    starts = np.searchsorted(of_pair, np.arange(len(groups) + 1)).tolist()
    sizes = groups.sizes
    # What a stratum lacks counts as a share of its rows, so that rare ones weigh as much; all rows together are one stratum more.
    lacking = (np.vstack([wanted, wanted.sum(axis=0)]) / np.append(wanted.sum(axis=1), len(strata))[:, None]).tolist()
    weights = (1 / np.append(wanted.sum(axis=1), len(strata))).tolist()
    of_pair_strata, pair_counts = (codes % num_strata).tolist(), counts.tolist()
    split = np.empty(len(groups), np.int64)
    empty = set(range(num_splits))
    for left, group in zip(range(len(groups), 0, -1), np.lexsort((groups.keys, -sizes)).tolist(), strict=True):
        places = range(starts[group], starts[group + 1])
        parts = [*((of_pair_strata[place], pair_counts[place]) for place in places), (num_strata, int(sizes[group]))]
        choice = empty if left <= len(empty) else range(num_splits)
        best = max(choice, key=lambda number: sum(count * lacking[stratum][number] for stratum, count in parts))
        split[group] = best
        empty.discard(best)
        for stratum, count in parts:
            lacking[stratum][best] -= count * weights[stratum]
    return split
