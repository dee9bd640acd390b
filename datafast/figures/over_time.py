"""What happened over time: columns of parts on top of each other, or a line for each of several things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from datafast.figures.bars import legend
from datafast.figures.histogram import ticks_to
from datafast.figures.svg import COLOURS, PAD, WIDTH, Figure, document, num, rect, text, top_below
from datafast.figures.texts import clean, compact, width_of

__all__ = ["lines", "stacked_columns"]

_HIGH = 132
_FOOT = 26
# Lines in the colours of the parts; the figures' own style has them as areas only.
_STYLE = (
    "".join(f".df-fig .s{n}{{fill:none;stroke-width:2;stroke-linejoin:round}}" for n in range(COLOURS))
    + """
.df-fig .s0{stroke:#2f6fdb}.df-fig .s1{stroke:#b97a17}.df-fig .s2{stroke:#c8455a}
.df-fig .s3{stroke:#1f9e86}.df-fig .s4{stroke:#9a6fd0}.df-fig .s5{stroke:#8a95a5}
@media screen and (prefers-color-scheme:dark){
.df-fig .s0{stroke:#5b95f5}.df-fig .s1{stroke:#f0b458}.df-fig .s2{stroke:#e8697c}
.df-fig .s3{stroke:#3dbfa5}.df-fig .s4{stroke:#b794e6}.df-fig .s5{stroke:#7d8899}
}
"""
)


def stacked_columns(
    title: str, slots: Sequence[str], parts: Mapping[str, Sequence[float]], *, unit: str, subtitle: str = ""
) -> Figure:
    """Parts in each slot of time, on top of each other.

    Args:
        slots: when each begins, at least one.
        parts: of each part a number for each slot, 0 or more; at least one and 6 at most.
        unit: what the numbers are of.
    """
    sums = [sum(values) for values in zip(*parts.values(), strict=True)]
    frame = _Frame(slots, parts, max(sums), subtitle)
    body = [*frame.drawn]
    for slot, when in enumerate(slots):
        base = frame.bottom
        for number, (name, values) in enumerate(parts.items()):
            if value := values[slot]:
                high = max(frame.high(value), 1.2)
                tooltip = f"{when}, {name}: {compact(value)} {unit}"
                x, wide = frame.left + slot * frame.step, max(frame.step - 1.5, 0.8)
                body.append(rect(x, base - high, wide, high, f"c{number}", tooltip=tooltip, rounded=0))
                base -= high
    told = "; ".join(f"{clean(name)[:60]} {compact(sum(values))} {unit} in all" for name, values in parts.items())
    description = f"{clean(title)}, from {slots[0]} to {slots[-1]}: {told}."
    return document(title, subtitle, description, frame.bottom + _FOOT + 4, body)


def lines(
    title: str, slots: Sequence[str], series: Mapping[str, Sequence[float | None]], *, unit: str, subtitle: str = ""
) -> Figure:
    """A line for each of several things; None where there is nothing to say of a slot.

    Args:
        slots: when each begins, at least one.
        series: of each thing a number for each slot; at least one and 6 at most, each with a number somewhere.
        unit: what the numbers are in.
    """
    known = {name: [value for value in values if value is not None] for name, values in series.items()}
    frame = _Frame(slots, series, max(max(values) for values in known.values()), subtitle)
    body = [*frame.drawn]
    for number, (name, values) in enumerate(series.items()):
        places = [(frame.middle(slot), frame.bottom - frame.high(value)) for slot, value in _known(values)]
        points = " ".join(f"{num(x)},{num(y)}" for x, y in places)
        body.append(f'<polyline class="s{number}" points="{points}"/>')
        for (x, y), (slot, value) in zip(places, _known(values), strict=True):
            tooltip = f"{slots[slot]}, {name}: {compact(value)} {unit}"
            body.append(rect(x - 2.5, y - 2.5, 5, 5, f"c{number}", tooltip=tooltip, rounded=2.5))
    told = "; ".join(
        f"{clean(name)[:60]} from {compact(min(values))} to {compact(max(values))} {unit}"
        for name, values in known.items()
    )
    description = f"{clean(title)}, from {slots[0]} to {slots[-1]}: {told}."
    return document(title, subtitle, description, frame.bottom + _FOOT + 4, body, style=_STYLE)


def _known(values: Sequence[float | None]) -> Iterator[tuple[int, float]]:
    return ((slot, value) for slot, value in enumerate(values) if value is not None)


class _Frame:
    """The axes: numbers to the left, the first and the last slot below, what colours mean above."""

    def __init__(self, slots: Sequence[str], names: Mapping[str, object], largest: float, subtitle: str) -> None:
        if len(names) > COLOURS:
            raise ValueError(f"expected {COLOURS} parts at most, got {len(names)}")
        self.drawn, top = legend(list(names), top_below(subtitle))
        ticks = list(ticks_to(largest or 1))
        self._largest = ticks[-1]
        self.left = PAD + max(width_of(compact(tick), 12.5) for tick in ticks) + 8
        self.step = (WIDTH - PAD - self.left) / len(slots)
        top += 6
        self.bottom = top + _HIGH
        for tick in ticks:
            y = self.bottom - self.high(tick)
            kind = "grid" if tick else "axis"
            ends = f'x1="{num(self.left)}" x2="{num(WIDTH - PAD)}" y1="{num(y)}" y2="{num(y)}"'
            self.drawn.append(f'<line class="{kind}" {ends}/>')
            self.drawn.append(text(self.left - 6, y + 4, compact(tick), "value", anchor="end"))
        self.drawn.append(text(self.left, self.bottom + 18, slots[0], "value"))
        if len(slots) > 1:
            self.drawn.append(text(WIDTH - PAD, self.bottom + 18, slots[-1], "value", anchor="end"))

    def high(self, value: float) -> float:
        """How high a number stands."""
        return _HIGH * value / self._largest

    def middle(self, slot: int) -> float:
        """The middle of a slot."""
        return self.left + (slot + 0.5) * self.step
