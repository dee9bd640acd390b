"""Which values the fields of rows have, and how often: found in one pass, and rows are chosen by them.

Every field of a row makes a facet, and every field of a mapping in it (`metadata.topic`), if its values are short and not too many. A facet
whose values are too many says so and has none.
Memory: a byte for each row and facet, or two where it has more than 254 values; the pass ends where these would take more than 256 MB, and
`is_full` says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datafast.statistics.rows import as_row
from datafast.view.index import Lines

__all__ = ["LETTERS", "MOST_VALUES", "NO_VALUE", "Facet", "Facets", "ValueCount", "field_id", "field_path"]

Mask = NDArray[np.bool_]
_Codes = NDArray[np.uint8] | NDArray[np.uint16]

LETTERS = 120
"""Of a value; a longer one is a text."""
MOST_VALUES = 2_000
_MOST_FIELDS = 200
_MOST_NAMES = 10_000  # that are looked at for more of them
_MOST_BYTES = 2**28
_MOST_TEXTS = 0.2  # of the values of a field that are not short
_TRIED = 20  # values before this share is looked at
_FEW = 12  # values, which are worth a choice however rare they are
_MISSING, _NOT_SHORT = 0, 1  # codes; those of values follow
_OWN = 2
_BYTE = 255

NO_VALUE = ""
"""What stands for rows without the field where rows are chosen. The empty text, which says as little, is counted with them."""


class ValueCount(NamedTuple):
    """A value as it is shown, and the number of rows with it."""

    value: str
    rows: int


def field_id(*path: str) -> str:
    """The name of a field: the names that lead to it with dots between them, and a backslash before a dot that belongs to one."""
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in path)


def field_path(name: str) -> tuple[str, ...]:
    """The names that lead to a field, from what `field_id` made of them."""
    parts, is_escaped = [""], False
    for letter in name:
        if is_escaped or letter not in "\\.":
            parts[-1] += letter
            is_escaped = False
        elif letter == ".":
            parts.append("")
        else:
            is_escaped = True
    return tuple(parts)


@dataclass(slots=True)
class Facet:
    """A field and its values.

    Attributes:
        path: the names that lead to it.
        is_text: its values are texts, lists or mappings.
        is_many: it has more than `MOST_VALUES` different values.
        has_mappings: some of its values are mappings, whose fields make facets of their own.
    """

    path: tuple[str, ...]
    is_text: bool = False
    is_many: bool = False
    has_mappings: bool = False
    _values: dict[str, int] = field(default_factory=dict)
    _codes: _Codes = field(default_factory=lambda: np.zeros(0, np.uint8))
    _counts: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def id(self) -> str:
        return field_id(*self.path)

    @property
    def is_usable(self) -> bool:
        return not self.is_text and not self.is_many

    @property
    def is_telling(self) -> bool:
        """Whether rows share its values: else it names rows, as their uuids do."""
        return self.is_usable and (len(self._values) <= _FEW or sum(self._counts[_OWN:]) >= 2 * len(self._values))

    @property
    def values(self) -> list[str]:
        return list(self._values)

    @property
    def num_bytes(self) -> int:
        return self._codes.nbytes

    def take(self, values: Sequence[Any], row: int) -> None:
        """Counts the values of rows from one on."""
        known = self._values
        try:
            codes = [
                _MISSING if value is None or value == "" else known[value if type(value) is str else _shown(value)]
                for value in values
            ]
        except KeyError:
            codes = [self._code(value) for value in values]
        self._keep(codes, row)
        self._look()

    def _code(self, value: Any) -> int:
        if value is None or value == "":
            return _MISSING
        shown = value if isinstance(value, str) else _shown(value)
        if (code := self._values.get(shown)) is not None:
            return code
        self.has_mappings |= isinstance(value, dict)
        if len(shown) > LETTERS or shown == "" or len(self._values) >= MOST_VALUES:
            self.is_many |= 0 < len(shown) <= LETTERS
            return _NOT_SHORT
        self._counts.append(0)
        self._values[shown] = code = _OWN + len(self._values)
        return code

    def _keep(self, codes: list[int], row: int) -> None:
        new = np.array(codes, np.uint16)
        end = row + len(codes)
        kept = self._codes
        wider = kept.dtype == np.uint8 and len(self._values) + _OWN > _BYTE
        if wider or end > len(kept):
            size = max(end, len(kept) + len(kept) // 4)
            grown = np.zeros(size, np.uint16 if wider else kept.dtype)  # rows before this field was seen have no value
            grown[: len(kept)] = kept
            self._codes = kept = grown
        kept[row:end] = new
        for code, count in enumerate(np.bincount(new, minlength=len(self._counts)).tolist()):
            self._counts[code] += count

    def _look(self) -> None:
        """Finds out whether it still makes a facet."""
        present = sum(self._counts[1:])
        self.is_text = not self.is_many and present >= _TRIED and self._counts[_NOT_SHORT] > _MOST_TEXTS * present
        if not self.is_usable:
            self._values, self._codes, self._counts = {}, np.zeros(0, np.uint8), [0, 0]

    def mask(self, values: Collection[str], rows: int) -> Mask:
        """Which of the first rows have one of these values."""
        known = self._values
        codes = [_MISSING if value == NO_VALUE else known.get(value, -1) for value in values]
        wanted = np.zeros(len(known) + _OWN, bool)
        wanted[[code for code in codes if code >= 0]] = True
        return wanted[self._of(rows)]

    def _of(self, rows: int) -> _Codes:
        """The codes of the first rows; those that were taken since the last one with the field have no value."""
        codes = self._codes[:rows]
        if len(codes) == rows:
            return codes
        return np.concatenate((codes, np.zeros(rows - len(codes), codes.dtype)))

    def counted(self, rows: int, among: Mask | None = None) -> list[ValueCount]:
        """The rows of each value, among the first ones or some of these; most first, and in the end those without the field."""
        values = list(self._values)
        codes = self._of(rows)
        counts = np.bincount(codes if among is None else codes[among], minlength=len(values) + _OWN).tolist()
        found = [ValueCount(value, counts[_OWN + code]) for code, value in enumerate(values)]
        found.sort(key=lambda one: -one.rows)
        return found + [ValueCount(NO_VALUE, counts[_MISSING])] * bool(counts[_MISSING])


class Facets:
    """The facets of rows that come in order.

    Attributes:
        rows: that were taken.
        end: the byte at which the next row begins.
        broken: lines that are not a row.
        more_fields: there are more than are looked at.
        is_full: no more rows are taken.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.end = 0
        self.broken = 0
        self.more_fields = False
        self.is_full = False
        self._facets: dict[tuple[str, ...], Facet] = {}
        self._names: set[str] = set()  # of the row itself
        self._inner: dict[str, set[str]] = {}  # and of the mappings in it
        self._lock = RLock()

    def take(self, lines: Lines) -> None:
        """Counts rows that follow those that were taken."""
        rows = [as_row(line) for line in lines.data.removesuffix(b"\n").split(b"\n")]
        self.broken += sum(row is None for row in rows)
        known = [row or {} for row in rows]
        with self._lock:
            self._see(self._names, known)
            self._count(known, 1)
            for name in [name for (name, *_), facet in self._facets.items() if facet.has_mappings]:
                within = [value for row in known if isinstance(value := row.get(name), dict)]
                self._see(self._inner.setdefault(name, set()), within, name)
            self._count(known, 2)
            self.rows += len(known)
            self.end = lines.end
            self.is_full = sum(facet.num_bytes for facet in self._facets.values()) > _MOST_BYTES

    def _see(self, names: set[str], mappings: Iterable[Mapping[str, Any]], *within: str) -> None:
        """Adds fields that were not seen before."""
        for mapping in mappings:
            if names.issuperset(mapping):
                continue
            if len(names) >= _MOST_NAMES:
                self.more_fields = True
                return
            for name in mapping:
                if name not in names:
                    names.add(name)
                    self._add(*within, name)

    def _add(self, *path: str) -> None:
        if len(self._facets) >= _MOST_FIELDS:
            self.more_fields = True
        else:
            self._facets[path] = Facet(path)

    def _count(self, rows: Sequence[Mapping[str, Any]], depth: int) -> None:
        for path, facet in self._facets.items():
            if len(path) == depth and facet.is_usable:
                facet.take(list(_values(rows, path)), self.rows)

    def __iter__(self) -> Iterator[Facet]:
        """Those that hold no texts, in the order in which they came."""
        with self._lock:
            return iter([facet for facet in self._facets.values() if not facet.is_text])

    def counted(self, facet: Facet, among: Mask | None = None) -> list[ValueCount]:
        """The values of a facet: see `Facet.counted`. `among` tells of the first rows; of those after them nothing is counted."""
        with self._lock:
            return facet.counted(self.rows if among is None else len(among), among)

    def chosen(self, filters: Mapping[str, Collection[str]], rows: int, *, but: str | None = None) -> Mask | None:
        """Which of the first rows have in each field one of the values that are wanted there; None for all. No row has one of a field that
        is not known.

        Args:
            but: this field is left out of account.
        """
        found: Mask | None = None
        with self._lock:
            known = {facet.id: facet for facet in self if facet.is_usable}
            for name, values in filters.items():
                if name != but:
                    mask = known[name].mask(values, rows) if name in known else np.zeros(rows, bool)
                    found = mask if found is None else found & mask
        return found


def _values(rows: Sequence[Mapping[str, Any]], path: tuple[str, ...]) -> Iterator[Any]:
    if len(path) == 1:
        (name,) = path
        return (row.get(name) for row in rows)
    name, key = path
    return (value.get(key) if isinstance(value := row.get(name), dict) else None for row in rows)


def _shown(value: Any) -> str:
    """A value as a facet shows it; empty for a list or mapping."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""
