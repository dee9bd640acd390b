"""A real browser takes the page as we do: nothing of a hostile file becomes an element, runs, or makes the page wider than its window."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from datafast.datasets.reporting import report_of
from datafast.report import html_page
from tests.report.test_page import check, hostile_file

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MEASURES = """<script>
document.title = [...document.querySelectorAll("main *")].some(
    one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, svg")
) ? "too wide" : "fits"
</script></body>"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if BROWSER is None:
        pytest.skip("needs Chromium")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dom(page: str, *, width: int) -> str:
    """The page as the browser has it."""
    Path("page.html").write_text(page, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={Path('profile').resolve()}"]
    address = Path("page.html").resolve().as_uri()
    command = [str(BROWSER), *options, f"--window-size={width},900", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.slow
def test_a_hostile_file_runs_nothing_and_fits_a_phone() -> None:
    page = html_page(report_of(hostile_file()))
    shown = dom(page, width=390)
    check(shown)
    # The page's own policy stands in the way of scripts, also of this one.
    assert "<title>hostile&lt;script&gt;.jsonl: report</title>" in dom(page.replace("</body>", MEASURES), width=390)
    without = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", page).replace("<details>", "<details open>")
    assert "<title>fits</title>" in dom(without.replace("</body>", MEASURES), width=390)
