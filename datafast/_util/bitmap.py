"""A set of plan positions: small where positions are dense, and possible for plans of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["PositionSet"]

_BITS = 1 << 16


class PositionSet:
    """A bitmap in pieces of 65,536 positions (8 KiB each); empty pieces take no memory."""

    def __init__(self, positions: Iterable[int] = ()) -> None:
        self._pieces: dict[int, bytearray] = {}
        self._size = 0
        for position in positions:
            self.add(position)

    def add(self, position: int) -> None:
        number, bit = divmod(position, _BITS)
        piece = self._pieces.get(number)
        if piece is None:
            piece = self._pieces[number] = bytearray(_BITS // 8)
        mask = 1 << (bit & 7)
        if not piece[bit >> 3] & mask:
            piece[bit >> 3] |= mask
            self._size += 1

    def __contains__(self, position: int) -> bool:
        piece = self._pieces.get(position // _BITS)
        if piece is None:
            return False
        bit = position % _BITS
        return bool(piece[bit >> 3] & (1 << (bit & 7)))

    def __iter__(self) -> Iterator[int]:
        for number, piece in sorted(self._pieces.items()):
            for place, byte in enumerate(piece):
                if byte:
                    first = number * _BITS + place * 8
                    yield from (first + bit for bit in range(8) if byte & (1 << bit))

    def __len__(self) -> int:
        return self._size
