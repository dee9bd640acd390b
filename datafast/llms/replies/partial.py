"""What can be used of a reply that is not whole: the elements of a list that validate, and those that stand before a cut.

Guarantee: an element is taken as the model wrote it, and only where nothing about it is in doubt. A text before a cut counts where
a comma or the end of its list follows, for a quote may belong to it. Cost: one more pass over a reply that is not whole.
Limits: models that say which of their fields are such lists; see `ReplyModel.elements`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from datafast.llms.replies.find import whole_value
from datafast.llms.strict_schema import lossy_number

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from datafast.llms.schema import ResponseSchema

__all__ = ["Sound", "flawed_elements", "lossy_elements", "values_before_cut", "without_elements"]

_SPACE = re.compile(r"\s*+")
_BARE_LIST = re.compile(r"\s*+(?:```\w*+\s*+)?\[")
_DECODER = json.JSONDecoder()


class Sound(NamedTuple):
    """A value without the elements that cannot be used, and the numbers that these had in the first of its lists."""

    value: dict[str, Any]
    left_out: list[int]


def flawed_elements(problems: Sequence[ErrorDetails], schema: ResponseSchema) -> set[tuple[str, int]] | None:
    """The elements, by field and number, that problems are about; None where one is about something else."""
    flawed: set[tuple[str, int]] = set()
    for problem in problems:
        match problem["loc"]:
            case (str(field), int(number), *_) if field in schema.elements:
                flawed.add((field, number))
            case _:
                return None
    return flawed


def lossy_elements(value: object, schema: ResponseSchema) -> set[tuple[str, int]]:
    """The elements with a number that would lose its meaning."""
    lists = {field: value.get(field) for field in schema.elements} if isinstance(value, dict) else {}
    return {
        (field, number)
        for field, elements in lists.items()
        if isinstance(elements, list)
        for number, element in enumerate(elements)
        if lossy_number({field: [element]}, schema.json_schema)
    }


def without_elements(value: object, flawed: Collection[tuple[str, int]], schema: ResponseSchema) -> Sound | None:
    """The value without these elements; None where there are none, or it is no object."""
    if not flawed or not isinstance(value, dict):
        return None
    sound = dict(value)
    for field in {field for field, _ in flawed}:
        sound[field] = [element for number, element in enumerate(value[field]) if (field, number) not in flawed]
    return Sound(sound, sorted(number for field, number in flawed if field == schema.elements[0]))


def values_before_cut(text: str, schema: ResponseSchema) -> dict[str, Any] | None:
    """The elements of the reply's list that are whole, as an object that holds nothing else; None where there are none.

    Args:
        text: the reply, which was cut somewhere.
    """
    if not schema.elements:
        return None
    start = _start_of_list(text, schema)
    found = None if start is None else _elements_from(text, start)
    return {schema.elements[0]: whole_value(found)} if found else None


def _start_of_list(text: str, schema: ResponseSchema) -> int | None:
    """Behind the bracket that opens the list; None where it is not there, or may be in several places."""
    named = re.finditer(rf'\{{\s*+"{re.escape(schema.elements[0])}"\s*+:\s*+\[', text)
    places = [found.end() for found, _ in zip(named, range(2), strict=False)]
    if not places and schema.list_field is not None and (bare := _BARE_LIST.match(text)):
        places = [bare.end()]
    return places[0] if len(places) == 1 else None


def _elements_from(text: str, start: int) -> list[Any] | None:
    """The whole elements from here to the end of the list, or of the text; None where something stands between them."""
    found: list[Any] = []
    at = _after_space(text, start)
    while text[at : at + 1] not in {"]", ""}:
        try:
            element, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            break  # the cut is in this one
        at = _after_space(text, end)
        mark = text[at : at + 1]
        if mark == "" and not isinstance(element, dict | list):
            break  # its last quote may be one of its own, its last digit not the last
        if mark not in {",", "]", ""}:
            return None
        found.append(element)
        at = _after_space(text, at + 1) if mark == "," else at
    return found


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
