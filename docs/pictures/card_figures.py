"""Draws images/card-figures.svg, two figures of a dataset card beside each other. The numbers are made up."""

from __future__ import annotations

import re
from pathlib import Path

from datafast.figures import Figure, histogram, stacked_bars

_GAP = 16
_COUNTS = [4, 19, 58, 131, 240, 355, 431, 462, 428, 361, 274, 190, 121, 73, 40, 21, 10, 5, 2, 1]
_ROWS = {
    "openai/gpt-6-luna": [1612, 61, 7],
    "anthropic/claude-haiku-4-5": [1288, 204, 8],
    "mistral/mistral-small-latest": [326, 158, 116],
}


def picture() -> str:
    """The picture as SVG."""
    left = stacked_bars(
        "What became of requested rows", _ROWS, ["in the file", "dropped by stages", "failed"], subtitle="By model"
    )
    edges = [15.0 * number for number in range(len(_COUNTS) + 1)]
    right = histogram(
        "Length of rows",
        edges,
        _COUNTS,
        unit="words in a row",
        middle=112,
        subtitle="Nine of ten rows have 49 to 196 words",
    )
    widths, heights = zip(*map(_size, (left, right)), strict=True)
    wide, high = sum(widths) + _GAP, max(heights)
    inner = f"{_placed(left, 0)}{_placed(right, widths[0] + _GAP)}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" role="img">'
    return f"{head}\n{inner}</svg>\n"


def _size(figure: Figure) -> tuple[int, int]:
    ((wide, high),) = re.findall(r'^<svg .*? width="(\d+)" height="([\d.]+)"', figure.svg)
    return int(wide), int(float(high) + 0.99)


def _placed(figure: Figure, x: int) -> str:
    return figure.svg.replace("<svg ", f'<svg x="{x}" ', 1)


if __name__ == "__main__":
    Path(__file__).parent.parent.joinpath("images", "card-figures.svg").write_text(picture(), encoding="utf-8")
