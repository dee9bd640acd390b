"""Values of cells: plain JSON, as text in prompts, and the parts that `{column.part[0]}` names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import orjson
from pydantic import BaseModel

from datafast._util.kinds import common_kind

__all__ = [
    "PATH",
    "STEPS",
    "as_plain",
    "counted_true",
    "follow",
    "jinja_name",
    "perhaps_no",
    "plain",
    "shown_path",
    "steps_of",
    "to_text",
    "type_of",
]

Step = str | int

STEPS = r"(?:\.[^\W\d]\w*|\[(?:-?\d{1,9}|'[^'\]\n]*'|\"[^\"\]\n]*\"|[^\W\d]\w*)\])*"
PATH = rf"[^\W\d]\w*{STEPS}"
"""A column, and a way into its value: `answer`, `person.name`, `tags[0]`, `reply['next step']`, `reply[word]`."""

_OPERATORS = ["and", "or", "not", "in", "is", "if", "else"]
_JINJA_WORDS = frozenset(
    [
        *_OPERATORS,
        "true",
        "false",
        "none",
        "True",
        "False",
        "None",
        "loop",
        "self",
        "super",
        "caller",
        "varargs",
        "kwargs",
    ]
)
_STEP = re.compile(r"\.(\w+)|\[(-?\d+)\]|\[['\"](.*?)['\"]\]|\[(\w+)\]")
_WRITTEN = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_DEEPEST = 250
_LARGEST = 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
_PERHAPS_NO = frozenset(["0", "f", "n", "no", "none", "null", "off"])


def to_text(value: Any) -> str:
    """A value as prompts hold it: null is nothing, lists and objects are JSON."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict | tuple):
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    return str(value)


def counted_true(value: Any) -> Any:
    """The value, or False for a text that says false: cells of files are text, and what is written there is meant."""
    return False if isinstance(value, str) and value.strip().lower() == "false" else value


def perhaps_no(value: Any) -> bool:
    """Whether it is a text that counts as true and may be meant as a no."""
    return isinstance(value, str) and value.strip().lower() in _PERHAPS_NO


def plain(value: Any, depth: int = 0) -> Any:
    """A value as the plain JSON that a row can hold.

    Raises:
        TypeError: it cannot be written as JSON.
        ValueError: it holds a number that is not finite or has more than 64 bits, half a surrogate pair, or an object with two keys
            that are the same text; or it is nested more than 250 deep.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            raise ValueError("half of a surrogate pair, which is not text")
        return str(value)
    if isinstance(value, int):
        if not -_LARGEST <= value <= _LARGEST:
            raise ValueError("a whole number of more than 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a finite number")
        return float(value)
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    return _plain_parts(value, depth + 1)


def _plain_parts(value: Any, depth: int) -> Any:
    """The same for a value that has parts, or a type that is not JSON's own."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    elif is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        found = {_key(key): plain(part, depth) for key, part in value.items()}
        if len(found) < len(value):
            raise ValueError("an object with two keys that are the same text")
        return found
    if isinstance(value, list | tuple):
        return [plain(part, depth) for part in value]
    if isinstance(value, set | frozenset):
        return [plain(part, depth) for part in sorted(value, key=repr)]
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        plain(value.tolist(), depth)  # orjson would write what is not finite as null
    try:
        return orjson.loads(orjson.dumps(value, default=_dumped, option=_WRITTEN))
    except TypeError as error:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON") from error


def _key(key: Any) -> str:
    found: str = key if isinstance(key, str) else next(iter(orjson.loads(orjson.dumps({key: None}, option=_WRITTEN))))
    return found


def as_plain(value: Any) -> Any:
    """`plain`, as a validator of a field."""
    try:
        return plain(value)
    except TypeError as error:
        raise ValueError(str(error)) from None


def type_of(values: Sequence[Any]) -> Any:
    """The type of plain values, where they have one in common."""
    kind = common_kind({type(value) for value in values})
    if kind is None:
        return Any
    return kind | None if any(value is None for value in values) else kind


def _dumped(value: Any) -> Any:
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()  # of texts or objects; numbers are orjson's
    raise TypeError


def jinja_name(column: str) -> str:
    """What a column is called in Jinja: its own name, where that is one."""
    if column.isidentifier() and column not in _JINJA_WORDS:
        return column
    return f"column_{column.encode().hex()}"


def steps_of(path: str) -> tuple[str, tuple[Step, ...]]:
    """The name that a path begins with, and the steps into its value."""
    name = re.split(r"[.\[]", path, maxsplit=1)[0]
    found = _STEP.findall(path, len(name))
    return name, tuple(int(number) if number else attribute or key or word for attribute, number, key, word in found)


def follow(value: Any, steps: Sequence[Step]) -> Any:
    """The part of a value that the steps lead to. Nothing has no parts: of null all are null.

    Raises:
        LookupError: there is no such part.
    """
    for step in steps:
        if value is None:
            return None
        if isinstance(value, dict):
            known = value.get(step, value.get(str(step), _MISSING))
            if known is _MISSING:
                raise LookupError(f"it has no {step!r}, only {', '.join(map(str, list(value)[:8])) or 'nothing'}")
            value = known
        elif isinstance(value, list) and isinstance(step, int):
            if not -len(value) <= step < len(value):
                raise LookupError(f"it has {len(value)} elements, and [{step}] is none of them")
            value = value[step]
        else:
            raise LookupError(f"it is {type(value).__name__}, which has no {step!r}")  # noqa: TRY004 - what the caller hears
    return value


_MISSING = object()


def shown_path(name: str, steps: Sequence[Step]) -> str:
    return name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
