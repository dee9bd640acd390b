"""The table of rows in a browser: any number of rows, by pointer, by keyboard, on a phone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.llms import SimulatedProvider
from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect
from tests.running import wait_for
from tests.support import raw
from tests.view.client import Client, viewing
from tests.view.hostile import write_hostile

MANY = 600_000  # rows: as high as four times what a browser shows

Opened = Callable[..., Any]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    path = tmp_path_factory.mktemp("many") / "rows.jsonl"
    path.write_bytes(b"".join(b'{"n":%d}\n' % number for number in range(1, MANY + 1)))
    with viewing(path) as client:
        yield client


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    path = tmp_path_factory.mktemp("few") / "rows.jsonl"
    rows = [
        {
            "text": f"Row {number}: " + ("the glacier moves " if number % 2 else "the tide comes in ") * 9,
            "language": ["en", "fr", "de"][number % 3],
            "score": number / 7,
            "metadata": {"topic": f"topic {number % 40}"},
        }
        for number in range(1, 301)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with viewing(path) as client:
        yield client


def opened(open_page: Browsing, client: Client, query: str = "", **options: Any) -> Any:
    page = open_page(client.server.address, **options)
    if query:
        page.goto(f"{page.url.partition('?')[0]}?{query}")
    settled(page)
    return page


def settled(page: Any) -> None:
    """All is known of the file."""
    expect(page.locator("#count")).to_have_text(re.compile("^[\\d,]+( of [\\d,]+)? rows$"), timeout=120_000)
    expect(page.locator("#progress")).not_to_contain_text("%", timeout=120_000)


def rows(page: Any) -> Any:
    return page.locator(".grid-body .grid-row:not([aria-busy])")


def first_seen(page: Any) -> str:
    """The number of the row at the top of what is in sight."""
    return str(
        page.evaluate(
            """() => {
                const box = document.querySelector('.grid-body').getBoundingClientRect();
                const row = document.elementFromPoint(box.left + 60, box.top + 8).closest('.grid-row');
                return row ? row.querySelector('.cell').textContent : '';
            }"""
        )
    )


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_everyone_can_use_it(open_page: Browsing, few: Client, look: Look) -> None:
    page = opened(open_page, few, **look.options)
    expect(page.get_by_role("row", name=re.compile("Row 1: "))).to_be_visible()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_rows_are_scrolled_to_the_very_last_one(open_page: Browsing, many: Client) -> None:
    page = opened(open_page, many)
    expect(page.locator("#count")).to_have_text("600,000 rows")
    page.evaluate("document.getElementById('grid').scrollTop = 1e9")
    expect(page.get_by_role("row").last).to_contain_text("600,000")
    expect(page.get_by_role("row").last).to_be_in_viewport(ratio=0.9)
    page.evaluate("document.getElementById('grid').scrollTop /= 2")
    expect(page.locator(".grid-body")).to_contain_text(re.compile("(299|300),\\d{3}"))
    # A turn of the wheel moves by rows, however many there are.
    page.locator("#row").fill("250000")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.get_by_role("row", name=re.compile("^250,000 ")).first).to_be_focused()
    assert first_seen(page) == "250,000"
    page.mouse.move(700, 500)
    page.mouse.wheel(0, 70)
    wait_for(lambda: first_seen(page) == "250,002")


def test_a_movement_of_the_scroll_bar_that_the_browser_tells_late_is_not_undone(
    open_page: Browsing, many: Client
) -> None:
    page = opened(open_page, many)
    expect(page.locator("#count")).to_have_text("600,000 rows")
    page.evaluate(
        """async () => {
            const grid = document.getElementById("grid");
            const scrolled = new Promise((done) => grid.addEventListener("scroll", done, { once: true }));
            const pauses = [];
            const later = window.setTimeout;
            window.setTimeout = (task) => pauses.push(task);
            grid.scrollTop = 1e9;
            await scrolled;
            window.setTimeout = later;
            grid.scrollTop /= 2;
            for (const task of pauses) task(); // as a busy machine may do it, before the browser tells of the movement
        }"""
    )
    expect(page.locator(".grid-body")).to_contain_text(re.compile("(299|300),\\d{3}"))


def test_every_row_is_reached_by_keys_alone(open_page: Browsing, many: Client) -> None:
    page = opened(open_page, many)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search the texts of all rows")).to_be_focused()
    page.keyboard.press("ArrowDown")
    focused = page.locator(".grid-row:focus")
    expect(focused).to_have_attribute("aria-rowindex", "2")
    page.keyboard.press("ArrowDown")
    expect(focused).to_contain_text("2")
    page.keyboard.press("PageDown")
    assert int(str(focused.get_attribute("aria-rowindex"))) > 10
    page.keyboard.press("End")
    expect(focused).to_contain_text("600,000")
    expect(focused).to_be_in_viewport(ratio=0.9)
    expect(focused).to_have_attribute("aria-rowindex", "600001")
    page.keyboard.press("ArrowUp")
    expect(focused).to_contain_text("599,999")
    page.keyboard.press("Home")
    expect(focused).to_have_attribute("aria-rowindex", "2")
    expect(page.locator('.grid-row[tabindex="0"]')).to_have_count(1)


def test_enter_opens_a_row_and_back_returns_to_it(open_page: Browsing, few: Client) -> None:
    open_page.allow("/rows/42")
    page = opened(open_page, few)
    page.locator("#row").fill("42")
    page.keyboard.press("Enter")
    expect(page.locator(".grid-row:focus")).to_contain_text("Row 42: ")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/rows/42$"))
    page.go_back()
    expect(page.get_by_role("row", name=re.compile("Row 42: "))).to_be_in_viewport()


def test_rows_are_chosen_by_values_and_by_a_text(open_page: Browsing, few: Client) -> None:
    page = opened(open_page, few)
    page.get_by_role("group", name="language").get_by_label("fr").check()
    expect(page.locator("#count")).to_have_text("100 of 300 rows")
    page.get_by_role("searchbox", name="Search the texts of all rows").fill("GLACIER")
    page.keyboard.press("Enter")
    expect(page.locator("#count")).to_have_text("50 of 300 rows")
    expect(rows(page).first.locator("mark").first).to_have_text("glacier")
    expect(page.get_by_role("group", name="language").get_by_label("en")).to_be_visible()
    page.get_by_role("searchbox", name="Find a value of metadata.topic").fill("topic 13")
    expect(page.get_by_role("group", name="metadata.topic").get_by_role("checkbox")).to_have_count(1)
    page.go_back()
    expect(page.locator("#count")).to_have_text("100 of 300 rows")
    expect(page.get_by_role("searchbox", name="Search the texts of all rows")).to_have_value("")
    page.get_by_role("button", name="Show all rows").click()
    expect(page.locator("#count")).to_have_text("300 rows")


def test_nothing_found_says_what_to_do(open_page: Browsing, few: Client) -> None:
    page = opened(open_page, few, "q=nowhere")
    expect(page.get_by_text("No row is like that. Choose other values, or show all rows.")).to_be_visible()
    page.get_by_label("Pattern").check()
    page.get_by_role("searchbox", name="Search the texts of all rows").fill("(")
    page.get_by_role("button", name="Search").click()
    open_page.allow("422")
    expect(page.get_by_role("alert")).to_contain_text("is not a regular expression")


def test_what_is_typed_stays_while_rows_come(open_page: Browsing, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}\n')
    with viewing(path) as client:
        page = opened(open_page, client)
        box = page.get_by_role("searchbox", name="Search the texts of all rows")
        box.fill("gla")
        page.get_by_label("Pattern").check()
        with path.open("a") as file:
            file.write('{"text": "c"}\n')
        expect(page.locator("#count")).to_have_text("3 rows")
        expect(box).to_have_value("gla")
        expect(page.get_by_label("Pattern")).to_be_checked()
        open_page.leave()  # a page that is open misses a server that stops


def test_reload_keeps_what_was_asked_for(open_page: Browsing, few: Client) -> None:
    page = opened(open_page, few, "f.language=en&q=tide&sort=score&by=number&descending=1")
    expect(page.locator("#count")).to_have_text("50 of 300 rows")
    expect(rows(page).first).to_contain_text("Row 300: ")
    page.locator("#grid").evaluate("grid => { grid.scrollTop = 700 }")
    page.wait_for_url(re.compile("row=21"))
    page.reload()
    expect(page.locator("#count")).to_have_text("50 of 300 rows")
    expect(page.get_by_role("row", name=re.compile("Row 180: "))).to_be_in_viewport()
    wait_for(lambda: first_seen(page) == "180")
    assert page.locator("#sort").input_value() == '["score","number",true]'
    expect(page.get_by_role("columnheader", name="score")).to_have_attribute("aria-sort", "descending")


def test_a_head_that_is_pressed_while_rows_are_asked_for_orders_them(open_page: Browsing, few: Client) -> None:
    page = opened(open_page, few)
    held: list[Any] = []
    page.route(re.compile(r"/events\?.*sort=score"), lambda route: held.append(route), times=1)
    button = page.get_by_role("columnheader", name="score").get_by_role("button")
    button.click()
    button.hover()
    page.mouse.down()
    wait_for(lambda: bool(held))
    page._thread.run(held.pop().continue_)
    settled(page)
    page.mouse.up()
    expect(page.get_by_role("columnheader", name="score")).to_have_attribute("aria-sort", "descending")
    expect(rows(page).first).to_contain_text("Row 300: ")


def test_columns_are_ordered_chosen_and_widened(open_page: Browsing, few: Client) -> None:
    page = opened(open_page, few)
    heads = page.get_by_role("columnheader")
    expect(heads).to_have_text(["Row", "text", "language", "score"])
    page.get_by_role("columnheader", name="score").get_by_role("button").click()
    page.get_by_role("columnheader", name="score").get_by_role("button").click()
    expect(rows(page).first).to_contain_text("Row 300: ")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("group", name="Columns that are shown").get_by_label("metadata.topic").check()
    page.get_by_role("group", name="Columns that are shown").get_by_label("language").uncheck()
    expect(heads).to_have_text(["Row", "text", "score ↓", "metadata.topic"])
    page.keyboard.press("Escape")
    before = page.get_by_role("columnheader", name="text").bounding_box()["width"]
    page.get_by_role("separator", name="Width of text").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("columnheader", name="text").bounding_box()["width"] == pytest.approx(before - 40, abs=2)
    page.reload()
    expect(heads).to_have_text(["Row", "text", "score ↓", "metadata.topic"])
    assert page.get_by_role("columnheader", name="text").bounding_box()["width"] == pytest.approx(before - 40, abs=2)


def test_on_a_phone_rows_are_cards_and_the_filter_opens(open_page: Browsing, few: Client) -> None:
    page = opened(open_page, few, width=390, height=844)
    card = rows(page).first
    box = card.bounding_box()
    assert box["height"] > 80
    assert box["width"] < 390
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("group", name="language").get_by_label("de").check()
    expect(page.locator("#count")).to_have_text("100 of 300 rows")
    assert_accessible(page)
    page.keyboard.press("Escape")
    expect(page.locator("#facets")).to_be_hidden()
    page.evaluate("document.getElementById('grid').scrollTop = 1e9")
    expect(page.get_by_role("row").last).to_contain_text("Row 299: ")


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Client]:
    path = write_hostile(tmp_path / "rows.jsonl")
    with path.open("a") as file:
        file.write(json.dumps({f"<b>{number}": number for number in range(10_000)}) + "\n")
    with viewing(path) as client:
        yield client


def test_hostile_rows_run_and_load_nothing(hostile: Client, open_page: Browsing) -> None:
    page = opened(open_page, hostile)
    expect(rows(page).nth(1)).to_be_visible()
    for part in range(1, 9):
        page.evaluate(
            "part => { const grid = document.getElementById('grid'); grid.scrollTop = grid.scrollHeight * part / 8 }",
            part,
        )
        expect(page.locator(".grid-body .grid-row[aria-busy]")).to_have_count(0)
        assert page.locator(".grid-body :is(script, img, iframe, b, style, svg)").count() == 0
    expect(page.get_by_text("This line is not a row").first).to_be_attached()
    assert page.evaluate("window.pwned") is None


@pytest.fixture
def filtered(tmp_path: Path) -> Iterator[Client]:
    raw(tmp_path, topics=12, quality=[{"stage": "keep_if", "expression": "uuid < '8'"}]).generate(
        [SimulatedProvider("m")]
    )
    with viewing(tmp_path / "out.jsonl") as client:
        yield client


def test_dropped_rows_are_switched_on_and_opened(filtered: Client, open_page: Browsing) -> None:
    page = opened(open_page, filtered)
    page.get_by_label("Show").select_option("dropped rows")
    expect(page.get_by_role("columnheader").nth(1)).to_contain_text("dropped.stage")
    expect(rows(page).first).to_contain_text("keep_if")
    settled(page)
    rows(page).first.click()
    page.wait_for_url(re.compile(r"/rows/[0-9a-f]{8}-"))
    page.go_back()
    expect(page.get_by_label("Show")).to_have_value("dropped")
    expect(rows(page).first).to_contain_text("keep_if")
    page.get_by_label("Show").select_option("failed items")
    expect(page.get_by_text("No item has failed.")).to_be_visible()
