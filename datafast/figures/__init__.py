"""Figures as SVG: numbers in, text out. For dataset cards, and for pages.

    bars(title, counts)              rows of each value, the largest first
    stacked_bars(title, groups)      parts of each group, for example written, filtered and failed rows
    histogram(title, edges, counts)  how numbers are distributed

Guarantee: pure functions of their arguments, without a font, a script or anything that is fetched. Texts are escaped and shown without
control characters; long ones are cut, and are whole in their tooltip. A figure is 480 units wide, so that it can be read on a phone, has
a background of its own in light and dark (the page around it need not follow the system), and tells screen readers what it shows.
"""

from datafast.figures.bars import bars, stacked_bars
from datafast.figures.histogram import histogram
from datafast.figures.svg import Figure

__all__ = ["Figure", "bars", "histogram", "stacked_bars"]
