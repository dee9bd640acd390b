"""What a page is made of: sections, each with charts, and a table behind each chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from datafast.figures import Figure

__all__ = ["Chart", "Section", "Table"]


class Table(NamedTuple):
    """A table; the first cell of a row says what the row is about. `in_words`: the others are texts, not numbers."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    in_words: bool = False


class Chart(NamedTuple):
    """A chart and the numbers that it shows; a table by itself where there is nothing to draw."""

    title: str
    table: Table
    figure: Figure | None = None


class Section(NamedTuple):
    """Charts about one thing. `lead` says in a sentence or two how they are to be read."""

    name: str
    title: str
    lead: str
    charts: Sequence[Chart]
