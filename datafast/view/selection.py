"""The rows that a table shows: all of them, or some, in the order of the file or another one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "place_of", "selected"]

Rows = NDArray[np.uint32]


def selected(
    rows: int,
    *,
    chosen: NDArray[np.bool_] | None = None,
    found: Rows | None = None,
    order: Rows | None = None,
) -> Rows | None:
    """The numbers of rows in the order in which they are shown; None for all, in the order of the file.

    Args:
        rows: how many there are.
        chosen: which of the first ones are wanted; those after them are not known, and left out.
        found: the numbers of those that are wanted, growing.
        order: all numbers in another order; rows that are not among them come after them.
    """
    if order is not None and len(order) < rows:
        order = np.concatenate((order, np.arange(len(order), rows, dtype=np.uint32)))
    if chosen is None and found is None:
        return order
    wanted = np.zeros(rows, bool)
    if found is None:
        wanted[:] = True
    else:
        wanted[found[found < rows]] = True
    if chosen is not None:
        known = min(len(chosen), rows)
        wanted[:known] &= chosen[:known]
        wanted[known:] = False
    if order is None:
        return np.flatnonzero(wanted).astype(np.uint32)
    order = order[order < rows]
    return order[wanted[order]]


def place_of(row: int, numbers: Rows | None, *, is_sorted: bool) -> int | None:
    """Where a row stands among those that are shown. Where they come in the order of the file, that of the next one, if it is not shown
    itself; it may be behind the last one."""
    if numbers is None:
        return row
    if not is_sorted:
        return int(np.searchsorted(numbers, row))
    found = np.flatnonzero(numbers == row)
    return int(found[0]) if len(found) else None
