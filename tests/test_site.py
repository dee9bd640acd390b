"""The site of the docs is looked at, page by page: each kind of fault is found, and a sound site has none."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from tests.support import ROOT


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / ".ci")
    return importlib.import_module("page_checks")


SOUND = '<h2 id="top">Home</h2><a href="guide/">Guide</a><img src="a.png" alt="A run"><a href="https://elsewhere.org/">x</a>'
GUIDE = (
    '<link rel="canonical" href="https://here.org/guide/"><a href="../#top">Home</a><a href="#here" id="here">here</a>'
)


def site(folder: Path, **pages: str) -> Path:
    """A site of these pages, with a picture and a style sheet."""
    (folder / "a.png").write_bytes(b"")
    (folder / "site.css").write_text(pages.pop("css", "a { color: red }"), encoding="utf-8")
    for name, html in {"index": SOUND, "guide": GUIDE, **pages}.items():
        path = folder / ("index.html" if name == "index" else f"{name}/index.html")
        path.parent.mkdir(exist_ok=True)
        path.write_text(html, encoding="utf-8")
    return folder


def test_a_sound_site_has_no_problem(checks: ModuleType, tmp_path: Path) -> None:
    assert checks.problems(site(tmp_path)) == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="../nothing/">x</a>', "../nothing/ leads nowhere"),
        ('<a href="../#bottom">x</a>', "../#bottom leads to no anchor"),
        ('<p id="one"></p><p id="one"></p>', "the anchor #one is there twice"),
        ('<img src="../a.png">', "the picture ../a.png has no alt text"),
        ('<img src="../a.png" alt=" ">', "the picture ../a.png has no alt text"),
        ('<img src="../b.png" alt="B">', "../b.png leads nowhere"),
        ('<script src="https://cdn.org/a.js"></script>', "fetches https://cdn.org/a.js"),
        ('<link rel="stylesheet" href="//cdn.org/a.css">', "fetches //cdn.org/a.css"),
        ('<link rel="preconnect" href="https://fonts.org">', "fetches https://fonts.org"),
    ],
)
def test_a_fault_of_a_page_is_found(checks: ModuleType, tmp_path: Path, html: str, problem: str) -> None:
    assert checks.problems(site(tmp_path, guide=GUIDE + html)) == [f"guide/index.html: {problem}"]


def test_a_page_that_nothing_leads_to_is_found(checks: ModuleType, tmp_path: Path) -> None:
    lost = '<a href="../">Home</a><a href="../lost/">this page</a>'
    assert checks.problems(site(tmp_path, lost=lost)) == ["lost/index.html: no other page leads here"]


def test_a_style_sheet_that_fetches_a_font_is_found(checks: ModuleType, tmp_path: Path) -> None:
    css = "@font-face { src: url('https://fonts.org/a.woff2') } a { background: url(data:image/png;base64,AA) }"
    assert checks.problems(site(tmp_path, css=css)) == ["site.css: fetches https://fonts.org/a.woff2"]
