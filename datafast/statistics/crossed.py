"""How many rows have each two values, from the rows alone: for files whose plan is not known, of which nobody can say what is missing.

Left out are pairs of fields of which one tells the other, like a label and its number, and fields with many values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

from datafast.statistics.entries import WRITTEN, Entries
from datafast.statistics.models import Value

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

__all__ = ["RowMatrix", "crossed_in"]

_MOST_VALUES = 24
_MOST_FIELDS = 12


class RowMatrix(Value):
    """How many rows of the file have each two values.

    Attributes:
        axes: the field whose values are `across`, and that whose values are `down`.
        rows: `rows[n][m]` have `down[n]` and `across[m]`.
    """

    axes: tuple[str, str]
    across: list[str]
    down: list[str]
    rows: list[list[int]]


def crossed_in(entries: Entries) -> Iterator[RowMatrix]:
    """The matrices of all pairs of fields that make groups, those with most combinations that no row has first."""
    import numpy as np

    written = np.frombuffer(entries.outcome, np.uint8) == WRITTEN if len(entries) else np.zeros(0, bool)
    axes = [
        (field.name, values, np.frombuffer(codes, np.int32)[written])
        for field, values, codes in zip(entries.fields, entries.values, entries.codes, strict=True)
        if 1 < len(values) <= _MOST_VALUES
    ]
    axes = sorted(axes, key=lambda axis: (len(axis[1]), axis[0]))[:_MOST_FIELDS]
    matrices = [found for one, other in combinations(axes, 2) if (found := _crossed(one, other)) is not None]
    yield from sorted(matrices, key=lambda matrix: -sum(row.count(0) for row in matrix.rows))


Axis: TypeAlias = "tuple[str, Sequence[str], Array]"


def _crossed(one: Axis, other: Axis) -> RowMatrix | None:
    """None where one value tells the other."""
    import numpy as np

    across, down = one[1], other[1]
    both = (one[2] >= 0) & (other[2] >= 0)
    codes = other[2][both].astype(np.int64) * len(across) + one[2][both]
    counts = np.bincount(codes, minlength=len(across) * len(down)).reshape(len(down), len(across))
    there = counts > 0
    if (there.sum(axis=0) <= 1).all() or (there.sum(axis=1) <= 1).all():
        return None
    columns, lines = _ranked(counts.sum(axis=0), across), _ranked(counts.sum(axis=1), down)
    return RowMatrix(
        axes=(one[0], other[0]),
        across=[across[place] for place in columns],
        down=[down[place] for place in lines],
        rows=counts[np.ix_(lines, columns)].tolist(),
    )


def _ranked(sums: Array, names: Sequence[str]) -> list[int]:
    """The places of values that rows have, the most frequent first."""
    return sorted((place for place in range(len(names)) if sums[place]), key=lambda place: (-sums[place], names[place]))
