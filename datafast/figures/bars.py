"""Horizontal bars: one for each value, or parts of each group beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datafast.amounts import share
from datafast.figures.svg import COLOURS, PAD, SMALL, WIDTH, Figure, document, rect, text, top_below
from datafast.figures.texts import clean, width_of

__all__ = ["STEP", "Rows", "bars", "legend", "stacked_bars"]

STEP, _THICK = 27, 15
_GAP = 10
_MOST_LABEL = 186
_LEAST_DRAWN = 2.0  # or a small count would look like none


def bars(
    title: str,
    counts: Mapping[str, int],
    *,
    subtitle: str = "",
    most: int = 12,
    num_others: int = 0,
    whole: int | None = None,
) -> Figure:
    """Counts by value, the largest first.

    Args:
        counts: at least one.
        most: how many have a bar of their own; the others have one together.
        num_others: how many values the last of `counts` stands for, where it stands for others already; it then stays the last.
        whole: what the shares are of, where that is not the sum: things may be counted for several values.
    """
    listed = list(counts.items())
    tail = [listed.pop()] if num_others else []
    listed.sort(key=lambda entry: -entry[1])
    if len(listed) > most:
        rest = listed[most:]
        number = len(rest) + num_others
        tail = [(f"{number:,} others", sum(count for _, count in [*rest, *tail]))]
        listed = listed[:most]
    total = sum(counts.values()) if whole is None else whole
    entries = [*listed, *tail]
    values = [f"{count:,} ({share(count, total)})" if total else "0" for _, count in entries]
    drawing = Rows([label for label, _ in entries], values, max(count for _, count in entries))
    top = top_below(subtitle)
    body: list[str] = []
    for number, (label, count) in enumerate(entries):
        kind = "rest" if tail and number == len(entries) - 1 else "c0"
        body += drawing.row(number, [(count, kind, f"{label}: {values[number]}")], top)
    told = "; ".join(f"{clean(label)[:60]} {value}" for (label, _), value in zip(entries, values, strict=True))
    return document(title, subtitle, f"{clean(title)}: {told}.", top + len(entries) * STEP + PAD - 8, body)


def stacked_bars(
    title: str, groups: Mapping[str, Sequence[int]], parts: Sequence[str], *, subtitle: str = "", most: int = 12
) -> Figure:
    """Parts of groups, in the order that is given.

    Args:
        groups: how much each part has, by group; at least one.
        parts: the names of the parts, 6 at most.
        most: how many groups are drawn.
    """
    if len(parts) > COLOURS:
        raise ValueError(f"expected {COLOURS} parts at most, got {len(parts)}")
    shown = list(groups.items())[:most]
    left = len(groups) - len(shown)
    values = [f"{sum(counts):,}" for _, counts in shown]
    drawn, top = legend(parts, top_below(subtitle))
    drawing = Rows([label for label, _ in shown], values, max(sum(counts) for _, counts in shown))
    body = list(drawn)
    told = []
    for number, (label, counts) in enumerate(shown):
        named = [f"{count:,} {part}" for part, count in zip(parts, counts, strict=True)]
        tips = [
            f"{label}: {name} ({share(count, max(1, sum(counts)))})" for name, count in zip(named, counts, strict=True)
        ]
        segments = [(count, f"c{place}", tip) for place, (count, tip) in enumerate(zip(counts, tips, strict=True))]
        body += drawing.row(number, segments, top)
        told.append(f"{clean(label)[:60]} {', '.join(named)}")
    end = top + len(shown) * STEP
    if left:
        body.append(text(PAD, end + 10, f"and {left:,} more", "sub"))
        end += 18
    return document(title, subtitle, f"{clean(title)}: {'; '.join(told)}.", end + PAD - 8, body)


class Rows:
    """Bars below each other with their labels to the left and their values to the right."""

    def __init__(self, labels: Sequence[str], values: Sequence[str], largest: float) -> None:
        self._labels, self._values, self._largest = labels, values, largest or 1
        widest = max(width_of(clean(label), SMALL) for label in labels)
        self._label = min(max(widest, 40.0), _MOST_LABEL)
        self._x = PAD + self._label + _GAP
        self._value = max(width_of(value, SMALL) for value in values)
        self._room = WIDTH - PAD - self._value - _GAP - self._x

    def row(self, number: int, segments: Sequence[tuple[float, str, str]], top: float) -> list[str]:
        """A bar of segments, each with its count, colour and tooltip."""
        y = top + number * STEP
        base = y + _THICK - 3
        drawn = [
            text(self._x - _GAP, base, self._labels[number], "label", anchor="end", width=self._label),
            rect(self._x, y, self._room, _THICK, "track"),
            text(WIDTH - PAD, base, self._values[number], "value", anchor="end"),
        ]
        x = self._x
        for count, kind, tooltip in segments:
            if count:
                width = max(self._room * count / self._largest, _LEAST_DRAWN)
                x = min(x, self._x + self._room - width)
                drawn.append(rect(x, y, width, _THICK, kind, tooltip=tooltip, rounded=3 if len(segments) == 1 else 0))
                x += width + (1 if len(segments) > 1 else 0)
        return drawn


def legend(parts: Sequence[str], top: float) -> tuple[list[str], float]:
    """What the colours mean, and where it ends."""
    drawn: list[str] = []
    x, y = float(PAD), top
    for number, part in enumerate(parts):
        width = 16 + width_of(clean(part), SMALL) + 16
        if x > PAD and x + width > WIDTH - PAD:
            x, y = PAD, y + 20
        drawn.append(rect(x, y, 10, 10, f"c{number}", rounded=2))
        drawn.append(text(x + 16, y + 9.5, part, "label", width=WIDTH - PAD - x - 16))
        x += width
    return drawn, y + 26
