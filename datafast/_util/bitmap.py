"""A set of plan positions: small where positions are dense, and possible for plans of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["PositionSet"]

_SHIFT = 16
_BYTES = (1 << _SHIFT) // 8


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

    def __contains__(self, position: int) -> bool:
        piece = self._pieces.get(position >> _SHIFT)
        return piece is not None and piece[position >> 3 & _BYTES - 1] >> (position & 7) & 1 == 1

    def __iter__(self) -> Iterator[int]:
        for number, piece in sorted(self._pieces.items()):
            for place, byte in enumerate(piece):
                if byte:
                    first = (number << _SHIFT) + place * 8
                    yield from (first + bit for bit in range(8) if byte & (1 << bit))

    def __len__(self) -> int:
        return sum(int.from_bytes(piece, "little").bit_count() for piece in self._pieces.values())
