"""Cheap looks at a text before patterns search it: most texts have nothing of what is looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["at_a_line", "has_any", "long_words"]


def has_any(text: str, signs: Iterable[str]) -> bool:
    """Whether one of these is in a text."""
    for sign in signs:  # noqa: SIM110 - a generator costs twice as much, and rows come by the million
        if sign in text:
            return True
    return False


def at_a_line(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """What a pattern finds that can only begin a text or a line: searching would try each letter.

    Args:
        pattern: begins with `^` or `\\A` in all its forms, and is compiled with `re.MULTILINE`.
        text: what is searched.
    """
    found = pattern.match(text)
    start = text.find("\n") + 1
    while found is None and start:
        found = pattern.match(text, start)
        start = text.find("\n", start) + 1
    return found


def long_words(text: str, least: int) -> Iterator[tuple[int, int]]:
    """Where words of at least so many characters begin and end that are not of letters alone, as keys and addresses are not."""
    end = 0
    for word in text.split():
        if len(word) >= least and not word.isalpha():
            start = text.index(word, end)
            end = start + len(word)
            yield start, end
