"""The page of a row and rows side by side, in a real browser: at all sizes, in light and dark, by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from datafast.llms import SimulatedProvider
from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect
from tests.support import raw, rows_of
from tests.view.client import Client, viewing

MARKDOWN = """# A head

Text with $x^2$, `code` and [a link](https://a.test).

| a | b |
|---|---|
| 1 | 2 |

```python
def f(): pass
```

> said

שלום"""
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "weather", "arguments": {"city": "Oslo", "days": [1, {"x": 2}]}},
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}}
MESSAGES = [
    {"role": "user", "content": MARKDOWN},
    {"role": "assistant", "content": "", "reasoning_content": "Hm", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "dry"},
]
ROWS: list[dict[str, Any]] = [
    {"messages": MESSAGES, "tools": [TOOL]},
    {"question": "Which?", "options": ["a", "b"], "answer_index": 1, "source_document": "long " * 60},
    {"prompt": "p", "chosen": "a good answer", "rejected": "a bad answer", "chosen_score": 3},
    {"chunk": "One two three.", "evidence": ["two"], "question": "q", "answer": "a"},
    {
        "text": "letters " * 60_000,
        "nested": {"a": [1, {"b": None}]},
        "wide": "w" * 400,
        "table": [{"x": 1, "y": "z"}],
    },
]


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    raw(folder, topics=3).generate([SimulatedProvider("luna"), SimulatedProvider("terra")])
    with viewing(folder) as client:
        yield client


def opened(open_page: Browsing, viewer: Client, output: str, path: str, **options: Any) -> Any:
    page = open_page(viewer.server.address, **options)
    page.goto(f"http://{viewer.host}/o/{viewer.output(output)}{path}")
    return page


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_everyone_can_use_these_pages(open_page: Browsing, viewer: Client, look: Look) -> None:
    page = opened(open_page, viewer, "out.jsonl", "/rows/2", **look.options)
    rows = [("out.jsonl", "/rows/2"), ("out.jsonl", "/side?row=1"), ("rows.jsonl", "/side?first=3&second=4")]
    numbers = range(1, len(ROWS) + 1) if look.size == "phone" or not look.dark else [1]
    for output, path in [*rows, *(("rows.jsonl", f"/rows/{number}") for number in numbers)]:
        page.goto(f"http://{viewer.host}/o/{viewer.output(output)}{path}")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
            f"{path} is wider than the window"
        )
        assert_accessible(page)


def test_rows_are_gone_through_by_keyboard(open_page: Browsing, viewer: Client) -> None:
    page = opened(open_page, viewer, "rows.jsonl", "/rows/1?texts=raw")
    for key, number in (("j", 2), ("ArrowRight", 3), ("k", 2), ("ArrowLeft", 1), ("k", 1)):
        page.keyboard.press(key)
        expect(page).to_have_url(re.compile(rf"/rows/{number}\?texts=raw$"))
        page.wait_for_load_state()  # its script listens from then on
    page.get_by_role("link", name="Formatted").click()
    expect(page.locator("article h4")).to_have_text("A head")


def test_pairs_are_gone_through_by_keyboard(open_page: Browsing, viewer: Client) -> None:
    page = opened(open_page, viewer, "rows.jsonl", "/side?row=2")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="Row 3: chosen and rejected")).to_be_visible()
    page.wait_for_load_state()
    page.get_by_label("and row").press("k")  # somebody writes
    page.locator("h1").click()
    page.keyboard.press("k")
    expect(page).to_have_url(re.compile(r"row=2$"))


def test_a_row_is_copied_as_json(open_page: Browsing, viewer: Client) -> None:
    page = opened(open_page, viewer, "out.jsonl", "/rows/1", permissions=["clipboard-read", "clipboard-write"])
    page.keyboard.press("c")
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert (
        json.loads(page.evaluate("navigator.clipboard.readText()"))
        == rows_of(viewer.server.viewer.outputs.place / "out.jsonl")[0]
    )


def test_a_long_text_is_shown_to_its_end_when_it_is_wanted(open_page: Browsing, viewer: Client) -> None:
    page = opened(open_page, viewer, "rows.jsonl", "/rows/5")
    whole = page.locator("article").first
    assert len(whole.text_content()) < 100_000
    whole.get_by_role("button", name="Show all").first.click()
    expect(whole.get_by_role("button", name="Stop")).to_be_hidden()
    expect(page.locator(".piece")).to_have_count(3)
    assert page.locator(".piece").last.text_content().endswith("letters ")


def test_two_rows_are_chosen_in_the_form(open_page: Browsing, viewer: Client) -> None:
    page = opened(open_page, viewer, "rows.jsonl", "/side")
    page.get_by_label("Row", exact=True).fill("2")
    page.get_by_label("and row").fill("4")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Row 2 and row 4")).to_be_visible()


def test_the_answers_of_other_models_are_one_click_away(open_page: Browsing, viewer: Client) -> None:
    page = opened(open_page, viewer, "out.jsonl", "/rows/1")
    page.get_by_role("link", name="Compare").click()
    page.get_by_role("link", name="Word by word").first.click()
    expect(page.locator("del").first).to_be_visible()
    expect(page.locator("ins").first).to_be_visible()
