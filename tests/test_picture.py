"""The picture of a run in the docs: small, without anything that is fetched or runs, and made by a script that works."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.support import ROOT

PICTURE = ROOT / "docs" / "images" / "run.svg"


def texts(picture: Path) -> str:
    """What the picture says, line by line."""
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    return "\n".join("".join(element.itertext()) for element in root.iter() if element.tag.endswith("text"))


def assert_is_one_of_a_run(picture: Path) -> None:
    source = picture.read_text(encoding="utf-8")
    assert len(source) < 100_000
    assert "http" not in source.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in source
    said = texts(picture).replace("\xa0", " ")
    assert "$ datafast generate field_notes.yaml" in said
    assert "rows  rows/s  in flight  failed" in said
    assert "of 900 rows" in said


def test_the_picture_is_one_of_a_run() -> None:
    assert_is_one_of_a_run(PICTURE)


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are a Unix thing")
def test_the_script_takes_it_from_a_real_run(tmp_path: Path) -> None:
    target = tmp_path / "images" / "new.svg"
    subprocess.run([sys.executable, str(ROOT / ".ci" / "picture.py"), str(target), "1"], check=True)
    assert_is_one_of_a_run(target)
