"""Rows and their texts as safe HTML, without a server.

Guarantee: whatever a model, a server or a file has written, what is made of it has only the elements, attributes and schemes of
`datafast.view.rendering.fence` and of the macros in row.html.jinja, runs nothing and loads nothing; and it is bounded.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from datafast.view.rendering.hidden import coded, with_codes
from datafast.view.rendering.layouts import laid_out
from datafast.view.rendering.texts import Texts

__all__ = ["Texts", "part_html", "row_html"]


def row_html(row: Any, texts: Texts | None = None) -> Markup:
    """A row as HTML, laid out by what it is. Its styles are those of static/texts.css."""
    return part_html("row", laid_out(row, texts or Texts()))


def part_html(part: str, value: object) -> Markup:
    """A part as HTML, by a macro of row.html.jinja: a `RowView` as `row` (or its `sections` and its `details`), a `Talk` as `talk`, a
    `ShownText` as `text`, a `Value` as `viewed`, names and values as `facts`."""
    made: Markup = getattr(_macros(), part)(value)
    return made


@cache
def _macros() -> Any:
    environment = Environment(
        autoescape=True, loader=PackageLoader(__name__, "."), trim_blocks=True, lstrip_blocks=True, finalize=_plain
    )
    environment.filters |= {
        "codes": lambda value: with_codes(str(value)),
        "json": json.dumps,
        "sort_of": lambda value: type(value).__name__,
    }
    return environment.get_template("row.html.jinja").module


def _plain(value: object) -> object:
    return coded(value) if isinstance(value, str) and not isinstance(value, Markup) else value
