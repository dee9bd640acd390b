"""Rows and values read as they stand in a file, and values as a page shows them: texts, numbers, lists, tables, trees.

Numbers keep all their digits. Bounds: so many entries of a list, nodes of a tree and levels are shown; the rest is counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datafast.view.rendering.texts import Path, ShownText, Texts, inside

__all__ = [
    "Node",
    "Number",
    "Pairs",
    "Table",
    "Value",
    "Viewed",
    "is_plain",
    "plainly",
    "row_of",
    "shown_value",
    "tree_of",
    "write",
]

_NODES = 600
_LEVELS = 24
_TABLE_ROWS = 100
_TABLE_COLUMNS = 8
_SHORT = 90
_NAME = 200


class Number(float):
    """A number that floats or JSON would write otherwise, as it stands in the file."""

    source: str

    def __new__(cls, source: str) -> Number:
        number = super().__new__(cls, source)
        number.source = source
        return number

    def __str__(self) -> str:
        return self.source


def row_of(line: bytes) -> Any:
    """What a line of JSON holds.

    Raises:
        ValueError: it is not JSON, or is nested too deep to be read.
    """
    try:
        return json.loads(line, parse_float=_float, parse_int=_int)
    except RecursionError:
        raise ValueError("It is nested too deep to be read.") from None


def _float(source: str) -> float:
    return number if repr(number := float(source)) == source else Number(source)


def _int(source: str) -> int | float:
    return int(source) if len(source) < 4_000 else Number(source)


def write(value: Any, indent: int | None = 1) -> str:
    """A value as JSON, with the digits that it has. Values that are nested too deep are cut."""
    return json.dumps(_writable(value), ensure_ascii=False, indent=indent, default=str)


def _writable(value: Any, level: int = 0) -> Any:
    if level > 200:
        return "…"
    if isinstance(value, Mapping):
        return {str(name): _writable(one, level + 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(one, level + 1) for one in value]
    return str(value) if isinstance(value, Number) else value


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a short text, true, false or null."""
    return not isinstance(value, Mapping | list) and len(plainly(value)) <= _SHORT and "\n" not in plainly(value)


def plainly(value: Any) -> str:
    """A value that holds no others, in a word."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value if isinstance(value, str) else str(value)


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a tree.

    Attributes:
        name: of the entry, or its number from 0.
        text: what it is if it holds no others.
        sort: null, true, number, text, object or list; "more" for a line that counts what is not shown.
        size: how many entries it has.
        nodes: the first of them.
    """

    name: str
    sort: str
    text: ShownText | str = ""
    size: int = 0
    nodes: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names and short values."""

    pairs: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """Entries of a list that have the same names."""

    columns: list[str]
    rows: list[list[ShownText | str]]
    more: int = 0


Viewed = ShownText | str | Node | Pairs | Table | list[str]


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its name: a text, a short value, short values in a row, names and values, a table, or a tree."""

    name: str
    value: Viewed

    @property
    def sort(self) -> str:
        names = {ShownText: "text", str: "plain", Node: "tree", Pairs: "pairs", Table: "table", list: "words"}
        return names[type(self.value)]


def shown_value(name: str, value: Any, texts: Texts, path: Path | None) -> Value:
    """A value as it is best shown.

    Args:
        path: where it is; None where its texts cannot be fetched, because it was read from a text.
    """
    name = name[:_NAME]
    if is_plain(value):
        return Value(name, plainly(value))
    if isinstance(value, str):
        return Value(name, texts.shown(value, path))
    if isinstance(value, list) and len(value) <= _TABLE_ROWS and all(map(is_plain, value)):
        return Value(name, [plainly(one) for one in value])
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value[:_TABLE_ROWS]):
        return Value(name, _table([{"": one} for one in value], texts, path))
    if isinstance(value, list) and _has_columns(value):
        return Value(name, _table(value, texts, path))
    if isinstance(value, Mapping) and len(value) <= _TABLE_ROWS and all(map(is_plain, value.values())):
        return Value(name, Pairs([(str(key)[:_NAME], plainly(one)) for key, one in value.items()]))
    return Value(name, tree_of(value, texts, path))


def _has_columns(value: Sequence[Any]) -> bool:
    """Whether they are mappings with few names, and no more in them."""
    first = value[:_TABLE_ROWS]
    if not first or not all(isinstance(one, Mapping) and one for one in first):
        return False
    names = {name for one in first for name in one}
    return len(names) <= _TABLE_COLUMNS and not any(
        isinstance(part, Mapping | list) for one in first for part in one.values()
    )


def _table(value: Sequence[Mapping[str, Any]], texts: Texts, path: Path | None) -> Table:
    first = value[:_TABLE_ROWS]
    columns = list(dict.fromkeys(name for one in first for name in one))
    is_list = columns == [""]
    rows = [
        [
            _cell(one.get(name), texts, inside(path, number) if is_list else inside(path, number, name))
            for name in columns
        ]
        for number, one in enumerate(first)
    ]
    return Table([name[:_NAME] for name in columns], rows, len(value) - len(first))


def _cell(value: Any, texts: Texts, path: Path | None) -> ShownText | str:
    if value is None:
        return ""
    return texts.shown(value, path) if isinstance(value, str) and not is_plain(value) else plainly(value)


def tree_of(value: Any, texts: Texts, path: Path | None, name: str = "") -> Node:
    """A value and what it holds, as a tree."""
    return _Tree(texts).node(name, value, path, 0)


class _Tree:
    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._left = _NODES

    def node(self, name: str, value: Any, path: Path | None, level: int) -> Node:
        self._left -= 1
        if isinstance(value, Mapping | list):
            sort = "object" if isinstance(value, Mapping) else "list"
            return Node(name[:_NAME], sort, size=len(value), nodes=list(self._inner(value, path, level + 1)))
        if isinstance(value, str):
            return Node(name[:_NAME], "text", self._texts.as_it_is(value, path))
        sort = "number" if isinstance(value, int | float) and not isinstance(value, bool) else "null"
        return Node(name[:_NAME], sort, plainly(value))

    def _inner(self, value: Mapping[str, Any] | list[Any], path: Path | None, level: int) -> Iterator[Node]:
        parts: list[tuple[str | int, Any]] = list(value.items() if isinstance(value, Mapping) else enumerate(value))
        for number, (name, one) in enumerate(parts):
            if self._left <= 0 or level > _LEVELS:
                yield Node("", "more", f"{len(parts) - number:,} more")
                return
            yield self.node(str(name), one, inside(path, name), level)
