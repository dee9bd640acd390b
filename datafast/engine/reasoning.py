"""What models thought on the way to a row, and where it stands in the row. No kind has to do anything for it.

The reasoning of an answer belongs to each row that the answer was given for: that of a reply with five texts stands in all five rows,
because rows are shuffled, filtered and split, and one without it could not be told from one that nobody thought about. Where replies
were asked for again, it is that of the reply that was taken.

It is a view of recorded replies: the setting is in no key, and rows are made again at no cost when it changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import orjson

if TYPE_CHECKING:
    from pydantic import BaseModel

    RowT = TypeVar("RowT", bound=BaseModel)

__all__ = ["DROP", "KEY", "METADATA", "Place", "ReasoningPlace", "Thoughts", "line_as", "line_of", "row_of"]

Place = Literal["drop", "metadata", "field"]
KEY = "reasoning"
"""The name of the reasoning in a row or in its metadata."""
METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class ReasoningPlace:
    """Where reasoning stands.

    Attributes:
        place: in no row, in the metadata, or in a field of the row.
        by_part: a mapping of what was asked (a role, a column) to its reasoning; else one text.
    """

    place: Place = "drop"
    by_part: bool = False


DROP = ReasoningPlace()


class _Thought(NamedTuple):
    order: tuple[str, str]
    part: str
    rows: Collection[int] | None
    text: str


class Thoughts:
    """What models thought about the rows of one item."""

    def __init__(self) -> None:
        self._all: list[_Thought] = []

    def add(self, text: str, *, role: str, tag: str, part: str, rows: Collection[int] | None) -> None:
        """Keeps what was thought before an answer.

        Args:
            part: what of a row was asked for.
            rows: the rows that it was asked for; None for all.
        """
        self._all.append(_Thought((role, tag), part or role, rows, text))

    def drop(self, role: str, tag: str) -> None:
        """Forgets what was thought in calls with this tag."""
        self._all = [thought for thought in self._all if thought.order != (role, tag)]

    def take(self, row: int, other: Thoughts) -> None:
        """Takes over what others hold about a row."""
        self._all += [thought._replace(rows=(row,)) for thought in other._all if _concerns(thought, row)]

    def swap(self, row: int, one: str, other: str) -> None:
        """Exchanges two parts of a row."""
        to = {one: other, other: one}
        self._all = [
            thought._replace(part=to.get(thought.part, thought.part)) if thought.rows == (row,) else thought
            for thought in self._all
        ]

    def of(self, row: int, *, by_part: bool) -> str | dict[str, str] | None:
        """What was thought about a row: one text, or by part. None where nothing was.

        The order is that of role and tag, so that it does not depend on which reply came first.
        """
        parts: dict[str, str] = {}
        for part, text in self._about(row):
            parts[part] = f"{parts[part]}\n\n{text}" if part in parts else text
        if by_part:
            return parts or None
        return "\n\n".join(parts.values()) or None

    def _about(self, row: int) -> Iterator[tuple[str, str]]:
        for thought in sorted(self._all, key=lambda thought: thought.order):
            if _concerns(thought, row):
                yield thought.part, thought.text


def _concerns(thought: _Thought, row: int) -> bool:
    return thought.rows is None or row in thought.rows


def line_of(row: BaseModel, number: int, thoughts: Thoughts, where: ReasoningPlace) -> bytes:
    """A row as a JSON line, with what was thought about it. Its own fields are as without it."""
    return _line_with(row, thoughts.of(number, by_part=where.by_part), where.place)


def row_of(line: bytes, place: Place, row_model: type[RowT]) -> RowT:
    """The row of a line as stages are shown it: without what was thought about it."""
    if place != "drop":
        line = orjson.dumps(_without(orjson.loads(line), place))
    return row_model.model_validate_json(line)


def line_as(row: BaseModel, before: bytes, place: Place) -> bytes:
    """The line of a row that was changed, with what the line that it had before says of what was thought."""
    if place == "drop":
        return _json(row) + b"\n"
    told = orjson.loads(before)
    told = told.get(METADATA) if place == METADATA else told
    return _line_with(row, told.get(KEY) if isinstance(told, dict) else None, place)


def _line_with(row: BaseModel, told: object, place: Place) -> bytes:
    added: dict[str, object] = {KEY: told}
    if place == METADATA:
        if METADATA in type(row).model_fields:
            mixed = {**getattr(row, METADATA), **added}
            return _json(row.model_copy(update={METADATA: mixed})) + b"\n"
        added = {METADATA: added}
    return _json(row)[:-1] + b"," + orjson.dumps(added)[1:] + b"\n"


def _without(row: dict[str, Any], place: Place) -> dict[str, Any]:
    if place == METADATA and isinstance(row.get(METADATA), dict):
        return {**row, METADATA: {name: value for name, value in row[METADATA].items() if name != KEY}}
    return {name: value for name, value in row.items() if name != KEY}


def _json(row: BaseModel) -> bytes:
    return type(row).__pydantic_serializer__.to_json(row)
