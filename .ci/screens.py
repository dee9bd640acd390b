"""Pictures of pages as WebP: what a browser shows of a report and of the viewer, in light and dark. Needs playwright and Chromium."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
# The quality at which letters of twelve pixels have no fringes. PNG files of the same pages are four times as large.
_QUALITY = 85
_WIDTH, _HEIGHT = 1280, 800
_CONFIG = """\
kind: raw
output_file: field_notes.jsonl
document_types: [field note, museum label]
topics: [tide gauges, ice cores, weather balloons, seismographs, sundials, sextants]
languages: {en: English, fr: French, de: German, es: Spanish, pt: Portuguese}
num_samples_per_prompt: 5
prompts: ["Write {num_samples} texts in {language_name}: a {document_type} about {topic}, for <<readers>>."]
expansion: {placeholders: {readers: [pupils, visitors of a museum, engineers]}}
quality:
  - {stage: length, min_words: 30}
  - {stage: near_duplicates}
providers:
  - {provider: simulated, model_id: gpt-6-luna, latency_s: 0.004, faults: {refused: 0.04}}
  - {provider: simulated, model_id: claude-haiku-4-5, latency_s: 0.006}
  - {provider: simulated, model_id: gemma3-4b, latency_s: 0.009, faults: {invalid_json: 0.1}}
"""


# The same, so slow that it can be looked at.
_SLOW = _CONFIG.replace("0.004", "0.4").replace("0.006", "0.6").replace("0.009", "0.9") + "run: {max_concurrency: 12}\n"
_RUNS_MS = 6000


def report(target: Path) -> None:
    """The beginning of a report."""
    with output() as folder, browser() as chromium:
        datafast("report", "field_notes.jsonl", "-o", "report.html", folder=folder)
        both(chromium, (folder / "report.html").as_uri(), target / "report")


def view(target: Path) -> None:
    """Pages of the viewer: the rows of an output, one row of a conversation with tools, and a review."""
    with output() as folder, browser() as chromium:
        shutil.copy(ROOT / "examples" / "tools.yaml", folder)
        datafast("generate", "tools.yaml", "--offline", folder=folder)
        with viewer(folder, "--review") as address:
            page = chromium.new_page()
            page.goto(address)
            outputs = {link.inner_text(): link.get_attribute("href") for link in page.get_by_role("link").all()}
            home, cookies = page.url, page.context.cookies()
            notes, talks = outputs["field_notes.jsonl"], outputs["library_conversations.jsonl"]
            for name, path, ready in (
                ("view-rows", notes, _some_topics),
                ("view-row", f"{talks}/3", None),
                ("view-review", f"{str(notes).removesuffix('/rows')}/review", None),
            ):
                both(chromium, urljoin(home, path), target / name, ready, cookies=cookies)


def live(target: Path) -> None:
    """The page of a run while it works."""
    with tempfile.TemporaryDirectory() as scratch, browser() as chromium:
        folder = Path(scratch)
        (folder / "field_notes.yaml").write_text(_SLOW, encoding="utf-8")
        with viewer(folder, words=("generate", "field_notes.yaml", "--view")) as address:
            page = chromium.new_page()
            page.goto(address)
            cookies = page.context.cookies()
            page.wait_for_timeout(_RUNS_MS)
            both(chromium, urljoin(page.url, "/live"), target / "view-live", cookies=cookies)


def _some_topics(page: Page) -> None:
    """Chooses two values of a facet."""
    for topic in ("ice cores", "sundials"):
        page.get_by_role("checkbox", name=topic).check()


@contextlib.contextmanager
def viewer(folder: Path, *options: str, words: Sequence[str] = ("view", ".")) -> Iterator[str]:
    """The address of a viewer of the folder, whose user is called Ada; `words` are the command that opens it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LOGNAME": "Ada"}
    with subprocess.Popen(
        [sys.executable, "-m", "datafast", *words, "--no-open", *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield next(line.split()[-1] for line in process.stdout or () if "http://" in line)
        process.terminate()


@contextlib.contextmanager
def output() -> Iterator[Path]:
    """A folder with the output of a run in it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "datasets"
        folder.mkdir()
        (folder / "field_notes.yaml").write_text(_CONFIG, encoding="utf-8")
        datafast("generate", "field_notes.yaml", folder=folder, codes={0, 3})
        yield folder


def datafast(*words: str, folder: Path, codes: set[int] | None = None) -> None:
    """Runs a command there; 3 is the exit code of a run in which rows have failed."""
    done = subprocess.run(
        [sys.executable, "-m", "datafast", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (codes or {0}):
        raise SystemExit(done.stderr)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """The Chromium of this machine."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


def both(
    chromium: Browser,
    address: str,
    target: Path,
    ready: Callable[[Page], object] | None = None,
    *,
    cookies: Sequence[Any] = (),
) -> None:
    """Takes a page in light and in dark.

    Args:
        target: the beginning of the files' names.
        ready: brings the page into the state that is wanted.
        cookies: those of a page that was opened with the token.
    """
    for scheme in ("light", "dark"):
        context = chromium.new_context(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme=scheme)
        context.add_cookies([*cookies])
        page = context.new_page()
        page.goto(address)
        if ready is not None:
            ready(page)
        page.wait_for_timeout(1000)
        shot = context.new_cdp_session(page).send("Page.captureScreenshot", {"format": "webp", "quality": _QUALITY})
        target.with_name(f"{target.name}-{scheme}.webp").write_bytes(base64.b64decode(shot["data"]))
        context.close()
