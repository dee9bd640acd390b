"""Which rows hold a text: one pass over the bytes of a file, in which only lines that may hold it are parsed.

What is searched are the values of a row: its texts, wherever they are in it, and numbers as JSON writes them. Large and small letters are
the same, and so is a letter that JSON wrote as an escape (`é` and `\\u00e9`). A line that is not a row is searched as it is.
A pattern has a time limit for each row. Rows for which it was not enough are counted, and after `MOST_SLOW` of them the search gives up.
Limits: letters are compared one by one, so `ss` does not find `ß`, nor `é` an `e` with a combining accent.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from heapq import merge
from time import monotonic
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from datafast.statistics.rows import as_row
from datafast.view.index import Lines

__all__ = ["MOST_SLOW", "Search", "SearchError", "folded"]

MOST_SLOW = 20
"""Rows that may take a pattern longer than it has."""
_SECONDS, _LEAST = 0.25, 0.001
_LONGEST = 1_000  # characters of what is searched for
_LAST_LETTER = 0x1E944  # behind it there is none that is large or small
_ONES = {"\u212a": "\u212a", "\u0130": "\u0130"}  # would become ASCII letters, which no other letters do
_SHORT = {
    '"': rb"\\?\"",
    "\\": rb"\\\\?",
    "/": rb"\\?/",
    "\b": rb"\\b",
    "\f": rb"\\f",
    "\n": rb"\\n",
    "\r": rb"\\r",
    "\t": rb"\\t",
}
_NEVER_ESCAPED = re.compile(r"[A-Za-z0-9 .,:;!?()\[\]{}_*#@$%^~|-]+")
# Escapes of such characters, which no writer of JSON has a reason for.
_NEEDLESS = re.compile(rb"\\u00(?:2[0134589acde]|3[0-9abf]|4[0-9a-f]|5[0-9abdef]|6[1-9a-f]|7[0-9a-e])", re.IGNORECASE)


class SearchError(ValueError):
    """What is searched for cannot be searched for; says why, and what to do."""


class Search:
    """Rows that come in order, and those of them that hold a text.

    Args:
        text: what is searched for.
        is_pattern: it is a regular expression.

    Attributes:
        rows: that were taken.
        end: the byte at which the next row begins.
        slow: rows that were not searched to the end, because the pattern takes too long in them.
        gave_up: there were too many of these.

    Raises:
        SearchError: the text is empty or too long, or is not a pattern.
    """

    def __init__(self, text: str, *, is_pattern: bool = False) -> None:
        if not text or len(text) > _LONGEST:
            raise SearchError(f"What is searched for has {len(text):,} characters. Give between one and {_LONGEST:,}.")
        self.rows = 0
        self.end = 0
        self.slow = 0
        self._found = array("I")
        self._holds = self._pattern(text) if is_pattern else self._literal(text)
        self._may_hold = None if is_pattern else candidates(text)

    @property
    def gave_up(self) -> bool:
        return self.slow >= MOST_SLOW

    @property
    def num_found(self) -> int:
        return len(self._found)

    @property
    def found(self) -> NDArray[np.uint32]:
        """The numbers of the rows that were found, so far."""
        return np.array(self._found, np.uint32)

    def take(self, lines: Lines) -> None:
        """Searches rows that follow those that were taken."""
        data, row = lines.data, lines.first
        if self._may_hold is None:
            for line in data.removesuffix(b"\n").split(b"\n"):
                if self.gave_up:
                    return
                if self._holds(line):
                    self._found.append(row)
                row += 1
        else:
            self._search(data, row)
        self.rows = lines.first + data.removesuffix(b"\n").count(b"\n") + 1
        self.end = lines.end

    def _search(self, data: bytes, row: int) -> None:
        assert self._may_hold is not None  # noqa: S101 - only patterns have none
        at = 0
        for place in self._may_hold(data):
            if place < at:
                continue  # in the line before
            start = data.rfind(b"\n", 0, place) + 1
            row += data.count(b"\n", at, start)
            end = data.find(b"\n", place)
            end = len(data) if end < 0 else end
            if self._holds(data[start:end]):
                self._found.append(row)
            # The newline of this line is counted with the next one.
            at = end

    def _literal(self, text: str) -> Callable[[bytes], bool]:
        wanted = folded(text)

        def holds(line: bytes) -> bool:
            return any(wanted in folded(value) for value in _searched(line))

        return holds

    def _pattern(self, text: str) -> Callable[[bytes], bool]:
        import regex

        try:
            pattern = regex.compile(text, regex.IGNORECASE | regex.MULTILINE)
        except (regex.error, OverflowError, RecursionError) as error:
            raise SearchError(
                f"{text!r} is not a regular expression: {error}. Correct it, or search for it as a text."
            ) from None

        def holds(line: bytes) -> bool:
            until = monotonic() + _SECONDS
            try:
                for value in _searched(line):
                    if pattern.search(value, timeout=max(_LEAST, until - monotonic()), concurrent=True):
                        return True
            except TimeoutError:
                self.slow += 1
            return False

        return holds


def folded(text: str) -> str:
    """A text in which large and small letters are the same."""
    if "\u212a" in text or "\u0130" in text:
        return "".join(_ONES.get(letter) or letter.lower() for letter in text).replace("\u03c2", "\u03c3")
    return text.lower().replace("\u03c2", "\u03c3")


def _searched(line: bytes) -> Iterator[str]:
    """What is searched of a line."""
    row = as_row(line)
    if row is None:
        yield line.decode(errors="replace")
        return
    waiting: list[Any] = [row]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif value is not None:
            yield orjson.dumps(value).decode()


def candidates(text: str) -> Callable[[bytes], Iterator[int]]:
    """Gives places in lines of JSON, in order, of which at least one is in each line with a value that holds the text."""
    if _NEVER_ESCAPED.fullmatch(text):
        return partial(_plain_places, text.lower().encode())
    pattern = re.compile(b"".join(_forms(letter) for letter in text))
    return lambda data: (match.start() for match in pattern.finditer(data))


def _plain_places(wanted: bytes, data: bytes) -> Iterator[int]:
    found = _first_in_lines(wanted, data.lower())
    if b"\\u00" not in data or _NEEDLESS.search(data) is None:
        return found
    return merge(found, (match.start() for match in _NEEDLESS.finditer(data)))


def _first_in_lines(wanted: bytes, lowered: bytes) -> Iterator[int]:
    at = lowered.find(wanted)
    while at >= 0:
        yield at
        end = lowered.find(b"\n", at)
        at = -1 if end < 0 else lowered.find(wanted, end)


def _forms(letter: str) -> bytes:
    """A pattern for the bytes that a letter may be in JSON, large or small."""
    forms = {letter, *_larger().get(folded(letter), ()), folded(letter)}
    return b"(?:" + b"|".join(way for form in sorted(forms) for way in _ways(form)) + b")"


@lru_cache(maxsize=1)
def _larger() -> dict[str, list[str]]:
    """The letters that become another one when they are folded, by that."""
    found: dict[str, list[str]] = {}
    for letter in map(chr, range(_LAST_LETTER)):
        if (small := folded(letter)) != letter:
            found.setdefault(small, []).append(letter)
    return found


def _ways(letter: str) -> Iterator[bytes]:
    """Patterns for the ways to write it."""
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    yield b"".join(rb"\\u" + _any_case(units[at : at + 4]) for at in range(0, len(units), 4))
    yield _SHORT.get(letter) or re.escape(letter.encode("utf-8", "surrogatepass"))


def _any_case(digits: str) -> bytes:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits).encode()
