"""How numbers are distributed: bars between edges, with the middle marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from datafast.figures.svg import PAD, WIDTH, Figure, document, num, rect, text, top_below
from datafast.figures.texts import compact, width_of

__all__ = ["histogram", "ticks_to"]

_HIGH = 132
_FOOT = 44
_MARK = 20
_WIDEST = 72


def histogram(
    title: str,
    edges: Sequence[float],
    counts: Sequence[int],
    *,
    unit: str,
    middle: float | None = None,
    subtitle: str = "",
) -> Figure:
    """Counts between edges; `len(edges)` is one more than `len(counts)`, and there is at least one count.

    Args:
        edges: in rising order. They need not be equally far apart: a bar is as wide as the others, and the axis says where they begin.
        unit: what the numbers are of, for the axis.
        middle: the median, if it is to be marked.
    """
    if len(edges) != len(counts) + 1 or not counts:
        raise ValueError(f"expected one edge more than counts, got {len(edges)} and {len(counts)}")
    ticks = list(ticks_to(max(1, *counts), whole=True))
    left = PAD + max(width_of(compact(tick), 12.5) for tick in ticks) + 8
    room, top = WIDTH - PAD - left, top_below(subtitle) + (_MARK if middle is not None else 4)
    bottom, step = top + _HIGH, room / len(counts)
    body = []
    for tick in ticks:
        y = bottom - _HIGH * tick / ticks[-1]
        kind = "grid" if tick else "axis"
        body.append(f'<line class="{kind}" x1="{num(left)}" x2="{num(WIDTH - PAD)}" y1="{num(y)}" y2="{num(y)}"/>')
        body.append(text(left - 6, y + 4, compact(tick), "value", anchor="end"))
    for number, count in enumerate(counts):
        if count:
            high = max(_HIGH * count / ticks[-1], 1.5)
            tooltip = f"{compact(edges[number])} to {compact(edges[number + 1])} {unit}: {count:,}"
            wide = min(max(step - 1.5, 0.8), _WIDEST)
            x = left + (number + 0.5) * step - wide / 2
            body.append(rect(x, bottom - high, wide, high, "c0", tooltip=tooltip, rounded=2))
    body += _axis(edges, left, step, bottom)
    body.append(text(left + room / 2, bottom + 36, unit, "sub", anchor="middle"))
    if middle is not None:
        body += _marked(f"median {compact(middle)}", left + step * _place(edges, middle), top, bottom)
    return document(title, subtitle, _told(title, edges, counts, unit, middle), bottom + _FOOT + 4, body)


def ticks_to(largest: float, *, whole: bool = False) -> Iterator[float]:
    """Three to six round numbers from 0 to the largest (more than 0) or a little more. `whole`: whole numbers only."""
    rough = largest / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    if whole:
        step = max(1, step)
    for number in range(math.ceil(largest / step) + 1):
        yield number * step


def _axis(edges: Sequence[float], left: float, step: float, bottom: float) -> Iterator[str]:
    """The edges that have room."""
    free = -math.inf
    last = len(edges) - 1
    for number, edge in enumerate(edges):
        shown = compact(edge)
        x, half = left + number * step, width_of(shown, 12.5) / 2
        if x - half < free or (
            number != last and x + half + 14 > left + last * step - width_of(compact(edges[-1]), 12.5)
        ):
            continue
        anchor = "end" if number == last else "middle"
        yield text(x, bottom + 18, shown, "value", anchor=anchor)
        free = x + half + 14


def _place(edges: Sequence[float], value: float) -> float:
    """Where a number is, in bars from the left."""
    for number, (low, high) in enumerate(pairwise(edges)):
        if value <= high:
            return number + (max(value - low, 0) / (high - low) if high > low else 0.5)
    return len(edges) - 1


def _marked(label: str, x: float, top: float, bottom: float) -> list[str]:
    half = width_of(label, 12) / 2 + 4
    at = min(max(x, PAD + half), WIDTH - PAD - half)
    return [
        f'<line class="line" x1="{num(x)}" x2="{num(x)}" y1="{num(top - 4)}" y2="{num(bottom)}"/>',
        text(at, top - 9, label, "mark", anchor="middle"),
    ]


def _told(title: str, edges: Sequence[float], counts: Sequence[int], unit: str, middle: float | None) -> str:
    fullest = max(range(len(counts)), key=counts.__getitem__)
    told = f"{title}: {sum(counts):,} in all, from {compact(edges[0])} to {compact(edges[-1])} {unit}"
    most = f"most between {compact(edges[fullest])} and {compact(edges[fullest + 1])}"
    return f"{told}, {most}{'' if middle is None else f', median {compact(middle)}'}."
