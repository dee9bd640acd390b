"""Which numbers of its draws a plan with strata has: all from the first on, a class of them, or those that some outputs have drawn already.

A draw on a route is told by its turn: draw `turn * routes + route` of its stratum. A plan of one process has the turns 0, 1, 2, ... of each
stratum and route. Shard *i* of *N* has *i* - 1, *i* - 1 + *N*, ..., so shards draw nothing twice without knowing of each other. Where the
draws of several outputs have been put together, or divided anew, a plan holds certain turns, and goes on with those of its class that it
does not hold. So nothing has to be bought to close gaps.

Turns that are held are kept as ranges with steps, as many as outputs were put together, not as many as there are draws.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from math import gcd, lcm
from typing import Any

__all__ = ["PLAIN", "DrawNumbers", "Held", "part_of", "together"]


@dataclass(frozen=True)
class Held:
    """The turns of one stratum that are drawn already.

    Attributes:
        turns: of each route, as rising ranges that have none in common.
        short: the rows of items that ask for fewer than the others, by route and turn.
    """

    turns: tuple[tuple[range, ...], ...]
    short: Mapping[tuple[int, int], int] = field(default_factory=dict)

    def on_route(self, route: int) -> Iterator[int]:
        """The turns of a route, rising."""
        return merge(*self.turns[route])

    def count(self, route: int) -> int:
        """How many a route has."""
        return sum(map(len, self.turns[route]))

    def num_rows(self, rows_per_item: int) -> int:
        """The rows that all ask for."""
        items = sum(map(self.count, range(len(self.turns))))
        return items * rows_per_item - sum(rows_per_item - rows for rows in self.short.values())

    def has(self, route: int, turn: int) -> bool:
        return any(turn in turns for turns in self.turns[route])

    def to_plain(self) -> dict[str, Any]:
        """It as plain values."""
        return {
            "turns": [[[turns.start, turns.stop, turns.step] for turns in of_route] for of_route in self.turns],
            "short": [[route, turn, rows] for (route, turn), rows in sorted(self.short.items())],
        }

    @classmethod
    def of_plain(cls, told: Mapping[str, Any]) -> Held:
        """It, read back."""
        turns = tuple(tuple(range(*one) for one in of_route) for of_route in told["turns"])
        return cls(turns, {(route, turn): rows for route, turn, rows in told["short"]})

    @classmethod
    def of_turns(
        cls, turns: Sequence[Collection[int]], short: Mapping[tuple[int, int], int] | None = None, *, step: int = 1
    ) -> Held:
        """These turns of each route. `step`: they are looked at by their remainders of it, of which few have gaps."""
        return cls(tuple(tuple(_ranges(of_route, step)) for of_route in turns), dict(short or {}))


@dataclass(frozen=True)
class DrawNumbers:
    """The turns of a plan: first those that it holds, rising, then those of its class that it does not hold, rising.

    Attributes:
        offset, stride: the class: `offset`, `offset + stride`, ...
        held: of each stratum; nothing where none holds any.
    """

    offset: int = 0
    stride: int = 1
    held: Sequence[Held] = ()

    @property
    def is_plain(self) -> bool:
        """Whether they are 0, 1, 2, ..."""
        return (self.offset, self.stride) == (0, 1) and not self.held

    def to_plain(self) -> dict[str, Any]:
        """They as plain values."""
        return {"offset": self.offset, "stride": self.stride, "held": [held.to_plain() for held in self.held]}

    def free(self, stratum: int, route: int) -> Iterator[int]:
        """Those that are not held, without an end."""
        turns = itertools.count(self.offset, self.stride)
        if not self.held:
            return turns
        held = self.held[stratum]
        return (turn for turn in turns if not held.has(route, turn))

    def all(self, stratum: int, route: int) -> Iterator[int]:
        """All of them."""
        held = self.held[stratum].on_route(route) if self.held else ()
        return itertools.chain(held, self.free(stratum, route))

    @property
    def step(self) -> int:
        """The least number after which everything repeats itself but for the ends of ranges."""
        steps = (turns.step for held in self.held for of_route in held.turns for turns in of_route)
        return lcm(self.stride, *steps)


PLAIN = DrawNumbers()
"""Those of a plan that is nobody's part."""


def together(parts: Iterable[Sequence[Held]]) -> list[Held]:
    """What several plans hold, of each stratum; they have none in common."""
    found = []
    for of_stratum in zip(*parts, strict=True):
        routes = zip(*(held.turns for held in of_stratum), strict=True)
        turns = tuple(tuple(_joined(itertools.chain(*of_route))) for of_route in routes)
        found.append(Held(turns, {place: rows for held in of_stratum for place, rows in held.short.items()}))
    return found


def part_of(held: Sequence[Held], number: int, of: int) -> list[Held]:
    """Of what is held, the part of a shard: the turns of its class."""
    found = []
    for one in held:
        turns = tuple(
            tuple(part for turns in of_route if len(part := _of_class(turns, number - 1, of))) for of_route in one.turns
        )
        short = {place: rows for place, rows in one.short.items() if place[1] % of == number - 1}
        found.append(Held(turns, short))
    return found


def _of_class(turns: range, offset: int, stride: int) -> range:
    """The numbers of a range that are `offset` modulo `stride`."""
    common = gcd(turns.step, stride)
    if (offset - turns.start) % common:
        return range(0)
    step = stride // common
    ahead = (offset - turns.start) // common * pow(turns.step // common, -1, step) % step if step > 1 else 0
    return range(turns.start + ahead * turns.step, turns.stop, turns.step * step)


def _ranges(turns: Collection[int], step: int) -> Iterator[range]:
    """Numbers as ranges with this step."""
    by_class: dict[int, list[int]] = {}
    for turn in sorted(turns):
        by_class.setdefault(turn % step, []).append(turn)
    for of_class in by_class.values():
        start = before = of_class[0]
        for turn in of_class[1:]:
            if turn != before + step:
                yield range(start, before + 1, step)
                start = turn
            before = turn
        yield range(start, before + 1, step)


def _joined(ranges: Iterable[range]) -> list[range]:
    """Ranges in a fixed order; those that follow on each other, or together are all numbers from 0 on, as one."""
    some = [turns for turns in ranges if len(turns)]
    size = sum(map(len, some))
    if some and max(turns[-1] for turns in some) == size - 1:
        return [range(size)]
    found: list[range] = []
    for turns in sorted(some, key=lambda one: (one.step, one.start % one.step, one.start)):
        last = found[-1] if found else None
        if last is not None and last.step == turns.step and last[-1] + last.step == turns.start:
            found[-1] = range(last.start, turns[-1] + 1, turns.step)
        else:
            found.append(range(turns.start, turns[-1] + 1, turns.step))
    return found
