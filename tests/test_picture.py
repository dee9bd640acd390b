"""The pictures of the docs: small, in light and dark, without anything that is fetched or runs, and made by a script that works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.support import ROOT

IMAGES = ROOT / "docs" / "images"
SAID = {
    "plan": ["$ datafast plan field_notes.yaml", "rows in all", "estimate in all", "Write texts in"],
    "run": ["$ datafast generate field_notes.yaml", "rows  rows/s  in flight  failed", "of 900 rows"],
}


def texts(picture: Path) -> str:
    """What the picture says, line by line."""
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    said = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    return "\n".join(said).replace("\xa0", " ")


def assert_shows_it(folder: Path, name: str) -> None:
    for scheme in ("light", "dark"):
        picture = folder / f"{name}-{scheme}.svg"
        source = picture.read_text(encoding="utf-8")
        assert len(source) < 100_000
        assert "http" not in source.replace("http://www.w3.org/2000/svg", "")
        assert "<script" not in source
        assert [words for words in SAID[name] if words not in texts(picture)] == []


@pytest.mark.parametrize("name", SAID)
def test_the_pictures_show_a_command_and_what_it_says(name: str) -> None:
    assert_shows_it(IMAGES, name)


def test_each_picture_is_small_and_there_in_light_and_dark() -> None:
    names = {path.name for path in IMAGES.iterdir()}
    of_pages = {name for name in names if re.search(r"-(light|dark)\.\w+$", name)}
    assert {name.replace("-light.", "-dark.") for name in of_pages} <= names
    assert {name.replace("-dark.", "-light.") for name in of_pages} <= names
    assert [path.name for path in IMAGES.iterdir() if path.stat().st_size > 150_000] == []


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are a Unix thing")
def test_the_script_takes_those_of_a_terminal_from_real_runs(tmp_path: Path) -> None:
    script = ROOT / ".ci" / "pictures.py"
    subprocess.run([sys.executable, str(script), str(tmp_path), *SAID], check=True)
    for name in SAID:
        assert_shows_it(tmp_path, name)
