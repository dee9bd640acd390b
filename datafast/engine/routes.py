"""Lanes: who works on which items of the plan.

all       every prompt goes to every provider: the plan has one lane for each, interleaved
split     every prompt goes to one provider, chosen by a weighted hash of the item, so changed weights move few items
fallback  every prompt goes to the first provider that can answer it
roles     one set of providers, one for each role of the kind
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.settings import FanOut
from datafast.plan.items import Plan, digest

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["Lane", "deal", "identities", "labels_of", "lane_identities", "pick_weighted", "providers_of", "share_out"]


@dataclass(slots=True, eq=False)
class Lane:
    """A share of the plan and who answers it.

    Attributes:
        answerers: each is one endpoint for every role, or one for each role; the first that works is asked, the next one
            where it fails or has stopped.
        weight: its share when items are split.
        width: items worked on at once, apart from those that wait without a slot.
        positions: the items that are left to do.
    """

    answerers: Sequence[Mapping[str, Endpoint] | Endpoint]
    label: str
    weight: float = 1.0
    width: int = 0
    positions: Iterator[int] = field(default_factory=lambda: iter(()))
    workers: int = 0
    waiting: int = 0
    ended: bool = False
    _all_endpoints: list[Endpoint] | None = None

    @property
    def only_endpoint(self) -> Endpoint | None:
        """The endpoint of a lane that has just one; None for roles and fallbacks, which their gates alone hold."""
        first = self.answerers[0]
        return first if len(self.answerers) == 1 and isinstance(first, Endpoint) else None

    @property
    def cap(self) -> int | None:
        endpoint = self.only_endpoint
        return endpoint.provider.max_concurrency if endpoint else None

    @property
    def endpoints(self) -> list[Endpoint]:
        return [endpoint for answerer in self.answerers for endpoint in _endpoints(answerer)]

    @property
    def working(self) -> Sequence[Mapping[str, Endpoint] | Endpoint]:
        """The answerers that have not stopped. With roles, one stopped role stops all: no item could be finished."""
        if self._all_endpoints is None:
            self._all_endpoints = self.endpoints
        for endpoint in self._all_endpoints:
            if endpoint.stopped:
                return [a for a in self.answerers if not any(endpoint.stopped for endpoint in _endpoints(a))]
        return self.answerers


def _endpoints(answerer: Mapping[str, Endpoint] | Endpoint) -> list[Endpoint]:
    return [answerer] if isinstance(answerer, Endpoint) else list(answerer.values())


def deal(lanes: Sequence[Lane], plan: Plan, positions: Iterable[int] | None, *, skip: Callable[[int], bool]) -> None:
    """Gives each lane its items, lazily.

    Args:
        positions: the items to work on, None for the whole plan.
        skip: tells items that need nothing.
    """
    if plan.num_lanes == len(lanes):
        for number, lane in enumerate(lanes):
            own = range(number, len(plan), plan.num_lanes) if positions is None else _of_lane(positions, plan, number)
            lane.positions = (position for position in own if not skip(position))
        return
    everything = range(len(plan)) if positions is None else positions
    table = _Table(lanes, plan, (position for position in everything if not skip(position)))
    for number, lane in enumerate(lanes):
        lane.positions = table.take(number)


def _of_lane(positions: Iterable[int], plan: Plan, number: int) -> list[int]:
    return [position for position in positions if position % plan.num_lanes == number]


class _Table:
    """Deals the items of a plan with one cursor to several lanes: each item goes to the lane that its content chooses."""

    def __init__(self, lanes: Sequence[Lane], plan: Plan, positions: Iterator[int]) -> None:
        self._names = identities([lane.endpoints[0].provider for lane in lanes])
        self._weights = [lane.weight for lane in lanes]
        self._plan = plan
        self._positions = positions
        self._dealt: list[deque[int]] = [deque() for _ in lanes]

    def take(self, number: int) -> Iterator[int]:
        while True:
            if self._dealt[number]:
                yield self._dealt[number].popleft()
                continue
            position = next(self._positions, None)
            if position is None:
                return
            key = self._plan[position].key
            self._dealt[pick_weighted(key, self._names, self._weights)].append(position)


def pick_weighted(key: bytes, names: Sequence[str], weights: Sequence[float]) -> int:
    """The place of the name that a key chooses, with chances in proportion to the weights.

    Weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): when weights change or names come and go, only those keys
    move that have to.
    """
    best, chosen = -math.inf, 0
    for number, (name, weight) in enumerate(zip(names, weights, strict=True)):
        drawn = int.from_bytes(digest(key, name)[:8], "little")
        score = -weight / math.log((drawn + 0.5) / 2**64)
        if score > best:
            best, chosen = score, number
    return chosen


def share_out(lanes: Sequence[Lane], total: int) -> None:
    """Divides the run's concurrency among the lanes that still work, each up to its provider's own cap."""
    working = sorted((lane for lane in lanes if not lane.ended), key=lambda lane: lane.cap or total)
    free = total
    for number, lane in enumerate(working):
        share = max(1, free // (len(working) - number))
        lane.width = min(share, lane.cap or share)
        free = max(0, free - lane.width)
        if lane.only_endpoint is not None:
            lane.only_endpoint.gate.set_limit(lane.width)


def identities(providers: Sequence[object]) -> list[str]:
    """The identity of each provider in a fan-out: equal ones are numbered. Any object will do where only counts matter."""
    seen: Counter[str] = Counter()
    result = []
    for provider in providers:
        plain = str(getattr(provider, "identity", type(provider).__qualname__))
        seen[plain] += 1
        result.append(plain if seen[plain] == 1 else f"{plain}#{seen[plain]}")
    return result


def lane_identities(lanes: Sequence[object], *, fan_out: FanOut) -> list[str]:
    """The identities of the plan's lanes: who answers, where that is part of what an item is."""
    if fan_out != "all":
        return [fan_out]
    plain = [lane for lane in lanes if not isinstance(lane, Mapping)]
    numbered = iter(identities(plain))
    return [_roles_identity(lane) if isinstance(lane, Mapping) else next(numbered) for lane in lanes]


def _roles_identity(roles: Mapping[str, object]) -> str:
    return "\n".join(f"{role}={identities([roles[role]])[0]}" for role in sorted(roles))


def providers_of(lanes: Sequence[LLMProvider | Mapping[str, LLMProvider]]) -> list[LLMProvider]:
    """Every provider of some lanes once, in their order."""
    found: dict[int, LLMProvider] = {}
    for lane in lanes:
        for provider in lane.values() if isinstance(lane, Mapping) else (lane,):
            found.setdefault(id(provider), provider)
    return list(found.values())


def labels_of(providers: Sequence[LLMProvider]) -> dict[int, str]:
    """How users see each provider, by its `id`: its name or `provider/model_id`, numbered where two would look alike."""
    seen: Counter[str] = Counter()
    labels = {}
    for provider in providers:
        plain = provider.name or provider.label
        seen[plain] += 1
        labels[id(provider)] = plain if seen[plain] == 1 else f"{plain}#{seen[plain]}"
    return labels
