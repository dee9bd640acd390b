"""A seeded permutation of range(n) that is computed, not stored.

Guarantee: `Permutation(n, key)` visits every number below n exactly once, and the same (n, key) gives the same order
on every platform and Python version (only blake2b and integers are used; `random.shuffle` promises neither). Cost:
O(1) memory and a few microseconds an index, for any n up to 2**800. It is for spreading samples, not for secrecy.

Method: a generalised Feistel network over Z_a x Z_b with a * b just above n, and cycle walking back into range(n): J.
Black and P. Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002 (methods "cycle-walking" and "generalized
Feistel"), after M. Luby and C. Rackoff, "How to Construct Pseudorandom Permutations from Pseudorandom Functions",
SIAM J. Comput. 17, 1988. Feistel networks mix tiny domains badly, so up to 64 elements the order is read off a hash
as a Lehmer code (factorial digits), which reaches every one of the n! orders.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from datafast.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAX_SIZE", "Permutation"]

# Half of the 800 bits leaves 112 of a 512-bit digest to spare, so that the remainder below is even to one part in
# 2**112.
MAX_SIZE = 2**800
_TABLE_UP_TO = 64
_MANY_UP_TO = 2**32  # beyond, tables of a half of the network would take longer than most uses
# Four rounds are the proven minimum for a strong permutation with ideal round functions; two more for small halves.
_ROUNDS = 6


class Permutation:
    """`p[i]` for i in range(n) is the i-th number of a shuffled range(n). Immutable; iterating yields all of them.

    Args:
        n: how many numbers, 1 to 2**800.
        key: any bytes; another key is another order.

    Raises:
        ConfigError: n is out of range.
        IndexError: i is not in range(n).
    """

    __slots__ = ("_columns", "_halves", "_n", "_round_hashes", "_rows", "_table", "_width")

    def __init__(self, n: int, key: bytes) -> None:
        if not 1 <= n <= MAX_SIZE:
            raise ConfigError(f"A permutation has 1 to 2**800 elements, got {_brief(n)}. Use fewer or shorter lists.")
        self._n = n
        self._table = _lehmer_shuffle(n, key) if n <= _TABLE_UP_TO else None
        if self._table is not None:
            return
        self._rows = math.isqrt(n - 1) + 1
        self._columns = -(-n // self._rows)
        self._width = (self._rows.bit_length() + 7) // 8
        seed = blake2b(key, person=b"permutation").digest()
        self._round_hashes = tuple(blake2b(seed, salt=bytes([number])) for number in range(_ROUNDS))
        self._halves: list[NDArray[Any]] | None = None

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self._n:
            raise IndexError(f"Index {_brief(index)} is not in a permutation of {_brief(self._n)} elements.")
        if self._table is not None:
            return self._table[index]
        image = self._encipher(index)
        while image >= self._n:  # at most one number in sqrt(n) is out of range
            image = self._encipher(image)
        return image

    def many(self, indices: NDArray[Any]) -> NDArray[Any]:
        """`p[i]` for an array of indices in range(n), some hundred times as fast."""
        import numpy as np

        if self._table is not None:
            found: NDArray[Any] = np.array(self._table)[indices]
            return found
        if self._n > _MANY_UP_TO:
            return np.array([self[index] for index in indices.tolist()], np.int64)
        images = self._encipher_many(indices)
        while (out := images >= self._n).any():
            images[out] = self._encipher_many(images[out])
        return images

    def _encipher_many(self, numbers: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        if self._halves is None:  # what each round adds, by the other half
            sizes = (self._columns, self._rows)
            self._halves = [
                np.array([self._mix(number, half) % sizes[1 - number % 2] for half in range(sizes[number % 2])])
                for number in range(_ROUNDS)
            ]
        row, column = divmod(numbers, self._columns)
        for first in range(0, _ROUNDS, 2):
            row = (row + self._halves[first][column]) % self._rows
            column = (column + self._halves[first + 1][row]) % self._columns
        made: NDArray[Any] = row * self._columns + column
        return made

    def _encipher(self, number: int) -> int:
        row, column = divmod(number, self._columns)
        for first in range(0, _ROUNDS, 2):
            row = (row + self._mix(first, column)) % self._rows
            column = (column + self._mix(first + 1, row)) % self._columns
        return row * self._columns + column

    def _mix(self, round_number: int, half: int) -> int:
        digest = self._round_hashes[round_number].copy()
        digest.update(half.to_bytes(self._width, "little"))
        return int.from_bytes(digest.digest(), "little")


def _lehmer_shuffle(n: int, key: bytes) -> tuple[int, ...]:
    # 64! is below 2**296, so 512 bits leave the choice among the n! orders even to one part in 2**216.
    code = int.from_bytes(blake2b(key, person=b"lehmer").digest(), "little")
    left = list(range(n))
    order = []
    while left:
        code, place = divmod(code, len(left))
        order.append(left.pop(place))
    return tuple(order)


def _brief(number: int) -> str:
    return str(number) if abs(number) < 10**30 else f"about 2**{abs(number).bit_length() - 1}"
