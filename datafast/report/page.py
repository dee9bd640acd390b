"""The page of a report: one HTML file that needs nothing else.

Guarantee: nothing is fetched and nothing is run, whatever a model has written. All values are escaped, control characters and marks of
direction are shown escaped, texts are isolated from what stands around them, and the page's own policy (Content-Security-Policy) forbids
everything but its one style sheet, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, Template
from markupsafe import Markup

from datafast._util.version import VERSION
from datafast.amounts import counted, money
from datafast.figures import Figure
from datafast.plain import plain_text
from datafast.report.headline import sections_of, sentence, tiles
from datafast.report.models import Call, Report

__all__ = ["Contents", "Page", "contents_of", "html_page"]

_CELL = 300
_HEIGHT = 720
_NO_BASE = "; base-uri &#39;none&#39;"
_OWN_BASE = '<base href="about:srcdoc">'


class Page(str):
    """The page as text. A notebook shows it as a page of its own, apart from that of the notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        # In a frame, links to places of the page would lead to the notebook's address.
        page = self.replace(_NO_BASE, "", 1).replace("<head>", f"<head>{_OWN_BASE}", 1)
        return f'<iframe sandbox srcdoc="{html.escape(page)}" style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'


def html_page(report: Report) -> Page:
    """The page of a report."""
    shown = contents_of(report)
    style = _file("page.css") + shown.style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = _template("page").render(
        report=report,
        head=shown.head,
        sections=shown.sections,
        style=Markup(style),  # noqa: S704 - our own, without a value of the rows
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        version=VERSION,
    )
    return Page(page)


class Contents(NamedTuple):
    """What a page shows of a report, for one that has a head and a title of its own.

    Attributes:
        head: what it is in a sentence, its numbers, and links to the sections.
        sections: all else.
        style: the style sheet of both and of the figures. It takes the colours of `page.css`, which are variables.
    """

    head: Markup
    sections: Markup
    style: str


def contents_of(report: Report, *, rows_at: str = "") -> Contents:
    """What a page shows of a report.

    Args:
        rows_at: the address below which each row has a page, by its number; '' where they have none.
    """
    sections = sections_of(report)
    drawn = (chart.figure.style for section in sections for chart in section.charts if chart.figure is not None)
    values = {
        "report": report,
        "rows_at": rows_at,
        "sections": sections,
        "sentence": sentence(report),
        "tiles": list(tiles(report)),
        "notes": list(dict.fromkeys([*report.statistics.notes, *report.notes])),
    }
    parts: Any = _template("contents").make_module(values)
    return Contents(parts.head(), parts.all_sections(), _file("contents.css") + "".join(dict.fromkeys(drawn)))


def _file(name: str) -> str:
    return (files(__package__ or "") / name).read_text("utf-8")


@cache
def _template(name: str) -> Template:
    environment = Environment(autoescape=True, trim_blocks=True, finalize=_plain)
    environment.filters |= {"cell": _cut, "counted": counted, "drawn": _drawn, "heading": _heading}
    return environment.from_string(_file(f"{name}.html.jinja"))


def _plain(value: object) -> object:
    return plain_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def _drawn(figure: Figure) -> Markup:
    return Markup(figure.unstyled)  # noqa: S704 - figures escape what they show


def _heading(call: Call) -> str:
    parts = [call.provider, *([f"as {call.role}"] if call.role else [])]
    parts += [f"{call.attempts} attempts"] if call.attempts > 1 else []
    parts += [f"{call.input_tokens or 0:,} tokens in, {call.output_tokens or 0:,} out", money(call.cost_usd)]
    parts += [f"{call.latency_s:.2f} s", call.sent_at]
    return ", ".join(parts) + ("" if call.used is not False else " (not usable)")
