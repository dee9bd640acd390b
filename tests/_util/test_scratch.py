"""Temporary folders: the same one for the same name, nobody else's, and gone when they are told to go."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from datafast._util.scratch import Scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_name_stands_for_one_folder_and_no_name_for_a_new_one(temporary: Path) -> None:
    assert Scratch("a").folder == Scratch("a").folder != Scratch("b").folder
    one, other = Scratch().folder, Scratch().folder
    assert one != other
    assert one.is_dir()
    assert one.parent == other.parent == temporary


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no permissions of this kind")
def test_a_root_that_others_may_read_is_not_used(temporary: Path) -> None:
    root = Scratch("a").folder.parent
    root.chmod(0o755)
    assert Scratch("a").folder.parent == temporary


def test_it_goes_with_the_object_that_it_was_made_for() -> None:
    class Owner:
        pass

    owner, scratch = Owner(), Scratch()
    scratch.remove_with(owner)
    (scratch.folder / "rows").write_text("x", encoding="utf-8")
    gc.collect()
    assert scratch.folder.is_dir()
    del owner
    gc.collect()
    assert not scratch.folder.exists()


@pytest.mark.parametrize(("then", "stays"), [("pass", False), ("scratch.keep()", True)])
def test_it_goes_with_the_process_unless_it_is_to_be_kept(temporary: Path, then: str, stays: bool) -> None:
    script = (
        "from datafast._util.scratch import Scratch\n"
        "scratch = Scratch()\nscratch.remove_at_exit()\nscratch.remove_at_exit()\n"
        f"{then}\nprint(scratch.folder)"
    )
    environment = {**os.environ, "TMPDIR": str(temporary), "TEMP": str(temporary)}
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert Path(made.stdout.strip()).exists() is stays
