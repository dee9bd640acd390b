"""What a plan is made of: work items, their keys, and what the engine needs of a plan.

See `datafast.plan.grid` for what keys guarantee.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from datafast._util.digest import digest, hashed
from datafast.plan.defaults import DefaultPrompts
from datafast.plan.expansion import Variant
from datafast.plan.template import Template

__all__ = ["Context", "Counted", "Plan", "WorkItem", "digest", "hashed", "row_uuid", "shown_value"]

T = TypeVar("T")

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class Context(NamedTuple):
    """What a replacement of dropped rows is made for. It is recorded before the first call for it, and never changes.

    Attributes:
        generation: how often these rows are made again then, from 1.
        rows: their numbers in the item.
        reasons: why a stage has dropped each of them before.
        notes: what a reviewer who has rejected it said of each of them, '' for nothing; none at all where no reviewer said anything.
    """

    generation: int
    rows: tuple[int, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class WorkItem:
    """One unit of work: the calls and rows of one prompt variant in one route.

    Attributes:
        position: index in its plan. Never part of an identity.
        key: 16 bytes for what the item is, including who answers it.
        content: 16 bytes for what is asked, without who answers it.
        num_rows: rows that the item asks for.
        most_rows: rows that it would ask for in a plan that does not end in it.
        values: the value of each dimension by its name.
        template: the prompt template.
        variant: the number of the template, and the placeholder values.
        route: which provider (or set of roles) answers.
        seed: the run's seed.
        defaults: the version of the kind's default texts in its prompts.
        edition: the version of the kind's keys.
        context: where some of its rows are made again, in the place of dropped ones: for which. They are the rows that it asks for then.
        draw: with targets, the number of its draw in its stratum, which stays when shards are put together or divided anew. Its position
            does not.
    """

    position: int
    key: bytes
    content: bytes
    num_rows: int
    most_rows: int
    values: Mapping[str, Any]
    template: Template
    variant: Variant
    route: int
    seed: int
    defaults: DefaultPrompts | None = None
    edition: int = 1
    context: Context | None = None
    draw: int | None = None

    def row_uuid(self, number: int) -> str:
        """The uuid of row `number` of those that are asked for: the same in every replay."""
        return row_uuid(self.key, self.slot(number))

    def slot(self, number: int) -> int:
        """The number in the item of row `number` of those that are asked for."""
        return number if self.context is None else self.context.rows[number]

    def of_rows(self, values: Sequence[T]) -> Sequence[T]:
        """Of values for each row of the item, those for the rows that are asked for."""
        return values if self.context is None else [values[number] for number in self.context.rows]

    def remade(self, context: Context) -> WorkItem:
        """The item as it asks for dropped rows again."""
        return replace(self, num_rows=len(context.rows), context=context)

    @property
    def turn(self) -> int:
        """Which one it is where things go in turn from item to item."""
        return self.position if self.draw is None else self.draw

    @property
    def shown_values(self) -> dict[str, str]:
        """The values that distinguish the item, in a few words: a language's name, a class's label."""
        named = {name: shown_value(value) for name, value in reversed(list(self.values.items()))}
        return {**named, **self.variant.values}

    def rng(self, name: str) -> random.Random:
        """A stream of random numbers for one purpose, independent of others; the same in every run and replay."""
        return random.Random(digest(self.content, str(self.seed), name))


def row_uuid(key: bytes, number: int) -> str:
    """The uuid of row `number` of the item with this key."""
    name = hashed(key + number.to_bytes(4, "little")).hex()
    # The bits of a name-based uuid (RFC 9562, layout of version 5), set by hand because UUID() takes five times as long.
    return f"{name[:8]}-{name[8:12]}-5{name[13:16]}-{_VARIANT[name[16]]}{name[17:20]}-{name[20:]}"


def shown_value(value: object) -> str:
    """A value of a dimension in a few words."""
    if isinstance(value, tuple):
        value = value[-1]
    return str(getattr(value, "name", value))


Counted = Literal["all", "each"]


class Plan(Protocol):
    """What the engine needs of a plan. The item at a position belongs to the route `position % num_routes`.

    `radices` are the sizes of the axes that a position counts through, slowest first; there are none if every beginning of the plan
    shows all sorts of items. `key_version` is the version of its keys. `former` are plans of the same shape whose items have, at each
    position, the key, content and texts of an earlier version; plans whose items are the same are left out. `counted` says which
    rows the `num_rows` of its config counts, if it has one: all, or those of each combination. `ends` are the positions of items that may
    ask for fewer rows than the others.
    """

    counted: Counted

    @property
    def num_routes(self) -> int: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def radices(self) -> Sequence[int]: ...
    @property
    def fingerprint(self) -> bytes: ...
    @property
    def key_version(self) -> str: ...
    @property
    def former(self) -> Sequence[Plan]: ...
    @property
    def ends(self) -> Collection[int]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, position: int) -> WorkItem: ...
    def keys(self) -> Iterator[bytes]: ...
    def draw_at(self, position: int) -> int:
        """The number of the draw that the item at a position belongs to. Where rows are compared, those of earlier draws come first."""
