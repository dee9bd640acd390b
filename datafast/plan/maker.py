"""Makes the items of a plan, and their keys, from a value of each dimension, a prompt variant and a route."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from datafast.plan.defaults import Edition
from datafast.plan.dimensions import Dimension
from datafast.plan.expansion import Expansion, Variant
from datafast.plan.items import WorkItem, digest, hashed
from datafast.plan.pairing import Pairing

__all__ = ["Base", "ItemMaker"]


Base: TypeAlias = tuple[bytes, bytes, bytes, dict[str, Any]]
"""A base combination, one value of each dimension: what it is, as 16 bytes; the digests of the values; what else makes its items anew; and
the values. It is made for every item of a run, so it has no names."""


class ItemMaker:
    """Makes the items of one plan.

    Args:
        dimensions: slowest first.
        shape: what else the key of each item contains.
        most_rows: the rows that an item asks for, unless it is cut off or a dimension says something else.
        pairings: values that each prompt gets besides.
    """

    def __init__(
        self,
        kind: str,
        dimensions: Sequence[Dimension],
        expansion: Expansion,
        *,
        routes: Sequence[str],
        shape: bytes,
        seed: int,
        edition: Edition,
        most_rows: int,
        pairings: Sequence[Pairing] = (),
    ) -> None:
        self.kind = kind.encode()
        self.routes = [digest(route) for route in routes]
        self.shape = shape
        self.pairings = tuple(pairings)
        self._dimensions = tuple(reversed(dimensions))
        self._templates = expansion.templates
        self._seed = seed
        self._edition = edition
        self._most_rows = most_rows
        self._value_digests: dict[tuple[str, str], bytes] = {}

    def base(self, places: Sequence[int]) -> Base:
        """The base combination with the values at these places, one in each dimension."""
        values: dict[str, Any] = {}
        parts = state = b""
        for dimension, place in zip(self._dimensions, reversed(places), strict=True):
            values[dimension.name] = dimension.values[place]
            parts = dimension.digests[place] + parts
            if dimension.states is not None:
                state = dimension.states[place] + state
        return self.base_of(parts), parts, state, values

    def base_of(self, parts: bytes) -> bytes:
        """The digest of a base combination with these digests of values."""
        return hashed(self.kind + parts)

    def asked(self, variant: Variant) -> bytes:
        """What a variant adds to a base."""
        parts = [self._templates[variant.template_index].digest, b"%d" % variant.repeat]
        cache = self._value_digests
        for pair in sorted(variant.values.items()):
            known = cache.get(pair)
            if known is None:
                known = cache[pair] = digest(*pair)
            parts.append(known)
        return b"|".join(parts)

    def content(self, base: bytes, asked: bytes) -> bytes:
        """The content of an item, but for what it is paired with."""
        return hashed(base + asked)

    def paired(self, content: bytes, parts: bytes, asked: bytes, number: int) -> tuple[bytes, bytes, dict[str, Any]]:
        """The content of an item with the values that it is paired with, as if these were axes; their state; and the values.

        Args:
            content: without them.
            parts: of its base combination.
            number: of its prompt in the plan.
        """
        values: dict[str, Any] = {}
        state = b""
        for pairing in self.pairings:
            dimension, place = pairing.dimension, pairing.place(content, number)
            values[dimension.name] = dimension.values[place]
            parts += dimension.digests[place]
            if dimension.states is not None:
                state += dimension.states[place]
        return self.content(self.base_of(parts), asked), state, values

    def key(self, content: bytes, state: bytes, route: int) -> bytes:
        """The key of an item."""
        return hashed(content + self.shape + state + self.routes[route])

    def item(self, position: int, base: Base, variant: Variant, route: int, num_rows: int, number: int) -> WorkItem:
        """The item of a base combination and a variant on a route. `number`: of its prompt in the plan."""
        plain, parts, state, values = base
        asked = self.asked(variant)
        content = self.content(plain, asked)
        if self.pairings:
            content, more_state, more = self.paired(content, parts, asked, number)
            state += more_state
            values |= more
        key = self.key(content, state, route)
        most_rows = max(num_rows, self._most_rows)
        template = self._templates[variant.template_index]
        edition = self._edition
        return WorkItem(  # by place: it is made for every item of a run, and names would double what it costs
            position,
            key,
            content,
            num_rows,
            most_rows,
            values,
            template,
            variant,
            route,
            self._seed,
            edition.prompts,
            edition.version,
        )
