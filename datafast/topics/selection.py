"""Which topic each row is about.

    sequential   the leaves from left to right, then from the beginning again
    shuffle      every leaf once in a seeded order, then all again in another one
    balanced     branches take turns: below every topic the counts of its children differ by at most one, for any number
                 of rows; which child comes first is seeded

Guarantee: the choice for a row depends only on the model, the seed and the row's number, so more rows do not change earlier ones.
Cost: a choice takes microseconds and no memory, for any number of paths.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from datafast._util.permutation import Permutation
from datafast.topics.model import TopicModel
from datafast.topics.nodes import TopicPath

__all__ = ["Pick", "Selection", "Strategy"]

Strategy = Literal["sequential", "shuffle", "balanced"]


class Pick(NamedTuple):
    """A path from the root to a leaf, and the number of earlier rows with the same path."""

    path: TopicPath
    repeat: int


class Selection:
    """The topics of rows 0, 1, 2 ... without an end."""

    def __init__(self, model: TopicModel, strategy: Strategy, *, seed: int) -> None:
        self._model = model
        self._strategy = strategy
        self._seed = seed
        self._orders: dict[int, Permutation] = {}

    def pick(self, row: int) -> Pick:
        """The topic of a row."""
        if self._strategy == "balanced":
            return self._balanced(row)
        cycle, index = divmod(row, self._model.num_leaves)
        if self._strategy == "shuffle":
            index = self._order(cycle, self._model.num_leaves)[index]
        return Pick(self._model.leaf_path(index), cycle)

    def _balanced(self, row: int) -> Pick:
        nodes = self._model.nodes
        number, path = 0, [nodes[0].topic]
        while children := nodes[number].children:
            row, turn = divmod(row, len(children))
            number = children[self._order(number, len(children))[turn]]
            path.append(nodes[number].topic)
        return Pick(tuple(path if path[0] else path[1:]), row)

    def _order(self, which: int, size: int) -> Permutation:
        known = self._orders.get(which)
        if known is None:
            if len(self._orders) > 100_000:
                self._orders.clear()
            known = self._orders[which] = Permutation(size, b"topics %d %d" % (self._seed, which))
        return known
