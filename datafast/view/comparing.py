"""Two rows, or the two responses of one, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datafast.export.talk import parsed
from datafast.view.rendering.differing import Difference, difference
from datafast.view.rendering.layouts import pair_names
from datafast.view.rendering.talk import is_talk
from datafast.view.rendering.values import plainly, write

__all__ = ["Compared", "Comparison", "compared_pair", "compared_rows"]

_MOST = 150
_LETTERS = 1_500_000


@dataclass(frozen=True, slots=True)
class Compared:
    """A field that differs. `only` is where it is if it is in one of them alone."""

    name: str
    difference: Difference
    only: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two, the names of fields that are the same, and how many were not compared."""

    differing: list[Compared]
    same: list[str]
    left_out: int = 0


def compared_rows(first: Any, second: Any) -> Comparison:
    """Two rows. Their uuids, which always differ, are not compared."""
    return _compared(dict(_texts(first)), dict(_texts(second)))


def compared_pair(row: Mapping[str, Any]) -> Comparison | None:
    """The chosen and the rejected response of a row; None if it has none."""
    names = pair_names(row)
    if names is None:
        return None
    chosen, rejected = (dict(_of_value("response", row[name])) for name in names)
    return _compared(chosen, rejected)


def _compared(first: Mapping[str, str], second: Mapping[str, str]) -> Comparison:
    differing: list[Compared] = []
    same: list[str] = []
    letters = 0
    names = list(dict.fromkeys([*first, *second]))
    for place, name in enumerate(names):
        one, other = first.get(name, ""), second.get(name, "")
        if name in first and name in second and one == other:
            same.append(name)
            continue
        letters += len(one) + len(other)
        if len(differing) >= _MOST or (differing and letters > _LETTERS):
            return Comparison(differing, same, len(names) - place)
        only = "" if name in first and name in second else "first" if name in first else "second"
        differing.append(Compared(name, difference(one, other), only))
    return Comparison(differing, same)


def _texts(row: Any) -> Iterator[tuple[str, str]]:
    """The fields of a row as texts: conversations message by message, metadata value by value."""
    if not isinstance(row, Mapping):
        yield "value", write(row)
        return
    for name, value in row.items():
        if name == "metadata" and isinstance(value, Mapping):
            for key, part in value.items():
                yield from _of_value(f"metadata.{key}", part)
        elif name != "uuid":
            yield from _of_value(name, value)


def _of_value(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if not is_talk(value):
        yield name, _as_text(value)
        return
    for number, turn in enumerate(parsed(value) if isinstance(value, str) else value, start=1):
        role = plainly(turn.get("role", turn.get("from"))) if isinstance(turn, Mapping) else "?"
        yield f"{name}, message {number}: {role}", _turn(turn)


def _turn(turn: Any) -> str:
    said = turn.get("content", turn.get("value")) if isinstance(turn, Mapping) else turn
    others = (
        {key: one for key, one in turn.items() if key not in ("role", "from", "content", "value") and one}
        if isinstance(turn, Mapping)
        else {}
    )
    return "\n\n".join(
        part for part in (_as_text(said) if said is not None else "", write(others) if others else "") if part
    )


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return write(value) if isinstance(value, Mapping | list) else plainly(value)
