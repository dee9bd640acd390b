"""What is wrong with a config file, gathered and told at once: each problem with FILE:LINE and the field, in the words of a config file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from datafast._util.config_model import in_our_words
from datafast._util.field_docs import field_docs
from datafast._util.yaml_file import FileRefused, Place, Problem, YamlFile

__all__ = ["Keys", "Problems"]

Keys = Sequence[str | int]
Places = Mapping[str, Keys]

_FIELD_IN_FRONT = re.compile(r"((?:[\w-]+)(?:\.[\w-]+|\[\d+\])*): ")
_STEP = re.compile(r"\[(\d+)\]|([\w-]+)")


class Problems:
    """The problems of one file."""

    def __init__(self, file: YamlFile) -> None:
        self._file = file
        self._found: dict[tuple[int, str], tuple[Place, list[str]]] = {}
        self._meant: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, keys: Keys, message: str, *, whole: bool = False) -> None:
        """Keeps a problem. The field is shown as far as it is in the file; `whole` shows all of it."""
        shown = keys if whole else self._file.known_part(keys) or keys
        if len(keys) == 1 and keys[0] in self._meant:
            return
        place = self._file.place_of(keys)
        _, messages = self._found.setdefault((place.line, _dotted(shown)), (place, []))
        if message not in messages:
            messages.append(message)

    def take_as_meant(self, name: str) -> None:
        """Tells no more of a field of the top that is missing, since another name there was meant as it, and is told of."""
        if name not in self._file.data:
            self._meant.add(name)

    def add_text(self, message: str, keys: Keys = (), *, places: Places | None = None) -> None:
        """Adds a message that may begin with the name of the field it is about.

        Args:
            keys: where the field is looked for first.
            places: where fields stand in the file, where not under their own names.
        """
        message = _moved(message, places or {})
        known = self._file.known_part(keys)
        match = _FIELD_IN_FRONT.match(message)
        if match:
            steps = [int(number) if number else name for number, name in _STEP.findall(match[1])]
            for base in (known, known[:-1], []):
                if len(self._file.known_part([*base, steps[0]])) > len(base):
                    self.add([*base, *steps], message[match.end() :], whole=True)
                    return
        self.add(known, message)

    def add_errors(self, error: ValidationError, model: type[BaseModel], places: Places | None = None) -> None:
        """Adds what pydantic found wrong with a config of this model."""
        details = error.errors(include_url=False)
        told = [(detail, self._keys_of(detail["loc"], places or {})) for detail in details]
        known = [tuple(self._file.known_part(keys)) for _, keys in told]
        for (detail, keys), place in zip(told, known, strict=True):
            if _is_of_another_shape(detail) and any(
                len(other) > len(place) and other[: len(place)] == place for other in known
            ):
                continue  # the value has the shape of another of the types that it may have, and something in it is wrong
            if detail["type"] == "missing":
                meaning = field_docs(model).get(str(keys[0])) if len(keys) == 1 else None
                about = f"It says: {meaning}" if meaning else "It is required."
                parents = self._file.known_part(keys[:-1]) or keys[:-1]
                self.add([*parents, keys[-1]], f"The field is missing. {about}", whole=True)
            else:
                self.add_text(_expected(detail), keys, places=None if keys else places)

    def _keys_of(self, location: Sequence[str | int], places: Places) -> list[str | int]:
        return [*places.get(str(location[0]), location[:1]), *location[1:]] if location else []

    def place(self, keys: Keys) -> str:
        """FILE:LINE and the field."""
        return self._file.at(self._file.line_of(keys), _dotted(keys))

    def refusal(self) -> FileRefused:
        """All of them as one error, a problem a line, in the order of the file."""
        found = [
            Problem(place, field, " Or: ".join(messages))
            for (_, field), (place, messages) in sorted(self._found.items(), key=lambda item: item[0])
        ]
        return FileRefused(self._file.path, found)


def _moved(message: str, places: Mapping[str, Keys]) -> str:
    """A message that begins with a field, with the field's own place in front instead."""
    message = message.removeprefix("Value error, ")
    first = re.match(r"[\w-]+", message)
    if first is None or first[0] not in places or not _FIELD_IN_FRONT.match(message):
        return message
    return _dotted(places[first[0]]) + message[first.end() :]


def _dotted(keys: Keys) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _is_of_another_shape(detail: Any) -> bool:
    """Whether an error says that a mapping or a list is not expected at its place, where a text is not either: that may be meant."""
    return detail["type"] in {"list_type", "dict_type", "literal_error", "path_type"} and isinstance(
        detail["input"], dict | list
    )


def _expected(detail: Any) -> str:
    """pydantic's message in the words of a config file."""
    if detail["type"] == "too_short" and detail["ctx"]["min_length"] == 1:
        return f"The {'mapping' if isinstance(detail['input'], dict) else 'list'} is empty. Give at least one entry."
    message = str(detail["msg"]).removeprefix("Value error, ")
    expected = in_our_words(message)
    if expected == message:
        return message if message.endswith((".", "?")) else f"{message}."
    given = detail["input"]
    return f"{expected}, got {_shown(given)}.{_remedy(expected, given)}"


def _remedy(expected: str, given: object) -> str:
    match expected, given:
        case "expected a text", dict():
            return " Put the whole text in quotes, or write it below a |."
        case "expected a text", list():
            return ""
        case "expected a text", _:
            return " Put it in quotes."
        case "expected a list", str() | int() | float():
            return " Put it in brackets, as in [one, two]."
        case "expected a list", dict():
            return " Write its entries below each other, each after a dash."
        case "expected a mapping", _:
            return " Write a name before each value, as in {name: value}."
    return ""


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
