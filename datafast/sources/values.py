"""Cells as plain JSON, and why some cannot be."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import orjson

__all__ = [
    "RepeatedNameError",
    "Row",
    "RowReader",
    "first_repeated",
    "formerly_written",
    "is_nothing",
    "parsed_json",
    "written",
]

Row = dict[str, Any]

_UNSORTED = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_SORTED = _UNSORTED | orjson.OPT_SORT_KEYS
_PLAIN = frozenset([str, int, bool, type(None)])
_NOTHING = frozenset(["NaTType", "NAType"])  # pandas' own, told without importing it
_LARGEST = 2**63 - 1
_NONE: Mapping[str, str] = {}


class RowReader:
    """Makes plain rows of whatever a source gives; notes for each column why its first bad cell is one.

    Attributes:
        refused: by column, the number of the row (from 0) and what is wrong there. Such cells come out as null: whoever uses the column
            has to look here.
        offset: the rows of the source before those that are numbered from 0 now.
        last: by column, what is wrong in the row that was read last.
    """

    def __init__(self, encoding: str | None = None) -> None:
        self.refused: dict[str, tuple[int, str]] = {}
        self.offset = 0
        self.last: Mapping[str, str] = _NONE
        self._encoding = encoding

    def plain(self, row: Mapping[Any, Any], number: int) -> Row:
        """The row with plain values: dates and the like become the text they are written as, NaN and infinity null."""
        found = {str(name): value if type(value) is bool else self._cell(value) for name, value in row.items()}
        if len(found) < len(row):
            names = [str(name) for name in row]
            twice = next(name for name in names if names.count(name) > 1)
            found[twice] = _Refused(
                "stands twice in a row, once under a name that is not text; give one of them another name"
            )
        self.last = _NONE
        if any(type(value) is _Refused for value in found.values()):
            self.note({name: value.why for name, value in found.items() if type(value) is _Refused}, number)
            found.update(dict.fromkeys(self.last))
        return found

    def apart(self) -> RowReader:
        """One that makes the same of rows, and notes by itself: for rows that are read once more."""
        return RowReader(self._encoding)

    def note(self, refused: Mapping[str, str], number: int) -> None:
        """Notes what is wrong in a row, by column."""
        self.last = refused
        for name, why in refused.items():
            self.refused.setdefault(name, (self.offset + number, why))

    def forget(self, number: int) -> None:
        """What was noted of a row that is not used."""
        if self.refused:
            self.refused = {name: noted for name, noted in self.refused.items() if noted[0] != number}

    def _cell(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return (
                value
                if value.isascii() or _is_text(value)
                else _Refused("holds half of a surrogate pair, which is not text")
            )
        if value is None:
            return None
        if kind is float:
            return value if math.isfinite(value) else None
        if kind is int:
            return value if -_LARGEST <= value <= _LARGEST else _Refused(_TOO_LARGE)
        try:
            found = orjson.loads(orjson.dumps(value, default=self._as_text, option=_UNSORTED))
        except (
            TypeError,
            RecursionError,
        ) as error:  # orjson's own are of this type; what `_as_text` raised is their cause
            return _Refused(_why(error))
        return found if _fits(found) else _Refused(_TOO_LARGE)

    def _as_text(self, value: object) -> Any:
        """What JSON has no form for, as the text it is written as. Anything else would be no value but an object in memory."""
        if type(value).__name__ in _NOTHING:
            return None
        if isinstance(value, date | time | timedelta | Decimal | PurePath):
            return str(value)
        if isinstance(value, bytes | bytearray | memoryview):
            if self._encoding is None:
                raise TypeError(
                    "holds bytes and no text; say what they are, for example by encoding: utf-8, or choose another column"
                )
            return bytes(value).decode(self._encoding)
        if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
            return value.tolist()  # of text or objects; numbers are orjson's
        raise TypeError(f"holds {type(value).__name__}, which cannot be written as JSON; choose another column")


_TOO_LARGE = "holds a whole number of more than 64 bits; write it as text"


class _Refused:
    """Stands for a cell that cannot be had."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


def _why(error: BaseException) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, UnicodeDecodeError):
        return f"holds bytes that are not {cause.encoding}; declare their true encoding"
    text = str(cause)
    if text.startswith("holds"):
        return text
    if "Integer exceeds" in text:
        return _TOO_LARGE
    if "ecursion" in text:
        return "is nested more than 250 deep"
    return f"cannot be written as JSON: {text}"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fits(value: Any) -> bool:
    """Whether each whole number of a value has at most 64 bits, signed."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if type(part) is int:
            if not -_LARGEST <= part <= _LARGEST:
                return False
        elif type(part) is dict:
            waiting.extend(part.values())
        elif type(part) is list:
            waiting.extend(part)
    return True


class RepeatedNameError(ValueError):
    """An object names a member twice, with different values: one of them would be lost."""


def parsed_json(text: str) -> Any:
    """JSON as it stands there: a whole number of more than 64 bits stays one, where orjson makes it a float.

    Raises:
        RepeatedNameError: see there.
        ValueError: it is not JSON.
    """
    orjson.loads(text)  # what it takes is JSON; Python's own takes more
    found: object = _decoder.decode(text)
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) != len(pairs):
        for name, value in pairs:
            if found[name] != value:
                raise RepeatedNameError(
                    f"An object names {name!r:.60} twice, with different values. Keep one of them, since only one could be used."
                )
    return found


_decoder = json.JSONDecoder(object_pairs_hook=_without_repeats)


def written(row: Mapping[str, Any]) -> bytes:
    """A plain row as bytes that are the same for the same values."""
    return orjson.dumps(row, option=_SORTED)


def first_repeated(names: Iterable[str]) -> str | None:
    """The first of the names that stands there again."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def is_nothing(value: object) -> bool:
    """Whether a cell of a DataFrame stands for nothing: NaN, NaT or NA."""
    return type(value).__name__ in _NOTHING or (isinstance(value, float) and math.isnan(value))


def formerly_written(row: Mapping[Any, Any]) -> bytes:
    """A row of a list as version 0.1.0 wrote it into digests; nothing where it refused the row."""
    try:
        return orjson.dumps(dict(row), default=_formerly, option=_SORTED)
    except TypeError:
        return b""


def _formerly(value: object) -> str | None:
    return None if type(value).__name__ in _NOTHING else str(value)
