"""Which new shard each recorded item goes into."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from datafast.plan.members import Members
from datafast.plan.sharded import block_of, is_by_blocks, shard_numbers
from datafast.store.reader import LedgerReader
from datafast.store.records import ItemState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from datafast.plan.items import Plan

__all__ = ["Placement", "places_in_new_plan", "shards_of_items"]

_AT_ONCE = 1 << 16


class Placement:
    """How a plan is divided.

    Args:
        of: into how many shards.

    Attributes:
        by_keys: whether by keys; otherwise by blocks of positions.
    """

    def __init__(self, plan: Plan, of: int) -> None:
        import numpy as np

        self._size = len(plan)
        self._of = of
        self.by_keys = not is_by_blocks(plan)
        kind = np.uint16 if of < 2**16 else np.uint32
        self._numbers: NDArray[np.uint16 | np.uint32] | None = None
        if self.by_keys:
            found = [numbers.astype(kind) for numbers in shard_numbers(plan, of)]
            self._numbers = np.concatenate(found) if found else np.zeros(0, kind)

    def members(self, number: int) -> Sequence[int]:
        """The positions that a shard has."""
        import numpy as np

        if self._numbers is None:
            return block_of(self._size, number, self._of)
        return Members(np.packbits(self._numbers == number, bitorder="little").tobytes())

    def shard_of(self, position: int) -> int:
        """The number of the shard of the item at a position."""
        if self._numbers is not None:
            return int(self._numbers[position])
        return ((position + 1) * self._of - 1) // self._size + 1


def shards_of_items(
    ledger: Path, of: int, shard_of: Callable[[int], int], moved: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The number of the new shard of each item of a ledger, by its id; 0 where there is none of this id.

    Args:
        of: how many shards there are to be.
        shard_of: gives that of the item at a position. Items that the plan does not have go by their keys.
        moved: the positions of the items in a new plan, by their ids; None where they are those that the ledger says.
    """
    import numpy as np

    with LedgerReader(ledger) as reader:
        found = np.zeros(reader.max_id("items") + 1, np.int64)
        for item_id, key, position, state in reader.identities():
            is_in_plan = state != ItemState.STALE
            if moved is not None:
                position = int(moved[item_id])
                is_in_plan = position >= 0
            by_key = (int.from_bytes(key[:8], "big") * of >> 64) + 1
            found[item_id] = shard_of(position) if is_in_plan else by_key
    return found


def places_in_new_plan(plan: Plan, ledgers: Sequence[Path]) -> list[NDArray[np.int64]]:
    """The positions in a plan of the items of each ledger, by their ids; -1 where it does not have them. Goes through all its keys."""
    import numpy as np

    found: list[NDArray[np.int64]] = []
    keys, of_ledger, of_item = bytearray(), array("i"), array("q")
    for number, path in enumerate(ledgers):
        with LedgerReader(path) as reader:
            found.append(np.full(reader.max_id("items") + 1, -1, np.int64))
            for item_id, key, *_ in reader.identities():
                keys += key
                of_ledger.append(number)
                of_item.append(item_id)
    if not keys:
        return found
    own = np.frombuffer(keys, ">u8").reshape(-1, 2)
    order = np.lexsort((own[:, 1], own[:, 0]))
    first, second = own[order, 0].astype(np.uint64), own[order, 1]
    sources, ids = np.asarray(of_ledger)[order], np.asarray(of_item)[order]
    for same in (plan, *plan.former):
        start, rest = 0, iter(same.keys())
        while some := list(islice(rest, _AT_ONCE)):
            theirs = np.frombuffer(b"".join(some), ">u8").reshape(-1, 2)
            at = np.minimum(np.searchsorted(first, theirs[:, 0].astype(np.uint64)), len(first) - 1)
            is_same = (first[at] == theirs[:, 0]) & (second[at] == theirs[:, 1])
            for place in np.flatnonzero(is_same).tolist():
                of_source = found[int(sources[at[place]])]
                if of_source[int(ids[at[place]])] < 0:
                    of_source[int(ids[at[place]])] = start + place
            start += len(some)
    return found
