"""The contents of many drawn items at once, for what goes through all keys of a plan: shards, and looking for items in a changed plan.

Method: draws are computed a block at a time, as arrays. In a block, equal base combinations and equal variants are found by number, and
each is digested once; what is left for each item are two digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from datafast.plan.dimensions import Dimension
from datafast.plan.items import hashed
from datafast.plan.lattice import MOST
from datafast.plan.maker import ItemMaker

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Bulk", "contents_in_bulk", "numbered"]

_BLOCK = 1 << 16


class Bulk(NamedTuple):
    """Many draws.

    Attributes:
        places: for each dimension, the place in it.
        variants: a number for each draw, the same for equal variants; None where there are too many for that.
    """

    places: Sequence[NDArray[Any]]
    variants: NDArray[Any] | None


def numbered(columns: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    """A number for each row of some columns of whole numbers from 0, the same for equal rows; None where there are too many for that."""
    import numpy as np

    numbers, size = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        radix = int(column.max()) + 1
        size *= radix
        if size >= MOST:
            return None
        numbers = numbers * radix + column
    return numbers


def contents_in_bulk(
    draw: Callable[[NDArray[Any]], Bulk],
    asked_at: Callable[[int], bytes],
    maker: ItemMaker,
    dimensions: Sequence[Dimension],
    num_items: int,
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The contents and the states of the items of a drawn plan, block by block, where prompts are paired with nothing.

    Args:
        draw: gives many draws.
        asked_at: what the variant of a draw adds to its base.
    """
    import numpy as np

    for start in range(0, num_items, _BLOCK):
        positions = np.arange(start, min(start + _BLOCK, num_items))
        found = draw(positions)
        places = [positions if one.period else column for one, column in zip(dimensions, found.places, strict=True)]
        first, of_bases = _distinct(numbered(places) if places else positions * 0, len(positions))
        bases = [_base(maker, dimensions, [int(column[at]) for column in places]) for at in first]
        first, of_variants = _distinct(found.variants, len(positions))
        asked = [asked_at(start + at) for at in first]
        digests, states = [base for base, _ in bases], [state for _, state in bases]
        pairs = zip(of_bases, of_variants, strict=True)
        yield [hashed(digests[base] + asked[variant]) for base, variant in pairs], [states[base] for base in of_bases]


def _distinct(numbers: NDArray[Any] | None, size: int) -> tuple[list[int], list[int]]:
    """Where each distinct number stands first, and for each number which of them it is."""
    import numpy as np

    if numbers is None:
        return list(range(size)), list(range(size))
    _, first, which = np.unique(numbers, return_index=True, return_inverse=True)
    return first.tolist(), which.tolist()


def _base(maker: ItemMaker, dimensions: Sequence[Dimension], places: Sequence[int]) -> tuple[bytes, bytes]:
    """The digest of the base combination with values at these places, and its state."""
    parts = state = b""
    for dimension, place in zip(dimensions, places, strict=True):
        parts += dimension.digests[place]
        if dimension.states is not None:
            state += dimension.states[place]
    return maker.base_of(parts), state
