"""What a table shows of rows: which columns they have, and a line of text for each cell.

Guarantee: a cell is plain text of at most `LETTERS` characters on one line, whatever a model has written: control characters and marks that
change the direction of text are shown as codes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

from datafast.plain import plain_text
from datafast.view.facets import field_id
from datafast.view.search import folded

__all__ = ["LETTERS", "MOST_COLUMNS", "Column", "columns_of", "preview", "value_at"]

Kind: TypeAlias = Literal["text", "talk", "short", "number", "nested"]

LETTERS = 300
"""Of a cell."""
MOST_COLUMNS = 200
"""That are known; of more the first ones."""
_SHORT = 40  # characters that a short text has at most, on average
_SPARSE = 0.05  # of rows have a value in a column that is seldom used
_SHOWN = 7  # columns that are shown unless others are wanted
_ITEMS = 20
_AT_ONCE = 4 * LETTERS
_IN_SIGHT, _BEFORE = 60, 30
_ORDER: Mapping[Kind, int] = {"talk": 0, "text": 0, "short": 1, "number": 2, "nested": 3}
_NAMES_OF_ROWS = frozenset({"uuid", "id", "_id"})


class Column(NamedTuple):
    """A column.

    Attributes:
        path: the names that lead to it.
        kind: what most of its values are.
        is_shown: unless others are wanted.
    """

    path: tuple[str, ...]
    kind: Kind
    is_shown: bool

    @property
    def id(self) -> str:
        return field_id(*self.path)

    @property
    def name(self) -> str:
        return plain_text(".".join(self.path))[:LETTERS]


@dataclass(slots=True)
class _Seen:
    """What some rows have in a column."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    letters: int = 0
    texts: int = 0
    different: set[str] = field(default_factory=set)

    def see(self, value: Any) -> None:
        if value is None or value == "":
            return
        kind = _kind(value)
        self.kinds[kind] += 1
        if kind == "short":
            self.letters += len(value)
            self.texts += 1
        if len(self.different) < 2:
            self.different.add(preview(value) or "")

    @property
    def kind(self) -> Kind:
        found = self.kinds.most_common(1)
        if not found:
            return "short"
        return "text" if found[0][0] == "short" and self.letters > _SHORT * self.texts else found[0][0]


def columns_of(rows: Sequence[Mapping[str, Any]]) -> tuple[list[Column], int]:
    """The columns of some rows, texts first, and how many there are besides. Mappings in rows make a column for each of their names."""
    seen: dict[tuple[str, ...], _Seen] = {}
    more: set[tuple[str, ...]] = set()
    for row in rows:
        for path, value in _cells(row):
            if path in seen or len(seen) < MOST_COLUMNS:
                seen.setdefault(path, _Seen()).see(value)
            else:
                more.add(path)
    sparse = {path for path, one in seen.items() if one.kinds.total() < _SPARSE * len(rows)}

    def rank(path: tuple[str, ...]) -> tuple[object, ...]:
        return path[0] != "dropped", len(path) > 1, path in sparse, _ORDER[seen[path].kind], path[0] in _NAMES_OF_ROWS

    ordered = sorted(seen, key=rank)
    shown = [path for path in ordered if _is_telling(path, seen[path]) and path not in sparse][:_SHOWN]
    shown = shown or ordered[:_SHOWN]
    return [Column(path, seen[path].kind, path in shown) for path in ordered], len(more)


def _cells(row: Mapping[str, Any]) -> Iterable[tuple[tuple[str, ...], Any]]:
    for name, value in row.items():
        if isinstance(value, dict) and value:
            yield from (((name, inner), part) for inner, part in value.items())
        else:
            yield (name,), value


def _is_telling(path: tuple[str, ...], seen: _Seen) -> bool:
    """Whether it is shown at first: not what is the same in all rows, names a row, or stands in a mapping; but why it was dropped is."""
    if path[0] == "dropped":
        return seen.kinds.total() > 0
    return (
        len(path) == 1 and path[0] not in _NAMES_OF_ROWS and (seen.kind in ("text", "talk") or len(seen.different) > 1)
    )


def _kind(value: Any) -> Kind:
    if isinstance(value, str):
        return "short"
    if isinstance(value, bool | int | float):
        return "number"
    return "talk" if isinstance(value, list) and value and all(map(_is_turn, value[:_ITEMS])) else "nested"


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role", value.get("from")), str)


def value_at(row: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value that names lead to; None if there is none."""
    value: Any = row
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def preview(value: Any, find: str = "") -> str | None:
    """A value on one line; None if there is none.

    Args:
        find: a text that is shown, if the value holds it, wherever it stands in it.
    """
    if value is None:
        return None
    text = _in_words(value)
    start = _start(text, find) if find else 0
    shown = plain_text(" ".join(text[start : start + _AT_ONCE].split()))
    if start:
        shown = f"…{shown}"
    return shown if len(shown) <= LETTERS and len(text) <= start + _AT_ONCE else f"{shown[: LETTERS - 1]}…"


def _start(text: str, find: str) -> int:
    """Where a text is shown from, so that what it was searched for is in sight."""
    at = folded(text).find(folded(find))
    return at - _BEFORE if at > _IN_SIGHT else 0


def _in_words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if _kind(value) == "talk":
        return " ⏎ ".join(f"{turn.get('role', turn.get('from'))}: {_said(turn)}" for turn in value[:_ITEMS])
    if isinstance(value, list | dict):
        return _json(value)
    return f"{value:.6g}" if isinstance(value, float) else orjson.dumps(value).decode()


def _said(turn: Mapping[str, Any]) -> str:
    said = turn.get("content", turn.get("value"))
    return said[:_AT_ONCE] if isinstance(said, str) else _json(said if said is not None else turn.get("tool_calls"))


def _json(value: Any) -> str:
    """The beginning of a list or mapping as JSON."""
    if isinstance(value, list):
        value = value[:_ITEMS]
    elif isinstance(value, dict):
        value = {name: value[name] for name in list(value)[:_ITEMS]}
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        return "(nested too deeply to be shown)"
