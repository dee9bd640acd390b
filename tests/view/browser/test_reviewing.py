"""Reviews in a real browser: by keyboard alone, on every size, with rows that attack."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import datafast
from datafast.view.desk import Desk
from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect
from tests.view.client import Client, viewing
from tests.view.hostile import write_hostile


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"uuid": f"u{number}", "text": f"Text {number}.", "stars": 3} for number in range(50)]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


@pytest.fixture
def client(rows_file: Path) -> Iterator[Client]:
    with viewing(rows_file, "review") as client:
        yield client


def opened(open_page: Browsing, client: Client, page: str, **options: Any) -> Any:
    output = next(output.id for output in client.server.viewer.outputs.all())
    return open_page(f"http://{client.host}/o/{output}/{page}?token={client.token}", **options)


def test_fifty_rows_are_reviewed_by_keyboard_alone(open_page: Browsing, client: Client, rows_file: Path) -> None:
    page = opened(open_page, client, "review")
    place = page.locator("#place")
    said = page.locator("#said")
    for number in range(50):
        expect(place).to_have_text(f"Row {number + 1} of 50")
        expect(page.locator("#content")).to_contain_text(f"Text {number}.")
        if number == 10:  # a reason is typed once
            page.keyboard.press("r")
            page.keyboard.type("too dull")
            page.keyboard.press("Enter")
            expect(said).to_have_text("Rejected row 11: too dull.")
        elif number == 20:  # and has a key from then on
            page.keyboard.press("1")
            expect(said).to_have_text("Rejected row 21: too dull.")
        elif number == 30:
            page.keyboard.press("e")
            page.keyboard.press("Control+A")
            page.keyboard.type("Another text.")
            page.keyboard.press("Control+Enter")
            expect(said).to_have_text("Edited row 31.")
        elif number == 40:
            page.keyboard.press("l")
            page.keyboard.type("tone")
            page.keyboard.press("Tab")
            page.keyboard.type("warm")
            page.keyboard.press("Enter")
            expect(page.locator("#marks")).to_contain_text("tone: warm")
            page.keyboard.press("n")
            page.keyboard.type("Ask somebody.")
            page.keyboard.press("Control+Enter")
            expect(page.locator("#notes")).to_contain_text("Ask somebody.")
            page.keyboard.press("a")
        else:
            page.keyboard.press("a")
    expect(page.locator("#nothing-told")).to_have_text("You have decided about all rows from here on.")
    page.keyboard.press("u")
    expect(page.locator("#progress")).to_have_text("49 of 50 decided by you")
    expect(place).to_have_text("Row 50 of 50")
    page.keyboard.press("a")
    expect(page.locator("#progress")).to_have_text("50 of 50 decided by you")
    progress = datafast.load(rows_file).reviews().progress()
    assert (progress.accepted, progress.rejected, progress.edited) == (48, 2, 1)
    assert progress.reasons == {"too dull": 2}


def test_a_review_goes_on_where_it_was_after_a_reload(open_page: Browsing, client: Client) -> None:
    page = opened(open_page, client, "review")
    expect(page.locator("#place")).to_have_text("Row 1 of 50")
    page.locator("#reviewer").fill("bea")
    page.keyboard.press("Enter")
    page.locator("#row").focus()
    expect(page.locator("#review[aria-busy]")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.locator("#place")).to_have_text("Row 2 of 50")
    page.locator("#wanted").select_option("accepted")
    expect(page.locator("#place")).to_have_text("Row 1 of 50")
    page.reload()
    expect(page.locator("#place")).to_have_text("Row 1 of 50")
    expect(page.locator("#reviewer")).to_have_value("bea")
    expect(page.locator("#marks")).to_have_text("accepted by bea")


def test_the_page_of_the_row_that_is_reviewed_is_a_link_away(open_page: Browsing, client: Client) -> None:
    page = opened(open_page, client, "review")
    expect(page.locator("#place")).to_have_text("Row 1 of 50")
    page.keyboard.press("j")
    expect(page.locator("#place")).to_have_text("Row 2 of 50")
    page.get_by_role("link", name="All about it").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Row 2")
    page.go_back()
    expect(page.locator("#place")).to_have_text("Row 2 of 50")


def test_undo_names_its_row_after_a_reload(open_page: Browsing, client: Client) -> None:
    page = opened(open_page, client, "review")
    for number in range(1, 4):
        expect(page.locator("#place")).to_have_text(f"Row {number} of 50")
        page.keyboard.press("a")
    expect(page.locator("#place")).to_have_text("Row 4 of 50")
    page.reload()
    expect(page.locator("#place")).to_have_text("Row 4 of 50")
    for number in (3, 2, 1):
        page.keyboard.press("u")
        expect(page.locator("#said")).to_have_text(f"Took back that you accepted row {number}.")
        expect(page.locator("#place")).to_have_text(f"Row {number} of 50")


def test_what_was_typed_is_not_lost_by_a_stray_key(open_page: Browsing, client: Client) -> None:
    page = opened(open_page, client, "review")
    page.locator("#place").wait_for()
    page.keyboard.press("n")
    text = page.get_by_role("textbox", name="Note")
    text.fill("Long thoughts.")
    page.keyboard.press("Escape")
    expect(page.locator("#form-error")).to_have_text("This is not saved. Press Escape once more to drop it.")
    for button in ("Accept", "Next", "Edit", "Undo"):
        page.get_by_role("button", name=button).click()
        expect(page.locator("#form-error")).to_have_text("This is not saved. Save it first, or cancel.")
    page.locator("#wanted").select_option("all")
    expect(page.locator("#wanted")).to_have_value("open")
    expect(text).to_have_value("Long thoughts.")
    expect(page.locator("#place")).to_have_text("Row 1 of 50")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#form")).to_be_hidden()


def test_a_file_without_rows_is_not_said_to_be_decided(open_page: Browsing, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('"a text"\n[1]\n', encoding="utf-8")
    with viewing(path, "review") as client:
        page = opened(open_page, client, "review")
        expect(page.locator("#nothing-told")).to_have_text("There are no rows here to decide about.")


def test_what_is_typed_before_a_slow_viewer_opens_the_form_decides_nothing(
    open_page: Browsing, client: Client, rows_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(open_page, client, "review")
    expect(page.locator("#place")).to_have_text("Row 1 of 50")
    goes_on, look = threading.Event(), Desk.look

    def slow(*args: Any, **more: Any) -> Any:
        goes_on.wait(20)
        return look(*args, **more)

    monkeypatch.setattr(Desk, "look", slow)
    page.keyboard.press("a")
    for key in "rla":
        page.keyboard.press(key)
    goes_on.set()
    expect(page.locator("#place")).to_have_text("Row 2 of 50")
    expect(page.get_by_role("textbox", name="Reason")).to_be_focused()
    page.keyboard.type("all the same")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Rejected row 2: all the same.")
    progress = datafast.load(rows_file).reviews().progress()
    assert (progress.accepted, progress.rejected) == (1, 1)


def test_what_is_chosen_while_a_slow_viewer_looks_holds(
    open_page: Browsing, client: Client, rows_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datafast.load(rows_file).reviews().accept("u4", reviewer="bea")
    goes_on, look = threading.Event(), Desk.look

    def slow(*args: Any, **more: Any) -> Any:
        goes_on.wait(20)
        return look(*args, **more)

    monkeypatch.setattr(Desk, "look", slow)
    page = opened(open_page, client, "review")
    page.locator("#reviewer").fill("bea")
    page.keyboard.press("Enter")
    page.locator("#wanted").select_option("accepted")
    goes_on.set()
    expect(page.locator("#place")).to_have_text("Row 5 of 50")
    expect(page.locator("#progress")).to_have_text("1 of 50 decided by you")


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_everybody_can_review(open_page: Browsing, client: Client, look: Look) -> None:
    page = opened(open_page, client, "review", **look.options)
    expect(page.locator("#place")).to_have_text("Row 1 of 50")
    page.keyboard.press("r")
    expect(page.locator("#form")).to_be_visible()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[-1]], ids=str)
def test_pairs_are_compared_by_keyboard_alone(open_page: Browsing, tmp_path: Path, look: Look) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "uuid": f"p{number}",
            "question": "Why?",
            "chosen": "Good.",
            "rejected": "Weak.",
            "chosen_model_id": "x/a",
            "rejected_model_id": "x/b",
        }
        for number in range(4)
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    with viewing(path, "review") as client:
        page = opened(open_page, client, "pairs", **look.options)
        for done in range(4):
            expect(page.locator("#progress")).to_have_text(f"{done} of 4 pairs compared by you")
            if done == 0:
                assert_accessible(page)
            page.keyboard.press("1" if "Good." in page.locator("#left").inner_text() else "2")
        expect(page.locator("#nothing-told")).to_contain_text("You have compared all pairs.")
        page.get_by_role("button", name="Show it").press("Enter")
        expect(page.get_by_role("row").nth(1)).to_contain_text("x/a")
        expect(page.get_by_role("row").nth(1)).to_contain_text("100 %")
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_rows_that_attack_only_say_what_they_are(open_page: Browsing, tmp_path: Path) -> None:
    path = tmp_path / "hostile.jsonl"
    write_hostile(path)
    with viewing(path, "review") as client:
        page = opened(open_page, client, "review")
        for _ in range(12):
            expect(page.locator("#row")).to_be_visible()
            page.keyboard.press("1")  # no reason yet: nothing happens
            page.keyboard.press("e")
            page.keyboard.press("Escape")
            page.keyboard.press("j")
            expect(page.locator("#review[aria-busy]")).to_have_count(0)
        assert page.evaluate("window.pwned === undefined")
