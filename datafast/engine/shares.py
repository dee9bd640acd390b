"""Shares: which provider works on which items of the plan.

all       every prompt goes to every provider: the plan has a route for each, and each route is a share
split     every prompt goes to one provider, chosen by a weighted hash of the item, so that changed weights move few items; in a
          plan of a given number of rows each provider gets exactly its part of them
fallback  every prompt goes to the first provider that can answer it
roles     one set of providers, one for each role of the kind
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from datafast._util.bitmap import PositionSet
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.quotas import Quotas
from datafast.engine.routes import Route, identities, label_of
from datafast.plan.items import Plan, digest
from datafast.plan.members import Members, OnRoute, members_of, on_route

__all__ = ["Share", "deal", "pick_weighted", "share_out", "up"]


@dataclass(slots=True, eq=False)
class Share:
    """A share of the plan, and who answers it.

    Attributes:
        routes: the first is asked; the next one while the first is paused, and if it fails the item or has stopped.
        weight: its weight when items are split.
        width: items in work at once, without those that wait without a slot.
        chosen: the width that somebody has set while the run goes on; None for its part of the run's concurrency.
        positions: the positions of its remaining items.
        again: positions of items that waited for a batch; they come before the others.
        held: whether no new item is begun, because others wait for room in the budget, or for what becomes of their provider.
        on_wait: called with +1 and -1 around the wait of an item without a slot.
    """

    routes: Sequence[Route[Endpoint]]
    weight: float = 1.0
    width: int = 0
    chosen: int | None = None
    positions: Iterator[int] = field(default_factory=lambda: iter(()))
    on_wait: Callable[[int], None] = lambda change: None
    workers: int = 0
    waiting: int = 0
    ended: bool = False
    held: bool = False
    again: deque[Iterator[int]] = field(default_factory=deque)
    label: str = field(init=False)
    endpoints: list[Endpoint] = field(init=False)

    def __post_init__(self) -> None:
        self.label = " or ".join(label_of(route) for route in self.routes)
        self.endpoints = [endpoint for route in self.routes for endpoint in route.members]

    def next_position(self) -> int | None:
        """The next of its items; None where there is none now."""
        while self.again:
            position = next(self.again[0], None)
            if position is not None:
                return position
            self.again.popleft()
        return None if self.held else next(self.positions, None)

    @property
    def only_endpoint(self) -> Endpoint | None:
        """The endpoint of a share with only one; None for roles, also further ones, and fallbacks, which only their gates limit."""
        return self.routes[0].sole if len(self.routes) == 1 and not self.routes[0].further else None

    @property
    def cap(self) -> int | None:
        endpoint = self.only_endpoint
        return endpoint.gate.most if endpoint else None

    @property
    def working(self) -> Sequence[Route[Endpoint]]:
        """The routes that have not stopped. With roles, one stopped role stops all, because no item could be finished."""
        for endpoint in self.endpoints:
            if endpoint.stopped:
                return [route for route in self.routes if not any(member.stopped for member in route.members)]
        return self.routes


def up(routes: Iterable[Route[Endpoint]]) -> Route[Endpoint] | None:
    """The first of these routes none of whose providers is paused or has stopped."""

    def is_up(route: Route[Endpoint]) -> bool:
        return not any(member.stopped or member.breaker.is_down for member in route.members)

    return next(filter(is_up, routes), None)


def deal(
    shares: Sequence[Share],
    plan: Plan,
    positions: Iterable[int] | None,
    *,
    taken: Sequence[PositionSet] = (),
    last: Collection[int] = (),
) -> None:
    """Gives each share its items, lazily.

    Args:
        positions: the items to work on; None for all of the plan, or of its shard.
        taken: the positions of items that need nothing, one or two sets.
        last: items that come after all others.
    """
    routes = plan.num_routes
    if routes == len(shares):
        for number, share in enumerate(shares):
            own = (
                on_route(members_of(plan), number, routes) if positions is None else _of_share(positions, plan, number)
            )
            share.positions = _needed(own, taken, last)
        return
    everything = members_of(plan) if positions is None else positions
    table = _Table(shares, plan, _needed(everything, taken, last))
    for number, share in enumerate(shares):
        share.positions = table.take(number)


def _needed(positions: Iterable[int], taken: Sequence[PositionSet], last: Collection[int]) -> Iterator[int]:
    if isinstance(positions, range) and taken:
        needed = taken[0].free(positions, also=taken[1] if len(taken) > 1 else None)
    elif isinstance(positions, Members | OnRoute):
        needed = positions.but(taken)
    else:
        needed = (position for position in positions if not any(position in done for done in taken))
    return _behind(needed, last) if last else needed


def _behind(positions: Iterable[int], last: Collection[int]) -> Iterator[int]:
    """These positions, those of `last` behind the others."""
    put_off = []
    for position in positions:
        if position in last:
            put_off.append(position)
        else:
            yield position
    yield from put_off


def _of_share(positions: Iterable[int], plan: Plan, number: int) -> list[int]:
    return [position for position in positions if position % plan.num_routes == number]


class _Table:
    """Distributes the items of a plan to several shares, by the content of each; exactly if the plan has a given number of rows."""

    def __init__(self, shares: Sequence[Share], plan: Plan, positions: Iterator[int]) -> None:
        self._names = identities([share.endpoints[0].provider for share in shares])
        self._weights = [share.weight for share in shares]
        self._plan = plan
        self._positions = positions
        self._quotas = None if plan.radices else Quotas(self._weights, len(plan))
        self._dealt: list[deque[int]] = [deque() for _ in shares]

    def take(self, number: int) -> Iterator[int]:
        while True:
            if self._dealt[number]:
                yield self._dealt[number].popleft()
                continue
            position = next(self._positions, None)
            if position is None:
                return
            self._dealt[self._share_of(position)].append(position)

    def _share_of(self, position: int) -> int:
        if self._quotas is not None:
            return self._quotas.share_of(position)
        return pick_weighted(self._plan[position].key, self._names, self._weights)


def pick_weighted(key: bytes, names: Sequence[str], weights: Sequence[float]) -> int:
    """The number of the name that a key chooses, with probabilities in proportion to the weights.

    Weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): when weights or names change, only those keys
    move that have to.
    """
    best, chosen = -math.inf, 0
    for number, (name, weight) in enumerate(zip(names, weights, strict=True)):
        drawn = int.from_bytes(digest(key, name)[:8], "little")
        score = -weight / math.log((drawn + 0.5) / 2**64)
        if score > best:
            best, chosen = score, number
    return chosen


def share_out(shares: Sequence[Share], total: int) -> None:
    """Divides the run's concurrency among shares, each up to its provider's own limit. Those with a chosen width have it first."""
    working = sorted(shares, key=lambda share: (share.chosen is None, share.cap or total))
    free = total
    for number, share in enumerate(working):
        width = max(1, free // (len(working) - number))
        share.width = share.chosen or min(width, share.cap or width)
        free = max(0, free - share.width)
        if share.only_endpoint is not None:
            share.only_endpoint.gate.set_limit(share.width)
