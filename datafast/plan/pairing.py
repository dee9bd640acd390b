"""Values that meet each prompt of a plan by a draw or in turn, and are not an axis of it.

    random    a draw by the content of the prompt: the others keep theirs when values come, go or change places
    cycle     in turn in the order of the plan: of the first M prompts each value gets an equal share, or one more

Guarantee: the place follows from the prompt's content, or its number, by arithmetic. All routes of a prompt get the same value.
With `random` a value that comes or goes changes the prompts that get it, about one in as many as there are values, and no others.
With `cycle` a prompt that comes in between moves all later ones on.
Cost: some 4 microseconds a prompt. A draw keeps 16 points for each value, some 200 bytes, and takes twice that while they are put in order.

Methods: the draw is consistent hashing with several points for each value (Karger et al., "Consistent Hashing and Random Trees",
STOC 1997) and several probes for each prompt, of which the one that is nearest to a point counts (Appleton and O'Reilly, "Multi-Probe
Consistent Hashing", 2015); with 16 and 8 of them, shares cannot be told from those of a true draw. The turn is the sum of the
digits of the prompt's number in base n, modulo n (the Thue-Morse sequence for n = 2): each n prompts in a row have every value
once, in an order that changes from turn to turn, so that no value is tied to a language because both lists have the same length.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from struct import Struct
from typing import Any, Literal, NamedTuple, TypeAlias

from datafast.plan.dimensions import Dimension
from datafast.plan.items import digest

__all__ = ["Pairing", "Way"]

Way: TypeAlias = Literal["random", "cycle"]
_NUMBERS = Struct("<8Q")
_HALVES = (b"\0", b"\1")  # of a value's points, eight each
_CIRCLE = 1 << 64


class _Ring(NamedTuple):
    """Points on a circle of 2**64 places, in order, and the number of the value that each belongs to."""

    points: array[int]
    owners: array[int]


class Pairing:
    """One value of a dimension for each prompt.

    Args:
        dimension: the values.
        way: random or cycle; see the module.
        seed: of the draw.
        number: 0 for the first dimension that takes turns, 1 for the next one, so that the two do not run in step.
    """

    def __init__(self, dimension: Dimension, way: Way, *, seed: int, number: int = 0) -> None:
        self.dimension = dimension
        self.way = way
        self._seed = f"{seed} {dimension.name} ".encode()
        self._number = number

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that change whenever a prompt may get another value."""
        return digest(self.way, self._seed, str(self._number), self.dimension.fingerprint)

    def place(self, content: bytes, number: int) -> int:
        """The place of the value for prompt `number` of the plan, which has this content."""
        size = len(self.dimension)
        if size == 1:
            return 0
        return self._drawn(content) if self.way == "random" else self._in_turn(number, size)

    def _in_turn(self, number: int, size: int) -> int:
        rest, place = divmod(number, size)
        for _ in range(self._number):
            rest //= size
        while rest:
            rest, digit = divmod(rest, size)
            place += digit
        return place % size

    def _drawn(self, content: bytes) -> int:
        points, owners = self._ring
        nearest, owner = _CIRCLE, 0
        for probe in _numbers(self._seed + content):
            at = bisect_left(points, probe)
            if at == len(points):
                at, distance = 0, points[0] + _CIRCLE - probe
            else:
                distance = points[at] - probe
            if distance < nearest:
                nearest, owner = distance, owners[at]
        return owner

    @cached_property
    def _ring(self) -> _Ring:
        # Sorted part by part of the circle: all points at once would take five times the memory that they are kept in.
        bits = min(12, len(self.dimension).bit_length())
        parts = [_Ring(array("Q"), array("I")) for _ in range(1 << bits)]
        for owner, identity in enumerate(self.dimension.digests):
            for half in _HALVES:
                for point in _numbers(identity + half):
                    points, owners = parts[point >> 64 - bits]
                    points.append(point)
                    owners.append(owner)
        ring = _Ring(array("Q"), array("I"))
        for points, owners in _emptied(parts):
            order = sorted(range(len(points)), key=points.__getitem__)
            ring.points.extend(points[place] for place in order)
            ring.owners.extend(owners[place] for place in order)
        return ring


def _emptied(parts: list[_Ring]) -> Iterator[_Ring]:
    """The parts in order, each of them let go after it."""
    parts.reverse()
    while parts:
        yield parts.pop()


def _numbers(data: bytes) -> tuple[Any, ...]:
    """Eight numbers below 2**64."""
    return _NUMBERS.unpack(blake2b(data, digest_size=64, person=b"pairing").digest())
