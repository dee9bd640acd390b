"""The splits of all rows of a file.

Guarantee: they depend on the seed and the rows alone, not on the order of their lines, as long as rows are shuffled and each has a uuid
of its own. No split is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datafast._util.mixed import mixed
from datafast.errors import ConfigError
from datafast.export.splits.groups import Groups, balanced, filled
from datafast.export.splits.record import NO_SPLIT, SplitRecord
from datafast.export.splits.strata import divided

if TYPE_CHECKING:
    from array import array

    from datafast.export.splits.keys import RowKeys
    from datafast.export.splits.splitting import Splitting

__all__ = ["Assignment", "assign"]

Labels = NDArray[np.uint8]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which rows are in which split.

    Attributes:
        rows: for each split the numbers of its rows, from 0, in order.
        held_out: the number of rows that are in no split, because they are in a group with rows of several.
        notes: what is not quite as it was asked for, in sentences.
    """

    rows: Mapping[str, Numbers]
    held_out: int
    notes: Sequence[str]

    @property
    def sizes(self) -> dict[str, int]:
        """The rows of each split."""
        return {name: len(rows) for name, rows in self.rows.items()}


def assign(
    keys: RowKeys, splitting: Splitting, *, clusters: Numbers | None = None, record: SplitRecord | None = None
) -> Assignment:
    """Gives each row to a split.

    Args:
        keys: of the rows.
        clusters: of each row a number that near-duplicates share; needed where they are kept together.
        record: where rows went before; it is added to. Only what is stable and has groups that can merge looks at it.

    Raises:
        ConfigError: there are too few rows or groups, or no row has a value in a field.
    """
    keys.check()
    ranks = _array(keys.ranks)
    order = np.argsort(ranks, kind="stable") if splitting.shuffle else np.arange(len(keys))
    groups = None
    if splitting.group:
        fields = [_array(hashes) for hashes in keys.groups.values()]
        groups = Groups.of(ranks, fields, clusters)
    notes: list[str] = []
    stable = splitting.stable
    labels = _stable(ranks, splitting, groups, record) if stable else _exact(keys, splitting, groups, order, notes)
    return _assignment(labels, order, splitting, notes)


def _exact(keys: RowKeys, splitting: Splitting, groups: Groups | None, order: Numbers, notes: list[str]) -> Labels:
    """The splits where sizes are exact, but for groups."""
    sizes = splitting.sizes(len(keys))
    asked = np.array([*sizes.values()])
    strata, wanted = _strata(keys, asked, notes) if splitting.stratify else (np.zeros(len(keys), np.int64), asked[None])
    if groups is None:
        return _in_order(order, strata, wanted)
    if len(groups) < len(sizes):
        raise ConfigError(
            f"group: The {len(keys):,} rows are {len(groups)} group{'s' * (len(groups) > 1)} by {', '.join(splitting.group)}, and "
            f"{' and '.join(sizes)} need one each. Group by another field, or ask for fewer splits.",
            key="group",
        )
    if splitting.stratify:
        of_group = balanced(groups, strata, wanted)
    else:
        of_group = filled(groups, _group_order(groups, order, shuffle=splitting.shuffle), [*sizes.values()])
    labels = of_group[groups.of_row].astype(np.uint8)
    found = np.bincount(labels, minlength=len(sizes))
    if (found != asked).any():
        notes.append(f"Groups are not divided, so sizes are as near as they allow: {_told(sizes, found)}.")
    return labels


def _told(asked: Mapping[str, int], found: Numbers) -> str:
    return "; ".join(
        f"{name} has {rows:,} rows ({wanted:,} were asked for)"
        for (name, wanted), rows in zip(asked.items(), found.tolist(), strict=True)
        if rows != wanted
    )


def _strata(keys: RowKeys, asked: Numbers, notes: list[str]) -> tuple[Numbers, Numbers]:
    """The number of each row's stratum, and how many of its rows are wanted in each split."""
    _, of_row, counts = np.unique(_array(keys.strata), return_inverse=True, return_counts=True)
    if few := int((counts < len(asked)).sum()):
        strata = "A stratum has" if few == 1 else f"{few:,} strata have"
        notes.append(f"{strata} fewer rows than there are splits, and so cannot be in each of them.")
    return of_row, divided(counts, asked)


def _in_order(order: Numbers, strata: Numbers, wanted: Numbers) -> Labels:
    """The first rows of each stratum are in the first split, and so on."""
    by_stratum = order[np.argsort(strata[order], kind="stable")]
    sizes = wanted.sum(axis=1)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    ends = np.cumsum(wanted, axis=1)[:, :-1]
    labels = np.empty(len(order), np.uint8)
    labels[by_stratum] = sum(place >= np.repeat(end, sizes) for end in ends.T) if ends.size else 0
    return labels


def _group_order(groups: Groups, order: Numbers, *, shuffle: bool) -> Numbers:
    """The groups by their hashes, or by their first rows."""
    if shuffle:
        return np.argsort(groups.keys, kind="stable")
    _, first = np.unique(groups.of_row[order], return_index=True)
    return np.argsort(first)


def _stable(
    ranks: NDArray[np.uint64], splitting: Splitting, groups: Groups | None, record: SplitRecord | None
) -> Labels:
    """The splits by hashes, and by what was decided before."""
    labels = _by_hash(ranks if groups is None else groups.keys, splitting)
    if groups is None:
        return labels
    by_group = labels[groups.of_row]
    if not groups.can_merge or record is None:
        return by_group
    known = record.splits_of(ranks)
    labels = np.where(known == NO_SPLIT, _joined_with(known, groups, by_group), known)
    record.add(ranks, labels)
    return labels


def _by_hash(keys: NDArray[np.uint64], splitting: Splitting) -> Labels:
    shares = [*splitting.shares.values()]
    ends = [int(sum(shares[: number + 1]) * 2**64) for number in range(len(shares) - 1)]
    return np.searchsorted(np.array(ends, np.uint64), mixed(keys), side="right").astype(np.uint8)


def _joined_with(known: Labels, groups: Groups, by_group: Labels) -> Labels:
    """For rows that are new: the split of the older rows of their group, NO_SPLIT where these are in several."""
    is_known = known != NO_SPLIT
    least = np.full(len(groups), NO_SPLIT, np.uint8)
    most = np.zeros(len(groups), np.uint8)
    np.minimum.at(least, groups.of_row[is_known], known[is_known])
    np.maximum.at(most, groups.of_row[is_known], known[is_known])
    least, most = least[groups.of_row], most[groups.of_row]
    return np.where(least == NO_SPLIT, by_group, np.where(least == most, least, NO_SPLIT)).astype(np.uint8)


def _assignment(labels: Labels, order: Numbers, splitting: Splitting, notes: list[str]) -> Assignment:
    in_order = labels[order]
    rows = {name: order[in_order == number] for number, name in enumerate(splitting.shares)}
    if splitting.stable:
        notes += _far(rows, len(labels), splitting)
    held_out = int((labels == NO_SPLIT).sum())
    if held_out:
        are, they = ("rows are", "they are") if held_out > 1 else ("row is", "it is")
        notes.append(f"{held_out:,} {are} in no split, because {they} in a group with older rows of several splits.")
    return Assignment(rows, held_out, notes)


def _far(rows: Mapping[str, Numbers], num_rows: int, splitting: Splitting) -> Iterator[str]:
    """What is to be told of sizes that nobody would call approximate. Raises ConfigError if a split is empty."""
    sizes = {name: len(found) for name, found in rows.items()}
    asked = {name: round(share * num_rows) for name, share in splitting.shares.items()}
    if 0 in sizes.values():
        empty = next(name for name, size in sizes.items() if not size)
        raise ConfigError(
            f"stable: None of {num_rows:,} rows is in the split {empty}, because a row's split depends on its hash alone. Generate more, "
            "make its share larger, or leave out stable.",
            key="stable",
        )
    if any(not asked[name] / 2 <= size <= asked[name] * 2 for name, size in sizes.items()):
        told = _told(asked, np.array([*sizes.values()]))
        yield f"Stable splits are far from their shares, by chance or because of large groups: {told}."


def _array(column: array[int]) -> NDArray[np.uint64]:
    return np.frombuffer(column, np.uint64) if len(column) else np.zeros(0, np.uint64)
