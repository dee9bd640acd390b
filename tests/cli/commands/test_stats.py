"""`datafast stats`: any file of rows on any terminal, and all of it as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.statistics import Statistics

CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [pumps, valves, a very long topic about the pipes between pumps and valves and what is in them]
languages: {en: English, fr: French}
num_samples_per_prompt: 4
providers: [{provider: simulated, model_id: a}]
quality: [{stage: length, min_words: 45}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stats(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, ["stats", *arguments])
    assert result.exit_code == code, result.output
    return result


def generate() -> None:
    Path("c.yaml").write_text(CONFIG, encoding="utf-8")
    result = CliRunner().invoke(cli, ["generate", "c.yaml"])
    assert result.exit_code == 0, result.output


def test_json_is_the_whole_of_it() -> None:
    generate()
    found = Statistics.model_validate(json.loads(stats("rows.jsonl", "--json").stdout))
    assert (found.requested, found.dataset_kind) == (24, "raw")
    assert found.total.rows + found.total.filtered == 24
    assert [grouping.field for grouping in found.by] == ["provider", "language", "topic", "template"]


def test_the_console_shows_groups_that_differ_and_with_by_only_those_asked_for() -> None:
    generate()
    shown = stats("rows.jsonl").stdout
    assert "by language, 2 values" in shown
    assert "by topic, 3 values" in shown
    assert "by template" not in shown, "all rows are of one"
    assert "filtered" in shown
    asked = stats("rows.jsonl", "--by", "template", "--by", "provider").stdout
    assert "by template, 1 value" in asked
    assert "simulated/a" in asked
    assert "by language" not in asked
    refused = stats("rows.jsonl", "--by", "langage", code=2).output
    assert "by: Rows have no field 'langage'. Did you mean 'language'?" in refused


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_tables_fit_any_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from datafast.cli.display.statistics import print_statistics

    generate()
    found = Statistics.model_validate(json.loads(stats("rows.jsonl", "--json").stdout))
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    capsys.readouterr()
    print_statistics(found, ["topic"])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    table = lines[lines.index("by topic, 3 values") :]
    assert all(len(line) < width for line in table), table
    assert "rows" in table[1]
    assert any("pumps" in line for line in table)


def test_topics_are_the_rows_of_a_file_of_topics() -> None:
    from datafast.topics import Tree

    tree = Tree("cranes", provider="simulated", model_name="m", degree=5, depth=2, path="topics.jsonl").build()
    for name in ("topics.jsonl", "saved.json"):
        if name == "saved.json":
            tree.save(name)
        found = json.loads(stats(name, "--json", "--by", "branch").stdout)
        assert found["total"]["rows"] == 25
        assert found["total"]["words"]["mean"] == sum(len(topic.split()) for topic in tree.leaves()) / 25
        (branches,) = (grouping for grouping in found["by"] if grouping["field"] == "branch")
        assert [group["rows"] for group in branches["groups"]] == [5] * 5


def test_a_column_that_says_the_same_of_all_groups_is_left_out() -> None:
    Path("t.jsonl").write_text("".join(f'{{"text": "t{n}", "label": "{n % 2}"}}\n' for n in range(4)), encoding="utf-8")
    shown = stats("t.jsonl").stdout
    assert "by label, 2 values" in shown
    assert "accepted" not in shown


def test_a_file_of_another_tool_needs_no_ledger() -> None:
    Path("t.csv").write_text("question,answer\n" + "how,so\n" * 3, encoding="utf-8")
    found = json.loads(stats("t.csv", "--json").stdout)
    assert (found["total"]["rows"], found["requested"]) == (3, None)
    assert "3" in stats("t.csv").stdout
    assert "FILE" in stats("t.docs", code=2).output
