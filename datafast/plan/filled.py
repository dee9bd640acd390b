"""A plan with further draws of some of its items: of combinations of values that have lost all their rows.

A further draw asks for the same with the same values, under a repeat number that no other item has, and so with keys of its own.
Of a plan in which each route has every prompt, a prompt is drawn again for all routes. In a plan of a given number of rows each prompt has
one route; there, further draws take the routes in turn, because the item at a position belongs to the route `position % num_routes`.

Guarantee: the other items keep their keys and routes, and further draws theirs, when the plan grows in any way that leaves the items that
they are drawn from. Where these leave, so do they.
Cost: as of the plan itself; a pass over its contents, one microsecond each, to find the items that are drawn from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from datafast.errors import ConfigError
from datafast.plan.dimensions import Dimension
from datafast.plan.grid import GridPlan
from datafast.plan.items import Plan, WorkItem, digest
from datafast.plan.pairing import Pairing
from datafast.plan.stratified import StratifiedPlan

__all__ = ["Fill", "FilledPlan", "filled"]

_AFTER_ALL = 2**32
"""Repeat numbers from here on are those of further draws."""


class Fill(NamedTuple):
    """A further draw: of the item with this content, for the so-manieth time, counted from 1."""

    content: bytes
    number: int


def filled(plan: Plan, fills: Sequence[Fill]) -> Plan:
    """A plan with further draws; those whose items it does not have are left out.

    Raises:
        ConfigError: the plan of this kind cannot be drawn from again.
    """
    if not fills or isinstance(plan, StratifiedPlan):  # this one draws further by itself
        return plan
    if not isinstance(plan, GridPlan):
        raise ConfigError("fill: The plan of this kind has no combinations of values that could be drawn again.")
    wanted = {fill.content for fill in fills}
    places: dict[bytes, int] = {}
    for position, content in enumerate(plan.contents()):
        if content in wanted and content not in places:
            places[content] = position
            if len(places) == len(wanted):
                break
    found = [(places[fill.content], fill.number) for fill in fills if fill.content in places]
    routes = plan.num_routes
    if plan.radices:
        found = [(position + route, number) for position, number in found for route in range(routes)]
    return FilledPlan(plan, found[: len(found) // routes * routes])


class FilledPlan:
    """A plan with further draws.

    Args:
        plan: without them.
        draws: the position in it of each item that is drawn from, and the number of the draw; as many for each route.
    """

    def __init__(self, plan: GridPlan, draws: Sequence[tuple[int, int]]) -> None:
        self.plan = plan
        self.draws = tuple(draws)
        self.counted = plan.counted
        # The last items of a plan that may grow stand behind, so that the draws keep their routes.
        self._start = len(plan) - len(plan) % plan.num_routes
        self._end = self._start + len(self.draws)

    @property
    def num_routes(self) -> int:
        return self.plan.num_routes

    @property
    def num_rows(self) -> int:
        return self.plan.num_rows + sum(self._rows)

    @cached_property
    def _rows(self) -> list[int]:
        return [self.plan[position].num_rows for position, _ in self.draws]

    @property
    def radices(self) -> Sequence[int]:
        return self.plan.radices

    @cached_property
    def fingerprint(self) -> bytes:
        return digest(self.plan.fingerprint, *(f"{position} {number}" for position, number in self.draws))

    @property
    def key_version(self) -> str:
        return self.plan.key_version

    @cached_property
    def former(self) -> Sequence[Plan]:
        return [FilledPlan(former, self.draws) for former in self.plan.former]

    @property
    def ends(self) -> Collection[int]:
        ends = set(self.plan.ends)
        drawn = (self._start + place for place, (position, _) in enumerate(self.draws) if position in ends)
        return {*(end if end < self._start else end + len(self.draws) for end in ends), *drawn}

    def __len__(self) -> int:
        return len(self.plan) + len(self.draws)

    def __getitem__(self, position: int) -> WorkItem:
        item = self.plan[self.source_of(position)]
        if position < self._start:
            return item
        if position >= self._end:
            return replace(item, position=position)
        return self._again(item, self.draws[position - self._start][1], position)

    def _again(self, item: WorkItem, number: int, position: int) -> WorkItem:
        route = position % self.num_routes
        return replace(
            item,
            position=position,
            route=route,
            content=digest(item.content, "again", str(number)),
            key=digest(item.key, "again", str(number), self.plan.routes[route]),
            variant=item.variant._replace(repeat=item.variant.repeat + number * _AFTER_ALL),
        )

    def draw_at(self, position: int) -> int:
        """The number of the draw of an item; further draws come after all others."""
        draw = self.plan.draw_at(self.source_of(position))
        is_again = self._start <= position < self._end
        return draw + self.draws[position - self._start][1] * _AFTER_ALL if is_again else draw

    def source_of(self, position: int) -> int:
        """The position, in the plan without further draws, of the item at a position, or of the one that it is drawn from."""
        if position < self._start:
            return position
        return position - len(self.draws) if position >= self._end else self.draws[position - self._start][0]

    def keys(self) -> Iterator[bytes]:
        """All keys in plan order."""
        keys = self.plan.keys()
        yield from islice(keys, self._start)
        for position in range(self._start, self._end):
            yield self[position].key
        yield from keys

    # -- what is told of it

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        return self.plan.dimensions

    @property
    def pairings(self) -> tuple[Pairing, ...]:
        return self.plan.pairings

    @property
    def num_variants(self) -> int:
        return self.plan.num_variants

    @property
    def num_items(self) -> int:
        return len(self)

    def num_items_of(self, route: int) -> int:
        """Number of items on a route."""
        return len(range(route, len(self), self.num_routes))

    def num_rows_of(self, route: int) -> int:
        """Number of rows on a route."""
        return self.plan.num_rows_of(route) + sum(self._rows[route :: self.num_routes])
