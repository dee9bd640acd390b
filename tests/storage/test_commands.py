"""Commands that take the URL of a remote output, of a folder of shards among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import datafast
from datafast.cli.main import cli
from tests.servers.s3_server import S3Proxy
from tests.storage.remote import rows_there, url_of

CONFIG: dict[str, Any] = {
    "kind": "raw",
    "topics": [f"topic {number}" for number in range(12)],
    "document_types": ["note"],
    "num_samples_per_prompt": 1,
    "providers": ["openai/gpt-5-mini"],
}


@pytest.fixture
def place(store: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL without an output, in a process whose spools lie in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("datafast.storage.spool.sys.platform", "linux")
    monkeypatch.chdir(tmp_path)
    return url_of(store)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def config(tmp_path: Path, url: str, **fields: Any) -> str:
    settings = {"upload_every_s": 0.05, **fields.pop("run", {})}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({**CONFIG, "output_file": url, "run": settings, **fields}))
    return str(file)


def test_a_config_with_a_url_is_generated_looked_at_and_gone_on_with(place: str, tmp_path: Path) -> None:
    made = run("generate", config(tmp_path, place), "--offline", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["output_file"] == place
    assert len(rows_there(place).splitlines()) == 12
    (tmp_path / "cache").rename(tmp_path / "gone")
    planned = run("plan", config(tmp_path, place), "--json")
    assert planned.exit_code == 0, planned.output
    again = run("generate", config(tmp_path, place), "--offline", "--json")
    assert json.loads(again.stdout)["calls"] == 0


@pytest.mark.parametrize("is_here", [True, False])
def test_commands_that_take_a_file_take_a_url(place: str, tmp_path: Path, is_here: bool, store: S3Proxy) -> None:
    assert run("generate", config(tmp_path, place), "--offline").exit_code == 0
    if not is_here:
        (tmp_path / "cache").rename(tmp_path / "gone")
    begin = len(store.asked)
    status = run("status", place, "--json")
    told = json.loads(status.stdout)
    assert (told["output_file"], told["written"], told["pending"], told["running"]) == (place, 12, 0, False)
    assert not [asked for asked in store.asked[begin:] if "/rows/" in asked.key]
    assert run("stats", place).exit_code == 0
    assert run("failures", place).exit_code == 0
    reported = run("report", place, "-o", "page.md")
    assert reported.exit_code == 0, reported.output
    assert "12 rows of the kind raw" in Path("page.md").read_text()
    exported = run("export", place, "--to", "csv", "-o", "rows.csv")
    assert exported.exit_code == 0, exported.output
    assert len(Path("rows.csv").read_text().splitlines()) >= 13
    first = json.loads(rows_there(place).splitlines()[0])
    explained = run("explain", place, first["uuid"])
    assert explained.exit_code == 0, explained.output
    Path("stages.yaml").write_text("quality: [{stage: length, min_words: 1}]")
    kept = run("filter", place, "--quality", "stages.yaml", "-o", "kept.jsonl")
    assert kept.exit_code == 0, kept.output
    assert len(Path("kept.jsonl").read_text().splitlines()) == 12
    rows = datafast.load(place)
    assert rows.paths.name == place


def test_what_is_not_there_and_what_needs_a_file_is_said(place: str, tmp_path: Path) -> None:
    for command in (["status", place], ["stats", place], ["explain", place, "x"]):
        told = run(*command)
        assert told.exit_code == 2
        assert "no output at" in told.output
    told = run("merge", place, "-o", "merged.jsonl")
    assert told.exit_code == 2
    assert "no folder of shards" in told.output


def test_shards_at_a_url_are_made_apart_and_merged(place: str, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        made = run("generate", config(tmp_path, place), "--offline", "--shard", f"{number}/3", "--json")
        assert made.exit_code == 0, made.output
        (tmp_path / "cache").rename(tmp_path / f"machine-{number}")
        status = json.loads(run("status", place, "--json").stdout)
        assert status["missing"] == [one for one in (1, 2, 3) if one > number]
        assert [shard["shard"] for shard in status["shards"]] == [f"{one}/3" for one in range(1, number + 1)]
        assert status["shards"][0]["output_file"] == f"{place}/shard-00001-of-00003.jsonl"
    shown = run("status", place).stdout
    assert "rows written\nshard     3/3: " in shown
    assert f"datafast merge {place} -o FILE.jsonl" in shown
    merged = run("merge", place, "-o", str(tmp_path / "merged.jsonl"))
    assert merged.exit_code == 0, merged.output
    whole = run("generate", config(tmp_path, str(tmp_path / "whole.jsonl"), run={"ordered": True}), "--offline")
    assert whole.exit_code == 0
    assert (tmp_path / "merged.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert json.loads(run("stats", place, "--json").stdout)


@pytest.mark.parametrize("scheme", ["s3", "file"])
def test_a_url_is_that_of_an_output_or_of_shards_of_one_division(place: str, tmp_path: Path, scheme: str) -> None:
    url = place if scheme == "s3" else f"file://{tmp_path}/there/rows.jsonl"

    def refused(url: str, *options: str) -> str:
        for command in (["generate", "--offline"], ["plan"]):
            told = run(command[0], config(tmp_path, url), *command[1:], *options)
            assert told.exit_code == 2, told.output
        return " ".join(told.output.split())

    assert run("generate", config(tmp_path, url), "--offline", "--shard", "2/3").exit_code == 0
    assert "is a folder of shards. Add --shard i/3" in refused(url)
    assert "has shards of 3 (shard-00002-of-00003.jsonl), and this would be one of 4" in refused(url, "--shard", "4/4")
    assert "--shard 3/3" in refused(url, "--shard", "4/4")
    assert run("generate", config(tmp_path, url), "--offline", "--shard", "1/3").exit_code == 0
    assert run("generate", config(tmp_path, f"{url}2"), "--offline").exit_code == 0
    assert "There is an output at" in refused(f"{url}2", "--shard", "1/3")


def test_an_upload_that_fails_ends_with_the_command_that_goes_on(place: str, tmp_path: Path, store: S3Proxy) -> None:
    store.plan = lambda asked: "500" if "/ledger/" in asked.key else None
    file = config(tmp_path, place, run={"max_stall_s": 0.3})
    made = run("generate", file, "--offline")
    assert made.exit_code == 4
    assert "12 replies are not uploaded" in " ".join(made.output.split())
    assert "upload the rest" in made.output
    store.plan = lambda asked: None
    again = run("generate", file, "--offline", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["calls"] == 0
    assert len(rows_there(place).splitlines()) == 12


def test_output_may_be_a_url(place: str, tmp_path: Path) -> None:
    made = run("generate", config(tmp_path, "other.jsonl"), "--offline", "--output", place, "--limit", "3")
    assert made.exit_code == 0, made.output
    assert f"--output {place}" in " ".join(made.output.split())
    assert not (tmp_path / "s3:").exists()


@pytest.mark.parametrize("command", ["card", "export", "filter", "merge", "pack", "replay", "report"])
def test_what_is_written_once_is_not_written_to_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = run(command, "rows.jsonl", "-o", "s3://bucket/other.jsonl")
    assert refused.exit_code == 2
    assert "Give a path, and copy the file from there." in " ".join(refused.output.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["gcs://bucket/rows.jsonl", "s3a://bucket/rows.jsonl", "https://example.org/rows.jsonl"]
)
@pytest.mark.parametrize("is_option", [True, False])
def test_a_url_that_nothing_can_be_written_to_is_no_folder_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, is_option: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    file = config(tmp_path, "rows.jsonl" if is_option else url)
    refused = run("generate", file, "--offline", *(["--output", url] if is_option else []))
    assert refused.exit_code == 2
    assert "Write it like s3://bucket/folder/rows.jsonl, gs://" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml"]
