"""The page of a run in a real browser: steered, killed, resumed, and looked at from another process."""

from __future__ import annotations

import asyncio
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect
from tests.running import wait_for
from tests.servers.fault_server import FaultServer
from tests.support import ROOT
from tests.view.test_live import shown

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes by signals")

LOST = "ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE"
CONFIG = """\
kind: raw
output_file: out.jsonl
document_types: [letter, recipe]
topics: [tides, cranes, ropes, storms, bread, ships, gulls, maps, salt, piers]
num_samples_per_prompt: 1
quality:
  - {{stage: keep_if, expression: "uuid < 'a'"}}
run: {{max_concurrency: 2}}
providers:
  - {{provider: openai_compatible, model_id: one, api_base: {url}}}
"""


class HoldingServer(FaultServer):
    """Answers as many requests as it may, and leaves all others open until it may: a run lasts as long as its test wants."""

    may_answer: float = 0

    async def _answer(self, *args: Any) -> Any:
        while args[-1] > self.may_answer:
            await asyncio.sleep(0.02)
        return await super()._answer(*args)


class Process:
    """A command in a process of its own, in a folder."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._told = folder / f"{words[0]}.{time.monotonic_ns()}"
        with self._told.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "datafast", *words],
                cwd=folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    @property
    def told(self) -> str:
        return self._told.read_text(encoding="utf-8")

    def address(self) -> str:
        wait_for(lambda: "?token=" in self.told and "\n" in self.told.partition("?token=")[2])
        found = re.search(r"http://\S+", self.told)
        assert found is not None
        return found[0]

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(20)

    def ended(self) -> int:
        return self._process.wait(60)

    def end(self) -> None:
        self._process.kill()
        self._process.wait(20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    begun: list[Process] = []

    def start(*words: str) -> Process:
        begun.append(Process(tmp_path, *words))
        return begun[-1]

    yield start
    for process in begun:
        process.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HoldingServer]:
    """The provider of the config."""
    with HoldingServer() as server:
        (tmp_path / "c.yaml").write_text(CONFIG.format(url=server.url), encoding="utf-8")
        yield server


def state(page: Any, words: str) -> None:
    expect(page.locator("#state")).to_have_text(words)


def test_a_run_is_paused_killed_resumed_and_watched_to_its_end(
    start: Any, open_page: Browsing, server: HoldingServer
) -> None:
    open_page.allow(LOST)
    server.may_answer = 6
    run = start("generate", "c.yaml", "--view", "--no-open")
    page = open_page(run.address())
    state(page, "running")
    expect(page.locator(".newest .card").first).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    state(page, "paused")
    page.reload()
    state(page, "paused")
    page.get_by_label("Requests in flight at openai_compatible/one, at most").fill("3")
    page.get_by_role("button", name="Set").click()
    expect(page.get_by_role("button", name="Set")).to_be_hidden()
    page.get_by_role("button", name="Resume").click()
    state(page, "running")
    run.kill()
    state(page, "connection lost")
    expect(page.locator("#lost")).to_contain_text("its process has ended or was killed")
    expect(page.locator("#lost")).to_contain_text("datafast generate c.yaml")
    expect(page.get_by_role("button", name="Pause")).to_be_disabled()

    view = start("view", "out.jsonl", "--no-open")
    other = open_page(view.address().replace("/?token", "/live?token"))
    state(other, "killed")
    expect(other.locator("#told")).to_contain_text("datafast generate c.yaml")
    assert_accessible(other)
    goes_on = start("generate", "c.yaml")
    state(other, "running")
    server.may_answer = math.inf
    assert goes_on.ended() == 0, goes_on.told
    state(other, "complete")
    expect(other.locator("#told")).to_contain_text("all 20 rows are done")


def test_a_run_that_ends_by_itself_says_so_and_ends_its_pages(
    start: Any, open_page: Browsing, server: HoldingServer
) -> None:
    run = start("generate", "c.yaml", "--view", "--no-open")
    page = open_page(run.address())
    state(page, "running")
    server.may_answer = math.inf
    assert run.ended() == 0, run.told
    state(page, "complete")
    for name in ("the rows", "the report"):
        expect(page.locator("#told").get_by_role("link", name=name)).to_be_visible()
    expect(page.locator("#controls")).to_be_hidden()


def test_a_stop_is_asked_for_once_more_and_can_be_done_by_keyboard(tmp_path: Path, open_page: Browsing) -> None:
    with shown(tmp_path) as (client, run):
        page = open_page(client.server.address)
        state(page, "running")
        page.get_by_role("button", name="Stop …").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog", name="Stop the run?")).to_be_visible()
        assert_accessible(page)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert not run.control.is_stopped
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        state(page, "stopped")
        expect(page.locator("#told")).to_contain_text("The run stopped early")
        open_page.leave()  # a page that is open misses a server that stops


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_everyone_can_use_the_page(tmp_path: Path, open_page: Browsing, look: Look) -> None:
    with shown(tmp_path) as (client, run):
        page = open_page(client.server.address, **look.options)
        expect(page.locator(".newest .card").first).to_be_visible()
        run.control.pause()
        state(page, "paused")
        page.wait_for_timeout(600)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert_accessible(page)
        open_page.leave()
