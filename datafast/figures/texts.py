"""Texts in figures: how wide they are, which direction they have, and how they are cut.

Widths are estimates, because it is not known which font a reader has; they are a little too large for most.
"""

from __future__ import annotations

import re
import unicodedata

from datafast.plain import plain_text

__all__ = ["clean", "compact", "cut", "is_right_to_left", "width_of"]

_NOT_IN_XML = re.compile("[\ufffe\uffff\ufdd0-\ufdef]")
_JOINER = "\u200d"
_NARROW = frozenset("iljtfrI.,:;'|!()[]{} -`")
_WIDE = frozenset("mwMW@%<>=+~")


def clean(text: str) -> str:
    """A text on one line that XML can hold."""
    return " ".join(_NOT_IN_XML.sub("\ufffd", plain_text(text)).split())


def width_of(text: str, size: float) -> float:
    """About how wide a text is in a proportional font of this size."""
    return size * sum(map(_width, text))


def cut(text: str, width: float, size: float) -> str:
    """The text, or as much of its beginning as has room, with an ellipsis."""
    if width_of(text, size) <= width:
        return text
    left, end = width / size - _width("\u2026"), 0
    for end, char in enumerate(text):  # noqa: B007 - how far it came is what counts
        left -= _width(char)
        if left < 0:
            break
    while end and (_width(text[end]) == 0 or text[end - 1] == _JOINER):  # not between a letter and its marks
        end -= 1
    return f"{text[:end].rstrip(f' {_JOINER}')}\u2026"


def is_right_to_left(text: str) -> bool:
    """Whether the first letter that has a direction is one of Arabic, Hebrew or the like."""
    for char in text:
        match unicodedata.bidirectional(char):
            case "L":
                return False
            case "R" | "AL":
                return True
    return False


def compact(value: float) -> str:
    """A number for an axis: 1,200 is 1.2k."""
    for limit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def _width(char: str) -> float:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    if unicodedata.east_asian_width(char) in "WF":
        return 1.02
    if char in _NARROW:
        return 0.4
    if char in _WIDE:
        return 0.96
    return 0.72 if char.isupper() else 0.63
