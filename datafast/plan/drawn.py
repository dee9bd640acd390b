"""A plan of a given number of rows, drawn from all combinations and spread evenly over every dimension.

The draw follows `datafast.plan.lattice`, so any beginning of it is spread evenly, and the plan for fewer rows is the beginning of
that for more. What is drawn from depends on the strategy of the expansion:

    combinatorial   all combinations; placeholders and templates are axes like the dimensions
    random          the endless draws of each base combination, as `datafast.plan.strategies` has them; only the base combinations
                    and the routes are spread evenly
    coverage        the covering prompts of each base combination

No combination comes twice before all have come; then they come again, under the next repeat numbers. A template that has
fewer combinations than others takes turns with them until it has no more.

Cost: an item takes some 20 microseconds, whatever the number of combinations. Keys are made in bulk, a microsecond or two each, where all
combinations are drawn from (`datafast.plan.bulk`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from datafast.plan.bulk import Bulk, contents_in_bulk, numbered
from datafast.plan.dimensions import Dimension
from datafast.plan.expansion import Expansion, Variant
from datafast.plan.grid import GridPlan
from datafast.plan.items import WorkItem, digest, hashed
from datafast.plan.lattice import MOST, Lattice, modulo
from datafast.plan.maker import Base
from datafast.plan.strategies import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Draw", "DrawnPlan", "draw_of"]

_FEW = 1000  # for which numpy need not be loaded


class DrawnPlan(GridPlan):
    """A plan for exactly `num_rows` rows; see the module.

    Each item asks for `rows_per_item` rows, the last one for what is left. Its key does not say so: if the plan grows, the last item
    grows with it.

    Args:
        dimensions: at most one of them has a `period`.
        **parts: see `GridPlan`.
    """

    def __init__(
        self, kind: str, dimensions: Sequence[Dimension], *, num_rows: int, seed: int = 0, **parts: Any
    ) -> None:
        self._num_rows = num_rows
        self._seed = seed
        super().__init__(kind, dimensions, seed=seed, **parts)
        self._draw = draw_of(self.dimensions, self._expansion, self.num_routes, seed=seed)

    @property
    def radices(self) -> tuple[int, ...]:
        """None, because every beginning of the plan is spread evenly."""
        return ()

    @property
    def num_items(self) -> int:
        return -(-self._num_rows // self._rows_per_item)

    @property
    def num_rows(self) -> int:
        return self._num_rows

    def num_rows_of(self, route: int) -> int:
        rows = self.num_items_of(route) * self._rows_per_item
        cut_off = self.num_items * self._rows_per_item - self._num_rows
        return rows - (cut_off if (self.num_items - 1) % self.num_routes == route else 0)

    def rows_by_route(self, members: Sequence[int]) -> list[int]:
        rows = super().rows_by_route(members)
        for end in self.ends:
            if end in members:
                rows[end % self.num_routes] -= self._rows_per_item - self._rows_at(end)
        return rows

    @cached_property
    def fingerprint(self) -> bytes:
        return digest(super().fingerprint, str(self._seed), str(self._num_rows))

    def __getitem__(self, position: int) -> WorkItem:
        if not 0 <= position < self.num_items:
            raise IndexError(position)
        base, variant = self._at(position)
        route, number = position % self.num_routes, self.draw_at(position)
        return self._maker.item(position, base, variant, route, self._rows_at(position), number)

    def keys(self) -> Iterator[bytes]:
        """All keys in plan order."""
        shape, routes, position = self._maker.shape, self._maker.routes, 0
        for contents, states in self._made_contents():
            turns = islice(cycle(routes), position % len(routes), None)
            for content, state, route in zip(contents, states, turns, strict=False):
                yield hashed(content + shape + state + route)
            position += len(contents)

    def contents(self) -> Iterator[bytes]:
        for contents, _ in self._made_contents():
            yield from contents

    def _made_contents(self) -> Iterator[tuple[Sequence[bytes], Sequence[bytes]]]:
        """The contents and the states of the items, some at a time."""
        maker = self._maker
        if self._goes_in_bulk:
            yield from contents_in_bulk(self._draw.many, self._asked_at, maker, self.dimensions, self.num_items)
            return
        for position in range(self.num_items):
            (base, parts, state, _), variant = self._at(position)
            asked = maker.asked(variant)
            content = maker.content(base, asked)
            if maker.pairings:
                content, more_state, _ = maker.paired(content, parts, asked, self.draw_at(position))
                state += more_state
            yield (content,), (state,)

    @property
    def _goes_in_bulk(self) -> bool:
        """Whether the contents of many items are made at once, which takes a tenth of the time."""
        return self._draw.has_many and not self._maker.pairings and self.num_items > _FEW

    def _asked_at(self, position: int) -> bytes:
        """What the variant at a position adds to its base, where every base has the same variants."""
        return self._maker.asked(self._draw.variant(self._draw.at(position)[1], b""))

    def _rows_at(self, position: int) -> int:
        return min(self._rows_per_item, self._num_rows - position * self._rows_per_item)

    def draw_at(self, position: int) -> int:
        """The number of the draw whose item stands at a position."""
        return position

    def _at(self, position: int) -> tuple[Base, Variant]:
        places, which = self._draw.at(position)
        base = self._maker.base(
            [position if dimension.period else place for dimension, place in zip(self.dimensions, places, strict=True)]
        )
        return base, self._draw.variant(which, base[0])


class _Which(NamedTuple):
    """Which variant: its template with places in the lists of its names, or its number; and how often it has come before."""

    number: int
    places: Sequence[int]
    again: int


class Draw(Protocol):
    """An endless sequence of what items are made of.

    Attributes:
        has_many: whether every base combination has the same variants, and `many` gives draws in bulk.
    """

    @property
    def has_many(self) -> bool: ...
    def many(self, numbers: NDArray[Any]) -> Bulk:
        """Many draws at once."""

    def at(self, number: int) -> tuple[Sequence[int], _Which]:
        """The place in each dimension, and the variant, of draw `number`. The route is `number` modulo their number."""

    def variant(self, which: _Which, base: bytes) -> Variant: ...


def draw_of(
    dimensions: Sequence[Dimension],
    expansion: Expansion,
    routes: int,
    *,
    seed: int,
    sizes: Sequence[int] | None = None,
) -> Draw:
    """The draw from all combinations. `sizes`: how many values of each dimension it is from, if not from all."""
    bases = _Bases(dimensions, routes, sizes)
    if expansion.spec.strategy == "combinatorial":
        return _FromCombinations(bases, expansion.spaces, seed)
    return _FromPicks(bases, expansion, seed)


class _Bases:
    """The axes of base combinations in a lattice: the routes and a dimension with a period lead, the sizes of the others follow."""

    def __init__(self, dimensions: Sequence[Dimension], routes: int, sizes: Sequence[int] | None) -> None:
        self.leading = [routes, *(dimension.period for dimension in dimensions if dimension.period)]
        counts = [len(dimension) for dimension in dimensions] if sizes is None else sizes
        self.sizes = [1 if one.period else count for one, count in zip(dimensions, counts, strict=True)]
        self.endless = len(self.leading) > 1
        """Whether base combinations never come again, because one of the dimensions goes on."""


class _FromPicks:
    """Draws from the numbered variants of each base combination."""

    has_many = False

    def __init__(self, bases: _Bases, expansion: Expansion, seed: int) -> None:
        self._expansion = expansion
        self._bases = bases
        # A random variant is drawn anew for each base combination; its number spreads nothing.
        self._numbered = 1 if expansion.spec.strategy == "random" else expansion.size
        sizes = [*bases.leading, *bases.sizes, self._numbered]
        self._lattice = Lattice(sizes, seed=seed, leading=len(bases.leading), fixed=1)

    def at(self, number: int) -> tuple[Sequence[int], _Which]:
        again, index = divmod(number, self._lattice.size)
        *places, variant = self._lattice.digits(index)[len(self._bases.leading) :]
        return places, _Which(variant, (), 0 if self._bases.endless else again)

    def many(self, numbers: NDArray[Any]) -> Bulk:
        raise NotImplementedError("Each base combination has variants of its own.")

    def variant(self, which: _Which, base: bytes) -> Variant:
        return self._expansion.endless(which.again * self._numbered + which.number, base)


class _FromCombinations:
    """Draws from all combinations of base combinations, templates and values of placeholders.

    The templates and the names that all of them use are axes of the one lattice. The names that only some of them use have lattices of
    their own, which go on by one with each turn of the template.
    """

    def __init__(self, bases: _Bases, spaces: Sequence[Space], seed: int) -> None:
        self._bases = bases
        self._spaces = spaces
        self._routes = bases.leading[0]
        shared = [name for name in spaces[0].names if all(name in space.names for space in spaces)]
        sizes = dict(zip(spaces[0].names, spaces[0].sizes(distinct=False), strict=True))
        leading = [*bases.leading, len(spaces)]
        self._turn = len(leading) - 1
        self._lattice = Lattice(
            [*leading, *bases.sizes, *(sizes[name] for name in shared)], seed=seed, leading=len(leading), fixed=1
        )
        before = self._lattice.size // len(spaces)
        self._shared = {name: place for place, name in enumerate(shared)}
        self._own = [_own(space, shared, before=before, seed=seed) for space in spaces]
        self._rounds = [before * own.size for own in self._own]
        self._lay_out()
        self._block = lru_cache(maxsize=64)(self._block_of)

    def _lay_out(self) -> None:
        """Divides the rounds into segments with the same templates in each round."""
        self._starts: list[int] = []
        self._segments: list[tuple[int, frozenset[int]]] = []
        draws = done = 0
        for rounds in sorted(set(self._rounds)):
            taking_part = frozenset(number for number, own in enumerate(self._rounds) if own > done)
            self._starts.append(draws)
            self._segments.append((done, taking_part))
            draws += (rounds - done) * len(taking_part)
            done = rounds
        self._num_distinct = draws

    def at(self, number: int) -> tuple[Sequence[int], _Which]:
        again, index = divmod(number, self._num_distinct)
        segment = bisect_right(self._starts, index) - 1
        done, taking_part = self._segments[segment]
        index -= self._starts[segment]
        if len(taking_part) == len(self._spaces):
            place = index  # in the first rounds
        else:
            # In as many rounds as there are routes, each template comes once on each route.
            blocks, within = divmod(index, self._routes * len(taking_part))
            turn, route = divmod(within, self._routes)
            place = self._block(done // self._routes + blocks, taking_part, route)[turn]
        digits = self._lattice.digits(place % self._lattice.size)
        template = digits[self._turn]
        rest = digits[self._turn + 1 :]
        num_bases = len(self._bases.sizes)
        own = self._own[template].digits(place // len(self._spaces))
        places = self._in_order(template, rest[num_bases:], own)
        return rest[:num_bases], _Which(template, places, 0 if self._bases.endless else again)

    @property
    def has_many(self) -> bool:
        """Where all templates have as many combinations, so that they take turns throughout."""
        return len(self._segments) == 1

    def many(self, numbers: NDArray[Any]) -> Bulk:
        again, places = divmod(numbers, self._num_distinct) if self._num_distinct < MOST else (numbers * 0, numbers)
        digits = self._lattice.many(modulo(places, self._lattice.size))
        template, rest = digits[self._turn], digits[self._turn + 1 :]
        num_bases = len(self._bases.sizes)
        columns = [template, again * (not self._bases.endless), *rest[num_bases:]]
        for number, own in enumerate(self._own):
            own_digits = own.many(places // len(self._spaces))
            columns += [digit * (template == number) for digit in own_digits]
        return Bulk(rest[:num_bases], numbered(columns))

    def _block_of(self, number: int, taking_part: frozenset[int], route: int) -> list[int]:
        """The places of these templates on a route in one block of rounds, which has as many rounds as there are routes."""
        size = self._routes * len(self._spaces)
        places = range(number * size + route, (number + 1) * size, self._routes)
        return [
            place for place in places if self._lattice.digits(place % self._lattice.size)[self._turn] in taking_part
        ]

    def _in_order(self, template: int, shared: Sequence[int], own: Sequence[int]) -> list[int]:
        """The places in the lists of a template, in the order of its names."""
        known, rest = self._shared, iter(own)
        return [shared[known[name]] if name in known else next(rest) for name in self._spaces[template].names]

    def variant(self, which: _Which, base: bytes) -> Variant:
        return self._spaces[which.number].at(which.places, again=which.again)


def _own(space: Space, shared: Sequence[str], *, before: int, seed: int) -> Lattice:
    sizes = [size for name, size in zip(space.names, space.sizes(distinct=False), strict=True) if name not in shared]
    return Lattice(sizes, seed=seed, before=before, name=f"template {space.index}")
