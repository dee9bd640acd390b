"""The rows of a source as a sequence, each with an id that says what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, overload

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.kinds import kind_of
from datafast.errors import ConfigError
from datafast.sources.values import Row, RowReader, written

__all__ = ["ID_BYTES", "Found", "SourceRows", "gone_through"]

ID_BYTES = 16


@dataclass(slots=True)
class Found:
    """What one pass over a source has found.

    Attributes:
        ids: of all rows, 16 bytes each: equal rows have different ones.
        digest: of the rows in their order.
        columns: in their order; of rows that differ, all that occur.
        kinds: the types of the values of each, as of `kind_of`.
    """

    ids: bytearray
    digest: bytes
    columns: tuple[str, ...]
    kinds: Mapping[str, frozenset[Any]]


def gone_through(rows: Iterable[Row], *, columns: Sequence[str] = ()) -> Found:
    """Goes through all rows once, and keeps 16 bytes of each."""
    ids = bytearray()
    kinds: dict[str, set[Any]] = {name: set() for name in columns}
    for row in rows:
        for name, value in row.items():
            if (kind := kind_of(value)) not in kinds.setdefault(name, set()):
                kinds[name].add(kind)
        ids += blake2b(written(row), digest_size=ID_BYTES).digest()
    digest = blake2b(ids, digest_size=ID_BYTES).digest()
    _number_equal(ids)
    return Found(ids, digest, tuple(kinds), {name: frozenset(types) for name, types in kinds.items()})


def _number_equal(ids: bytearray) -> None:
    """Gives the second and further ones of equal rows ids of their own."""
    import numpy as np

    halves = np.frombuffer(bytes(ids), dtype=np.uint64).reshape(-1, 2)
    order = np.lexsort((np.arange(len(halves)), halves[:, 1], halves[:, 0]))
    sorted_halves = halves[order]
    repeats = np.flatnonzero((sorted_halves[1:] == sorted_halves[:-1]).all(axis=1)) + 1
    ordinal, before = 0, -2
    for place in repeats.tolist():
        ordinal = ordinal + 1 if place == before + 1 else 1
        before = place
        start = int(order[place]) * ID_BYTES
        numbered = blake2b(bytes(ids[start : start + ID_BYTES]) + ordinal.to_bytes(8, "big"), digest_size=ID_BYTES)
        ids[start : start + ID_BYTES] = numbered.digest()


class SourceRows(Sequence[Row]):
    """The rows of a source. Made by `open_source`.

    Args:
        found: what a pass over all rows has found.
        read: a row by its number; raises ConfigError where it is not what was found.
        reader: knows which columns hold what no row can hold.
        place: how messages call the place of a row.
        former_digest: what version 0.1.0 had in the place of the digest.

    Attributes:
        name: how messages call it.
        columns: the names of its columns, in their order.
        kinds: the types of the values of each column.
        digest: 16 bytes that change when its rows, or their order, do.
        read_from: the file that they are in, if they are in one.
    """

    read_from: Path | None = None

    def __init__(
        self,
        name: str,
        found: Found,
        read: Callable[[int], Row],
        *,
        reader: RowReader,
        former_digest: bytes,
        place: Callable[[int], str] = lambda number: f"row {number}",
    ) -> None:
        self.name = name
        self.columns = found.columns
        self.kinds = found.kinds
        self.digest = found.digest
        self.former_digest = former_digest
        self._ids = found.ids
        self._read = read
        self._reader = reader
        self._place = place

    def __len__(self) -> int:
        return len(self._ids) // ID_BYTES

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        found = range(len(self))[index]
        with foreign_warnings_ignored():
            return self._read(found) if isinstance(found, int) else [self._read(number) for number in found]

    def __repr__(self) -> str:
        return f"<{len(self)} source rows of {self.name}: {', '.join(self.columns)}>"

    def id_of(self, index: int) -> bytes:
        """16 bytes that say what a row holds, and which one it is of equal rows."""
        return bytes(self._ids[index * ID_BYTES : (index + 1) * ID_BYTES])

    def ids_by(self, column: str, *, field: str) -> bytes:
        """The ids of all rows by what one column holds, which is different in each of them.

        Raises:
            ConfigError: two rows have the same there, or one has nothing.
        """
        self.check([column], field=field)
        ids = bytearray()
        seen: dict[bytes, int] = {}
        for number, row in enumerate(self):
            value = row.get(column)
            if value is None:
                raise ConfigError(
                    f"{field}: {self.name}, {self._place(number)}: {column} is empty. Every row needs a key."
                )
            ids += (made := blake2b(written({"key": value}), digest_size=ID_BYTES).digest())
            first = seen.setdefault(made, number)
            if first != number:
                raise ConfigError(
                    f"{field}: {self.name}: {self._place(first)} and {self._place(number)} have the same {column}, {value!r:.60}. "
                    f"Choose a column whose values are all different."
                )
        return bytes(ids)

    @property
    def refused(self) -> Mapping[str, tuple[int, str]]:
        """By column, the number of the first row that holds what cannot be read, and why."""
        return self._reader.refused

    def check(self, columns: Sequence[str], *, field: str) -> None:
        """Raises ConfigError where one of these columns holds what cannot be read; names row, column and cure."""
        for name in columns:
            if name in self._reader.refused:
                number, why = self._reader.refused[name]
                raise ConfigError(f"{field}: {self.name}, {self._place(number)}: The column {name!r} {why}.")
