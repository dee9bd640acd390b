"""`datafast merge`, `datafast reshard` and `datafast generate --from`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast.cli.main import cli

CONFIG = """\
kind: raw
output_file: rows
document_types: [note]
topics: [sea, sky, land, wind, fire, rain, snow, sand]
num_samples_per_prompt: 2
providers: [openai/gpt-6-luna]
run: {ordered: true}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(CONFIG)
    return tmp_path


def write(config: str) -> None:
    Path("config.yaml").write_text(config, encoding="utf-8")


def datafast(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code, result.output
    return result


def generate(*words: str, code: int = 0) -> Result:
    return datafast("generate", "config.yaml", "--offline", *words, code=code)


def merged(*words: str, code: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(datafast("merge", "rows", "-o", "all.jsonl", *words, "--json", code=code).stdout)
    return told


def test_shards_are_made_divided_anew_merged_and_gone_on_with() -> None:
    generate("--output", "whole.jsonl")
    for number in (1, 2):
        generate("--shard", f"{number}/3")
    told = merged(code=4)
    assert (told["lacks"], told["written"], told["report"]) == (["Shard 3/3 is not there."], False, None)
    assert told["next"] == "datafast generate config.yaml --offline --shard 3/3"
    said = datafast("merge", "rows", "-o", "all.jsonl", code=4).output
    assert "lacks     Shard 3/3 is not there." in said
    assert "nothing was written; --partial merges what there is" in said
    assert not Path("all.jsonl").exists()

    divided = json.loads(datafast("reshard", "rows", "--shards", "2", "--json").stdout)
    assert (divided["before"], divided["after"], divided["leaving"]) == (3, 2, 0)
    for number in (1, 2):
        generate("--shard", f"{number}/2")
    told = merged()
    assert (told["lacks"], told["report"]["written"], told["report"]["simulated"]) == ([], 16, True)
    assert Path("all.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert told["next"] == "datafast generate config.yaml --offline --from all.jsonl"
    said = datafast("merge", "rows", "-o", "all.jsonl").output
    assert "16 rows requested: 16 written" in said
    assert "calls     0" in generate("--from", "all.jsonl").output
    assert (
        "datafast generate config.yaml --offline --from all.jsonl" in datafast("status", "all.jsonl", "--json").stdout
    )

    write(CONFIG.replace("sea, ", ""))
    said = generate("--from", "all.jsonl", "--yes").output
    assert "14 rows requested: 14 written" in said
    write(CONFIG)
    assert "calls     0" in generate("--from", "all.jsonl").output
    assert "rows of" not in datafast("replay", "all.jsonl.manifest.json", "-o", "again.jsonl").output
    assert sorted(Path("again.jsonl").read_bytes().splitlines()) == sorted(
        Path("whole.jsonl").read_bytes().splitlines()
    )
    uuid = json.loads(Path("all.jsonl").read_bytes().splitlines()[0])["uuid"]
    assert "gpt-6-luna" in datafast("explain", "all.jsonl", uuid).output
    datafast("report", "all.jsonl", "-o", "report.html")


def test_rows_of_targets_that_lack_are_named_and_bought() -> None:
    write(f"{CONFIG}target_rows: 15\nquality: [{{stage: keep_if, expression: \"uuid[0] in '0123456789'\"}}]\n")
    for number in (1, 2):
        generate("--shard", f"{number}/2", "--limit", "2")
    told = merged("--partial", code=4)
    assert told["targets"][0]["target"] == 15
    assert told["lacks"][-1] == f"all rows: {told['targets'][0]['accepted']} of 15 rows were accepted."
    said = datafast("merge", "rows", "-o", "all.jsonl", "--partial", code=4).output
    assert "datafast generate config.yaml --offline --from all.jsonl" in said
    generate("--from", "all.jsonl")
    assert len(Path("all.jsonl").read_bytes().splitlines()) == 15


def test_what_contradicts_is_refused() -> None:
    generate("--shard", "1/1")
    generate("--output", "other.jsonl")
    merged()
    refusals = {
        ("--from", "other.jsonl"): "--from: other.jsonl was not merged from shards",
        (
            "--from",
            "rows",
        ): "--from: rows is a folder. `datafast merge rows -o FILE.jsonl` makes the file to go on with",
        ("--from", "nothing.jsonl"): "--from: There is no file nothing.jsonl.",
        ("--from", "all.jsonl", "--shard", "1/1"): "and --shard with something else",
        ("--from", "all.jsonl", "--output", "x.jsonl"): "and --output with something else",
        ("--from", "all.jsonl", "--fresh"): "and --fresh with something else",
    }
    for words, told in refusals.items():
        assert told in generate(*words, code=2).output
    assert "is there already" in datafast("merge", "rows", "-o", "other.jsonl", code=2).output
    assert "run.ordered" in datafast("merge", "rows", "-o", "x.jsonl", "--order", "completion", code=2).output
    assert "There is no folder nowhere" in datafast("merge", "nowhere", "-o", "x.jsonl", code=2).output
    assert "is not in the range" in datafast("reshard", "rows", "--shards", "0", code=2).output


def test_a_merge_without_a_file_is_refused_as_a_mistake_of_the_command() -> None:
    refused = CliRunner().invoke(cli, ["merge", "rows"])
    assert refused.exit_code == 2
    assert "Missing option '-o' / '--output'." in refused.stderr


def test_ledgers_of_shards_in_a_folder_of_their_own() -> None:
    write(CONFIG.replace("ordered: true", "ledger: ledgers"))
    for number in (1, 2):
        generate("--shard", f"{number}/2")
    datafast("reshard", "rows", "--shards", "3", "--ledgers", "ledgers")
    told = merged("--ledgers", "ledgers")
    assert told["report"]["written"] == 16
    assert "calls     0" in generate("--from", "all.jsonl").output


def test_blocks_are_divided_anew_for_another_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.plan.sharded.BLOCKS_ABOVE", 5)
    for number in (1, 2):
        generate("--shard", f"{number}/2")
    write(CONFIG.replace("[sea, sky, ", "[moon, sky, "))
    assert "datafast reshard rows --shards 2" in generate("--shard", "1/2", code=2).output
    said = datafast("reshard", "rows", "--shards", "2", "--config", "config.yaml").output
    assert "1 of them are not in the config any more" in said
    for number in (1, 2):
        generate("--shard", f"{number}/2", "--yes")
    assert merged()["report"]["written"] == 16


def test_topics_that_were_grown_for_shards_are_those_of_what_is_merged() -> None:
    grown = "topics: {topic_prompt: The sea, degree: 2, depth: 1}"
    write(f"kind: conversation\noutput_file: rows\n{grown}\nnum_rows: 6\nproviders: [openai/gpt-6-luna]\n")
    for number in (1, 2):
        generate("--shard", f"{number}/2")
    assert merged()["report"]["written"] == 6
    assert Path("all.jsonl.topics.json").read_bytes() == Path("rows.topics.json").read_bytes()
    assert "calls     0" in generate("--from", "all.jsonl").output

    Path("rows.topics.json.ledger").unlink()  # grown anew, and other ones
    Path("rows.topics.json").unlink()
    write(Path("config.yaml").read_text(encoding="utf-8").replace("The sea", "The sky"))
    for number in (1, 2):
        generate("--shard", f"{number}/2", "--yes")
    assert merged("--fresh")["report"]["written"] == 6
    assert Path("all.jsonl.topics.json").read_bytes() == Path("rows.topics.json").read_bytes()
    assert len(list(Path().glob("all.jsonl.topics.json.*.bak"))) == 2  # and its ledger
