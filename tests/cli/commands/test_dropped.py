"""`datafast dropped`: the rows that stages have dropped, chosen by stage and reason; and what the command line says when stages change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli

CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [pumps, valves, pipes]
num_samples_per_prompt: 4
providers: [{provider: simulated, model_id: a}]
quality: [{stage: length, min_words: %d}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments: str) -> Any:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == 0, result.output
    return result


def generate(min_words: int, *options: str) -> dict[str, Any]:
    Path("c.yaml").write_text(CONFIG % min_words, encoding="utf-8")
    found: dict[str, Any] = json.loads(command("generate", "c.yaml", "--json", *options).stdout)
    return found


def dropped(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("dropped", "rows.jsonl", "--json", *options).stdout)
    return found


def test_dropped_rows_are_shown_in_full_and_chosen_by_stage_and_reason() -> None:
    report = generate(45)
    assert 0 < report["filtered"] < 12
    found = dropped()
    assert (found["filtered"], found["filtered_by_stage"]) == (report["filtered"], report["filtered_by_stage"])
    assert len(found["rows"]) == report["filtered"]
    written = {json.loads(line)["uuid"] for line in Path("rows.jsonl").read_text(encoding="utf-8").splitlines()}
    for entry in found["rows"]:
        assert (entry["stage"], entry["reason"]) == ("length", "fewer than 45 words")
        assert len(entry["row"]["text"].split()) < 45
        assert entry["row"]["uuid"] not in written
    assert len(dropped("--limit", "1")["rows"]) == 1
    assert dropped("--reason", "FEWER")["rows"] == dropped("--stage", "length")["rows"] == found["rows"]
    assert dropped("--reason", "more than")["rows"] == dropped("--stage", "other")["rows"] == []


def test_a_table_says_how_many_more_there_are() -> None:
    generate(100_000)
    shown = command("dropped", "rows.jsonl", "--limit", "5").stdout
    assert "... and 7 more; --limit 12 shows all" in shown
    assert "by length: 12 fewer than 100,000 words" in shown
    assert "no dropped rows of this stage or reason" in command("dropped", "rows.jsonl", "--stage", "x").stdout
    generate(1)
    assert command("dropped", "rows.jsonl").stdout == "no dropped rows in rows.jsonl\n"


def test_a_plan_says_what_other_stages_change_and_to_decide_only_does_it() -> None:
    first = generate(45)
    Path("c.yaml").write_text(CONFIG % 50, encoding="utf-8")
    plan = json.loads(command("plan", "c.yaml", "--json").stdout)["estimate"]["change"]
    assert plan["decided_again"] == 12
    report = generate(50, "--decide-only")
    assert (report["dropped_again"], report["returned"]) == (plan["stages_drop"], plan["stages_return"])
    assert report["filtered"] == first["filtered"] + plan["stages_drop"]
    assert plan["stages_drop"] > 0
    back = json.loads(command("plan", "c.yaml", "--json").stdout)["estimate"]["change"]
    assert back is None
    shown = command("generate", "c.yaml").stderr
    assert "other stages" not in shown
    Path("c.yaml").write_text(CONFIG % 45, encoding="utf-8")
    told = command("plan", "c.yaml").stdout
    assert (
        "stages under quality have changed and decide about 12 rows again, without a call: 0 rows leave the file"
        in told
    )
    assert f"{plan['stages_drop']} came back" in command("generate", "c.yaml").stderr
