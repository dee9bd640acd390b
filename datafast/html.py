"""Small pieces of HTML, for what a notebook shows of an object. Plain HTML: no script, no style sheet, nothing fetched.

Guarantee: every value is escaped, and what is shown is bounded: long cells are cut, and so are tables with many columns or rows.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from datafast.plain import plain_text

__all__ = ["facts", "paragraph", "row_table", "table"]

_LETTERS = 200
_COLUMNS = 20
_ROWS = 50


def paragraph(text: str, *, bold: bool = False) -> str:
    """A paragraph of text."""
    shown = _shown(text, 10 * _LETTERS)
    return f"<p>{f'<b>{shown}</b>' if bold else shown}</p>"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of at most 50 rows and 20 columns."""
    head = "".join(f"<th>{_shown(heading)}</th>" for heading in headings[:_COLUMNS])
    body = "".join(f"<tr>{''.join(map(_cell, row[:_COLUMNS]))}</tr>" for row in islice(rows, _ROWS))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts(values: Iterable[tuple[str, object]]) -> str:
    """A table of two columns: names and what there is to say of them."""
    rows = (f"<tr>{_cell(name, 'th')}{_cell(value)}</tr>" for name, value in islice(values, _ROWS))
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def row_table(rows: Sequence[Mapping[str, object]]) -> str:
    """A table of rows that are mappings, with a column for each name that occurs."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    more = paragraph(f"and {len(names) - _COLUMNS} more columns") if len(names) > _COLUMNS else ""
    return table(names, ([row.get(name) for name in names] for row in rows)) + more


def _cell(value: object, tag: str = "td") -> str:
    return f'<{tag} style="text-align: left">{_shown(value)}</{tag}>'


def _shown(value: object, letters: int = _LETTERS) -> str:
    text = "" if value is None else str(value)
    # Marks of direction would show it, and what stands beside it, in another order.
    return html.escape(plain_text(text if len(text) <= letters else f"{text[: letters - 3]}..."))
