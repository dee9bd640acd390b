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
from datafast.view.rendering.texts import ShownText, Texts
from datafast.view.rendering.values import Value

__all__ = ["Texts", "add_to", "facts_html", "row_html", "text_html", "value_html"]


def row_html(row: Any, texts: Texts | None = None) -> Markup:
    """A row as HTML, laid out by what it is. Its styles are those of static/texts.css."""
    return _made("row", laid_out(row, texts or Texts()))


def text_html(text: ShownText) -> Markup:
    """A text as HTML."""
    return _made("text", text)


def value_html(value: Value) -> Markup:
    """A value as HTML."""
    return _made("viewed", value)


def facts_html(facts: list[tuple[str, str]]) -> Markup:
    """Names and short values as HTML."""
    return _made("facts", facts)


def add_to(environment: Environment) -> None:
    """Adds filters to the environment of a page's template: `codes` shows hidden characters of a text as codes."""
    environment.filters |= {
        "codes": lambda value: with_codes(str(value)),
        "text": text_html,
        "viewed": value_html,
        "facts": facts_html,
    }


def _made(macro: str, value: object) -> Markup:
    made: Markup = getattr(_macros(), macro)(value)
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
