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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from hashlib import blake2b
from typing import Any, TypeVar, overload

import orjson

from datafast._util.permutation import Permutation
from datafast.errors import ConfigError
from datafast.plan.defaults import Edition
from datafast.plan.expansion import Expansion, ExpansionSpec, Variant
from datafast.plan.items import Plan, WorkItem, digest
from datafast.plan.template import Template

__all__ = ["Computed", "Dimension", "GridPlan", "spread"]

T = TypeVar("T")


_SPREAD_ROUNDS = 4096


class Computed(Sequence[T]):
    """A sequence whose elements are made on demand and not kept."""

    def __init__(self, size: int, make: Callable[[int], T]) -> None:
        self._size = size
        self._make = make

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        found = range(self._size)[index]
        return self._make(found) if isinstance(found, int) else [self._make(number) for number in found]

    def __iter__(self) -> Iterator[T]:
        return map(self._make, range(self._size))


class Dimension:
    """One axis of a plan: values, each with an identity that is unique on the axis.

    Equal values are numbered among themselves, so asking for the same topic twice gives two different items.

    Args:
        identity: what distinguishes a value, as plain JSON values.
        digests: the identities as 16 bytes each, if the values are known to be distinct and are too many to go through.
        fingerprint: bytes that change whenever one of these digests does; by default made of all of them.
        rows: the rows that an item asks for, by value, if they differ; `num_rows` is their sum over all values.
    """

    def __init__(
        self,
        name: str,
        values: Sequence[Any],
        *,
        identity: Callable[[Any], Any] = lambda value: value,
        digests: Sequence[bytes] | None = None,
        fingerprint: bytes | None = None,
        rows: Callable[[Any], int] | None = None,
        num_rows: int | None = None,
    ) -> None:
        self.name = name
        self.values = values
        self.rows = rows
        self.num_rows = num_rows
        self.digests: Sequence[bytes] = digests if digests is not None else self._numbered(identity)
        self._fingerprint = fingerprint

    def _numbered(self, identity: Callable[[Any], Any]) -> list[bytes]:
        seen: Counter[bytes] = Counter()
        digests = []
        for value in self.values:
            plain = digest(
                self.name, orjson.dumps(identity(value), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
            )
            ordinal = seen[plain]
            seen[plain] += 1
            digests.append(digest(plain, str(ordinal)) if ordinal else plain)
        return digests

    @property
    def fingerprint(self) -> bytes:
        """Bytes that change whenever an identity or its place does."""
        return self._fingerprint if self._fingerprint is not None else b"".join(self.digests)

    def __len__(self) -> int:
        return len(self.values)


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
    ) -> None:
        self._kind = kind.encode()
        self._dimensions = tuple(dimensions)
        self._expansion = expansion or _NO_TEMPLATES
        self._route_digests = [digest(route) for route in routes]
        self._axes = [(dimension, len(dimension)) for dimension in reversed(self.dimensions)]
        self._counting = next((dimension for dimension in self._dimensions if dimension.rows is not None), None)
        self._rows_per_item = rows_per_item
        # If a dimension has rows, its identities contain them.
        self._shape = digest("" if self._counting else str(rows_per_item), *shape)
        self._seed = seed
        self._edition = edition or Edition()
        self._make_former = former
        if self.num_items > sys.maxsize:
            raise ConfigError(
                f"The plan has {self.num_items:,} items, more than can ever be sent. Give fewer values, "
                f"or draw a sample with expansion: {{strategy: random}}."
            )
        self._value_digests: dict[tuple[str, str], bytes] = {}

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The axes, slowest first."""
        return self._dimensions

    @property
    def num_routes(self) -> int:
        return len(self._route_digests)

    @cached_property
    def radices(self) -> tuple[int, ...]:
        """Sizes of the axes, slowest first; the last one is the number of routes."""
        return (*(len(dimension) for dimension in self._dimensions), len(self._expansion), self.num_routes)

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
        return len(self._expansion)

    @property
    def num_rows(self) -> int:
        counting = self._counting
        if counting is None or not len(counting):
            return self.num_items * self._rows_per_item
        return self.num_items // len(counting) * (counting.num_rows or 0)

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
            self._kind,
            self._shape,
            orjson.dumps(asdict(self._expansion.spec)),
            *(template.digest for template in self._expansion.templates),
            *(dimension.fingerprint for dimension in self._dimensions),
            *self._route_digests,
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
        return self._shape, *(template.digest for template in self._expansion.templates)

    def __getitem__(self, position: int) -> WorkItem:
        if not 0 <= position < self.num_items:
            raise IndexError(position)
        rest, route = divmod(position, self.num_routes)
        base_index, variant_index = divmod(rest, len(self._expansion))
        base, values = self._base(base_index)
        variant = self._expansion.pick(variant_index, base)
        content = self._content(base, variant)
        return WorkItem(
            position=position,
            key=self._key(content, route),
            content=content,
            num_rows=self._rows_of(values),
            values=values,
            template=self._expansion.templates[variant.template_index],
            variant=variant,
            route=route,
            seed=self._seed,
            defaults=self._edition.prompts,
        )

    def keys(self) -> Iterator[bytes]:
        """All keys in plan order, much cheaper than building the items."""
        fixed = self._fixed_variants()
        for digests in self._combinations():
            base = blake2b(self._kind + b"".join(digests), digest_size=16).digest()
            if fixed is not None:
                contents = [blake2b(base + variant, digest_size=16).digest() for variant in fixed]
            else:
                picks = (self._expansion.pick(number, base) for number in range(len(self._expansion)))
                contents = [self._content(base, variant) for variant in picks]
            for content in contents:
                asked = content + self._shape
                for route in self._route_digests:
                    yield blake2b(asked + route, digest_size=16).digest()

    def _combinations(self) -> Iterator[tuple[bytes, ...]]:
        if len(self._dimensions) == 1:
            return ((value,) for value in self._dimensions[0].digests)  # the product would hold all of them
        return itertools.product(*(dimension.digests for dimension in self._dimensions))

    def _fixed_variants(self) -> list[bytes] | None:
        """What the variants add to a base, if it is the same for every base."""
        if self._expansion.spec.strategy != "combinatorial":
            return None
        return [self._asked(self._expansion.pick(number)) for number in range(len(self._expansion))]

    def _base(self, index: int) -> tuple[bytes, dict[str, Any]]:
        values: dict[str, Any] = {}
        digests = b""
        for dimension, size in self._axes:
            index, digit = divmod(index, size)
            values[dimension.name] = dimension.values[digit]
            digests = dimension.digests[digit] + digests
        return blake2b(self._kind + digests, digest_size=16).digest(), values

    def _content(self, base: bytes, variant: Variant) -> bytes:
        return blake2b(base + self._asked(variant), digest_size=16).digest()

    def _asked(self, variant: Variant) -> bytes:
        parts = [self._expansion.templates[variant.template_index].digest, b"%d" % variant.repeat]
        cache = self._value_digests
        for pair in sorted(variant.values.items()):
            known = cache.get(pair)
            if known is None:
                known = cache[pair] = digest(*pair)
            parts.append(known)
        return b"|".join(parts)

    def _key(self, content: bytes, route: int) -> bytes:
        return blake2b(content + self._shape + self._route_digests[route], digest_size=16).digest()


def spread(plan: Plan, limit: int, *, seed: int) -> list[int]:
    """Positions of `limit` items spread over a plan, so that few items show every route and every value of each axis.

    The selection for a smaller limit is the beginning of that for a larger one. Memory is proportional to `limit`.
    """
    total = len(plan)
    if limit >= total:
        return list(range(total))
    chosen: dict[int, None] = {}
    for position in _spread_positions(plan.radices, total, seed):
        chosen.setdefault(position)
        if len(chosen) == limit:
            break
    return list(chosen)


def _spread_positions(radices: Sequence[int], total: int, seed: int) -> Iterator[int]:
    for index in range(_SPREAD_ROUNDS):
        position = 0
        for axis, radix in enumerate(radices):
            cycle, step = divmod(index, radix)
            # In each cycle, each axis runs through all its values in an order of its own: a Latin arrangement.
            digit = Permutation(radix, digest(str(seed), "spread", str(axis), str(cycle)))[step]
            position = position * radix + digit
        yield position
    order = Permutation(total, digest(str(seed), "spread"))
    for index in range(total):
        yield order[index]
