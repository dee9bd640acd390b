"""The rows of a source as a sequence, each with an id that says what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from heapq import nsmallest
from typing import Any, overload

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.kinds import kind_of
from datafast.errors import ConfigError
from datafast.sources.choice import Choice
from datafast.sources.identity import ID_BYTES, CellProblem, key_id, number_equal, repeated
from datafast.sources.part import Part
from datafast.sources.progress import Progress
from datafast.sources.reading import Reading
from datafast.sources.records import Records
from datafast.sources.values import Row, RowReader

__all__ = ["Found", "SourceRows", "gone_through"]

_TOLD_EVERY = 256  # rows
_DENSE = 4  # to find one row takes as long as to go through so many


@dataclass(slots=True)
class Found:
    """What one pass over a source has found in the rows that are used.

    Attributes:
        ids: of these rows, 16 bytes each: equal rows have different ones.
        digest: of the rows in their order.
        columns: in their order; of rows that differ, all that occur.
        kinds: the types of the values of each, as of `kind_of`.
        places: the number of each in the source.
    """

    ids: Records
    digest: bytes
    columns: tuple[str, ...]
    kinds: Mapping[str, frozenset[Any]]
    places: Sequence[int]


def gone_through(part: Part, reading: Reading, reader: RowReader) -> Found:
    """Goes through all rows once, and keeps 16 bytes of each that is used.

    Raises:
        ConfigError: a row lacks what tells it apart, or `where` cannot be decided; names the place.
    """
    seen: dict[str, None] = {}
    kinds: dict[str, set[Any]] = {}
    choice = Choice(part, reading, reader)
    ids = Records(ID_BYTES)
    with Progress(part.name) as progress, _ended(part):
        for number, row in choice.of(_noting(part, seen)):
            if not number % _TOLD_EVERY:
                progress.at_row(number)
            part.keep(number, row)
            for column, value in row.items():
                if (kind := kind_of(value)) not in kinds.setdefault(column, set()):
                    kinds[column].add(kind)
            try:
                ids.append(reading.identity.of(row))
            except CellProblem as problem:
                raise _refusal(problem, number, part, reading, reader) from None
    choice.check(seen)
    digest = _digest(ids)
    number_equal(ids, reading.identity.again)
    told = {column: frozenset(kinds.get(column, ())) for column in seen}
    return Found(ids, digest, tuple(seen), told, choice.places)


def _refusal(problem: CellProblem, number: int, part: Part, reading: Reading, reader: RowReader) -> ConfigError:
    refused = reader.refused.get(problem.column, (-1, ""))
    why = refused[1] if refused[0] == number else problem.why
    end = "" if why.endswith("?") else "."
    return ConfigError(f"{reading.field}: {part.name}, {part.place(number)}: The column {problem.column!r} {why}{end}")


@contextmanager
def _ended(part: Part) -> Iterator[None]:
    """Tells a part that its rows have been gone through, and whether that went well."""
    try:
        yield
    except BaseException:
        part.ended(False)
        raise
    part.ended(True)


def _digest(ids: Records) -> bytes:
    state = blake2b(digest_size=ID_BYTES)
    for block in ids.blocks():
        state.update(block)
    return state.digest()


def _noting(part: Part, seen: dict[str, None]) -> Iterator[Row]:
    """The rows of a part; notes the columns of all of them, also of those that are not used."""
    rows = part.rows()
    seen |= dict.fromkeys(part.columns)
    for row in rows:
        if row.keys() != seen.keys():
            seen |= dict.fromkeys(name for name in (*part.columns, *row) if name not in seen)
        yield row
    seen |= dict.fromkeys(name for name in part.columns if name not in seen)


_OTHER_KEY = "Choose a column whose values are all there and all different."


class SourceRows(Sequence[Row]):
    """The rows of a source. Made by `open_source`.

    Args:
        part: what is read.
        found: what a pass over all rows has found.
        reader: knows which columns hold what no row can hold.

    Attributes:
        name: how messages call it.
        columns: the names of its columns, in their order.
        kinds: the types of the values of each column.
        digest: 16 bytes that change when its rows, or their order, do.
        former_digest: what version 0.1.0 had in the place of the digest.
        files: the files that they are in, if they are in some.
    """

    def __init__(self, part: Part, found: Found, reader: RowReader) -> None:
        self.name = part.name
        self.columns = found.columns
        self.kinds = found.kinds
        self.digest = found.digest
        self.former_digest = part.former()
        self.files = tuple(part.files)
        self._part = part
        self._found = found
        self._ids = found.ids
        self._places = found.places
        self._reader = reader

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        found = range(len(self))[index]
        return self._read(found) if isinstance(found, int) else [self._read(number) for number in found]

    def _read(self, index: int) -> Row:
        try:
            with foreign_warnings_ignored():
                return self._part.read(self._places[index])
        except OSError as error:
            raise ConfigError(
                f"{self.name} cannot be read any more: {error.strerror or error}. Start again, when it or its copy is there."
            ) from error

    def __iter__(self) -> Iterator[Row]:
        return self.several(range(len(self)))

    def several(self, indexes: Sequence[int]) -> Iterator[Row]:
        """The rows with these numbers, which grow. Where they are most of the rows, the source is gone through from its beginning."""
        again = self._part.again
        if again is None or not indexes or self._places[indexes[-1]] > _DENSE * len(indexes):
            yield from map(self._read, indexes)
            return
        places = (self._places[number] for number in indexes)
        wanted = next(places)
        for number, row in again():
            if number == wanted:
                yield row
                if (wanted := next(places, -1)) < 0:
                    return
        raise ConfigError(f"{self.name} has changed while it was used. Start again to use it as it is now.")

    def __repr__(self) -> str:
        return f"<{len(self)} source rows of {self.name}: {', '.join(self.columns)}>"

    @property
    def ids(self) -> Records:
        """16 bytes for each row that say what it holds, and which one it is of equal rows."""
        return self._ids

    def id_of(self, index: int) -> bytes:
        """16 bytes that say what a row holds, and which one it is of equal rows."""
        return self._ids[index]

    def ids_by(self, column: str, *, field: str, cure: str = _OTHER_KEY) -> Records:
        """The ids of all rows by what one column holds, which is different in each of them.

        Args:
            cure: what errors say is to be done.

        Raises:
            ConfigError: two rows have the same there, or one has nothing.
        """
        self.check([column], field=field)
        ids = Records(ID_BYTES)
        for number, row in enumerate(self):
            value = row.get(column)
            if value is None:
                raise ConfigError(f"{field}: {self.name}, {self.place(number)}: {column} is empty. {cure}")
            ids.append(key_id(value))
        self.refuse_repeats(ids, column, field=field, cure=cure)
        return ids

    def refuse_repeats(self, ids: Records, column: str, *, field: str, cure: str = _OTHER_KEY) -> None:
        """Raises ConfigError where two rows have the same of these ids of a column, one for each row."""
        if (found := repeated(ids)) is None:
            return
        first, second = found
        raise ConfigError(
            f"{field}: {self.name}: {self.place(first)} and {self.place(second)} have the same {column}, "
            f"{self[second][column]!r:.60}. {cure}"
        )

    def place(self, index: int) -> str:
        """How messages call the place of a row."""
        return self._part.place(self._places[index])

    def sample(self, size: int, seed: int) -> SourceRows:
        """So many of the rows in their order, drawn by what tells them apart: a row that changes, comes or goes moves at most one other."""
        if size >= len(self):
            return self
        start = str(seed).encode()
        drawn = nsmallest(size, range(len(self)), key=lambda number: blake2b(start + self.id_of(number)).digest())
        places = sorted(drawn)
        ids = Records(ID_BYTES, (self.id_of(number) for number in places))
        found = replace(
            self._found,
            ids=ids,
            digest=_digest(ids),
            places=[self._places[number] for number in places],
        )
        return SourceRows(self._part, found, self._reader)

    @property
    def refused(self) -> Mapping[str, tuple[int, str]]:
        """By column, the number of the first row that holds what cannot be read, and why."""
        return self._reader.refused

    def check(self, columns: Sequence[str], *, field: str) -> None:
        """Raises ConfigError where one of these columns holds what cannot be read; names row, column and cure."""
        for name in columns:
            if name in self._reader.refused:
                number, why = self._reader.refused[name]
                raise ConfigError(f"{field}: {self.name}, {self._part.place(number)}: The column {name!r} {why}.")
