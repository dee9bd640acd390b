"""Drops rows whose texts go round in circles.

quality:
  - {stage: repetition}
  - {stage: repetition, max_share: 0.15, max_lines: 0.2}

Method: of each text, the share of its words that lie in runs of words which occur again in it, and the share of its lines that repeat an
earlier one. Both measures are after Rae et al. (2021), Scaling Language Models: Methods, Analysis & Insights from Training Gopher,
arXiv:2112.11446, table A1. In scripts without spaces letters count in the place of words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from datafast.quality.base import KEEP, TextStage, Verdict, drop

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["RepetitionStage"]

_WORD_RUN = 5
_LETTER_RUN = 12
_FEW_WORDS = 20  # shorter texts repeat themselves by chance, or on purpose
_FEW_LETTERS = 60
_LONG_WORD = 15  # letters a word, on average, above which a text has no spaces between words
_NUMBER = re.compile(r"\W*\d{1,4}[.):]\s+")  # of an entry in a list
_SAME_SIGN = re.compile(r"(\S)\1{19}")  # one alternative alone: what it does not find is passed by faster
_SAME_LETTER = re.compile(r"(\w)\1{19}|([^\w\s])\2{39}")


class RepetitionStage(TextStage):
    """Drops rows in which a text repeats itself."""

    stage: Literal["repetition"] = "repetition"
    """Drops rows in which a text repeats itself."""

    max_share: float = Field(default=0.25, ge=0, le=1)
    """The share of a text's words that may lie in runs of five words that occur more than once."""
    max_lines: float = Field(default=0.3, ge=0, le=1)
    """The share of its lines that may repeat an earlier line."""

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        for text in self.texts(row):
            if _SAME_SIGN.search(text) and _SAME_LETTER.search(text):
                return drop("one letter over and over")
            if (share := repeated_share(text)) > self.max_share:
                return drop("the same words over and over", round(share, 3))
            if (share := repeated_lines(text)) > self.max_lines:
                return drop("the same lines over and over", round(share, 3))
        return KEEP


def repeated_share(text: str) -> float:
    """The share of the words that lie in a run of words which occurs more than once; 0 for short texts."""
    words: Sequence[str] = text.casefold().split()
    size, few = _WORD_RUN, _FEW_WORDS
    if words and len(text) > _LONG_WORD * len(words):
        words, size, few = [letter for letter in text.casefold() if letter.isalnum()], _LETTER_RUN, _FEW_LETTERS
    if len(words) < few:
        return 0.0
    runs = list(zip(*(words[start:] for start in range(size)), strict=False))
    if len(set(runs)) == len(runs):
        return 0.0
    counts = Counter(runs)
    covered, until = 0, 0
    for start, run in enumerate(runs):
        if counts[run] > 1:
            covered += start + size - max(start, until)
            until = start + size
    return covered / len(words)


def repeated_lines(text: str) -> float:
    """The share of the lines with text that repeat an earlier one, whatever their numbers; 0 for fewer than four lines."""
    lines = [line for line in (" ".join(_unnumbered(line).split()) for line in text.splitlines()) if len(line) > 3]
    return 1 - len(set(lines)) / len(lines) if len(lines) > 3 else 0.0


def _unnumbered(line: str) -> str:
    found = _NUMBER.match(line)
    return line[found.end() :] if found else line
