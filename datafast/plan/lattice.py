"""An order of all combinations of several axes in which every beginning is spread evenly. Computed, not stored.

Guarantee: the first M elements, M being the product of the sizes, are all combinations, each once; then they come again. In
every beginning of the sequence the counts of any two values of an axis differ by at most 2, by at most 1 for leading axes.
Of two axes all pairs of values come up about equally often. The order depends only on the sizes, the seed and the names.
Cost: a few microseconds an element for any M; no memory.

Method: the digit of axis k in element i is

    (i + floor(i / lcm(P, r)) + turn(i mod P)) mod r      r the size of the axis, P the product of the sizes before it

The first two terms alone are a bijection: i and i + P differ by P in the first term, so r / gcd(P, r) values come up before a
period of lcm(P, r) is over, and the second term moves on to the next class of values. The third term depends only on the digits
before, so it keeps the bijection. It is constant for r elements at a time, in which each value comes once; the last block of a
period of P is cut off, but the next period begins where it ended. It turns the axis against each earlier axis that shares a
divisor with it after as many elements as it takes to come round, so that the two do not run in step. docs/design/num-rows.md
has measurements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from datafast._util.permutation import Permutation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST", "Lattice", "modulo"]

MOST = 2**62
"""Numbers below this are handled in bulk."""


class _Turn(NamedTuple):
    """After each `every` elements of a period an axis is turned by another one of `by` steps."""

    every: int
    by: int


class Lattice:
    """Digits of all combinations of axes, in an order that spreads every beginning evenly.

    Args:
        sizes: of the axes, each at least 1.
        seed: chooses the order.
        leading: how many of the axes come first, in this order; in each block of as many elements as the axis is large, which
            begins at a multiple of its size, each of its values comes exactly once.
        fixed: how many of these have their values in the order 0, 1, 2 ...; the first of them repeats it without any change.
        before: the number of combinations of other axes that the elements run through anyway. Together with those, combinations
            are distinct too.
    """

    def __init__(
        self, sizes: Sequence[int], *, seed: int, leading: int = 0, fixed: int = 0, before: int = 1, name: str = ""
    ) -> None:
        self._head = f"{seed} {name} "
        self._axes: list[tuple[int, int, int, int, Permutation | None, list[_Turn]]] = []
        product = before
        rest = sorted(range(leading, len(sizes)), key=lambda axis: -sizes[axis])
        earlier: list[int] = []
        for axis in (*range(leading), *rest):
            size = sizes[axis]
            order = None if axis < fixed or size == 1 else Permutation(size, f"{self._head}{axis}".encode())
            turns = [] if axis < leading else _turns(earlier, size, product)
            self._axes.append((axis, size, product, math.lcm(product, size), order, turns))
            earlier.append(size)
            product *= size
        self.size = product // before

    def digits(self, index: int) -> list[int]:
        """The value numbers of element `index`, one for each axis in the order of `sizes`."""
        found = [0] * len(self._axes)
        for axis, size, product, period, order, turns in self._axes:
            if size == 1:
                continue
            place = index % (product * size)
            digit = place + place // period
            if turns:
                within = place % product
                for every, by in turns:
                    digit += _turned(self._head, axis, by, within // every)
            digit %= size
            found[axis] = digit if order is None else order[digit]
        return found

    def many(self, indices: NDArray[Any]) -> list[NDArray[Any]]:
        """`digits` of many elements at once: for each axis the value numbers of all of them. The indices are below `MOST`."""
        import numpy as np

        found: list[NDArray[Any]] = [np.zeros(len(indices), np.int64)] * len(self._axes)
        for axis, size, product, period, order, turns in self._axes:
            if size == 1:
                continue
            place = modulo(indices, product * size)
            digit = place + (place // period if period < MOST else 0)
            within = modulo(place, product)
            for every, by in turns:
                numbers, where = np.unique(within // every, return_inverse=True)
                digit += np.array([_turned(self._head, axis, by, number) for number in numbers.tolist()])[where]
            digit %= size
            found[axis] = digit if order is None else order.many(digit)
        return found


def modulo(numbers: NDArray[Any], divisor: int) -> NDArray[Any]:
    """The remainders of numbers below `MOST`."""
    return numbers if divisor >= MOST else numbers % divisor


def _turns(earlier: Sequence[int], size: int, product: int) -> list[_Turn]:
    """One for each period after which the axis meets an earlier one in the same way again, unless there is only one."""
    steps: dict[int, int] = {}
    for other in earlier:
        every, by = math.lcm(other, size), math.gcd(other, size)
        if by > 1 and every < product:
            steps[every] = max(by, steps.get(every, 0))
    return [_Turn(every, by) for every, by in sorted(steps.items())]


@lru_cache(maxsize=4096)
def _turned(head: str, axis: int, by: int, number: int) -> int:
    cycle, step = divmod(number, by)
    return _turn_order(head, axis, by, cycle)[step]


@lru_cache(maxsize=1024)
def _turn_order(head: str, axis: int, by: int, cycle: int) -> Permutation:
    return Permutation(by, blake2b(f"{head}{axis} {by} {cycle}".encode(), person=b"turns").digest())
