"""A report in Markdown: the headline, the numbers of all charts as tables, and rows as blocks of text.

Guarantee: what a model has written stands in cells and fenced blocks, escaped so that nothing of it is taken for Markdown or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from datafast.amounts import counted
from datafast.plain import plain_text
from datafast.report.headline import sections_of, sentence, tiles
from datafast.report.models import Report, RowField, SampleRow, ShownText
from datafast.report.parts import Table

__all__ = ["MARK", "markdown_page"]

MARK = "<!-- datafast report -->"
"""The first line, by which such a file is known."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$:])")
_CELL = 200
_MOST_ROWS = 30
_LETTERS = 1_500


def markdown_page(report: Report) -> str:
    """The Markdown of a report."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield from (MARK, "", f"# {_inline(report.title)}", "", _inline(sentence(report)), "")
    headline = [[tile.name, tile.number, tile.told] for tile in tiles(report)]
    yield from _table(Table(["", "", ""], headline))
    for section in sections_of(report):
        yield from (f"## {section.title}", "", _inline(section.lead), "")
        for chart in section.charts:
            yield from (f"### {_inline(chart.title)}", "")
            yield from _table(chart.table)
    yield from _duplicates(report)
    if report.samples:
        yield from ("## Rows", "")
        for sample in report.samples:
            yield from _sample(sample)
    if notes := list(dict.fromkeys([*report.statistics.notes, *report.notes])):
        yield from ("## To know", "", *(f"* {_inline(note)}" for note in notes), "")


def _duplicates(report: Report) -> Iterator[str]:
    if not (report.duplicates or report.similar):
        return
    yield from (
        "## Duplicates",
        "",
        f"{counted(report.num_duplicate_groups, 'group')} of rows that are nearly the same.",
        "",
    )
    for group in report.duplicates:
        yield from (f"### {len(group.numbers):,} rows nearly the same", "")
        yield from _block(group.texts[0])
    if (pair := report.similar) is not None:
        yield from ("### The most similar pair with different texts", "")
        yield from (f"Rows {pair.numbers[0]:,} and {pair.numbers[1]:,}, similarity {pair.similarity:.2f}.", "")
        for text in pair.texts:
            yield from _block(text)


def _sample(sample: SampleRow) -> Iterator[str]:
    yield from (f"### Row {sample.number:,}: {_inline(sample.why)}", "")
    for field in sample.fields:
        yield from _field(field)
    if sample.provenance is None:
        return
    for call in sample.provenance.calls:
        for message in call.messages:
            yield from (f"Asked {_inline(call.provider)}, as {_inline(message.role)}:", "")
            yield from _block(message)


def _field(field: RowField) -> Iterator[str]:
    if "\n" in field.text or len(field.text) > _CELL:
        yield from (f"{_inline(field.name)}:", "")
        yield from _block(field)
    else:
        yield from (f"{_inline(field.name)}: {_inline(field.text)}", "")


def _block(text: ShownText) -> Iterator[str]:
    shown = plain_text(text.text[:_LETTERS])
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    yield from (f"{fence}text", shown, fence, "")
    if len(text.text) > _LETTERS or text.is_cut:
        yield from (f"(cut: {text.letters:,} characters in all)", "")


def _table(table: Table) -> Iterator[str]:
    yield _row(table.headings)
    yield f"|{' --- |' * len(table.headings)}"
    for row in table.rows[:_MOST_ROWS]:
        yield _row(row)
    yield ""
    if left := len(table.rows) - min(len(table.rows), _MOST_ROWS):
        yield from (f"and {left:,} more", "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_inline(cell[:_CELL]) for cell in cells)} |"


def _inline(text: str) -> str:
    """A text on one line of which nothing is Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(plain_text(text).split()))
