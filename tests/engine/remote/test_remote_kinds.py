"""Whatever a config makes, workers make the same: each example, with simulated models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import ROOT

pytest.importorskip("ray", reason="it packs the messages")

from tests.engine.remote.crews import LocalCrew, RemoteExecutor, made_of_example


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.yaml")))
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_the_rows_of_an_example_are_those_of_a_local_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path / "examples")

    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    made_of_example(Path(name), here)
    made_of_example(Path(name), there, RemoteExecutor(LocalCrew(3)))
    assert sorted(there.read_bytes().splitlines()) == sorted(here.read_bytes().splitlines())
