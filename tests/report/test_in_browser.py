"""A real browser takes the page as we do: nothing of a hostile file becomes an element, runs, or makes the page wider than its window."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafast.datasets.reporting import report_of
from datafast.report import html_page
from tests.browser import LOOKS, Browsing, Look, assert_accessible
from tests.report.test_page import check, hostile_file

TOO_WIDE = """() => [...document.querySelectorAll("main *")].filter(
    one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, svg")
).map(one => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a file whose author means us harm."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        page = html_page(report_of(hostile_file()))
    (folder / "page.html").write_text(page, encoding="utf-8")
    return folder / "page.html"


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_hostile_file_runs_and_loads_nothing(open_page: Browsing, hostile: Path, look: Look) -> None:
    page = open_page(hostile, **look.options)
    check(page.content())
    assert page.title() == "hostile<script>.jsonl: report"
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.evaluate(TOO_WIDE) == []
    assert_accessible(page)
    assert open_page.requests == [hostile.as_uri()]
