"""A shard of a plan: the same plan, of whose items a run works on some.

Which shard an item is in follows from its key: keys are divided into as many equal ranges as there are shards. So an item stays in its
shard when the config changes around it, and shards need not know of each other. The keys are those of the oldest edition that the plan
has, which no upgrade changes. Plans of more than 10**8 items are divided into blocks of consecutive positions instead; there, a changed
config moves items from shard to shard.

Cost: by keys, one pass over them (a million a second and more; of plans of a given number of rows whose
prompts are drawn for each base combination, or are paired with personas or seed texts, 60,000), and a bit for each item.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from datafast.plan.grid import GridPlan
from datafast.plan.items import Counted, Plan, WorkItem, digest
from datafast.plan.members import Members, count_by_route

if TYPE_CHECKING:
    from datafast.plan.dimensions import Dimension
    from datafast.plan.pairing import Pairing

__all__ = ["BLOCKS_ABOVE", "ShardPlan", "block_of", "is_by_blocks", "members_by_keys", "placing", "shard_numbers"]

BLOCKS_ABOVE = 10**8
_AT_ONCE = 1 << 16


def is_by_blocks(plan: Plan) -> bool:
    """Whether shards of a plan are blocks of positions, because its keys are too many to be gone through."""
    return len(plan) > BLOCKS_ABOVE


def block_of(size: int, number: int, of: int) -> range:
    """The positions of a shard, of a plan of so many items that is divided into blocks."""
    return range(size * (number - 1) // of, size * number // of)


def shard_numbers(plan: Plan, of: int) -> Iterator[Any]:
    """The number, from 1, of the shard of each item by its key, in plan order, as arrays of up to 65,536."""
    import numpy as np

    keys = placing(plan).keys()
    while some := list(islice(keys, _AT_ONCE)):
        first = np.frombuffer(b"".join(some), ">u8")[::2].astype(np.uint64)
        high, low = first >> np.uint64(32), first & np.uint64(0xFFFFFFFF)
        count = np.uint64(of)
        # floor(first * of / 2**64) in two steps, since the product has up to 81 bits.
        yield (((high * count + (low * count >> np.uint64(32))) >> np.uint64(32)) + np.uint64(1)).astype(np.int64)


def placing(plan: Plan) -> Plan:
    """The plan in the edition whose keys say in which shard an item is."""
    former = plan.former
    return former[-1] if former else plan


def members_by_keys(plan: Plan, number: int, of: int) -> Members:
    """The positions of the items of a shard. Goes through all keys."""
    import numpy as np

    bits = [np.packbits(numbers == number, bitorder="little").tobytes() for numbers in shard_numbers(plan, of)]
    return Members(b"".join(bits))


class ShardPlan:
    """The items of a plan that a shard has. Positions, items and routes are those of the whole plan; so is its length.

    Args:
        whole: the plan.
        number: which shard, from 1; `of`: how many there are.
        members: the positions of its items, rising.
    """

    def __init__(self, whole: Plan, number: int, of: int, members: Sequence[int]) -> None:
        self.whole = whole
        self.number = number
        self.of = of
        self.members = members
        self.counted: Counted = whole.counted

    @property
    def num_routes(self) -> int:
        return self.whole.num_routes

    @property
    def radices(self) -> Sequence[int]:
        return self.whole.radices

    @cached_property
    def fingerprint(self) -> bytes:
        return digest(self.whole.fingerprint, "shard", f"{self.number}/{self.of}")

    @property
    def key_version(self) -> str:
        return self.whole.key_version

    @cached_property
    def former(self) -> Sequence[Plan]:
        return [ShardPlan(former, self.number, self.of, self.members) for former in self.whole.former]

    @cached_property
    def ends(self) -> Collection[int]:
        return frozenset(end for end in self.whole.ends if end in self.members)

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, position: int) -> WorkItem:
        return self.whole[position]

    def keys(self) -> Iterator[bytes]:
        """All keys in plan order; no bytes for items of other shards."""
        members = self.members
        return (key if position in members else b"" for position, key in enumerate(self.whole.keys()))

    def draw_at(self, position: int) -> int:
        return self.whole.draw_at(position)

    # -- its size

    @property
    def num_items(self) -> int:
        return len(self.members)

    @property
    def num_rows(self) -> int:
        return sum(self._rows)

    def num_items_of(self, route: int) -> int:
        """Number of items on a route."""
        return count_by_route(self.members, self.num_routes)[route]

    def num_rows_of(self, route: int) -> int:
        """Number of rows on a route."""
        return self._rows[route]

    @cached_property
    def _rows(self) -> list[int]:
        """The rows of each route."""
        if isinstance(self.whole, GridPlan):
            return self.whole.rows_by_route(self.members)
        rows = [0] * self.num_routes
        for position in self.members:
            rows[position % self.num_routes] += self.whole[position].num_rows
        return rows

    # -- what is told of it

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        told: tuple[Dimension, ...] = self._told.dimensions
        return told

    @property
    def pairings(self) -> tuple[Pairing, ...]:
        told: tuple[Pairing, ...] = self._told.pairings
        return told

    @property
    def num_variants(self) -> int:
        told: int = self._told.num_variants
        return told

    @property
    def _told(self) -> Any:
        return self.whole  # a `GridPlan` or one with further draws, where it is asked for
