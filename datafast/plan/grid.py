"""What a run is going to do: a lazy, countable, indexable sequence of work items.

A plan is a mixed-radix index over (dimensions x prompt variants x routes). `plan[i]` and the length cost the same for any size;
items are built on demand. A route is one provider in a fan-out, or the one set of roles of a kind with roles. The same config and
seed give the same plan.

An item's key says what the item is, not its position. So a config may be reordered, or grow in any dimension, and nothing is paid
for twice.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from math import prod
from typing import Any

import orjson

from datafast._util.permutation import Permutation
from datafast.errors import ConfigError
from datafast.plan.defaults import Edition
from datafast.plan.dimensions import Computed, Dimension
from datafast.plan.expansion import Expansion, ExpansionSpec
from datafast.plan.items import Counted, Plan, WorkItem, digest, hashed
from datafast.plan.maker import ItemMaker
from datafast.plan.members import chunks_of, count_by_route, members_of
from datafast.plan.pairing import Pairing
from datafast.plan.template import Template

__all__ = ["Computed", "Dimension", "GridPlan", "spread"]

_SPREAD_ROUNDS = 4096
_KEYS_AT_ONCE = 4096
_NO_TEMPLATES = Expansion([Template.parse("", mandatory=())], ExpansionSpec(placeholders={}))


class GridPlan:
    """The plan of every kind whose items are a product of dimensions, prompt variants and routes.

    Args:
        kind: name of the dataset kind.
        dimensions: the axes, slowest first.
        expansion: the prompt variants, for each base combination (one value of each dimension); None if the kind has
            no templates to expand.
        routes: the identity of each route.
        rows_per_item: rows that each item asks for, unless a dimension says so; at most one may.
        shape: other parts of the config that change what an item asks for (system prompts, other roles' templates, ...).
        seed: the run's seed.
        edition: the edition of its keys.
        former: makes the plan in earlier editions, newest first.
        counted: which rows the `num_rows` of the config counts: all, or those of each combination.
        pairings: values that each prompt gets by a draw or in turn. They are no axes: they make the plan no longer.
    """

    def __init__(
        self,
        kind: str,
        dimensions: Sequence[Dimension],
        *,
        routes: Sequence[str],
        expansion: Expansion | None = None,
        rows_per_item: int = 1,
        shape: Sequence[str | bytes] = (),
        seed: int = 0,
        edition: Edition | None = None,
        former: Callable[[], Iterable[GridPlan]] = tuple,
        counted: Counted = "all",
        pairings: Sequence[Pairing] = (),
    ) -> None:
        self.counted = counted
        self._dimensions = tuple(dimensions)
        self._expansion = _NO_TEMPLATES if expansion is None else expansion
        self._counting = next((dimension for dimension in self._dimensions if dimension.rows is not None), None)
        self._rows_per_item = rows_per_item
        self._edition = edition or Edition()
        self._make_former = former
        self._maker = ItemMaker(
            kind,
            self._dimensions,
            self._expansion,
            routes=routes,
            # If a dimension has rows, its identities contain them.
            shape=digest("" if self._counting else str(rows_per_item), *shape),
            seed=seed,
            edition=self._edition,
            most_rows=rows_per_item,
            pairings=pairings,
        )
        self._num_routes = len(routes)
        if self.num_items > sys.maxsize:
            raise ConfigError(
                f"The plan has {self.num_items:,} items, more than can ever be sent. Give fewer values, "
                f"or set num_rows."
            )

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The axes, slowest first."""
        return self._dimensions

    @property
    def pairings(self) -> tuple[Pairing, ...]:
        """The values that each prompt gets besides."""
        return self._maker.pairings

    @property
    def num_routes(self) -> int:
        return self._num_routes

    @cached_property
    def radices(self) -> tuple[int, ...]:
        """Sizes of the axes, slowest first; the last one is the number of routes."""
        return (*(len(dimension) for dimension in self._dimensions), self._expansion.size, self.num_routes)

    @cached_property
    def num_items(self) -> int:
        """Number of items; unlike `len()`, not limited by the machine's word size."""
        items = 1
        for radix in self.radices:
            items *= radix
        return items

    @property
    def num_variants(self) -> int:
        """Prompts for each base combination."""
        return self._expansion.size

    @property
    def num_rows(self) -> int:
        counting = self._counting
        if counting is None or not len(counting):
            return self.num_items * self._rows_per_item
        return self.num_items // len(counting) * (counting.num_rows or 0)

    @property
    def ends(self) -> Collection[int]:
        """The positions of items that may ask for fewer rows than the others."""
        return (self.num_items - 1,) if self.num_items else ()

    @property
    def routes(self) -> Sequence[bytes]:
        """16 bytes for the identity of each route."""
        return self._maker.routes

    def num_items_of(self, route: int) -> int:
        """Number of items on a route."""
        return len(range(route, self.num_items, self.num_routes))

    def num_rows_of(self, route: int) -> int:
        """Number of rows on a route."""
        return self.num_rows // self.num_routes

    def rows_by_route(self, members: Sequence[int]) -> list[int]:
        """The rows of each route that the items at these positions ask for."""
        counting = self._counting
        if counting is None or counting.rows is None:
            return [count * self._rows_per_item for count in count_by_route(members, self._num_routes)]
        import numpy as np

        axis = self._dimensions.index(counting)
        step = prod(self.radices[axis + 1 :])
        of_value = np.array([counting.rows(value) for value in counting.values], np.int64)
        rows = np.zeros(self._num_routes, np.int64)
        for chunk in chunks_of(members):
            np.add.at(rows, chunk % self._num_routes, of_value[chunk // step % len(counting)])
        return [int(count) for count in rows]

    def _rows_of(self, values: Mapping[str, Any]) -> int:
        counting = self._counting
        if counting is None or counting.rows is None:
            return self._rows_per_item
        return counting.rows(values[counting.name])

    def __len__(self) -> int:
        return self.num_items

    @cached_property
    def fingerprint(self) -> bytes:
        """16 bytes that change whenever an item of the plan or its position may have changed."""
        return digest(
            self._maker.kind,
            self._maker.shape,
            orjson.dumps(asdict(self._expansion.spec)),
            *(template.digest for template in self._expansion.templates),
            *(dimension.fingerprint for dimension in self._dimensions),
            *self._maker.routes,
            *(pairing.fingerprint for pairing in self.pairings),
        )

    @property
    def key_version(self) -> str:
        return str(self._edition.version)

    @cached_property
    def former(self) -> tuple[GridPlan, ...]:
        different = {self._keyed: self}
        for plan in self._make_former():
            different.setdefault(plan._keyed, plan)
        return tuple(different.values())[1:]

    @property
    def _keyed(self) -> tuple[bytes, ...]:
        """The parts of keys that may differ between editions."""
        return self._maker.shape, *(template.digest for template in self._expansion.templates)

    def __getitem__(self, position: int) -> WorkItem:
        if not 0 <= position < self.num_items:
            raise IndexError(position)
        rest, route = divmod(position, self._num_routes)
        base_index, variant_index = divmod(rest, self._expansion.size)
        base = self._maker.base(self._places(base_index))
        variant = self._expansion.pick(variant_index, base[0])
        return self._maker.item(position, base, variant, route, self._rows_of(base[3]), rest)

    def draw_at(self, position: int) -> int:
        """How often the same was asked for before it."""
        return self._expansion.repeat_of(position // self._num_routes % self._expansion.size)

    def _places(self, index: int) -> list[int]:
        places: list[int] = []
        for size in self._sizes_fastest_first:
            index, place = divmod(index, size)
            places.append(place)
        return places[::-1]

    @cached_property
    def _sizes_fastest_first(self) -> list[int]:
        return [len(dimension) for dimension in reversed(self._dimensions)]

    def keys(self) -> Iterator[bytes]:
        """All keys in plan order, much cheaper than building the items."""
        fixed = self._fixed_variants()
        if fixed is None or self.pairings or any(dimension.states is not None for dimension in self._dimensions):
            return self._keys_by_prompt()
        return itertools.chain.from_iterable(self._keys_in_bulk(fixed))

    def _keys_by_prompt(self) -> Iterator[bytes]:
        routes = self._maker.routes
        for content, rest in self._contents():
            asked = content + rest
            for route in routes:
                yield hashed(asked + route)

    def _keys_in_bulk(self, fixed: Sequence[bytes]) -> Iterator[list[bytes]]:
        """The keys, some at a time, where each base combination has the same variants and nothing else: then hashing is nearly all."""
        kind, rests = self._maker.kind, [self._maker.shape + route for route in self._maker.routes]
        digests = map(b"".join, _product([dimension.digests for dimension in self._dimensions]))
        at_once = max(1, _KEYS_AT_ONCE // max(1, len(fixed) * len(rests)))
        while some := list(itertools.islice(digests, at_once)):
            bases = [hashed(kind + parts) for parts in some]
            contents = [hashed(base + asked) for base in bases for asked in fixed]
            yield [hashed(content + rest) for content in contents for rest in rests]

    def contents(self) -> Iterator[bytes]:
        """The contents of all items in plan order, likewise."""
        for content, _ in self._contents():
            yield from itertools.repeat(content, self._num_routes)

    def _contents(self) -> Iterator[tuple[bytes, bytes]]:
        """The content of each prompt, and what else is in the keys of its items."""
        maker, fixed = self._maker, self._fixed_variants()
        paired, prompt = bool(self.pairings), 0
        for parts, state in self._combinations():
            base = maker.base_of(parts)
            if fixed is not None:
                asked = fixed
            else:
                asked = [maker.asked(self._expansion.pick(number, base)) for number in range(self._expansion.size)]
            for variant in asked:
                content = maker.content(base, variant)
                if paired:
                    content, more_state, _ = maker.paired(content, parts, variant, prompt)
                    prompt += 1
                    yield content, maker.shape + state + more_state
                else:
                    yield content, maker.shape + state

    def _combinations(self) -> Iterator[tuple[bytes, bytes]]:
        """The digests of each base combination, and its state."""
        digests = map(b"".join, _product([dimension.digests for dimension in self._dimensions]))
        states = [dimension.states for dimension in self._dimensions]
        if all(of_dimension is None for of_dimension in states):
            return zip(digests, itertools.repeat(b""))
        given = [
            Computed(len(dimension), lambda _: b"") if dimension.states is None else dimension.states
            for dimension in self._dimensions
        ]
        return zip(digests, map(b"".join, _product(given)), strict=True)

    def _fixed_variants(self) -> list[bytes] | None:
        """What the variants add to a base, if it is the same for every base."""
        if self._expansion.spec.strategy != "combinatorial":
            return None
        return [self._maker.asked(self._expansion.pick(number)) for number in range(self._expansion.size)]


def _product(axes: Sequence[Sequence[bytes]]) -> Iterator[tuple[bytes, ...]]:
    """Every combination, the last axis fastest. Axes that are no lists may be too long to hold."""
    if all(isinstance(axis, list) for axis in axes):
        return itertools.product(*axes)
    return ((value, *rest) for value in axes[0] for rest in _product(axes[1:]))


def spread(plan: Plan, limit: int, *, seed: int) -> list[int]:
    """Positions of `limit` items spread over a plan, so that few items show every route and every value of each axis; of a shard, those of
    its own items.

    The selection for a smaller limit is the beginning of that for a larger one. Memory is proportional to `limit`.
    """
    members = members_of(plan)
    if not limit or limit >= len(members) or not plan.radices:
        return list(members[:limit])
    chosen: dict[int, None] = {}
    for position in _spread_positions(plan.radices, members, seed):
        chosen.setdefault(position)
        if len(chosen) == limit:
            break
    return list(chosen)


def _spread_positions(radices: Sequence[int], members: Sequence[int], seed: int) -> Iterator[int]:
    for index in range(_SPREAD_ROUNDS):
        position = 0
        for axis, radix in enumerate(radices):
            cycle, step = divmod(index, radix)
            # In each cycle, each axis runs through all its values in an order of its own: a Latin arrangement.
            digit = Permutation(radix, digest(str(seed), "spread", str(axis), str(cycle)))[step]
            position = position * radix + digit
        if position in members:
            yield position
    order = Permutation(len(members), digest(str(seed), "spread"))
    for index in range(len(members)):
        yield members[order[index]]
