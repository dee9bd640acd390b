"""Whatever a config makes, its shards make the same: each example, with simulated models, divided anew in between."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datafast.config_files.loader import load_project
from datafast.datasets.resharding import reshard
from datafast.datasets.shards import merge
from tests.support import ROOT, assert_balanced


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.yaml")))
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_shards_of_an_example_are_put_together_to_the_rows_of_one_process(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path / "examples")

    def generate(output: Path, **options: object) -> None:
        project = load_project(Path(name), output=output).simulated()
        dataset = project.dataset()
        project.generate(dataset, {"progress": False, **options})
        assert_balanced(dataset.report)

    generate(tmp_path / "one.jsonl")
    for number in (1, 2):
        generate(tmp_path / "rows", shard=(number, 3))
    reshard(tmp_path / "rows", 2)
    for number in (1, 2):
        generate(tmp_path / "rows", shard=(number, 2))
    made = merge(tmp_path / "rows", tmp_path / "all.jsonl")
    if made.lacks:
        generate(tmp_path / "all.jsonl")
    rows, others = (sorted((tmp_path / f"{file}.jsonl").read_bytes().splitlines()) for file in ("all", "one"))
    assert len(rows) == len(others) > 0
    if name != "targets.yaml":  # where each shard draws to its share, which may be other draws
        assert rows == others
