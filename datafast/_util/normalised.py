"""The text by which two topics are found to be the same."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["normalised"]


def normalised(topic: str) -> str:
    """The text by which topics are compared: letters, marks, digits and symbols, without case, width, spacing or punctuation.

    Marks are kept because in many scripts they are the vowels. Symbols, and a sharp after a letter, are kept because C, C++ and C#
    are three topics.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", topic).casefold())
    words = _NO_WORD.sub(" ", folded) if folded.isascii() else "".join(map(_of_word, folded, f" {folded}"))
    return " ".join(words.split()) or " ".join(folded.split())


_NO_WORD = re.compile(r"(?<![a-z0-9])#|[^a-z0-9+<=>|~$#]")
_VARIATION_SELECTORS = "\ufe0e\ufe0f"


def _of_word(letter: str, before: str) -> str:
    """What a character adds to the normalised text; a space if it separates words."""
    kind = unicodedata.category(letter)
    if kind == "Cf" or letter in _VARIATION_SELECTORS:
        return ""
    if kind[0] in "LMN" or kind in {"Sc", "Sm", "So"} or (letter == "#" and before.isalnum()):
        return letter
    return " "
