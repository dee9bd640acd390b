"""What differs between two texts: word by word, or line by line where they are long.

Cost: at most a second or so; of texts with more than 400,000 letters the beginnings are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from markupsafe import Markup

from datafast.view.rendering.fence import fenced
from datafast.view.rendering.hidden import with_codes

__all__ = ["Difference", "difference"]

_MOST_LETTERS = 400_000
_MOST_WORDS = 6_000
_MOST_LINES = 6_000
_EXACT = 1_500
# Words, letters of scripts that have no spaces, and other signs one by one, each with the space behind it.
_LETTERS_ALONE = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
_WORD = re.compile(rf"\s+|(?:[{_LETTERS_ALONE}]|[^\W{_LETTERS_ALONE}]+|\W)\s*")

Sort = Literal["same", "deleted", "inserted"]


class Difference(NamedTuple):
    """Two texts, with what only one of them has marked.

    Attributes:
        first, second: as HTML.
        alike: the share of words (or lines) that both have, from 0 to 1.
        by: what was compared.
        is_cut: only the beginnings were.
    """

    first: Markup
    second: Markup
    alike: float
    by: Literal["word", "line"]
    is_cut: bool


def difference(first: str, second: str) -> Difference:
    """What differs between two texts."""
    is_cut = max(len(first), len(second)) > _MOST_LETTERS
    first, second = first[:_MOST_LETTERS].replace("\r\n", "\n"), second[:_MOST_LETTERS].replace("\r\n", "\n")
    by: Literal["word", "line"] = "word"
    one, other = _WORD.findall(first), _WORD.findall(second)
    if max(len(one), len(other)) > _MOST_WORDS:
        by = "line"
        one, other = first.splitlines(keepends=True), second.splitlines(keepends=True)
        is_cut = is_cut or max(len(one), len(other)) > _MOST_LINES
        one, other = one[:_MOST_LINES], other[:_MOST_LINES]
    matcher = SequenceMatcher(None, _keys(one), _keys(other), autojunk=max(len(one), len(other)) > _EXACT)
    codes = matcher.get_opcodes()
    return Difference(
        _marked(_parts(one, [(tag, start, end) for tag, start, end, _, _ in codes], "deleted")),
        _marked(_parts(other, [(tag, start, end) for tag, _, _, start, end in codes], "inserted")),
        matcher.ratio(),
        by,
        is_cut,
    )


def _keys(words: Sequence[str]) -> list[str]:
    """Words as they are compared: a space is as good as several."""
    return [
        f"{word.rstrip()}\n" if "\n" in word else f"{word.strip()} " if word[-1:].isspace() else word for word in words
    ]


def _parts(words: Sequence[str], codes: Sequence[tuple[str, int, int]], sort: Sort) -> Iterator[tuple[Sort, str]]:
    for tag, start, end in codes:
        if start < end:
            yield ("same" if tag == "equal" else sort), "".join(words[start:end])


_ELEMENTS: dict[Sort, Markup] = {
    "same": Markup("{}"),
    "deleted": Markup('<del><span class="unseen">[only here: </span>{}<span class="unseen">]</span></del>'),
    "inserted": Markup('<ins><span class="unseen">[only here: </span>{}<span class="unseen">]</span></ins>'),
}


def _marked(parts: Iterator[tuple[Sort, str]]) -> Markup:
    return fenced(Markup("").join(_ELEMENTS[sort].format(with_codes(text)) for sort, text in parts))
