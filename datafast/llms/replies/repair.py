"""Reads JSON that a model wrote with slips, where only one reading of it is possible.

Put right: quotes inside of a text that are not escaped, line breaks and tabs in a text, escapes that JSON does not have, single and
typographic quotes around texts, keys without quotes, Python's True, False and None, commas too many at the end of a list or object,
commas missing between lines or brackets, and a whole object that is escaped once too often.

Guarantee: what is read is what was written: no text is shortened, split, joined or moved to another field. Whatever could be read in
two ways is `Unreadable`, and the model is asked again. A quote inside of a text is taken for one where it opens or closes a quotation
as typography has it (`said "no" to us`), where they come in pairs, and where it could not end the text.
Cost: linear, no going back; about 0.1 s for 200,000 characters of the worst kind, and nothing longer is looked at.
Limits: what is valid JSON by accident (a text that holds `", "`, sent without escapes) cannot be told from two texts.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

__all__ = ["MAX_REPAIR_CHARS", "Unreadable", "repaired", "whole_characters"]

MAX_REPAIR_CHARS = 200_000
_MAX_DEPTH = 100

_SPACE = re.compile(r"\s*+")
_BARE_KEY = re.compile(r"[^\W\d][\w$-]*+(?=\s*+:)")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*+)(?P<fraction>(?:\.\d++)?(?:[eE][+-]?\d++)?)(?![\w.+-])", re.ASCII)
_NAME = re.compile(r"-?[A-Za-z]++(?!\w)")
_NAMES: dict[str, Any] = {
    "true": True, "True": True, "false": False, "False": False, "null": None, "None": None,
    "NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf"),
}  # fmt: skip
_CLOSING_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d"}
_TEXT = {
    '"': re.compile(r'["\\]'),
    "'": re.compile(r"['\\]"),
    "\u201d": re.compile(r"[\u201c\u201d\\]"),
}
_ENDS = ",]}:"
_BREAK = re.compile(r"[\x00-\x1f]")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_ONCE_MORE = re.compile(r'[\[{](?:\s|\\n)*+\\"')
_BEFORE_QUOTATION = "([{\u2014\u2013-\u2018\u201c'/"
_AFTER_QUOTATION = ".;!?)]}\u2014\u2013-\u2026\u2019\u201d'/"


class Unreadable(ValueError):
    """The text cannot be read as JSON in exactly one way."""


def repaired(region: str) -> Any:
    """The one value that a region of a reply, from its first bracket to its last, can be read as.

    Raises:
        Unreadable: there is none, or there are several.
    """
    if len(region) > MAX_REPAIR_CHARS:
        raise Unreadable(f"it is not valid and longer than {MAX_REPAIR_CHARS:,} characters")
    if _ESCAPED_ONCE_MORE.match(region):
        return _escaped_once_more(region)
    return _Reader(region).read()


def _escaped_once_more(region: str) -> Any:
    try:
        return orjson.loads(orjson.loads(f'"{region}"'))
    except orjson.JSONDecodeError as error:
        raise Unreadable("its quotes are escaped outside of any text") from error


class _Reader:
    """One pass over a region."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        # What was put right so far. Some of it cannot be trusted together.
        self._quotations = False
        self._spaced = False
        self._odd = False
        self._breaks = False
        self._joined = False
        self._bare_backslash = False
        self._control_escapes = False
        self._gaps: set[str] = set()

    def read(self) -> Any:
        value = self._value(0)
        if self._at != len(self._text):
            raise self._unreadable()
        # A text that is empty, or begins or ends in a space or with a comma, may be the inside of a quotation, two lines without
        # a comma two lines of one text, a comma that is spaced unlike the others a part of one, and \n the beginning of a name
        # after a backslash.
        doubtful = (
            ((self._quotations or self._joined) and (self._spaced or self._odd))
            or ((self._quotations or self._breaks) and (self._joined or self._odd or len(self._gaps) > 1))
            or (self._bare_backslash and self._control_escapes)
        )
        if doubtful:
            raise Unreadable("it can be read in several ways")
        return value

    def _unreadable(self) -> Unreadable:
        return Unreadable(f"not valid at character {self._at + 1}")

    def _peek(self) -> str:
        """The next character that is not a space; '' at the end."""
        self._at = _after_space(self._text, self._at)
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> Any:
        mark = self._peek()
        if mark in _CLOSING_QUOTES:
            return self._string()
        if mark not in {"{", "["}:
            return self._scalar()
        if depth >= _MAX_DEPTH:
            raise Unreadable(f"it is nested more than {_MAX_DEPTH} deep")
        return self._object(depth) if mark == "{" else self._list(depth)

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._at += 1
        more = self._peek() != "}"
        while more:
            key = self._key()
            if key in found:
                raise Unreadable(f"an object in it names {key!r:.60} twice")
            found[key] = self._value(depth + 1)
            more = self._goes_on("}")
        self._at += 1
        return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        self._at += 1
        more = self._peek() != "]"
        while more:
            found.append(self._value(depth + 1))
            more = self._goes_on("]")
        self._at += 1
        return found

    def _goes_on(self, closer: str) -> bool:
        """Whether another member follows; what stands between two is taken."""
        end = self._at
        mark = self._peek()
        if mark == closer:
            return False
        if mark == ",":
            before = self._text[end : self._at]
            self._at += 1
            more = self._peek() != closer
            if more:
                self._gaps.add(f"{before},{self._text[self._at - 1] if self._text[self._at - 1].isspace() else ''}")
            return more
        if mark not in {*_CLOSING_QUOTES, "{", "["} or not self._stands_apart(end):
            raise self._unreadable()
        self._joined = True
        return True

    def _stands_apart(self, end: int) -> bool:
        """Whether what ended at `end` and what is next are two things although no comma stands between them."""
        return self._text[end - 1] in "}]" or "\n" in self._text[end : self._at]

    def _key(self) -> str:
        mark = self._peek()
        if mark in _CLOSING_QUOTES:
            start = self._at
            key = self._string()
            if self._peek() != ":" or _BREAK.search(self._text, start, self._at):
                raise self._unreadable()
        else:
            bare = _BARE_KEY.match(self._text, self._at)
            if bare is None:
                raise self._unreadable()
            key = bare[0]
            self._at = bare.end()
            self._peek()
        self._at += 1
        return key

    def _scalar(self) -> Any:
        number = _NUMBER.match(self._text, self._at)
        if number is not None:
            self._at = number.end()
            try:
                return float(number[0]) if number["fraction"] else int(number[0])
            except ValueError as error:  # Python reads whole numbers up to 4,300 digits
                raise self._unreadable() from error
        name = _NAME.match(self._text, self._at)
        if name is None or name[0] not in _NAMES:
            raise self._unreadable()
        self._at = name.end()
        return _NAMES[name[0]]

    def _string(self) -> str:
        closer = _CLOSING_QUOTES[self._text[self._at]]
        start = self._at = self._at + 1
        pieces: list[str] = []
        quotes: list[int] = []
        while True:
            mark = _TEXT[closer].search(self._text, self._at)
            if mark is None:
                raise self._unreadable()
            pieces.append(self._text[self._at : mark.start()])
            self._at = mark.end()
            if mark[0] == "\\":
                pieces.append(self._escape(closer))
            elif self._closes(closer, quotes):
                return self._whole("".join(pieces), start, mark.start(), quotes)
            else:
                self._check_inner(mark[0], mark.start(), start, quotes)
                quotes.append(mark.start())
                pieces.append(mark[0])

    def _closes(self, closer: str, quotes: list[int]) -> bool:
        """Whether the quote before here ends the text, `quotes` being those inside of it so far."""
        if self._text[self._at - 1] != closer:
            return False
        following = _after_space(self._text, self._at)
        mark = self._text[following : following + 1]
        if mark in _ENDS:  # also where nothing follows
            if closer == '"' and len(quotes) % 2:
                raise Unreadable("a quote could end a text or a quotation in it")
            return True
        return mark == closer and not quotes and "\n" in self._text[self._at : following]

    def _check_inner(self, quote: str, at: int, start: int, quotes: list[int]) -> None:
        """Makes sure that a quote that does not end its text belongs to it."""
        before = self._text[at - 1] if at > start else ""
        after = self._text[at + 1]
        if quote == "'":
            fits = before.isalpha() and after.isalpha()
        elif quote != '"':
            fits = False
        elif len(quotes) % 2:
            fits = not before.isspace() and at > quotes[-1] + 1 and (after.isspace() or after in _AFTER_QUOTATION)
        else:
            fits = (before in _BEFORE_QUOTATION or before.isspace()) and not after.isspace() and after != '"'
        if not fits:
            raise Unreadable("a quote stands where it could end a text or belong to it")

    def _whole(self, text: str, start: int, end: int, quotes: list[int]) -> str:
        """The text from `start` to `end`, its doubts noted."""
        if self._text[start - 1] == '"' and quotes:
            if len(quotes) == 2 and quotes[0] == start and quotes[1] == end - 1:
                raise Unreadable("a text stands in two pairs of quotes")
            self._quotations = True
        self._spaced = self._spaced or self._text[start].isspace() or self._text[end - 1].isspace()
        self._odd = self._odd or start == end or self._text[start] in _ENDS
        self._breaks = self._breaks or _BREAK.search(self._text, start, end) is not None
        return whole_characters(text)

    def _escape(self, closer: str) -> str:
        """What an escape, the backslash of which has been read, stands for."""
        letter = self._text[self._at : self._at + 1]
        self._at += 1
        if letter == "u" and (digits := _HEX.match(self._text, self._at)):
            self._at = digits.end()
            return chr(int(digits[0], 16))
        if letter in _ESCAPES:
            self._control_escapes = self._control_escapes or letter != '"'
            return _ESCAPES[letter]
        if letter == "'":
            before, after = self._text[self._at - 3], self._text[self._at : self._at + 1]
            if closer == "'" or (before.isalpha() and after.isalpha()):
                return "'"
        if letter in {"", "'", "\n", "\r", "x"}:
            raise Unreadable("an escape can be read in several ways")
        self._bare_backslash = True
        self._at -= 1
        return "\\"


def whole_characters(text: str) -> str:
    """The text with surrogates joined in pairs; a half one becomes U+FFFD, for nothing can hold it."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
