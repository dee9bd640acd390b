"""The list of outputs in a real browser: whatever lies in the folder, at every size, in light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from datafast.datasets import RawDataset
from datafast.llms import SimulatedProvider
from datafast.schema.config import RawDatasetConfig
from datafast.store.paths import OutputPaths
from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect
from tests.view.client import Client, viewing

HOSTILE = "<img src=x onerror=alert(1)>\u202e.jsonl"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("outputs")
    for name in ("notes", "killed"):
        config = RawDatasetConfig(
            document_types=["note"], topics=["ice", "tides"], output_file=folder / f"{name}.jsonl"
        )
        RawDataset(config).generate([SimulatedProvider()], progress=False)
    OutputPaths.of(folder / "killed.jsonl").journal.touch()
    (folder / "below").mkdir()
    (folder / "below" / "table.csv").write_text("a,b\n1,2\n")
    (folder / "below" / "torn.parquet").write_bytes(b"PAR1")
    (folder / HOSTILE).write_text('{"text": "<script>alert(1)</script>"}\n')
    with viewing(folder) as made:
        yield made


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_all_that_lies_in_a_folder_is_listed(open_page: Browsing, client: Client, look: Look) -> None:
    page = open_page(client.address(), **look.options)
    expect(page.locator("#count")).to_have_text("5 outputs")
    for state in ("complete", "killed", "cannot be read", "rows only"):
        expect(page.locator("#entries").get_by_text(state, exact=True).first).to_be_visible()
    assert client.token not in page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert_accessible(page)


def test_it_is_searched_sorted_and_opened_by_keyboard(open_page: Browsing, client: Client) -> None:
    page = open_page(client.address())
    names = page.locator("#entries th a")
    page.get_by_role("button", name="Output", exact=True).press("Enter")
    expect(names.first).to_contain_text("<img")
    page.keyboard.press("Enter")
    expect(names.first).to_have_text("torn.parquet")
    page.get_by_role("searchbox").fill("below csv")
    expect(page.locator("#count")).to_have_text("1 of 5 outputs")
    expect(page).to_have_url(re.compile(r"\?q=below\+csv&sort=-name$"))
    page.reload()
    expect(names).to_have_text(["table.csv"])
    page.get_by_role("searchbox").fill("nothing like it")
    page.get_by_role("button", name="Clear the search").press("Enter")
    expect(page.locator("#count")).to_have_text("5 outputs")
    page.get_by_role("link", name="notes.jsonl").press("Enter")
    expect(page.get_by_role("navigation", name="Pages of this output")).to_be_visible()


def test_what_comes_later_is_shown_and_an_empty_folder_says_what_to_do(open_page: Browsing, tmp_path: Path) -> None:
    with viewing(tmp_path) as client:
        page = open_page(client.address())
        expect(page.get_by_text("There is no output here yet")).to_be_visible()
        assert_accessible(page)
        (tmp_path / "rows.jsonl").write_text('{"a": 1}\n')
        expect(page.get_by_role("link", name="rows.jsonl")).to_be_visible()
        open_page.allow("ERR_CONNECTION", "Failed to load resource")
    expect(page.get_by_role("alert")).to_contain_text("The viewer has stopped")


def test_a_stranger_is_told_what_to_do(open_page: Browsing, client: Client) -> None:
    open_page.allow("403")
    page = open_page(f"http://{client.host}/")
    expect(page.get_by_role("heading", name="Not permitted")).to_be_visible()
    assert_accessible(page)
