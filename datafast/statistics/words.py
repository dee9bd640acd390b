"""Words of texts in any script.

Words are what spaces part. In scripts without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each letter, with the
marks on it, counts as a word.
"""

from __future__ import annotations

import re
import sys
import unicodedata

__all__ = ["count_words", "words_of"]

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3041, 0x30FF),  # Japanese
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),  # Burmese
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x20000, 0x3FFFF),
)


def _classes() -> tuple[str, str]:
    """Patterns for a letter of these scripts, and for a mark on one."""
    letters, marks = [], []
    for first, last in _UNSPACED:
        if first > 0xFFFF:
            letters.append(f"{chr(first)}-{chr(last)}")
            continue
        for code in range(first, last + 1):
            category = unicodedata.category(chr(code))
            if category[0] in "LN":
                letters.append(chr(code))
            elif category[0] == "M":
                marks.append(chr(code))
    return _ranged(letters), _ranged(marks)


def _ranged(characters: list[str]) -> str:
    """A class of characters with ranges in the place of long lists, which are slow to search for."""
    ready = [part for part in characters if len(part) > 1]
    codes = sorted(ord(part) for part in characters if len(part) == 1)
    start = last = -2
    for code in [*codes, sys.maxunicode + 2]:
        if code != last + 1:
            if start >= 0:
                ready.append(f"{chr(start)}-{chr(last)}")
            start = code
        last = code
    return f"[{''.join(ready)}]"


_LETTER, _MARK = _classes()
_ONE = re.compile(f"{_LETTER}{_MARK}*")
_ANY = re.compile(_LETTER)
_AROUND = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡¿«»‹›“”„‘’‚…–—·•。、，．！？；：（）【】「」『』《》〈〉،؛؟۔।॥։׳״"


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation around them."""
    text = text.casefold()
    if not text.isascii() and _ANY.search(text):
        text = _ONE.sub(r" \g<0> ", text)
    return [word for word in (part.strip(_AROUND) for part in text.split()) if word]


def count_words(text: str) -> int:
    """How many words a text has. In scripts with spaces this is what the stage `length` counts; beside letters that count as words,
    punctuation does not."""
    if text.isascii() or not _ANY.search(text):
        return len(text.split())
    return sum(1 for part in _ONE.sub(r" \g<0> ", text).split() if part.strip(_AROUND))
