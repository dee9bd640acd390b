"""Whatever a config makes, its shards make the same: each example, with simulated models, divided anew in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafast.datasets.resharding import reshard
from datafast.datasets.shards import merge
from tests.examples import CONFIGS, copied_examples, lines_in_order, made_of_example


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_shards_of_an_example_are_put_together_to_the_rows_of_one_process(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied_examples(tmp_path))
    path, one, shards, merged = Path(name), tmp_path / "one.jsonl", tmp_path / "rows", tmp_path / "all.jsonl"
    made_of_example(path, one)
    for number in (1, 2):
        made_of_example(path, shards, shard=(number, 3))
    reshard(shards, 2)
    for number in (1, 2):
        made_of_example(path, shards, shard=(number, 2))
    if merge(shards, merged).lacks:
        made_of_example(path, merged)
    assert len(lines_in_order(merged)) == len(lines_in_order(one))
    if name != "targets.yaml":  # where each shard draws to its share, which may be other draws
        assert lines_in_order(merged) == lines_in_order(one)
