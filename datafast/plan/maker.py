"""Makes the items of a plan, and their keys, from a value of each dimension, a prompt variant and a route."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datafast.plan.defaults import Edition
from datafast.plan.dimensions import Dimension
from datafast.plan.expansion import Expansion, Variant
from datafast.plan.items import WorkItem, digest, hashed

__all__ = ["ItemMaker"]


class ItemMaker:
    """Makes the items of one plan.

    Args:
        dimensions: slowest first.
        shape: what else the key of each item contains.
        most_rows: the rows that an item asks for, unless it is cut off or a dimension says something else.
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
    ) -> None:
        self.kind = kind.encode()
        self.routes = [digest(route) for route in routes]
        self.shape = shape
        self._dimensions = tuple(reversed(dimensions))
        self._templates = expansion.templates
        self._seed = seed
        self._edition = edition
        self._most_rows = most_rows
        self._value_digests: dict[tuple[str, str], bytes] = {}

    def base(self, places: Sequence[int]) -> tuple[bytes, bytes, dict[str, Any]]:
        """The digest of a base combination, given by a place in each dimension, its state, and its values."""
        values: dict[str, Any] = {}
        digests = state = b""
        for dimension, place in zip(self._dimensions, reversed(places), strict=True):
            values[dimension.name] = dimension.values[place]
            digests = dimension.digests[place] + digests
            if dimension.states is not None:
                state = dimension.states[place] + state
        return self.base_of(digests), state, values

    def base_of(self, digests: bytes) -> bytes:
        """The digest of a base combination with these digests of values."""
        return hashed(self.kind + digests)

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
        """The content of an item."""
        return hashed(base + asked)

    def key(self, content: bytes, state: bytes, route: int) -> bytes:
        """The key of an item."""
        return hashed(content + self.shape + state + self.routes[route])

    def item(
        self,
        position: int,
        base: bytes,
        state: bytes,
        values: dict[str, Any],
        variant: Variant,
        route: int,
        num_rows: int,
    ) -> WorkItem:
        """The item of a base combination and a variant on a route."""
        content = self.content(base, self.asked(variant))
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
