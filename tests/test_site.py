"""The site of the docs is looked at, page by page: each kind of fault is found, and a sound site has none."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.support import ROOT


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / ".ci")
    return importlib.import_module("page_checks")


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / ".ci")
    return importlib.import_module("versions")


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


def test_versions_stand_beside_each_other_and_the_first_page_leads_to_the_newest_release(
    versions: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    made = site(tmp_path / "site")
    target = tmp_path / "all"
    for version in ("0.9", "dev", "0.10", "0.9"):
        versions.publish(made, target, version)
    listed = json.loads((target / "versions.json").read_text(encoding="utf-8"))
    assert [entry["version"] for entry in listed] == ["0.10", "0.9", "dev"]
    assert [entry["aliases"] for entry in listed] == [["latest"], [], []]
    assert "url=0.10/" in (target / "index.html").read_text(encoding="utf-8")
    assert (target / "dev" / "guide" / "index.html").is_file()


def test_pages_that_a_version_no_longer_has_are_gone(versions: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    versions.publish(site(tmp_path / "site", old="old"), tmp_path / "all", "dev")
    (tmp_path / "new").mkdir()
    versions.publish(site(tmp_path / "new"), tmp_path / "all", "dev")
    assert not (tmp_path / "all" / "dev" / "old").exists()


@pytest.mark.parametrize("version", ["0.1.2", "v1", "latest", "../x"])
def test_what_is_no_version_is_refused(versions: ModuleType, version: str) -> None:
    with pytest.raises(SystemExit, match=r"expected a version like 0\.2"):
        versions.check(version)
