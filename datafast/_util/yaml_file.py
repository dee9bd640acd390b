"""A YAML 1.2 file as plain Python values that remember their lines.

Guarantee: only plain data comes out (mappings, lists, texts, numbers, booleans, null); tags that name anything else are
refused, and so are duplicate keys, a second document, numbers of more than 256 bits, and aliases that contain themselves
or blow up. What looks like a date stays the text it is.
Cost: about 35 us a line (the parser is pure Python): 100,000 topics take 4 s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from datafast._util.read_whole import read_whole
from datafast.errors import ConfigError

__all__ = ["FileRefused", "Place", "Problem", "YamlFile"]

_INIT = "`datafast init` writes one to start from."
_TAG = "tag:yaml.org,2002:"
_MAX_REPEATED = 200_000
_MAX_BITS = 256
_MOST_MB = 64
_SHOWN = 60
_MAX_DEPTH = 100
_MOST_SHOWN = 100
_HINTS = (
    ("mapping values are not allowed here", "Put the text in quotes if it contains ': ' or begins with a brace."),
    ("expected <block end>, but found", "Put texts that begin with a brace, a bracket or a quote wholly in quotes."),
    ("cannot start any token", "Indent with spaces, and put texts that begin with @, %, ` or a tab in quotes."),
    ("while scanning a quoted scalar", "A quotation mark is not closed."),
    ("while parsing a flow", "A bracket or brace is not closed, or a comma is missing. Quote texts that contain them."),
    ("another document", "Keep one config in one file, and remove the line ---."),
    ("undefined alias", "Put texts that begin with * in quotes."),
)

_SURROGATES = re.compile("[\ud800-\udfff]")

Path_ = Sequence[str | int]


class Place(NamedTuple):
    """A part of a line: from 1, in characters; `end` is the column behind it, or 0 where it is all of the line."""

    line: int
    column: int = 1
    end: int = 0


class Problem(NamedTuple):
    """What is wrong at a place, and with which field ('' where it is with none)."""

    place: Place
    field: str
    message: str

    def shown(self, path: Path) -> str:
        """FILE:LINE, the field and the message."""
        told = f"{self.field}: {self.message}" if self.field else self.message
        return f"{path}:{self.place.line}: {told}"


class FileRefused(ConfigError):
    """A file with problems. Its text tells the first ones, a problem a line; `problems` has all."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        shown = [problem.shown(path) for problem in problems[:_MOST_SHOWN]]
        if (more := len(problems) - _MOST_SHOWN) > 0:
            shown.append(f"{path}: There are {more:,} more problems. Correct these first.")
        super().__init__("\n".join(shown))
        self.problems = problems


class YamlFile:
    """A mapping read from a file.

    Args:
        what: what the file is meant to be, with its article, for messages.
        hint: how to come by one.
        text: what stands in it, where it is not read.

    Attributes:
        path: the file.
        data: its content.

    Raises:
        ConfigError: there is no such file.
        FileRefused: it is not YAML, or it is not a mapping. The message begins with FILE:LINE.
    """

    def __init__(self, path: Path, *, what: str = "a config", hint: str = _INIT, text: str | None = None) -> None:
        self.path = path
        self._hint = hint
        self._seen: set[int] = set()
        self._repeated = 0
        self._problems: list[Problem] = []
        self._root = self._compose(_read(path, what, hint) if text is None else text.removeprefix("\ufeff"))
        if not isinstance(self._root, MappingNode) or self._root.tag != _TAG + "map":
            raise self.refused(self._root, "expected a mapping at the top, with lines like `name: value`.")
        self.data: dict[str, Any] = self._value(self._root, ())
        if self._problems:
            raise FileRefused(path, self._problems)

    def line_of(self, keys: Path_) -> int:
        """The line (from 1) of a value, or of the nearest thing around it that is in the file."""
        return self.place_of(keys).line

    def place_of(self, keys: Path_) -> Place:
        """Where a value stands with its name, or the nearest thing around it that is in the file."""
        node: Node = self._root
        place = Place(1) if not node.value else _begun(node.value[0][0], node.value[0][0])
        for key in keys:
            found = _child(node, key)
            if found is None:
                break
            begin, node = found
            place = _begun(begin, node)
        return place

    def known_part(self, keys: Path_) -> list[str | int]:
        """The leading keys that are in the file. Others, as in a pydantic `loc`, name branches of a type."""
        node: Node = self._root
        known: list[str | int] = []
        for key in keys:
            found = _child(node, key)
            if found is not None:
                known.append(key)
                node = found[1]
        return known

    def at(self, line: int, message: str) -> str:
        """A message with the place in front."""
        return f"{self.path}:{line}: {message}"

    def refused(self, place: Node | Place, message: str, *, field: str = "") -> FileRefused:
        """An error at a node or a place."""
        return FileRefused(self.path, [Problem(_place(place), field, message)])

    def _compose(self, text: str) -> Node:
        try:
            node: Node | None = YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as error:
            raise self._not_yaml(error) from None
        except RecursionError:
            raise self.refused(Place(1), "The file is nested too deeply. Write it flatter.") from None
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            raise self.refused(
                Place(line, column, column + 1),
                "There is a control character here. Remove it, or write it as \\x.. in quotes.",
            ) from None
        except YAMLError as error:
            raise self.refused(Place(1), f"This is not YAML: {error}.") from None
        if node is None:
            raise self.refused(Place(1), f"The file is empty. {self._hint}")
        return node

    def _not_yaml(self, error: MarkedYAMLError) -> FileRefused:
        problem = " ".join(str(part) for part in (error.problem, error.context) if part)
        hint = next((f" {hint}" for sign, hint in _HINTS if sign in problem), "")
        # Where a quotation mark is not closed, the place to look at is where it was opened.
        begun = error.context_mark if "quoted scalar" in problem else None
        mark = begun or error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1)
        return self.refused(place, f"This is not YAML: {error.problem or problem}.{hint}")

    def _value(self, node: Node, above: tuple[int, ...]) -> Any:
        if id(node) in self._seen:
            self._repeated += 1
        self._seen.add(id(node))
        if id(node) in above or len(above) > _MAX_DEPTH:
            raise self.refused(
                node, "This contains itself or is nested too deeply. Write it out without the alias (*)."
            )
        if self._repeated > _MAX_REPEATED:
            raise self.refused(node, f"Aliases (*) repeat more than {_MAX_REPEATED:,} values. Write them out.")
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, (*above, id(node)))
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return [self._value(part, (*above, id(node))) for part in node.value]
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        return self._bad_tag(node)

    def _mapping(self, node: MappingNode, above: tuple[int, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._note(key_node, "A key must be a text. Put texts that contain braces in quotes.")
                continue
            key = key_node.value
            if key_node.tag == _TAG + "merge":
                self._note(key_node, "Merge keys (<<) are not part of YAML 1.2. Write the fields out.")
                continue
            if key in values:
                self._note(key_node, f"given twice, first in line {lines[key]}. Remove one of them.", field=key)
                continue
            values[key] = self._value(value_node, above)
            lines[key] = key_node.start_mark.line + 1
        return values

    def _scalar(self, node: ScalarNode) -> Any:
        tag = str(node.tag).removeprefix(_TAG)
        if tag in {"str", "timestamp", "value"}:
            return self._text(node)
        read = _SCALARS.get(tag)
        if read is None:
            return self._bad_tag(node)
        try:
            return read(node.value)
        except ValueError:
            shown = node.value if len(node.value) <= _SHOWN else f"{node.value[: _SHOWN - 3]}..."
            self._note(node, f"{shown!r} is not of the type {tag}, or too large. Correct it, or put it in quotes.")

    def _text(self, node: ScalarNode) -> str | None:
        text: str = node.value
        if not _SURROGATES.search(text):
            return text
        try:  # JSON writes one character as two escapes
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._note(
                node, "The text holds half a surrogate pair. Write both escapes, \\ud8.. and \\udc.., or neither."
            )
            return None

    def _bad_tag(self, node: Node) -> None:
        tag = str(node.tag).replace(_TAG, "!!")
        self._note(node, f"The tag {tag} is not allowed. The file holds plain texts, numbers, lists and mappings.")

    def _note(self, node: Node, message: str, *, field: str = "") -> None:
        """Keeps a problem until the whole file has been looked at."""
        self._problems.append(Problem(_place(node), field, message))


def _read(path: Path, what: str, hint: str) -> str:
    try:
        return read_whole(path, most_mb=_MOST_MB, what=what).decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}. {hint}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder. Give the file in it.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: Byte {error.start} is not UTF-8. Save the file as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}. Check who may read it.") from error


def _integer(text: str) -> int:
    plain = text.replace("_", "").lower()
    found = int(plain, 0) if re.match(r"[-+]?0[xob]", plain) else int(plain)
    if found.bit_length() > _MAX_BITS:  # one of some thousand digits could not even be shown
        raise ValueError
    return found


def _float(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: ("false", "true").index(text.lower()) == 1,
    "int": _integer,
    "float": _float,
}


def _child(node: Node, key: str | int) -> tuple[Node, Node] | None:
    """Where a child begins (with its key, in a mapping), and the child."""
    return next(_matching(node, key), None)


def _matching(node: Node, key: str | int) -> Iterator[tuple[Node, Node]]:
    if isinstance(node, MappingNode):
        for key_node, value in node.value:
            if key_node.value == str(key):
                yield key_node, value
    elif isinstance(node, SequenceNode) and isinstance(key, int) and 0 <= key < len(node.value):
        yield node.value[key], node.value[key]


def _place(place: Node | Place) -> Place:
    return place if isinstance(place, Place) else _begun(place, place)


def _begun(begin: Node, value: Node) -> Place:
    """From where something begins to the end of its value, if that is in the same line, or else of its name."""
    start = begin.start_mark
    first = value.value[0][0] if isinstance(value, MappingNode) and value.value else value
    ends = [node.end_mark for node in (value, first, begin) if node.end_mark.line == start.line]
    return Place(start.line + 1, start.column + 1, ends[0].column + 1 if ends else 0)
