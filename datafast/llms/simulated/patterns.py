"""Texts that match a regular expression, for simulated models.

Guarantee: the same random state gives the same text; what is made is found by the pattern, in its own engine.
Limits: set operations (`[a-z&&[^b]]`) and properties other than the common ones (`\\p{L}`, `\\p{Lu}`, `\\p{Han}` ...) are not read, nor is
what asks for more than 20,000 letters or is nested deeper than 40 groups.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from random import Random
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits, hexdigits, punctuation

from datafast._util.linear_schema import matches

__all__ = ["text_for"]

_Made = Callable[[Random, int], str]
"""Makes a text; where a part may be repeated without end, at most so often more than it must be."""

_TRIES = 8
_LONGEST = 20_000
_DEEPEST = 40
_PRINTED = ascii_letters + digits + " " + punctuation
_LETTERS = ascii_lowercase * 4 + " "
_CLASSES = {
    "d": digits,
    "w": ascii_lowercase + digits + "_",
    "s": " ",
    "D": ascii_lowercase,
    "W": "- .",
    "S": ascii_letters + digits,
}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}
_POSITIONS = "bBAzZ"
_POSIX = {
    "alpha": ascii_letters, "digit": digits, "alnum": ascii_letters + digits, "upper": ascii_uppercase, "lower": ascii_lowercase,
    "punct": punctuation, "space": " ", "blank": " ", "xdigit": hexdigits, "word": ascii_letters + digits + "_",
    "print": _PRINTED, "graph": _PRINTED.replace(" ", ""),
}  # fmt: skip
_SCRIPTS = {
    "Latin": (0x61, 0x7A), "Greek": (0x3B1, 0x3C9), "Cyrillic": (0x430, 0x44F), "Hebrew": (0x5D0, 0x5EA), "Arabic": (0x628, 0x63A),
    "Hiragana": (0x3041, 0x3096), "Katakana": (0x30A1, 0x30FA), "Han": (0x4E00, 0x9FA0), "Hangul": (0xAC00, 0xD7A3),
    "Devanagari": (0x905, 0x939), "Thai": (0xE01, 0xE2E),
}  # fmt: skip
_COUNT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_CODE = re.compile(r"x\{([0-9a-fA-F]{1,6})\}|u\{([0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})")
_OPENING = re.compile(r"\((?:\?(?:P?<\w+>|[a-zA-Z-]*:|(?P<flags>[a-zA-Z-]+)\)))?")


class _Unread(Exception):
    """The pattern has what is not read here."""


def text_for(pattern: str, rng: Random, *, least: int = 0, most: int | None = None) -> str | None:
    """A text with so many letters in which the pattern is found; None where none was made in a few tries."""
    try:
        made = _maker(pattern)
    except _Unread:
        return None
    for repeats in (6, 2 * least, least, 1, 0):
        with suppress(_Unread):  # it became too long
            for text in (made(rng, min(repeats, _LONGEST)) for _ in range(_TRIES)):
                if least <= len(text) and (most is None or len(text) <= most) and matches(pattern, text):
                    return text
    return None


@lru_cache(maxsize=256)
def _maker(pattern: str) -> _Made:
    reader = _Reader(pattern)
    made = reader.either()
    if reader.rest:
        raise _Unread
    return made


class _Reader:
    """Reads a pattern from its beginning to its end."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    @property
    def rest(self) -> bool:
        """Whether something is left."""
        return self._at < len(self._pattern)

    def either(self) -> _Made:
        """Alternatives, to the end of a group or of the pattern."""
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else lambda rng, more: rng.choice(branches)(rng, more)

    def _sequence(self) -> _Made:
        parts = []
        while self.rest and self._pattern[self._at] not in "|)":
            parts.append(self._repeated())
        return lambda rng, more: _bounded(part(rng, more) for part in parts)

    def _repeated(self) -> _Made:
        made = self._one()
        while (bounds := self._quantifier()) is not None:
            made = _repeat(made, *bounds)
        return made

    def _quantifier(self) -> tuple[int, int | None] | None:
        bounds: tuple[int, int | None]
        if counted := _COUNT.match(self._pattern, self._at):
            least = int(counted[1])
            bounds = (least, (int(counted[3]) if counted[3] else None) if counted[2] else least)
            self._at = counted.end()
        elif self.rest and self._pattern[self._at] in "*+?":
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[self._next()]
        else:
            return None
        self._take("?")
        return bounds

    def _one(self) -> _Made:
        if self._pattern[self._at] == "(":
            return self._group()
        letter = self._next()
        if letter in "^$":
            return _nothing
        if letter == "\\":
            return _nothing if any(map(self._take, _POSITIONS)) else _one_of(self._escaped())
        return _one_of(_LETTERS if letter == "." else self._class() if letter == "[" else letter)

    def _group(self) -> _Made:
        opening = _OPENING.match(self._pattern, self._at)
        if opening is None or self._depth == _DEEPEST:
            raise _Unread
        self._at = opening.end()
        if opening["flags"]:
            return _nothing
        self._depth += 1
        made = self.either()
        self._depth -= 1
        if not self._take(")"):
            raise _Unread
        return made

    def _class(self) -> str:
        """The letters of a class in brackets, whose opening was read; few of a long range."""
        unwanted, found = self._take("^"), ""
        while not self._take("]") or not found:
            if self._pattern.startswith("[:", self._at):
                name = self._pattern[self._at + 2 : self._pattern.find(":]", self._at)]
                found += _POSIX.get(name, "")
                self._at += len(name) + 4
                continue
            if any(self._pattern.startswith(sign, self._at) for sign in ("[", "&&", "--", "~~")):
                raise _Unread
            first = self._escaped() if self._take("\\") else self._next()
            if (
                len(first) == 1
                and self._pattern[self._at : self._at + 1] == "-"
                and self._pattern[self._at + 1 : self._at + 2] != "]"
            ):
                self._at += 1
                last = self._escaped() if self._take("\\") else self._next()
                found += _range(ord(first), ord(last))
            else:
                found += first
        if unwanted:
            found = "".join(letter for letter in _PRINTED if letter not in found)
        if not found:
            raise _Unread
        return found

    def _escaped(self) -> str:
        """The letters that an escape stands for, whose backslash was read."""
        if code := _CODE.match(self._pattern, self._at):
            self._at = code.end()
            return chr(int(next(filter(None, code.groups())), 16))
        letter = self._next()
        if letter in "pP":
            return self._property(wanted=letter == "p")
        if letter in _CLASSES or letter in _CONTROLS:
            return _CLASSES.get(letter) or _CONTROLS[letter]
        if letter.isalnum():
            raise _Unread
        return letter

    def _property(self, *, wanted: bool) -> str:
        name = self._next()
        if name == "{":
            end = self._pattern.find("}", self._at)
            name, self._at = self._pattern[self._at : end].removeprefix("Script=").removeprefix("sc="), end + 1
        if name in _SCRIPTS and wanted:
            return _range(*_SCRIPTS[name])
        found = _of_category(name, wanted=wanted)
        if not found:
            raise _Unread
        return found

    def _next(self) -> str:
        if not self.rest:
            raise _Unread
        self._at += 1
        return self._pattern[self._at - 1]

    def _take(self, sign: str) -> bool:
        """Reads a sign, if it comes next."""
        if not self._pattern.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True


def _nothing(rng: Random, more: int) -> str:
    return ""


def _one_of(letters: str) -> _Made:
    return lambda rng, more: rng.choice(letters)


def _repeat(made: _Made, least: int, most: int | None) -> _Made:
    def repeated(rng: Random, more: int) -> str:
        last = least + more if most is None else min(most, least + more)
        return _bounded(made(rng, more) for _ in range(rng.randint(least, max(least, last))))

    return repeated


def _bounded(parts: Iterator[str]) -> str:
    found, letters = [], 0
    for number, part in enumerate(parts):
        letters += len(part)
        if letters > _LONGEST or number > _LONGEST:
            raise _Unread
        found.append(part)
    return "".join(found)


def _range(first: int, last: int) -> str:
    step = max((last - first) // 100, 1)
    return "".join(chr(code) for code in range(first, last + 1, step) if not 0xD800 <= code <= 0xDFFF)


@lru_cache(maxsize=64)
def _of_category(name: str, *, wanted: bool) -> str:
    letters = (chr(code) for code in range(0x20, 0x250))
    return "".join(letter for letter in letters if unicodedata.category(letter).startswith(name) is wanted)
