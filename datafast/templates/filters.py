"""The filters of templates: those of Jinja's that cannot make much of little, and bounded ones in place of others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from jinja2.filters import FILTERS as JINJA_FILTERS

from datafast.templates.limits import TooMuch, allow, bounded_text, size, step

__all__ = ["FILTERS", "formatted"]

_KEPT_FILTERS = [
    "abs",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "groupby",
    "int",
    "items",
    "last",
    "length",
    "list",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "unique",
]
_TEXT_FILTERS = ["capitalize", "lower", "title", "trim", "upper"]
_WIDE = re.compile(r"%[^a-zA-Z%]*(?:\d{4,}|\*)")


def _checked_format(pattern: str) -> None:
    if _WIDE.search(pattern):
        raise TooMuch("a format with a width or precision of more than three digits")


def _join(values: Iterable[Any], separator: Any = "", attribute: str | None = None) -> str:
    texts = [bounded_text(value if attribute is None else value[attribute]) for value in values]
    between = bounded_text(separator)
    allow(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _replace(value: Any, old: str, new: str) -> str:
    whole = bounded_text(value)
    allow(len(whole) + (whole.count(old) if old else len(whole) + 1) * len(new))
    return whole.replace(old, new)


def _indent(value: Any, width: int = 4, first: bool = False) -> str:
    lines = bounded_text(value).split("\n")
    allow(len(lines) * max(0, width) + sum(map(len, lines)))
    margin = " " * width
    return (margin if first else "") + f"\n{margin}".join(lines)


def _truncate(value: Any, length: int = 255, end: str = "...") -> str:
    whole = bounded_text(value)
    return whole if len(whole) <= length else whole[: max(0, length - len(end))] + end


def formatted(pattern: Any, *values: Any) -> str:
    text = bounded_text(pattern)
    _checked_format(text)
    shown = tuple(value if isinstance(value, int | float) else bounded_text(value) for value in values)
    allow(len(text) + sum(len(value) for value in shown if isinstance(value, str)))
    return text % shown


def _sum(values: Iterable[Any], attribute: str | None = None) -> Any:
    numbers = [value if attribute is None else value[attribute] for value in values]
    if not all(isinstance(number, int | float) for number in numbers):
        raise TypeError("sum adds up numbers only")
    return sum(numbers)


def _to_json(value: Any, indent: int | None = None) -> str:
    allow(size(value))
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()


def _ofbounded_text(apply: Callable[..., Any]) -> Callable[..., Any]:
    return lambda value, *args: apply(bounded_text(value), *args)


def _checked(name: str, apply: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja's that counts as a step."""

    def counted(*args: Any, **kwargs: Any) -> Any:
        step()
        return apply(*args, **kwargs)

    for attribute, value in getattr(apply, "__dict__", {}).items():  # what Jinja passes to it beside the value
        setattr(counted, attribute, value)
    counted.__name__ = name
    return counted


_UNCOUNTED: dict[str, Callable[..., Any]] = {
    **{name: JINJA_FILTERS[name] for name in _KEPT_FILTERS},
    **{name: _ofbounded_text(JINJA_FILTERS[name]) for name in _TEXT_FILTERS},
    "format": formatted,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "string": bounded_text,
    "sum": _sum,
    "tojson": _to_json,
    "truncate": _truncate,
    "wordcount": lambda value: len(bounded_text(value).split()),
}
FILTERS = {name: _checked(name, apply) for name, apply in _UNCOUNTED.items()}
"""By name; each counts as a step."""
