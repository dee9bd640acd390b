"""The report in the viewer, in a real browser: charts in the colours of the page, and what is open stays open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datafast.view import reports
from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect
from tests.view.client import Client, viewing


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "notes.jsonl"
    line = '{"text": "ice <img src=x onerror=alert(1)> %d", "tone": "%s", "score": %d}\n'
    path.write_text("".join(line % (number, ["dry", "kind"][number % 2], number % 5) for number in range(40)))
    return path


@pytest.fixture(scope="module")
def client(rows: Path) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch, viewing(rows.parent) as made:
        patch.setattr(reports, "_LEAST_PAUSE_S", 0)
        patch.setattr(reports, "_PAUSE", 0)
        yield made


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_report_is_shown(open_page: Browsing, client: Client, look: Look) -> None:
    page = open_page(client.address(f"/o/{client.output('notes.jsonl')}/report"), **look.options)
    expect(page.locator("#report svg").first).to_be_visible(timeout=60_000)
    ground = page.locator("#report svg .ground").first.evaluate("one => getComputedStyle(one).fill")
    assert ground == ("rgb(18, 22, 29)" if look.dark else "rgb(255, 255, 255)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert_accessible(page)


def test_it_follows_the_file_and_what_is_open_stays_open(open_page: Browsing, client: Client, rows: Path) -> None:
    page = open_page(client.address(f"/o/{client.output('notes.jsonl')}/report"))
    numbers = page.locator("#report details").first
    numbers.locator("summary").click(timeout=60_000)
    with rows.open("a") as file:
        file.write('{"text": "one more", "tone": "dry", "score": 1}\n')
    expect(page.locator("#told")).to_contain_text("of 41 rows", timeout=60_000)
    expect(numbers).to_have_attribute("open", "")
