"""Where the items of a ledger are in a plan, found by their keys; those that an earlier version has begun by their former keys.

Cost: the keys of the plan are gone through once, 1 µs each, and once more with former keys only if the ledger may have items of that
version and some were not found yet. Memory: the keys of the ledger while they are looked for; then 4 bytes an item. What was found
for telling what a config changes serves the run too, unless another run was there in between.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from datafast._util.bitmap import PositionSet
from datafast.errors import ConfigError
from datafast.plan.items import Plan
from datafast.store.ledger import Ledger
from datafast.store.records import ItemsMark

__all__ = ["Located", "locate"]

_WALK_LIMIT = 50_000_000
_MOST_IDS = 2**28


@dataclass(frozen=True, slots=True)
class Located:
    """The positions of items in a plan.

    Attributes:
        plan: the fingerprint of the plan.
        mark: what the ledger said of its items before their keys were read.
        positions: by the id of the item; -1 where the plan does not have it.
        absent: the ids of the items that the plan does not have.
    """

    plan: bytes
    mark: ItemsMark
    positions: array[int]
    absent: array[int]

    def holds(self, ledger: Ledger, plan: Plan) -> bool:
        """Whether it is so for this ledger, as it is now, and this plan."""
        return self.plan == plan.fingerprint and self.mark.opening is not None and self.mark == ledger.items_mark()

    def position_of(self, item_id: int) -> int | None:
        """The position of an item; None if the plan does not have it, or the item is newer than this."""
        position = self.positions[item_id] if item_id < len(self.positions) else -1
        return position if position >= 0 else None

    def items_at(self, positions: Collection[int]) -> Iterator[int]:
        """The ids of the items at these positions."""
        chosen = frozenset(positions)
        return (item_id for item_id, position in enumerate(self.positions) if position in chosen)


def locate(ledger: Ledger, plan: Plan, former: Sequence[Plan]) -> Located:
    """Looks for each item of a ledger in a plan, and in the plans with the keys of earlier versions.

    Raises:
        ConfigError: the plan is too large for that.
    """
    mark = ledger.items_mark()
    ids = ledger.ids_by_key()
    if ids and len(plan) > _WALK_LIMIT:
        raise ConfigError(
            f"The config has changed since this output was begun, and its plan of {len(plan):,} items is too large to be "
            f"compared with it. Choose another --output, or start over with --fresh."
        )
    newest = max(ids.values(), default=0)
    if newest > _MOST_IDS:
        raise ledger.unreadable(sqlite3.DatabaseError("the numbers of its items are damaged"))
    positions = array("i", [-1]) * (newest + 1)
    for position, item_id in _found(plan, former, ids):
        positions[item_id] = position
    return Located(plan.fingerprint, mark, positions, array("q", ids.values()))


def _found(plan: Plan, former: Sequence[Plan], left: dict[bytes, int]) -> Iterator[tuple[int, int]]:
    """The position of each key that is found, with its value in `left`, from which it is removed."""
    taken = PositionSet() if former else None
    for position, key in enumerate(plan.keys() if left else ()):
        found = left.pop(key, None)
        if found is not None:
            if taken is not None:
                taken.add(position)
            yield position, found
            if not left:
                return
    for same in former:
        for position, key in enumerate(same.keys() if left else ()):
            if key in left and taken is not None and position not in taken:
                taken.add(position)
                yield position, left.pop(key)
