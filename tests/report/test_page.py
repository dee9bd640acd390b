"""The page of a report needs nothing else, and nothing that a model has written does anything in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from datafast.datasets import RawDataset
from datafast.datasets.reporting import report_of
from datafast.llms import SimulatedProvider
from datafast.report import html_page, markdown_page
from datafast.schema.config import RawDatasetConfig
from datafast.store.paths import OutputPaths

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=https://example.invalid/x.png onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'; alert(1); '",
    "</style><style>*{background:url(https://example.invalid)}</style>",
    "![](https://example.invalid/x.png) [link](javascript:alert(1))",
    "right\u202eto left\u2066 and \u200f marks",
    "terminal \x1b[31mred\x1b[0m \x07 and \x00",
    "{{ 7 * 7 }} {% raw %} </textarea> <!-- --> ]]> &amp; &#60;b&#62;",
    "data:text/html,<script>alert(1)</script>",
    "שלום עולם <b>",
]


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and whether they are closed as they were opened."""

    VOID = frozenset({"meta", "br", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


ELEMENTS = frozenset(
    {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "a",
        "header",
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "bdi",
        "dl",
        "div",
        "dt",
        "dd",
    }
    | {
        "strong",
        "span",
        "nav",
        "ul",
        "li",
        "main",
        "section",
        "figure",
        "figcaption",
        "details",
        "summary",
        "article",
        "footer",
    }
    | {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    | {"svg", "desc", "rect", "text", "line", "g", "polyline"}
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(page: str) -> Elements:
    elements = Elements(page)
    for tag, attributes in elements.found:
        assert tag in ELEMENTS
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in {"src", "srcdoc", "action", "style", "xlink:href"}
            assert name != "href" or (value or "").startswith("#")
    policy = next(found["content"] for tag, found in elements.found if found.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert sum(tag == "style" for tag, _ in elements.found) == 1
    ids = [found["id"] for _, found in elements.found if "id" in found]
    assert len(ids) == len(set(ids))
    targets = {(found["href"] or "")[1:] for tag, found in elements.found if tag == "a"}
    assert targets <= set(ids)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", page)
    return elements


def hostile_file() -> OutputPaths:
    rows = [
        {
            "text": f"{HOSTILE[n % len(HOSTILE)]} {n // 40} {HOSTILE[n % 3]}",
            "label": HOSTILE[n % 4],
            HOSTILE[5]: HOSTILE[n % 6],
            "score": n % 5,
            "metadata": {HOSTILE[0]: HOSTILE[n % 2], "model_id": HOSTILE[n % 3], HOSTILE[1]: {"score": n}},
        }
        for n in range(80)
    ]
    rows.append({"text": "<b>" * 1_700_000, "label": "long"})
    Path("hostile<script>.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return OutputPaths.of("hostile<script>.jsonl")


def test_nothing_in_rows_becomes_an_element_or_is_fetched() -> None:
    report = report_of(hostile_file())
    page = html_page(report)
    check(page)
    assert len(page) < 1_000_000
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "5,100,000 characters in all" in page


def test_nothing_in_rows_becomes_markdown_or_html() -> None:
    text = markdown_page(report_of(hostile_file()))
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    unescaped = re.sub(r"\\.", "", outside.replace("<!-- datafast report -->", ""))
    assert not re.search(r"[<>\[\]`]|!\[|javascript:", unescaped)
    assert "\x1b" not in text


def test_a_page_of_an_output_is_well_formed_with_a_table_behind_each_chart() -> None:
    config = RawDatasetConfig(
        document_types=["blog", "note"],
        topics=["ice", "tides", HOSTILE[0]],
        languages={"en": "English", "he": "Hebrew"},
        output_file="rows.jsonl",
        quality=[{"stage": "length", "min_words": 45}],  # type: ignore[list-item]
    )
    page = RawDataset(config).generate([SimulatedProvider("a"), SimulatedProvider("b")]).report_html()
    elements = check(page)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("svg") > 10
    assert tags.count("figure") == tags.count("table")
    regions = [found for _, found in elements.found if found.get("role") == "region"]
    assert all(found["tabindex"] == "0" and found["aria-label"] for found in regions)
    for heading in ("What is in it", "What became of it", "Lengths", "Cost and speed", "Rows"):
        assert f">{heading}</h2>" in page


def test_a_notebook_shows_the_page_apart_from_its_own() -> None:
    Path("rows.jsonl").write_text('{"text": "\\"><script>alert(1)</script>"}\n', encoding="utf-8")
    shown = html_page(report_of(OutputPaths.of("rows.jsonl")))._repr_html_()
    assert shown.startswith('<iframe sandbox srcdoc="')
    assert shown.count('"') == 4
