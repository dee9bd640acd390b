"""Which combinations of two things there are: a field of cells, darker where more is there."""

from __future__ import annotations

from collections.abc import Sequence

from datafast.amounts import share
from datafast.figures.svg import PAD, SMALL, WIDTH, Figure, document, num, rect, text, top_below
from datafast.figures.texts import clean, compact, width_of

__all__ = ["heatmap"]

_HIGH = 24
_MOST_LABEL = 150
_GAP = 8
_HEAD, _HEAD_LEVEL = 66, 16
_STEPS = 4
_LEAST_FOR_TEXT = 26
_LEAST_ASLANT = 76

# h0 is nothing of what was planned, h4 all of it; `none` was not planned.
_STYLE = """
.df-fig .h0{fill:#fff;stroke:#c8455a;stroke-width:1.5}.df-fig .h1{fill:#d6e3f9}.df-fig .h2{fill:#a9c5f2}
.df-fig .h3{fill:#79a4e8}.df-fig .h4{fill:#3f78d8}.df-fig .none{fill:#eef1f5}
.df-fig .n0{fill:#c8455a}.df-fig .n1,.df-fig .n2,.df-fig .n3{fill:#16233a}.df-fig .n4{fill:#fff}
.df-fig .cell{font-size:11px;font-variant-numeric:tabular-nums}
@media screen and (prefers-color-scheme:dark){
.df-fig .h0{fill:#12161d;stroke:#e8697c}.df-fig .h1{fill:#1f2f4a}.df-fig .h2{fill:#2a4674}
.df-fig .h3{fill:#3661a8}.df-fig .h4{fill:#5b95f5}.df-fig .none{fill:#1e2530}
.df-fig .n0{fill:#e8697c}.df-fig .n1,.df-fig .n2,.df-fig .n3{fill:#eef2f7}.df-fig .n4{fill:#0b1220}
}
"""


def heatmap(
    title: str,
    across: Sequence[str],
    down: Sequence[str],
    there: Sequence[Sequence[int]],
    planned: Sequence[Sequence[int]] | None = None,
    *,
    subtitle: str = "",
) -> Figure:
    """What there is of each combination.

    Args:
        across, down: the values of the two things, at least one each.
        there: how much there is, a row for each value of `down`.
        planned: how much was planned; 0 for a combination that was not. None where that is not known: a cell is then as dark as it is
            beside the one with most.
    """
    label = min(max(width_of(clean(name), SMALL) for name in down), _MOST_LABEL)
    left = PAD + label + _GAP
    step = (WIDTH - PAD - left) / len(across)
    headings = _Headings(across, step)
    top = top_below(subtitle) + headings.high
    body = [headings.drawn(name, left + (place + 0.5) * step, top - 6) for place, name in enumerate(across)]
    missing: list[str] = []
    most = max(map(max, there))
    for line, name in enumerate(down):
        y = top + line * _HIGH
        body.append(text(left - _GAP, y + _HIGH / 2 + 4, name, "label", anchor="end", width=label))
        for place, other in enumerate(across):
            count = there[line][place]
            of = most if planned is None else planned[line][place]
            kind = None if planned is None and not count else _kind(count, of)
            told = f"{name}, {other}: {_amount(count, None if planned is None else of)}"
            if kind == 0 or (planned is None and not count):
                missing.append(f"{clean(name)[:40]} with {clean(other)[:40]}")
            x, wide = left + place * step + 1, max(step - 2, 1.5)
            drawn = "none" if kind is None else f"h{kind}"
            body.append(rect(x, y + 1, wide, _HIGH - 2, drawn, tooltip=told, rounded=3))
            if kind is not None and step >= _LEAST_FOR_TEXT:
                middle = left + (place + 0.5) * step
                body.append(text(middle, y + _HIGH / 2 + 4, compact(count), f"cell n{kind}", anchor="middle"))
    total, wanted = sum(map(sum, there)), None if planned is None else sum(map(sum, planned))
    told = f"{clean(title)}: {_amount(total, wanted)}{f' ({share(total, wanted)})' if wanted else ''}. "
    told += f"Without any: {'; '.join(missing[:12])}." if missing else "Each combination has some."
    return document(title, subtitle, told, top + len(down) * _HIGH + PAD - 6, body, style=_STYLE)


def _amount(count: int, of: int | None) -> str:
    if of is None:
        return f"{count:,}"
    return f"{count:,} of {of:,}" if of else "not planned"


def _kind(count: int, of: int) -> int | None:
    if not of:
        return None
    return 0 if not count else max(1, min(_STEPS, int(_STEPS * count / of)))


class _Headings:
    """The names above the columns: level where they have room, else aslant, or upright where that would go over the edge."""

    def __init__(self, names: Sequence[str], step: float) -> None:
        widest = max(width_of(clean(name), SMALL) for name in names)
        self._is_level = step >= min(widest + 6, _MOST_LABEL)
        self._step = step
        self.high = _HEAD_LEVEL if self._is_level else _HEAD

    def drawn(self, name: str, x: float, y: float) -> str:
        """One of them, above a point."""
        if self._is_level:
            return text(x, y, name, "value", anchor="middle", width=self._step - 4)
        is_upright = self._step < _LEAST_ASLANT
        turned = text(x + 4, y, name, "value", width=_HEAD - 4 if is_upright else _HEAD + 16)
        return f'<g transform="rotate({-90 if is_upright else -50} {num(x + 4)} {num(y)})">{turned}</g>'
