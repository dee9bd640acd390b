"""Shards with targets: each has draws of its own, and its positions count these. Here they are put together, or divided anew.

Memory: sixteen bytes for each draw of all shards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from datafast.errors import OutputError
from datafast.plan.draw_numbers import DrawNumbers, Held, part_of, together
from datafast.plan.members import members_of
from datafast.plan.stratified import StratifiedPlan
from datafast.store.shards import ShardName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from datafast.datasets.shard_ledgers import Shards
    from datafast.engine.targets import Targets

__all__ = ["DrawnShards"]

_STRATUM = 44  # bits below that of the number of a draw


class DrawnShards:
    """The draws of the shards of a folder.

    Attributes:
        targets: of the whole.
    """

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        dataset = shards.dataset
        self._whole = _stratified(dataset.whole_plan_for(shards.routes))
        assert dataset.targets is not None  # noqa: S101 - they are why there are draws
        self.targets: Targets = dataset.targets

    @cached_property
    def plans(self) -> list[StratifiedPlan]:
        """The plan of each shard that is there."""
        found = []
        for name in self._shards.folder.names:
            dataset: Any = self._shards.dataset
            dataset.shard = name
            found.append(_stratified(dataset.whole_plan_for(self._shards.routes)))
        return found

    @cached_property
    def _coded(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        return list(map(_coded, self.plans))

    @cached_property
    def _held(self) -> list[Held]:
        return together(plan.held for plan in self.plans)

    def merged(self) -> StratifiedPlan:
        """The plan of all of them in one, which goes on with the draws that none of them has."""
        return self._whole.grown([[0] * len(self._whole.strata)], DrawNumbers(held=self._held))

    def part(self, shard: ShardName) -> StratifiedPlan:
        """The plan of a shard of another division."""
        own = part_of(self._held, *shard)
        return self._whole.grown([[0] * len(self._whole.strata)], DrawNumbers(shard.number - 1, shard.of, own))

    def shard_of(self, source: int, of: int) -> Callable[[int], int]:
        """Which shard of another division the item at a position of a shard goes to, by the number of its draw."""
        plan = self.plans[source]
        return lambda position: plan.draw_at(position) // plan.num_routes % of + 1

    def position_in(self, plan: StratifiedPlan) -> Callable[[int], Callable[[int], int]]:
        """Given the number of a source: what gives the position in another plan of the item at a position of that."""
        import numpy as np

        positions, codes = _coded(plan)
        order = np.argsort(codes)
        positions, codes = positions[order], codes[order]

        def of_source(source: int) -> Callable[[int], int]:
            own, theirs = self._coded[source]
            table = np.full(len(self.plans[source]), -1, np.int64)
            at = np.minimum(np.searchsorted(codes, theirs), max(0, len(codes) - 1))
            is_there = codes[at] == theirs if len(codes) else np.zeros(len(theirs), bool)
            table[own[is_there]] = positions[at[is_there]]

            def position_of(position: int) -> int:
                found = int(table[position]) if 0 <= position < len(table) else -1
                if found < 0:
                    name = self._shards.folder.names[source]
                    raise OutputError(
                        f"Shard {name}: Its ledger has an item at position {position}, which its plan has not."
                    )
                return found

            return position_of

        return of_source


def _coded(plan: StratifiedPlan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of a plan, and a number for the draw at each, which says of which stratum it is too."""
    import numpy as np

    members: Sequence[int] = members_of(plan)
    stratum_at, draw_at = plan.layout.stratum_at, plan.draw_at
    codes = (stratum_at(position) << _STRATUM | draw_at(position) for position in members)
    return np.fromiter(members, np.int64, len(members)), np.fromiter(codes, np.int64, len(members))


def _stratified(plan: Any) -> StratifiedPlan:
    assert isinstance(plan, StratifiedPlan)  # noqa: S101 - with targets
    return plan
