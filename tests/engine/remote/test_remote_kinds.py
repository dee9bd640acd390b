"""Whatever a config makes, workers make the same: each example, with simulated models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datafast.config_files.loader import load_project
from datafast.executors.base import Executor
from tests.support import ROOT, assert_balanced

pytest.importorskip("ray", reason="it packs the messages")

from tests.engine.remote.crews import LocalCrew, RemoteExecutor


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.yaml")))
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_the_rows_of_an_example_are_those_of_a_local_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path / "examples")

    def lines(place: str, executor: Executor | None = None) -> list[bytes]:
        output = tmp_path / f"{place}.jsonl"
        project = load_project(Path(name), output=output).simulated()
        dataset = project.dataset(executor)
        project.generate(dataset, {"progress": False, "limit": 6})
        assert assert_balanced(dataset.report).written > 0
        return sorted(output.read_bytes().splitlines())

    assert lines("there", RemoteExecutor(LocalCrew(3))) == lines("here")
