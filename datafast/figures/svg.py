"""What all figures share: the document, its colours in light and dark, and texts in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from html import escape
from typing import NamedTuple

from datafast.figures.texts import clean, cut, is_right_to_left

__all__ = ["COLOURS", "PAD", "SMALL", "WIDTH", "Figure", "document", "num", "rect", "still", "text", "top_below"]

WIDTH = 480
PAD = 18
SMALL = 12.5
_TITLE, _SUBTITLE = 15.5, 12
COLOURS = 6
"""How many colours there are for parts: `c0` to `c5`."""

# Colours that differ in lightness too, and are told apart with all common kinds of colour blindness (after Okabe and Ito).
_STYLE = """
.df-fig{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",Arial,sans-serif}
.df-fig .ground{fill:#fff;stroke:#d9dee5}
.df-fig .title{font-size:15.5px;font-weight:600;fill:#1b2330}
.df-fig .sub{font-size:12px;fill:#5b6675}
.df-fig .label{font-size:12.5px;fill:#2b3442}
.df-fig .value{font-size:12.5px;fill:#5b6675;font-variant-numeric:tabular-nums}
.df-fig .mark{font-size:12px;font-weight:600;fill:#1b2330}
.df-fig .track{fill:#eef1f5}
.df-fig .grid{stroke:#e4e8ee}
.df-fig .axis{stroke:#aab3c0}
.df-fig .line{stroke:#1b2330;stroke-width:1.5;stroke-dasharray:3 3}
.df-fig .c0{fill:#2f6fdb}.df-fig .c1{fill:#eda63b}.df-fig .c2{fill:#c8455a}
.df-fig .c3{fill:#1f9e86}.df-fig .c4{fill:#9a6fd0}.df-fig .c5{fill:#8a95a5}
.df-fig .rest{fill:#a9b4c3}
@media screen and (prefers-color-scheme:dark){
.df-fig .ground{fill:#12161d;stroke:#2d3542}
.df-fig .title,.df-fig .mark{fill:#eef2f7}
.df-fig .sub,.df-fig .value{fill:#9ca8b8}
.df-fig .label{fill:#d5dce6}
.df-fig .track{fill:#1e2530}
.df-fig .grid{stroke:#262e3a}
.df-fig .axis{stroke:#566173}
.df-fig .line{stroke:#eef2f7}
.df-fig .c0{fill:#5b95f5}.df-fig .c1{fill:#f0b458}.df-fig .c2{fill:#e8697c}
.df-fig .c3{fill:#3dbfa5}.df-fig .c4{fill:#b794e6}.df-fig .c5{fill:#7d8899}
.df-fig .rest{fill:#5d6979}
}
"""


_IN_DARK = re.compile(r"@media screen and \(prefers-color-scheme:dark\)\{\n(.*?)\n\}\n", re.DOTALL)
_RIGHT_TO_LEFT = re.compile(r'(?: text-anchor="(\w+)")? direction="rtl"')


class Figure(NamedTuple):
    """A figure. `description` says in words what it shows: for `alt`, and for readers who cannot see it."""

    title: str
    description: str
    svg: str

    @property
    def style(self) -> str:
        """The style sheet in it."""
        return self.svg.partition("<style>")[2].partition("</style>")[0]

    @property
    def unstyled(self) -> str:
        """It without that, for a page that has the style sheets of all its figures in one place."""
        return self.svg.replace(f"<style>{self.style}</style>\n", "", 1)


def still(svg: str, *, dark: bool = False) -> str:
    """A figure in one colour scheme, for programs that draw SVG on paper: they ask for no scheme, and place texts from right to left by
    their left end."""
    svg = _IN_DARK.sub(r"\1" if dark else "", svg)
    return _RIGHT_TO_LEFT.sub(lambda found: {None: ' text-anchor="end"', "end": ""}.get(found[1], found[0]), svg)


def top_below(subtitle: str) -> float:
    """Where the drawing begins, below title and subtitle."""
    return 62 if subtitle else 46


def num(value: float) -> str:
    """A coordinate."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, content: str, kind: str, *, anchor: str = "start", width: float | None = None) -> str:
    """A text on one line. With `width`, it is cut to it, and has its whole text as tooltip."""
    whole = clean(content)
    size = {"title": _TITLE, "sub": _SUBTITLE}.get(kind, SMALL)
    shown = whole if width is None else cut(whole, width, size)
    tooltip = f"<title>{escape(whole)}</title>" if shown != whole else ""
    direction = ""
    if is_right_to_left(shown):
        direction = ' direction="rtl"'
        anchor = {"start": "end", "end": "start"}.get(anchor, anchor)
    placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{num(x)}" y="{num(y)}"{placed}{direction}>{escape(shown)}{tooltip}</text>'


def rect(x: float, y: float, width: float, height: float, kind: str, *, tooltip: str = "", rounded: float = 3) -> str:
    """A rectangle."""
    inner = f"<title>{escape(clean(tooltip))}</title></rect>" if tooltip else "</rect>"
    corners = f' rx="{num(min(rounded, width / 2, height / 2))}"' if rounded else ""
    place = f'x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}"'
    return f'<rect class="{kind}" {place}{corners}>{inner}'


def document(
    title: str, subtitle: str, description: str, height: float, body: Sequence[str], *, style: str = ""
) -> Figure:
    """A figure of these elements, with its title above them."""
    title, description = clean(title), clean(description)
    room = WIDTH - 2 * PAD
    lines = [
        rect(0.5, 0.5, WIDTH - 1, height - 1, "ground", rounded=8),
        text(PAD, 29, title, "title", width=room),
        *([text(PAD, 47, subtitle, "sub", width=room)] if subtitle else []),
        *body,
    ]
    drawn = "\n".join(lines)
    name = f"df-{blake2b(drawn.encode(), digest_size=6).hexdigest()}"  # several may stand in one page
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="df-fig" width="{WIDTH}" height="{num(height)}" '
        f'viewBox="0 0 {WIDTH} {num(height)}" role="img" aria-labelledby="{name}-t {name}-d">'
    )
    told = f'<title id="{name}-t">{escape(title)}</title>\n<desc id="{name}-d">{escape(description)}</desc>'
    return Figure(title, description, f"{head}\n{told}\n<style>{_STYLE}{style}</style>\n{drawn}\n</svg>\n")
