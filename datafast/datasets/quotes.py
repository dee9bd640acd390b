"""Where a quote stands in a text, and as what.

Guarantee: what is found is a part of the text as it stands there, whole words of it. Differences of space, case, quotation marks, dashes,
Markdown signs, signs that cannot be seen, hyphens between letters, and of how a letter with an accent is written do not count.
Cost: one pass over the text, which is kept for the next quotes; two more for each quote.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["found_in"]

_LOOSE = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "’": "'", "‘": "'", "–": "-", "—": "-", "‑": "-", "−": "-"}
)
_MARKUP = re.compile(r"[*_`#>|\\]")
_OUTER = re.compile(r"^(?:[\s\"'“”‘’«»…]|\.{3})+|(?:[\s\"'“”‘’«»…]|\.{3})+$")
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-‐‑]\s*(?=[^\W\d_])")
# Scripts that do not set words apart: Thai, Lao, Myanmar, Khmer, and what stands behind the CJK radicals.
_UNPARTED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\U0003ffff]")


def found_in(text: str, quote: str) -> str | None:
    """A quote as it stands in a text; see the module.

    Returns:
        The text's own words, None where they are not there.
    """
    letters, places = _letters(text)
    wanted, _ = _letters(_OUTER.sub("", quote))
    if not any(letter.isalnum() for letter in wanted):
        return None
    start = letters.find(wanted)
    while start >= 0:
        first, last = places[start], places[start + len(wanted) - 1]
        if not (_is_within_word(text, first) or _is_within_word(text, last + 1)):
            return text[first : last + 1]
        start = letters.find(wanted, start + 1)
    return None


@lru_cache(maxsize=4)
def _letters(text: str) -> tuple[str, list[int]]:
    """The letters of a text that count, and the place of each."""
    hyphens = {place for match in _HYPHEN.finditer(text) for place in range(*match.span())}
    found: list[str] = []
    places: list[int] = []
    for place, sign in enumerate(text):
        if sign.isspace() or place in hyphens or _MARKUP.match(sign) or unicodedata.category(sign) == "Cf":
            continue
        for letter in unicodedata.normalize("NFKD", sign).translate(_LOOSE).casefold():
            found.append(letter)
            places.append(place)
    return "".join(found), places


def _is_within_word(text: str, place: int) -> bool:
    """Whether a word of a text goes on across a place."""
    before, after = text[place - 1 : place] if place else "", text[place : place + 1]
    if not before or not after or _UNPARTED.match(before) or _UNPARTED.match(after):
        return False
    return unicodedata.combining(after) != 0 or (before.isalnum() and after.isalnum())
