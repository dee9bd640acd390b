"""A plan that grows by rounds, each of which draws so many rows of each stratum.

A stratum is what has certain values of dimensions or placeholders: a language, a class and a topic, a tone. It has a draw of its own
from everything that has these values, in the order of `datafast.plan.drawn`. So a stratum that lacks rows is drawn further, and
the others are left alone. Without strata there is one, of everything; its draw is that of `num_rows`.

Which numbers of a draw that are is said by `datafast.plan.draw_numbers`: all of them, unless the plan is a part of another one, or was put
together from parts.

Guarantees: a further round leaves the positions of the items before it as they are. Which item a draw is depends on its number alone, so
the same draws are made in whatever rounds. Within a round, strata take turns, and each is spread evenly over the routes.
Cost: besides that of `drawn`, ten bytes an item where there are several strata, and a second for a million items.
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from datafast.plan.dimensions import Dimension
from datafast.plan.draw_numbers import PLAIN, DrawNumbers, Held
from datafast.plan.drawn import Draw, DrawnPlan, draw_of
from datafast.plan.expansion import Expansion, Variant
from datafast.plan.grid import GridPlan
from datafast.plan.items import WorkItem, digest, shown_value
from datafast.plan.maker import Base
from datafast.plan.members import Members, count_by_route

__all__ = ["Layout", "StratifiedPlan", "fields_of", "label_of"]

_NOWHERE = 2**32
"""The turn of a position without an item, so that asking for it gives something that no output has."""
_MOST_VALUES = 10_000
"""Values of a dimension by which strata may be. There may be more documents than anybody would name."""


def label_of(field: str, value: object) -> str:
    """What a value of a dimension is called in targets: a code for languages, else its name."""
    return str(value[0]) if field == "language" and isinstance(value, tuple) else shown_value(value)


def fields_of(dimensions: Sequence[Dimension], placeholders: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """By what strata may be: the dimensions whose values have names, and placeholders; each with the values."""
    found = {
        dimension.called: list(dict.fromkeys(label_of(dimension.name, value) for value in dimension.values))
        for dimension in dimensions
        if not dimension.period and 0 < len(dimension) <= _MOST_VALUES and _is_named(dimension.values[0])
    }
    return found | {name: list(dict.fromkeys(values)) for name, values in placeholders.items() if name not in found}


def _is_named(value: object) -> bool:
    return isinstance(value, str | tuple) or isinstance(getattr(value, "name", None), str)


class _Stratum:
    """The draw of one stratum, and where its values stand in each dimension; None for all of them."""

    def __init__(
        self,
        chosen: Mapping[str, str],
        dimensions: Sequence[Dimension],
        expansion: Expansion,
        routes: int,
        *,
        seed: int,
    ) -> None:
        called = {dimension.called for dimension in dimensions}
        self.places = [_places(dimension, chosen.get(dimension.called)) for dimension in dimensions]
        sizes = [len(one) if own is None else len(own) for one, own in zip(dimensions, self.places, strict=True)]
        filled = expansion.with_values({name: value for name, value in chosen.items() if name not in called})
        self.draw: Draw = draw_of(dimensions, filled, routes, seed=seed, sizes=sizes)


def _places(dimension: Dimension, label: str | None) -> list[int] | None:
    if label is None:
        return None
    return [place for place, value in enumerate(dimension.values) if label_of(dimension.name, value) == label]


class Layout(NamedTuple):
    """Where the items of several rounds stand.

    Attributes:
        num_items: positions in all.
        rows: the rows of items that ask for fewer than the others, by position.
        strata: the stratum of each item; None where there is one, whose turns are in order.
        numbers: of each item, the number of the draw of its stratum; likewise.
        starts: the position of the first item of each round.
        holes: positions without an item: where the routes hold different numbers of draws.
        turns: of one stratum: the offset and the stride of its turns, and the number of routes.
    """

    num_items: int
    rows: Mapping[int, int]
    strata: array[int] | None
    numbers: array[int] | None
    starts: Sequence[int]
    holes: frozenset[int] = frozenset()
    turns: tuple[int, int, int] = (0, 1, 1)

    def stratum_at(self, position: int) -> int:
        return 0 if self.strata is None else self.strata[position]

    def number_at(self, position: int) -> int:
        if self.numbers is not None:
            return self.numbers[position]
        offset, stride, routes = self.turns
        turn, route = divmod(position, routes)
        return (turn * stride + offset) * routes + route


def lay_out(
    rounds: Sequence[Sequence[int]], *, strata: int, routes: int, rows_per_item: int, draws: DrawNumbers = PLAIN
) -> Layout:
    """Lays out rounds of so many rows of each stratum. What `draws` holds is the first of them."""
    if strata == 1 and not draws.held:
        return _in_order(rounds, routes=routes, rows_per_item=rows_per_item, draws=draws)
    of_items, numbers = array("H" if strata < 2**16 else "L"), array("Q")
    turns = [[draws.free(stratum, route) for route in range(routes)] for stratum in range(strata)]
    starts: list[int] = []
    rows: dict[int, int] = {}
    holes: frozenset[int] = frozenset()
    if draws.held:
        starts.append(0)
        holes = _lay_out_held(draws.held, of_items, numbers, rows, routes=routes)
    for wanted in rounds[len(starts) :]:
        size = len(of_items)
        starts.append(size)
        counts = [-(-number // rows_per_item) for number in wanted]
        last = [-1] * strata
        for position, stratum in enumerate(_in_turn(counts, first=size % routes, routes=routes), start=size):
            route = position % routes
            of_items.append(stratum)
            numbers.append(next(turns[stratum][route]) * routes + route)
            last[stratum] = position
        for stratum, number in enumerate(wanted):
            if rest := number % rows_per_item:
                rows[last[stratum]] = rest
    return Layout(len(of_items), rows, of_items, numbers, starts, holes)


def _in_order(rounds: Sequence[Sequence[int]], *, routes: int, rows_per_item: int, draws: DrawNumbers) -> Layout:
    """Those of one stratum, of which nothing is held."""
    starts: list[int] = []
    rows: dict[int, int] = {}
    size = 0
    for (wanted,) in rounds:
        starts.append(size)
        size += -(-wanted // rows_per_item)
        if rest := wanted % rows_per_item:
            rows[size - 1] = rest
    return Layout(size, rows, None, None, starts, turns=(draws.offset, draws.stride, routes))


def _lay_out_held(
    held: Sequence[Held], of_items: array[int], numbers: array[int], rows: dict[int, int], *, routes: int
) -> frozenset[int]:
    """Lays out what is held, evenly mixed on each route. Returns the positions that stay empty: some routes may hold more than others."""
    queues = []
    for route in range(routes):
        keyed = []
        for stratum, one in enumerate(held):
            own = one.count(route)
            keyed += [((number + 0.5) / own, stratum, turn) for number, turn in enumerate(one.on_route(route))]
        queues.append([(stratum, turn) for _, stratum, turn in sorted(keyed)])
    end = max((len(queue) - 1) * routes + route + 1 for route, queue in enumerate(queues)) if any(queues) else 0
    holes = []
    for position in range(end):
        place, route = divmod(position, routes)
        is_hole = place >= len(queues[route])
        stratum, turn = (0, _NOWHERE) if is_hole else queues[route][place]
        of_items.append(stratum)
        numbers.append(turn * routes + route)
        if is_hole:
            holes.append(position)
        elif (few := held[stratum].short.get((route, turn))) is not None:
            rows[position] = few
    return frozenset(holes)


def _in_turn(counts: Sequence[int], *, first: int, routes: int) -> Iterator[int]:
    """The strata of the items of a round: as many of each as it says, evenly mixed on each route.

    Args:
        first: the route of the first item.
    """
    total = sum(counts)
    queues = []
    for turn in range(routes):
        begin, keyed = 0, []
        for stratum, count in enumerate(counts):
            # One after the other, the items of a stratum would go round the routes; so many of them fall to this one.
            own = len(range(begin + (turn - begin) % routes, begin + count, routes))
            keyed += [((number + 0.5) / own, stratum) for number in range(own)]
            begin += count
        queues.append([stratum for _, stratum in sorted(keyed)])
    for number in range(total):
        yield queues[number % routes][number // routes]


class StratifiedPlan(DrawnPlan):
    """A plan of rounds; see the module.

    Args:
        strata: the values of each, by what they are called; none of a plan that has only one stratum.
        rounds: the rows of each stratum that each round draws; if `draws` holds some, these are the first round.
        draws: which numbers of its draws it has.
        **parts: see `DrawnPlan`.
    """

    def __init__(
        self,
        kind: str,
        dimensions: Sequence[Dimension],
        *,
        strata: Sequence[Mapping[str, str]],
        rounds: Sequence[Sequence[int]],
        routes: Sequence[str],
        rows_per_item: int = 1,
        draws: DrawNumbers = PLAIN,
        **parts: Any,
    ) -> None:
        self.strata = tuple(strata)
        self.draws = draws
        self._set_rounds(rounds, routes=len(routes), rows_per_item=rows_per_item)
        num_rows = sum(map(sum, self.rounds))
        super().__init__(kind, dimensions, num_rows=num_rows, routes=routes, rows_per_item=rows_per_item, **parts)
        self._of_strata = [
            _Stratum(chosen, self.dimensions, self._expansion, self.num_routes, seed=self._seed) for chosen in strata
        ]

    def _set_rounds(self, rounds: Sequence[Sequence[int]], *, routes: int, rows_per_item: int) -> None:
        self.rounds = tuple(tuple(wanted) for wanted in rounds)
        if self.draws.held:
            self.rounds = (tuple(held.num_rows(rows_per_item) for held in self.draws.held), *self.rounds[1:])
        self.layout = lay_out(
            self.rounds, strata=len(self.strata), routes=routes, rows_per_item=rows_per_item, draws=self.draws
        )

    def grown(self, rounds: Sequence[Sequence[int]], draws: DrawNumbers | None = None) -> StratifiedPlan:
        """The plan of these rounds. `draws`: with these numbers of its draws, if not with those that it has."""
        plan = copy.copy(self)
        for cached in ("fingerprint", "former", "members"):
            plan.__dict__.pop(cached, None)
        if draws is not None:
            plan.draws = draws
        plan._set_rounds(rounds, routes=self.num_routes, rows_per_item=self._rows_per_item)
        plan._num_rows = sum(map(sum, plan.rounds))
        return plan

    @property
    def num_items(self) -> int:
        return self.layout.num_items

    @cached_property
    def members(self) -> Sequence[int]:
        """The positions that have an item."""
        holes = self.layout.holes
        everything = range(self.num_items)
        return Members.of([position for position in everything if position not in holes]) if holes else everything

    @property
    def held(self) -> list[Held]:
        """All its draws, by stratum."""
        routes = self.num_routes
        turns: list[list[list[int]]] = [[[] for _ in range(routes)] for _ in self.strata]
        short: list[dict[tuple[int, int], int]] = [{} for _ in self.strata]
        for position in self.members:
            stratum, (turn, route) = self.layout.stratum_at(position), divmod(self.draw_at(position), routes)
            turns[stratum][route].append(turn)
            if (rows := self.layout.rows.get(position)) is not None:
                short[stratum][route, turn] = rows
        step = self.draws.step
        return [Held.of_turns(of_stratum, few, step=step) for of_stratum, few in zip(turns, short, strict=True)]

    @property
    def ends(self) -> Collection[int]:
        return self.layout.rows.keys()

    def num_items_of(self, route: int) -> int:
        return count_by_route(self.members, self.num_routes)[route]

    def num_rows_of(self, route: int) -> int:
        short = [position for position in self.ends if position % self.num_routes == route]
        cut_off = sum(self._rows_per_item - self.layout.rows[position] for position in short)
        return self.num_items_of(route) * self._rows_per_item - cut_off

    def __getitem__(self, position: int) -> WorkItem:
        item = super().__getitem__(position)
        item.draw = self.draw_at(position)
        return item

    def keys(self) -> Iterator[bytes]:
        """All keys in plan order; no bytes where there is no item."""
        holes = self.layout.holes
        return (
            (b"" if position in holes else key for position, key in enumerate(super().keys()))
            if holes
            else super().keys()
        )

    @cached_property
    def fingerprint(self) -> bytes:
        strata = [f"{name}={value}" for chosen in self.strata for name, value in (*chosen.items(), ("", ""))]
        draws = [] if self.draws.is_plain else [orjson.dumps(self.draws.to_plain())]
        return digest(super().fingerprint, *strata, *map(str, self.rounds), *draws)

    @cached_property
    def former(self) -> tuple[GridPlan, ...]:
        return tuple(plan.grown(self.rounds, self.draws) for plan in super().former if isinstance(plan, StratifiedPlan))

    @property
    def _goes_in_bulk(self) -> bool:
        return False  # each stratum has a draw of its own

    def _rows_at(self, position: int) -> int:
        return self.layout.rows.get(position, self._rows_per_item)

    def draw_at(self, position: int) -> int:
        return self.layout.number_at(position)

    def _at(self, position: int) -> tuple[Base, Variant]:
        stratum = self._of_strata[self.layout.stratum_at(position)]
        number = self.layout.number_at(position)
        drawn, which = stratum.draw.at(number)
        places = [
            number if dimension.period else place if own is None else own[place]
            for dimension, place, own in zip(self.dimensions, drawn, stratum.places, strict=True)
        ]
        base = self._maker.base(places)
        return base, stratum.draw.variant(which, base[0])
