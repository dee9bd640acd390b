"""Numbers by name, as bars in the order that is given: shares, scores, seconds, anything that is no count of parts of a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from datafast.figures.bars import STEP, Rows
from datafast.figures.svg import PAD, Figure, document, text, top_below
from datafast.figures.texts import clean

__all__ = ["Level", "levels"]


class Level(NamedTuple):
    """A bar: its name, how long it is (0 or more), and what is written beside it."""

    name: str
    value: float
    shown: str


def levels(
    title: str, entries: Sequence[Level], *, subtitle: str = "", largest: float | None = None, most: int = 16
) -> Figure:
    """Numbers by name.

    Args:
        entries: at least one.
        largest: the number at the end of the room; the largest of `entries` by default.
        most: how many have a bar.
    """
    shown = entries[:most]
    end_of_room = largest if largest is not None else max(entry.value for entry in shown)
    drawing = Rows([entry.name for entry in shown], [entry.shown for entry in shown], end_of_room or 1)
    top = top_below(subtitle)
    body: list[str] = []
    for number, (name, value, told) in enumerate(shown):
        body += drawing.row(number, [(value, "c0", f"{name}: {told}")], top)
    end = top + len(shown) * STEP
    if left := len(entries) - len(shown):
        body.append(text(PAD, end + 10, f"and {left:,} more", "sub"))
        end += 18
    told = "; ".join(f"{clean(entry.name)[:60]} {entry.shown}" for entry in shown)
    return document(title, subtitle, f"{clean(title)}: {told}.", end + PAD - 8, body)
