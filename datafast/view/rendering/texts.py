"""Texts as a page shows them: formatted or raw, and bounded, one by one and all together.

Of a longer text the beginning is shown; what is left can be fetched piece by piece with `piece_of`, as plain text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from datafast.view.rendering.fence import fenced
from datafast.view.rendering.hidden import coded, with_codes
from datafast.view.rendering.markdown import markdown

__all__ = ["PIECE", "Path", "ShownText", "Texts", "inside", "piece_of"]

PIECE = 200_000
"""Letters of a piece."""
_FORMATTED = 20_000
_RAW = 40_000
_ALL = 300_000
_LEAST = 300

Path = tuple[str | int, ...]
"""Where a value is: names and numbers from the outermost value to it."""


def inside(path: Path | None, *parts: str | int) -> Path | None:
    """Where a value in a value is."""
    return None if path is None else (*path, *parts)


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text, or its beginning.

    Attributes:
        html: what is shown.
        letters: of the whole text.
        shown: how many of them are shown.
        path: where the rest can be fetched; None where it cannot.
        is_raw: it is shown as it is, and not formatted.
    """

    html: Markup
    letters: int
    shown: int
    path: Path | None = None
    is_raw: bool = False

    @property
    def left(self) -> int:
        return self.letters - self.shown


class Texts:
    """The texts of one page, which share a bound.

    Args:
        raw: shows all of them as they are.
        within: names that lead to what the paths of its texts begin with.
    """

    def __init__(self, *, raw: bool = False, within: Path = ()) -> None:
        self.raw = raw
        self._within = within
        self._left = _ALL

    def shown(self, text: str, path: Path | None = None) -> ShownText:
        """A text as the page shows texts."""
        if self.raw:
            return self.as_it_is(text, path)
        begin = self._taken(text, _FORMATTED)
        return ShownText(markdown(begin), len(text), len(begin), self._whole(path))

    def as_it_is(self, text: str, path: Path | None = None) -> ShownText:
        """A text that is never formatted. All of its hidden characters are shown as codes."""
        begin = self._taken(text, _RAW)
        return ShownText(with_codes(begin, every=True), len(text), len(begin), self._whole(path), is_raw=True)

    def marked(self, text: str, ranges: Sequence[tuple[int, int]], path: Path | None = None) -> ShownText:
        """A text as it is, with these parts of it marked. They come in order and do not overlap."""
        begin, end, parts = self._taken(text, _RAW), 0, []
        for first, last in ranges:
            mark = Markup("<mark>{}</mark>").format(with_codes(begin[first:last]))
            parts += [with_codes(begin[end:first]), mark if first < len(begin) else Markup("")]
            end = last
        html = fenced(Markup("").join([*parts, with_codes(begin[end:])]))
        return ShownText(html, len(text), len(begin), self._whole(path), is_raw=True)

    def _whole(self, path: Path | None) -> Path | None:
        return path if path is None else (*self._within, *path)

    def _taken(self, text: str, most: int) -> str:
        taken = text[: max(_LEAST, min(most, self._left))]
        self._left -= len(taken)
        return taken


def piece_of(value: Any, path: Sequence[str | int], start: int) -> str | None:
    """A piece of a text in a value, from a letter on, as plain text with codes; empty where the text ends. None if there is no text."""
    for part in path:
        value = _part(value, part)
    return coded(value[start : start + PIECE], every=True) if isinstance(value, str) and start >= 0 else None


def _part(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
        return value[part]
    return None
