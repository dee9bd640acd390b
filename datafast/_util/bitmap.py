"""A set of plan positions: small where positions are dense, and possible for plans of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

__all__ = ["PIECE", "PositionSet", "every", "positions_in"]

_SHIFT = 16
PIECE = 1 << _SHIFT
"""Positions of a piece."""
_BYTES = PIECE // 8
_ALL = (1 << PIECE) - 1
_BITS_OF = [[bit for bit in range(8) if byte >> bit & 1] for byte in range(256)]


class PositionSet:
    """A bitmap in pieces of 65,536 positions (8 KiB each); empty pieces take no memory."""

    def __init__(self, positions: Iterable[int] = ()) -> None:
        self._pieces: dict[int, bytearray] = {}
        # One loop without a call in it: there may be millions of positions, and most follow another one of their piece.
        number, piece = -1, bytearray()
        for position in positions:
            if position >> _SHIFT != number:
                number = position >> _SHIFT
                piece = self._pieces.setdefault(number, bytearray(_BYTES))
            piece[position >> 3 & _BYTES - 1] |= 1 << (position & 7)

    def add(self, position: int) -> None:
        piece = self._pieces.get(position >> _SHIFT)
        if piece is None:
            piece = self._pieces[position >> _SHIFT] = bytearray(_BYTES)
        piece[position >> 3 & _BYTES - 1] |= 1 << (position & 7)

    def discard(self, position: int) -> None:
        piece = self._pieces.get(position >> _SHIFT)
        if piece is not None:
            piece[position >> 3 & _BYTES - 1] &= ~(1 << (position & 7))

    def update(self, other: PositionSet) -> None:
        """Adds all positions of another set."""
        for number, piece in other._pieces.items():
            self.add_piece(number, piece)

    def __contains__(self, position: int) -> bool:
        piece = self._pieces.get(position >> _SHIFT)
        return piece is not None and piece[position >> 3 & _BYTES - 1] >> (position & 7) & 1 == 1

    def __iter__(self) -> Iterator[int]:
        for number, piece in sorted(self._pieces.items()):
            yield from positions_in(piece, number << _SHIFT)

    def __len__(self) -> int:
        return sum(int.from_bytes(piece, "little").bit_count() for piece in self._pieces.values())

    def number_in(self, start: int, step: int) -> int:
        """How many of its positions are `start` or some steps behind it."""
        return sum(
            (int.from_bytes(piece, "little") & every(step, (start - (number << _SHIFT)) % step)).bit_count()
            for number, piece in self._pieces.items()
            if (number + 1) << _SHIFT > start
        )

    def free(self, wanted: range, *, also: PositionSet | None = None) -> Iterator[int]:
        """The positions of a rising range that are neither in this set nor in another one, in their order. A piece without any costs
        microseconds. Neither set may change meanwhile."""
        first, stop, step = wanted.start, wanted.stop, wanted.step
        for number in range(first >> _SHIFT, -(-stop >> _SHIFT)):
            begin = number << _SHIFT
            taken = self.bits(number) | (also.bits(number) if also is not None else 0)
            start = max(first, begin + (first - begin) % step)
            if not taken:
                yield from range(start, min(stop, begin + PIECE), step)
                continue
            left = every(step, (first - begin) % step) & (taken ^ _ALL)
            if not left:
                continue
            for position in positions_in(left.to_bytes(_BYTES, "little"), begin):
                if first <= position < stop:
                    yield position

    def bits(self, number: int) -> int:
        """Those of a piece, as the bits of a number, the lowest one for the first position."""
        piece = self._pieces.get(number)
        return 0 if piece is None else int.from_bytes(piece, "little")

    # -- pieces, as they are stored

    def pieces(self) -> Iterator[tuple[int, bytearray]]:
        """Its pieces by rising number. They change with it."""
        yield from sorted(self._pieces.items())

    def add_piece(self, number: int, bits: bytes | bytearray) -> None:
        """Adds the positions of a piece."""
        known = self._pieces.get(number)
        if known is None:
            self._pieces[number] = bytearray(bits.ljust(_BYTES, b"\0"))
        else:
            both = int.from_bytes(known, "little") | int.from_bytes(bits, "little")
            self._pieces[number] = bytearray(both.to_bytes(_BYTES, "little"))

    @staticmethod
    def piece_of(position: int) -> int:
        """The number of the piece that a position is in."""
        return position >> _SHIFT


def positions_in(bits: bytes | bytearray, first: int) -> Iterator[int]:
    """The positions of a piece that begins at `first`."""
    for place, byte in enumerate(bits):
        if byte:
            start = first + place * 8
            for bit in _BITS_OF[byte]:
                yield start + bit


@lru_cache(maxsize=256)
def every(step: int, first: int) -> int:
    """The bits of a piece from one on, so many apart."""
    if step == 1:
        return _ALL
    count = len(range(first, PIECE, step))
    return (((1 << step * count) - 1) // ((1 << step) - 1)) << first if count else 0
