"""`datafast generate CONFIG --shard i/N`, and what is shown of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from datafast.cli.main import cli
from datafast.store.shards import ShardFolder

CONFIG = """
kind: raw
document_types: [note]
topics: [a, b, c, d, e, f, g, h]
num_samples_per_prompt: 1
output_file: rows.jsonl
providers: [openai/gpt-5-mini]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def run(command: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, shlex.split(command))
    assert result.exit_code == code, result.output
    return result


def test_shards_are_made_one_by_one_and_planned_alike(folder: Path) -> None:
    planned = [json.loads(run(f"plan c.yaml --shard {number}/3 --json").stdout) for number in (1, 2, 3)]
    assert sum(one["rows"] for one in planned) == 8
    assert sum(one["estimate"]["calls"] for one in planned) == 8
    assert planned[1]["shard"] == "2/3"
    for number in (1, 2, 3):
        report = json.loads(run(f"generate c.yaml --offline --shard {number}/3 --json").stdout)
        assert report["shard"] == f"{number}/3"
        assert report["output_file"] == str(Path("rows.jsonl", f"shard-0000{number}-of-00003.jsonl"))
    made = ShardFolder.open("rows.jsonl")
    assert made.missing == []
    assert sum(len(paths.rows.read_bytes().splitlines()) for paths in made.outputs) == 8
    manifest = json.loads(made.paths(2).manifest.read_bytes())
    assert (manifest["shard"]["number"], manifest["shard"]["of"], manifest["shard"]["by"]) == (2, 3, "keys")


def test_the_command_that_goes_on_names_the_shard(folder: Path) -> None:
    shown = run("generate c.yaml --offline --shard 1/2 --limit 1").stderr
    command = "datafast generate c.yaml --offline --shard 1/2"
    assert command in shown
    file = Path("rows.jsonl", "shard-00001-of-00002.jsonl")
    assert f"{command} " in f"{run(f'status {file}').output} ".replace("\n", " ")
    shown = run("generate c.yaml --offline --shard 1/2").stderr
    assert "datafast generate c.yaml --shard 1/2 --fresh" in shown


def test_output_names_the_folder(folder: Path) -> None:
    run("generate c.yaml --offline --shard 2/2 --output elsewhere")
    run("generate c.yaml --offline --shard 2/2 --output elsewhere")
    assert ShardFolder.open("elsewhere").numbers == [2]
    assert "is a folder of shards" in run("generate c.yaml --offline --output elsewhere", code=2).stderr


@pytest.mark.parametrize(
    ("shard", "message"),
    [("0/4", "Shards are counted from 1."), ("5/4", "1/4 to 4/4"), ("a/b", "like 1/4"), ("4", "like 1/4")],
)
def test_a_wrong_shard_is_refused(folder: Path, shard: str, message: str) -> None:
    for command in ("generate c.yaml --offline", "plan c.yaml"):
        assert message in " ".join(run(f"{command} --shard {shard}", code=2).stderr.split())
    assert [path.name for path in folder.iterdir()] == ["c.yaml"]
