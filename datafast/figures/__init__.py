"""Figures as SVG: numbers in, text out. For dataset cards, and for pages.

    bars(title, counts)              rows of each value, the largest first
    stacked_bars(title, groups)      parts of each group, for example written, filtered and failed rows
    levels(title, entries)           numbers by name, in the order that is given
    histogram(title, edges, counts)  how numbers are distributed
    heatmap(title, across, down, ..) what there is of what was planned, for each two values
    stacked_columns(title, ...)      parts over time
    lines(title, ...)                numbers over time
    still(svg)                       a figure in light or in dark, for paper and pictures of pixels

Guarantee: pure functions of their arguments, without a font, a script or anything that is fetched. Texts are escaped and shown without
control characters; long ones are cut, and are whole in their tooltip. A figure is 480 units wide, so that it can be read on a phone, has
a background of its own in light and dark (the page around it need not follow the system; print is light), and tells screen readers what
it shows.
"""

from datafast.figures.bars import bars, stacked_bars
from datafast.figures.heatmap import heatmap
from datafast.figures.histogram import histogram
from datafast.figures.levels import Level, levels
from datafast.figures.over_time import lines, stacked_columns
from datafast.figures.svg import Figure, still

__all__ = [
    "Figure",
    "Level",
    "bars",
    "heatmap",
    "histogram",
    "levels",
    "lines",
    "stacked_bars",
    "stacked_columns",
    "still",
]
