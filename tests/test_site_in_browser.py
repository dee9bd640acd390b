"""The built site in a real browser: everyone can use its pages in each window and colour scheme, and nothing comes from another host.

`.ci/run` builds the site and says in DATAFAST_SITE where it is.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect

PAGES = ["", "guides/filtering/", "reference/api/topics/", "gallery/classification/"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the site is served."""
    folder = os.environ.get("DATAFAST_SITE")
    if not folder:
        pytest.skip("needs the site: `python .ci/site.py FOLDER`, and DATAFAST_SITE=FOLDER")
    assert (Path(folder) / "index.html").is_file()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_everyone_can_use_the_pages(open_page: Browsing, address: str, look: Look) -> None:
    for path in PAGES:
        page = open_page(address + path, **look.options)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        assert_accessible(page)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{path} is {wider} px wider than the window"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pictures_are_those_of_the_colour_scheme(open_page: Browsing, address: str, dark: bool) -> None:
    page = open_page(address, dark=dark)
    shown = page.evaluate("[...document.images].filter(one => one.offsetWidth).map(one => one.getAttribute('src'))")
    assert len(shown) >= 3
    assert {("dark" if dark else "light") in name for name in shown} == {True}


def test_the_search_finds_a_page_and_leads_there(open_page: Browsing, address: str) -> None:
    page = open_page(address)
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Search").fill("near duplicates")
    expect(page.get_by_text(re.compile("[0-9]+ results"))).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("uplicates")
