"""A real browser takes the page as we do: nothing of a hostile file becomes an element, runs, or makes the page wider than its window."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datafast.datasets import RawDataset
from datafast.datasets.reporting import report_of
from datafast.llms import SimulatedProvider
from datafast.report import Page, html_page
from datafast.schema.config import RawDatasetConfig
from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect
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


def test_a_page_is_printed_in_light_without_what_only_leads_around(open_page: Browsing, hostile: Path) -> None:
    page = open_page(hostile, dark=True)
    page.emulate_media(media="print")
    colours = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert colours == ["rgb(255, 255, 255)", "rgb(27, 35, 48)"]
    assert page.evaluate("getComputedStyle(document.querySelector('.ground')).fill") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()


def test_everything_is_reached_by_keyboard(open_page: Browsing, hostile: Path) -> None:
    page = open_page(hostile)
    page.keyboard.press("Tab")
    expect(page.get_by_text("To the numbers")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#main$"))
    page.evaluate("new Promise(requestAnimationFrame)")  # by then the way of the keyboard begins there
    page.keyboard.press("Tab")
    expect(page.locator("summary").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("details").first).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    table = page.locator("details [role=region]").first
    expect(table).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_below_a_cell_of_a_notebook_links_lead_to_places_of_the_page(
    open_page: Browsing, hostile: Path, tmp_path: Path
) -> None:
    shown = Page(hostile.read_text(encoding="utf-8"))._repr_html_()
    (tmp_path / "notebook.html").write_text(f"<!DOCTYPE html><title>Notebook</title>{shown}", encoding="utf-8")
    page = open_page(tmp_path / "notebook.html")
    report = page.frames[1]
    report.get_by_role("link", name="Scores").click()
    expect(report.locator("#scores")).to_be_in_viewport()
    report.wait_for_url("about:srcdoc#scores")
    assert open_page.requests == [(tmp_path / "notebook.html").as_uri()]


@pytest.mark.parametrize("look", [Look("desk", dark=False), Look("phone", dark=True)], ids=str)
def test_everyone_can_use_the_page_of_an_output_with_all_of_it_open(
    open_page: Browsing, tmp_path: Path, look: Look
) -> None:
    config = RawDatasetConfig(
        document_types=["blog", "note"],
        topics=["ice", "tides", "שלום עולם"],
        languages={"en": "English", "fr": "French"},
        output_file=tmp_path / "rows.jsonl",
        quality=[{"stage": "length", "min_words": 45}],  # type: ignore[list-item]
    )
    dataset = RawDataset(config).generate([SimulatedProvider("a"), SimulatedProvider("b")])
    (tmp_path / "page.html").write_text(dataset.report_html(), encoding="utf-8")
    page = open_page(tmp_path / "page.html", **look.options)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    expect(page.get_by_text("Prompt and provenance").first).to_be_visible()
    expect(page.get_by_role("heading", name="Cost and speed")).to_be_visible()
    assert page.evaluate(TOO_WIDE) == []
    assert_accessible(page)
