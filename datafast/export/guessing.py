"""What `datasets` guesses of columns from the beginning of a file that holds no types, and where later values are not of that.

A column is of one shape in the beginning: null, a scalar, a list of one shape, or an object with a shape for each key. What has several is
read as whatever it is, and then nothing later is refused, as nothing is where there were texts. Else a later value must be of the same
shape, with no key more; a whole number may stand where there were fractions, null anywhere. In a table of commas, numbers and truth values
may also stand where nothing was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Guesses"]

Shape = Any
_ANY = "any"
_TAKES_ALL: tuple[Shape, ...] = (_ANY, "text", {})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?)?")
_WHOLE = re.compile(r"[+-]?\d+")
# What pandas takes for no value.
_NULL = re.compile(r"(?:#N/A(?: N/A)?|#NA|-?1\.#(?:IND|QNAN)|-?(?:nan|NaN)|<NA>|N/A|n/a|NA|NULL|null|None)?")


def _json_shape(value: Any) -> Shape:
    """What Arrow guesses of a value in JSON."""
    match value:
        case None:
            return None
        case str():
            return "moment" if _MOMENT.fullmatch(value) else "text"
        case dict():
            return {key: _json_shape(inner) for key, inner in value.items()}
        case list():
            items: Shape = None
            for item in value:
                items = _both(items, _json_shape(item))
            return (items,)
    return type(value).__name__


def _cell_shape(value: Any) -> Shape:
    """What pandas guesses of a value in a table; lists and objects are text there."""
    if not isinstance(value, str):
        return "text" if isinstance(value, dict | list) else _json_shape(value)
    if _NULL.fullmatch(value):
        return None
    if value.lower() in ("true", "false"):
        return "bool"
    if _WHOLE.fullmatch(value):
        return "int"
    try:
        float(value)
    except ValueError:
        return "text"
    return "float"


def _both(one: Shape, other: Shape) -> Shape:
    """The shape of a column that holds both."""
    if one is None or one == other:
        return other
    if other is None:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {key: _both(one.get(key), shape) for key, shape in other.items()}
    if isinstance(one, tuple) and isinstance(other, tuple):
        return (_both(one[0], other[0]),)
    if not isinstance(one, str) or not isinstance(other, str):
        return _ANY
    mixed = {one, other}
    return "float" if mixed == {"int", "float"} else "text" if mixed == {"moment", "text"} else _ANY


def _fits(guessed: Shape, later: Shape) -> bool:
    if later is None or guessed in _TAKES_ALL or guessed == later:
        return True
    if isinstance(guessed, dict) and isinstance(later, dict):
        return all(key in guessed and _fits(guessed[key], shape) for key, shape in later.items())
    if isinstance(guessed, tuple) and isinstance(later, tuple):
        return _fits(guessed[0], later[0])
    return (guessed, later) == ("float", "int")


def _cell_fits(guessed: Shape, later: Shape) -> bool:
    return _fits(guessed, later) or later in ("int", "bool") or (later == "float" and guessed != "int")


class Guesses:
    """The columns of a file that is being written.

    Args:
        columns: their names.
        cells: whether they are those of a table, and not of JSON.

    Attributes:
        late: columns whose later values are not of the guessed shape.
    """

    def __init__(self, columns: Iterable[str], *, cells: bool = False) -> None:
        self.late: list[str] = []
        self._shape_of = _cell_shape if cells else _json_shape
        self._fits = _cell_fits if cells else _fits
        self._of: dict[str, Shape] = dict.fromkeys(columns)
        self._is_guessed = False

    def note(self, record: Mapping[str, Any], *, is_beginning: bool) -> None:
        """Takes a record, of the beginning or of what comes later."""
        if not is_beginning and not self._is_guessed:
            self._is_guessed = True
            self._of = {name: guess for name, guess in self._of.items() if guess not in _TAKES_ALL}
        for name in [*self._of]:
            shape = self._shape_of(record.get(name))
            if is_beginning:
                self._of[name] = _both(self._of[name], shape)
            elif not self._fits(self._of[name], shape):
                self.late.append(name)
                del self._of[name]
