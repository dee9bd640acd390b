"""Pages in a real browser: Playwright drives the Chromium of this machine, and whatever a page should not do fails its test.

A test takes the fixture `open_page`:

    @pytest.mark.parametrize("look", LOOKS, ids=str)
    def test_a_page(open_page, look):
        page = open_page(address_or_path, **look.options)
        expect(page.get_by_role("heading", level=1)).to_have_text("rows.jsonl")
        assert_accessible(page)

At its end the test fails if a page has asked another host than its own, opened a dialog, or logged an error (each breach of its
Content-Security-Policy among them). `open_page.allow(PATTERN)` lets those pass that are meant; `open_page.requests` has all addresses.

Playwright keeps an event loop running in its thread for as long as it lives, so it lives in one of its own, and tests have stand-ins
for its objects, whose calls run there. A function that is passed to Playwright (`page.route`, `page.on`) runs there too.
"""

from __future__ import annotations

import functools
import importlib.resources
import importlib.util
import os
import queue
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["LOOKS", "SIZES", "Browsing", "Look", "assert_accessible", "expect", "findings", "running_browser"]

SIZES = {"desk": (1440, 900), "tablet": (768, 1024), "phone": (390, 844)}
PATIENCE_MS = 60_000  # nobody waits so long but on a machine that is very busy
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    # Whatever a page tries, nothing leaves this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]
HARMLESS = frozenset({"about", "blob", "data"})  # no host is asked for these
SEVERE = frozenset({"critical", "serious"})


class Look(NamedTuple):
    """A window and a colour scheme: `open_page(address, **look.options)`."""

    size: str
    dark: bool

    @property
    def options(self) -> dict[str, Any]:
        width, height = SIZES[self.size]
        return {"width": width, "height": height, "dark": self.dark}

    def __str__(self) -> str:
        return f"{self.size}-{'dark' if self.dark else 'light'}"


LOOKS = [Look(size, dark) for size in SIZES for dark in (False, True)]


def chromium() -> str:
    """Where the browser is: what DATAFAST_TEST_CHROMIUM says, or what is installed. Skips the test if there is none."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs playwright, which has no wheel for this machine")
    named = os.environ.get("DATAFAST_TEST_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"needs Chromium: no {' or '.join(names)} on the PATH")
    return found


class _Thread:
    """A thread that does what it is told to, one thing after the other."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="browser", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        for outcome, do in iter(self._told.get, None):
            try:
                outcome.set_result(do())
            except BaseException as error:
                outcome.set_exception(error)
            del outcome, do  # else what a test has opened would live until the next one

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """What the function gives, or raises, there: stand-ins go in as what they stand for, and come out for Playwright's objects."""
        given = {name: _real(one) for name, one in options.items()}
        outcome: Future[Any] = Future()
        self._told.put((outcome, functools.partial(function, *map(_real, args), **given)))
        try:
            return self._shown(outcome.result())
        finally:
            del outcome

    def _shown(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._shown(one) for one in value]
        if type(value).__module__.startswith("playwright.") and not isinstance(value, (dict, str, BaseException)):
            return _StandIn(self, value)
        if callable(value):
            return functools.partial(self.run, value)
        return value

    def end(self) -> None:
        self._told.put(None)
        self._thread.join(timeout=30)


class _StandIn:
    """One of Playwright's objects, in the thread of a test."""

    def __init__(self, thread: _Thread, real: Any) -> None:
        self._thread, self._real = thread, real

    def __getattr__(self, name: str) -> Any:
        return self._thread.run(getattr, self._real, name)

    def __enter__(self) -> Any:
        return self._thread.run(self._real.__enter__)

    def __exit__(self, *error: Any) -> Any:
        return self._thread.run(self._real.__exit__, *error)

    def __repr__(self) -> str:
        return repr(self._real)


def _real(value: Any) -> Any:
    return value._real if isinstance(value, _StandIn) else value


@contextmanager
def running_browser() -> Iterator[Browser]:
    """One browser, for all tests of this process."""
    executable = chromium()
    from playwright.sync_api import sync_playwright

    thread = _Thread()
    try:
        driver = thread.run(lambda: sync_playwright().start())
        try:
            browser = driver.chromium.launch(executable_path=executable, args=OPTIONS, timeout=120_000)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            driver.stop()
    finally:
        thread.end()


def expect(what: Any, message: str | None = None) -> Any:
    """Playwright's `expect`: waits until a page, a locator or a response is as it should be."""
    from playwright.sync_api import expect as real_expect

    real_expect.set_options(timeout=PATIENCE_MS)  # its own five seconds are too few for a machine that is busy
    return what._thread.run(real_expect, what, message)


class Browsing:
    """The pages of one test, and what they have done."""

    def __init__(self, browser: Browser) -> None:
        self.requests: list[str] = []
        """Addresses that pages have asked for, in order, that of the page itself among them."""
        self.errors: list[str] = []
        """Errors in the console, uncaught exceptions, and what a policy has forbidden."""
        self.dialogs: list[str] = []
        self._browser = browser
        self._contexts: list[Any] = []
        self._own: set[str] = set()
        self._allowed: list[re.Pattern[str]] = []

    def __call__(
        self, where: str | Path, *, width: int = 1440, height: int = 900, dark: bool = False, **options: Any
    ) -> Page:
        """Opens an address, or a file, in a window without cookies; other options are those of a context of Playwright."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.errors.append(f"uncaught {error.error}"))
        context.on("dialog", self._refuse)
        context.on("page", self._watch)
        address = where.resolve().as_uri() if isinstance(where, Path) else where
        self._own.add(_origin(address))
        page = context.new_page()
        page.goto(address)
        return page

    def allow(self, *patterns: str) -> None:
        """Lets errors, dialogs and addresses pass in which one of these regular expressions is found."""
        self._allowed += map(re.compile, patterns)

    def faults(self) -> list[str]:
        """What pages have done that they should not, as far as it is known now."""
        foreign = [f"asked for {address}" for address in self.requests if self._is_foreign(address)]
        dialogs = [f"opened a dialog: {text}" for text in self.dialogs]
        errors = [f"logged an error: {text}" for text in self.errors]
        return [one for one in foreign + dialogs + errors if not any(allowed.search(one) for allowed in self._allowed)]

    def leave(self) -> None:
        """Closes all pages. Done before the servers of a test stop: what a page still asks for then is no fault of it."""
        while self._contexts:
            context = self._contexts.pop()
            for page in context.pages:
                page.wait_for_timeout(0)  # what has happened and was not heard yet
            context.close()

    def close(self) -> None:
        self.leave()
        faults = self.faults()
        if faults:
            pytest.fail("A page has\n  " + "\n  ".join(faults), pytrace=False)

    def _hear(self, message: Any) -> None:
        address = message.location["url"]
        # The browser asks for the icon by itself, when it likes: a server that a test has stopped by then is no fault of the page.
        is_late = "ERR_CONNECTION_REFUSED" in message.text and address.endswith("/icon.svg")
        if message.type == "error" and not is_late:
            self.errors.append(f"{message.text} ({address}:{message.location['lineNumber']})")

    def _watch(self, page: Any) -> None:
        page.on("websocket", lambda socket: self.requests.append(socket.url))

    def _refuse(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _is_foreign(self, address: str) -> bool:
        return urlsplit(address).scheme not in HARMLESS and _origin(address) not in self._own


def _origin(address: str) -> str:
    """Whom an address asks; each file is a host of its own."""
    parts = urlsplit(address)
    return f"file://{parts.path}" if parts.scheme == "file" else parts.netloc


def findings(page: Page, *, within: str | None = None) -> list[str]:
    """What stands in the way of some people on this page, a line for each place, by axe-core: what it calls serious or critical."""
    # What is evaluated is not held by the page's policy, so the page is the one that people get.
    page.evaluate(_axe())
    result = page.evaluate(
        "within => axe.run(within ?? document, {resultTypes: ['violations'], preload: false})", within
    )
    return [
        f"{found['impact']}: {found['help']} [{found['id']}] at {' '.join(map(str, node['target']))}\n    {node['html'][:200]}"
        for found in result["violations"]
        if found["impact"] in SEVERE
        for node in found["nodes"]
    ]


@functools.cache
def _axe() -> str:
    source = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    return f"if (!globalThis.axe) {{ {source} }}"


def assert_accessible(page: Page, *, within: str | None = None) -> None:
    """Nothing on this page, or within this selector, stands in the way of anyone."""
    found = findings(page, within=within)
    assert not found, "Not everyone can use this page:\n  " + "\n  ".join(found)
