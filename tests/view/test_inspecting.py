"""`dataset.inspect()`: the viewer in a terminal, rows as text wherever nobody can look at it."""

from __future__ import annotations

import codecs
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import wait_for
from tests.servers.notebook import Notebook
from tests.support import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a terminal is made by pty")

SCRIPT = """
from datafast import RawDataset, RawDatasetConfig, SimulatedProvider
config = RawDatasetConfig(document_types=["note"], topics=["ice"], num_samples_per_prompt=8, output_file="notes.jsonl")
dataset = RawDataset(config).generate([SimulatedProvider()], progress=False)
dataset.inspect({})
print("went on")
"""
BROWSER = """#!/bin/sh
echo "$1" >> "{}"
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With a browser that notes what it is to open."""
    browser = tmp_path / "browser"
    browser.write_text(BROWSER.format(tmp_path / "opened"))
    browser.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "DISPLAY", "WAYLAND_DISPLAY"}}
    return {**kept, "BROWSER": str(browser), "PYTHONPATH": str(ROOT)}


class Terminal:
    """A script that runs in a terminal."""

    def __init__(self, script: str, folder: Path, environment: dict[str, str]) -> None:
        import pty

        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=folder,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self.shown = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def until(self, pattern: str) -> re.Match[str]:
        """Waits until the terminal shows something."""
        end = time.monotonic() + 60
        while (found := re.search(pattern, self.shown)) is None:
            assert time.monotonic() < end, self.shown
            try:
                self.shown += self._decoder.decode(os.read(self._master, 4096))
            except OSError:  # the other side is closed
                raise AssertionError(self.shown) from None
        return found

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def end(self) -> int:
        return self.process.wait(30)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(30)
        os.close(self._master)


def _take_terminal() -> None:
    import fcntl
    import termios

    # A job in the background of a shell, where these tests may run, leaves Ctrl-C ignored to what it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def status(address: str) -> tuple[int, str]:
    place, _, path = address.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(place, timeout=20)
    connection.request("GET", f"/{path}")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers.get("location", "")


def test_in_a_terminal_it_opens_the_browser_and_goes_on_after_ctrl_c(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with Terminal(SCRIPT.format(""), tmp_path, environment) as terminal:
        address = terminal.until(r"(http://127\.0\.0\.1:\d+/\S+)\s+Ctrl-C ends it")[1]
        answer, place = status(address)
        assert (answer, place.startswith("/o/notes.jsonl-"), place.endswith("/rows")) == (303, True, True)
        opens = tmp_path / "opened"
        wait_for(lambda: opens.exists() and opens.read_text().endswith("\n"))
        opened = opens.read_text().strip()
        assert opened.partition("token=")[0] == address.partition("token=")[0]
        assert opened != address, "the command line of a browser can be read by others"
        terminal.press_ctrl_c()
        terminal.until("went on")
        assert terminal.end() == 0


def test_it_opens_on_a_row_drawn_at_random(tmp_path: Path, environment: dict[str, str]) -> None:
    with Terminal(SCRIPT.format("random=True"), tmp_path, environment) as terminal:
        address = terminal.until(r"(http://127\.0\.0\.1:\d+/\S+)\s+Ctrl-C ends it")[1]
        place = status(address)[1]
        assert 1 <= int(place.rpartition("/")[2]) <= 8
        terminal.press_ctrl_c()
        terminal.until("went on")
        assert terminal.end() == 0


@pytest.mark.parametrize(("options", "number"), [("", 5), ("num_rows=2", 2), ("random=True", 5)])
def test_without_a_browser_it_prints_rows(
    tmp_path: Path, environment: dict[str, str], options: str, number: int
) -> None:
    del environment["BROWSER"]
    environment["PATH"] = "/nowhere"
    with Terminal(SCRIPT.format(options), tmp_path, environment) as terminal:
        terminal.until("went on")
        assert terminal.shown.count("of 8\r\n") == number
        assert "http://" not in terminal.shown
        assert terminal.end() == 0


def test_a_pipe_and_a_job_get_rows(tmp_path: Path, environment: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format("")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.count("of 8\n") == 5
    with Terminal(SCRIPT.format(""), tmp_path, {**environment, "CI": "true"}) as terminal:
        terminal.until("went on")
        assert terminal.shown.count("of 8\r\n") == 5
        assert terminal.end() == 0


def test_rows_are_printed_in_a_terminal_where_a_number_is_asked_for(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with Terminal(SCRIPT.format("num_rows=3"), tmp_path, environment) as terminal:
        terminal.until("went on")
        assert terminal.shown.count("of 8\r\n") == 3
        assert terminal.end() == 0


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with Notebook(tmp_path_factory.mktemp("notebook")) as kernel:
        yield kernel


def test_a_notebook_shows_a_link_and_goes_on(notebook: Notebook) -> None:
    published = notebook.run(SCRIPT.format("") + "dataset.inspect()\n")
    texts = [content["data"]["text/html"] for kind, content in published if kind == "display_data"]
    links = [found[1] for text in texts for found in re.finditer(r'<a href="(http://127[^"]+)"', text)]
    assert len(links) == 2
    assert links[0] == links[1], "one viewer for one output"
    assert status(links[0])[0] == 303
    assert ("stream", {"name": "stdout", "text": "went on\n"}) in published
