"""Rows that try whatever a text can try: in a real browser, on no page, do they run or load anything.

A page that shows something of rows joins with its address in `ADDRESSES`. The browser itself reports requests, dialogs and breaches of the
policy; see tests/browser.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browsing
from tests.view.client import Client, viewing
from tests.view.hostile import hostile_rows, write_hostile

ROWS = len(hostile_rows()) + 6
ADDRESSES = [
    "/",
    "/o/{output}/rows",
    "/o/{output}/report",
    "/o/{output}/review",
    "/o/{output}/pairs",
    "/config",
    "/live",
    "/o/{output}/live",
    *(f"/o/{{output}}/rows/{number}" for number in range(1, ROWS + 1)),
    *(f"/o/{{output}}/rows/{number}?texts=raw" for number in range(1, ROWS + 1, 7)),
    *(f"/o/{{output}}/side?first={number}&second={number + 1}" for number in range(1, len(hostile_rows()), 5)),
    f"/o/{{output}}/side?row={len(hostile_rows()) - 8}",
    "/o/{output}/side?near=1",
]
"""Pages that show something of rows."""

UNFOLDED = "document.querySelectorAll('details').forEach(one => { one.open = true; })"
HARMED = "window.pwned !== undefined || Object.prototype.polluted !== undefined || document.title.includes('pwned')"
UNKNOWN = """[...document.querySelectorAll('main *')].filter(one => one.matches(
  'script, iframe, object, embed, img, image, use, style, link, meta, base, video, audio, maction, foreignObject, [onerror]'
) || [...one.attributes].some(attribute => attribute.name.startsWith('on') || /^\\s*(javascript|data|vbscript):/i.test(attribute.value))
).map(one => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("hostile")
    write_hostile(folder / "<b>hostile & co.jsonl")
    with viewing(folder, "review") as client:
        yield client


@pytest.mark.parametrize("part", range(4))
def test_rows_that_try_to_harm_run_and_load_nothing(open_page: Browsing, hostile: Client, part: int) -> None:
    page = open_page(hostile.server.address)
    (output,) = hostile.server.viewer.outputs.all()
    for address in ADDRESSES[part::4]:
        page.goto(f"http://{hostile.host}{address.format(output=output.id)}")
        page.evaluate(UNFOLDED)
        if "/rows/" not in address:
            page.wait_for_timeout(300)  # for what a script puts in
        assert not page.evaluate(HARMED), address
        assert page.evaluate(UNKNOWN) == [], address


def test_what_a_script_loads_later_runs_and_loads_nothing(open_page: Browsing, hostile: Client) -> None:
    page = open_page(hostile.server.address)
    (output,) = hostile.server.viewer.outputs.all()
    big = next(number for number, row in enumerate(hostile_rows(), start=1) if row.get("label") == "big")
    page.goto(f"http://{hostile.host}/o/{output.id}/rows/{big}")
    page.get_by_role("button", name="Show more").first.click()
    page.locator(".piece").first.wait_for()
    assert "<script>alert(1)</script>" in page.locator(".piece").first.text_content()
    assert not page.evaluate(HARMED)
    assert page.evaluate(UNKNOWN) == []


def test_links_are_followed_by_a_click_alone_and_tell_nothing(open_page: Browsing, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"text": "[a](https://evil.test/x) [b](javascript:alert(1)) <mailto:a@b.test> [c](/o/x)"}\n', encoding="utf-8"
    )
    with viewing(path) as client:
        page = open_page(client.server.address)
        page.goto(f"http://{client.host}/o/{client.server.viewer.outputs.all()[0].id}/rows/1")
        links = page.locator("article a")
        assert [links.nth(place).get_attribute("href") for place in range(links.count())] == [
            "https://evil.test/x",
            "mailto:a@b.test",
        ]
        assert links.first.get_attribute("rel") == "noopener noreferrer nofollow"
        assert links.first.get_attribute("target") == "_blank"
