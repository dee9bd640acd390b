"""The browser that tests use tells of everything that a page should not do."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect, findings

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"
GOOD = '<html lang="en"><title>Good</title><main><h1>Good</h1><p>Text <a href="/next">and more</a></p></main>'
PAGES = {
    "/good": GOOD,
    "/next": GOOD.replace("Good", "Next"),
    "/script": GOOD + "<script>document.title = 'ran'</script>",
    "/other": GOOD + '<img alt="" src="https://example.invalid/x.png">',
    "/handler": GOOD + '<img alt="" src="data:," onerror="alert(1)">',
    "/poor": '<html><title>Poor</title><main><h1>Poor</h1><img src="data:,"><button></button></main>',
}


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        page = PAGES.get(self.path, "").encode()
        self.send_response(200 if page else 204)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_page_is_used_as_people_do(open_page: Browsing, site: str) -> None:
    page = open_page(f"{site}/good")
    expect(page.get_by_role("heading")).to_have_text("Good")
    with page.expect_navigation() as navigation:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    assert navigation.value.status == 200
    expect(page).to_have_title("Next")
    with pytest.raises(AssertionError, match="Locator expected to have text 'Good'"):
        expect(page.get_by_role("heading")).to_have_text("Good", timeout=50)
    assert [one.inner_text() for one in page.locator("p").all()] == ["Text and more"]
    assert_accessible(page)
    assert open_page.faults() == []


def test_other_event_loops_run_beside_it(open_page: Browsing, site: str) -> None:
    page = open_page(f"{site}/good")

    async def title() -> str:
        return page.title()

    assert asyncio.run(title()) == "Good"


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_windows_have_sizes_and_colours(open_page: Browsing, site: str, look: Look) -> None:
    page = open_page(f"{site}/good", **look.options)
    seen = page.evaluate("[innerWidth, innerHeight, matchMedia('(prefers-color-scheme: dark)').matches]")
    assert seen == list(look.options.values())


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/script", "logged an error: .*inline script"),
        ("/other", "asked for https://example.invalid/x.png|logged an error: .*https://example.invalid/x.png"),
        ("/handler", "logged an error: .*inline event handler"),
    ],
)
def test_what_a_page_should_not_do_is_a_fault(open_page: Browsing, site: str, path: str, fault: str) -> None:
    page = open_page(site + path)
    for _ in range(400):  # it is told when the browser comes to it
        page.wait_for_timeout(50)
        if re.search(fault, "\n".join(open_page.faults())):
            break
    assert re.search(fault, "\n".join(open_page.faults())), open_page.faults()
    with pytest.raises(pytest.fail.Exception, match=fault):
        open_page.close()
    open_page.allow(fault)


def test_dialogs_and_exceptions_are_faults(open_page: Browsing, site: str) -> None:
    page = open_page(f"{site}/good")
    page.evaluate("setTimeout(() => { alert('hello'); throw new Error('no') })")
    page.evaluate("new Promise(done => setTimeout(done, 20))")
    page.wait_for_timeout(0)
    hello, no = open_page.faults()
    assert hello == "opened a dialog: hello"
    assert no.startswith("logged an error: uncaught ")
    open_page.allow("hello", "no")
    assert open_page.faults() == []


def test_what_stands_in_the_way_of_people_is_found(open_page: Browsing, site: str) -> None:
    page = open_page(f"{site}/poor")
    found = "\n".join(findings(page))
    assert "[image-alt] at img" in found
    assert "[button-name] at button" in found
    assert "[html-has-lang]" in found
    with pytest.raises(AssertionError, match="Not everyone can use this page"):
        assert_accessible(page, within="main")
