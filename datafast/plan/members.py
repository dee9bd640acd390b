"""Which positions of a plan a run works on: all of them, or those of a shard.

They are a sequence of rising positions, and any range is one. `Members` are those of a set that no range describes, kept as a bit for each
position of the plan: 12.5 MB for 10**8 of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from datafast._util.bitmap import PIECE, PositionSet, every, positions_in

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from datafast.plan.items import Plan

__all__ = ["Members", "OnRoute", "chunks_of", "count_by_route", "members_of", "on_route"]

_BYTES = PIECE // 8
_AT_ONCE = 1 << 20


class Members(Sequence[int]):
    """Rising positions, given by a bit for each position, the lowest bit of a byte first.

    Any of them is found by its number in a few microseconds, and whether a position is among them in less.
    """

    def __init__(self, bits: bytes) -> None:
        self._bits = bits

    @classmethod
    def of(cls, positions: Sequence[int]) -> Members:
        """These positions."""
        bits = bytearray(max(positions, default=-1) // 8 + 1)
        for position in positions:
            bits[position >> 3] |= 1 << (position & 7)
        return cls(bytes(bits))

    @classmethod
    def unpacked(cls, packed: bytes, *, size: int) -> Members | None:
        """Those that were packed, of a plan of so many items; None if it is something else."""
        try:
            bits = zlib.decompress(packed)
        except zlib.error:
            return None
        return cls(bits) if len(bits) == -(-size // 8) else None

    def packed(self) -> bytes:
        """They as bytes, in which few of many positions take little."""
        return zlib.compress(self._bits, 1)

    @cached_property
    def _sums(self) -> list[int]:
        """How many there are before each piece, and in all."""
        sums, total = [0], 0
        for start in range(0, len(self._bits), _BYTES):
            total += int.from_bytes(self._bits[start : start + _BYTES], "little").bit_count()
            sums.append(total)
        return sums

    def _piece(self, number: int) -> NDArray[np.int64]:
        """The positions of a piece."""
        import numpy as np

        bits = np.frombuffer(self._bits, np.uint8, count=-1)[number * _BYTES : (number + 1) * _BYTES]
        return np.flatnonzero(np.unpackbits(bits, bitorder="little")) + number * PIECE

    def but(self, taken: Sequence[PositionSet], *, first: int = 0, step: int = 1) -> Iterator[int]:
        """Those, from `first` on and so many apart, that are in no set, in order. A piece without any costs microseconds. No set may change
        meanwhile."""
        for number in range(len(self._sums) - 1):
            bits = int.from_bytes(self._bits[number * _BYTES : (number + 1) * _BYTES], "little")
            left = bits & every(step, (first - number * PIECE) % step)
            for one in taken:
                left &= ~one.bits(number)
            if left:
                yield from positions_in(left.to_bytes(_BYTES, "little"), number * PIECE)

    def pieces(self) -> Iterator[NDArray[np.int64]]:
        """All positions in order, some thousand at a time."""
        for number in range(len(self._sums) - 1):
            yield self._piece(number)

    def __contains__(self, position: object) -> bool:
        if not isinstance(position, int) or not 0 <= position < len(self._bits) * 8:
            return False
        return bool(self._bits[position >> 3] >> (position & 7) & 1)

    def __iter__(self) -> Iterator[int]:
        for piece in self.pieces():
            yield from piece.tolist()

    def __len__(self) -> int:
        return self._sums[-1]

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index if index >= 0 else index + len(self)
        if not 0 <= number < len(self):
            raise IndexError(index)
        from bisect import bisect_right

        piece = bisect_right(self._sums, number) - 1
        return int(self._piece(piece)[number - self._sums[piece]])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Members) and self._bits.rstrip(b"\0") == other._bits.rstrip(b"\0")

    __hash__ = None  # type: ignore[assignment]  # like that of other sequences that are compared by what they have


def members_of(plan: Plan) -> Sequence[int]:
    """The positions of the items of a plan that a run works on, rising: all of them unless the plan says otherwise."""
    members: Sequence[int] | None = getattr(plan, "members", None)
    return range(len(plan)) if members is None else members


def chunks_of(members: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Positions in order, as arrays of up to a million."""
    import numpy as np

    if isinstance(members, Members):
        yield from members.pieces()
        return
    for start in range(0, len(members), _AT_ONCE):
        part = members[start : start + _AT_ONCE]
        yield (
            np.arange(part.start, part.stop, part.step, dtype=np.int64)
            if isinstance(part, range)
            else np.asarray(part, dtype=np.int64)
        )


class OnRoute:
    """Those of some positions that belong to a route of a plan with several."""

    def __init__(self, members: Members, route: int, routes: int) -> None:
        self._members, self._route, self._routes = members, route, routes

    def __iter__(self) -> Iterator[int]:
        return self.but(())

    def but(self, taken: Sequence[PositionSet]) -> Iterator[int]:
        """Those that are in no set; see `Members.but`."""
        return self._members.but(taken, first=self._route, step=self._routes)


def on_route(members: Sequence[int], route: int, routes: int) -> Iterable[int]:
    """Those of them that belong to a route of a plan, lazily."""
    if isinstance(members, Members):
        return OnRoute(members, route, routes)
    if isinstance(members, range) and members.step == 1:
        return range(members.start + (route - members.start) % routes, members.stop, routes)
    return (position for position in members if position % routes == route)


def count_by_route(members: Sequence[int], routes: int) -> list[int]:
    """How many of them belong to each route."""
    if routes == 1:
        return [len(members)]
    if isinstance(members, range) and members.step == 1:
        return [
            len(range(members.start + (route - members.start) % routes, members.stop, routes))
            for route in range(routes)
        ]
    import numpy as np

    counts = np.zeros(routes, np.int64)
    for chunk in chunks_of(members):
        counts += np.bincount(chunk % routes, minlength=routes)
    return [int(count) for count in counts]
