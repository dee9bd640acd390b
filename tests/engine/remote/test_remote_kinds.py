"""Whatever a config makes, workers make the same: each example, with simulated models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples import CONFIGS, copied_examples, lines_in_order, made_of_example

pytest.importorskip("ray", reason="it packs the messages")

from tests.engine.remote.crews import LocalCrew, RemoteExecutor


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_the_rows_of_an_example_are_those_of_a_local_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied_examples(tmp_path))
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    made_of_example(Path(name), here, limit=6)
    made_of_example(Path(name), there, RemoteExecutor(LocalCrew(3)), limit=6)
    assert lines_in_order(there) == lines_in_order(here)
