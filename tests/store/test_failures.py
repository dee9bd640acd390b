"""Failures are data: `dataset.failed_items` and `datafast failures`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast import FailedItem
from datafast.cli.main import cli
from datafast.datasets import ClassificationDataset, RawDataset
from datafast.errors import ErrorKind, OutputError, ProviderError
from datafast.llms.base import Request
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import ClassificationDatasetConfig, PromptExpansionConfig, RawDatasetConfig
from tests.support import ROOT, CountingProvider, one_of_two, preference, raw, roles, rows_of

CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [pumps, valves, seals]
num_samples_per_prompt: 2
providers:
  - {provider: simulated, model_id: a, faults: {refused: 1.0}}
  - {provider: simulated, model_id: b, faults: {short: 1.0}}
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls `datafast` in a folder with an output that has six failed items of two categories."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG, encoding="utf-8")
    call: Run = lambda *arguments: CliRunner().invoke(cli, [str(argument) for argument in arguments])  # noqa: E731
    assert call("generate", "c.yaml").exit_code == 3
    return call


def failing(folder: Path, **fields: Any) -> RawDataset:
    """A dataset of two items, of which that about pumps was refused."""
    dataset = raw(folder, topics=["pumps", "valves"], num_samples_per_prompt=2, **fields)
    refuse = ProviderError("no such thing", kind=ErrorKind.BAD_REQUEST, status=400)
    reply: Callable[[Request], Any] = lambda request: (  # noqa: E731
        refuse if "pumps" in request.messages[-1]["content"] else None
    )
    return dataset.generate([CountingProvider("m", log=folder / "log", reply=reply)])


# -- in Python


def test_without_a_ledger_nothing_has_failed(tmp_path: Path) -> None:
    assert list(raw(tmp_path).failed_items) == []
    assert list(tmp_path.iterdir()) == []


def test_a_failed_item_says_what_it_is_and_why_it_failed(tmp_path: Path) -> None:
    (item,) = failing(tmp_path).failed_items
    assert item.values == {"document_type": "note", "topic": "pumps", "language": "English"}
    assert (item.category, item.provider, item.role, item.rows) == ("bad_request", "simulated/m", "generator", 2)
    assert item.attempts >= 1
    assert "no such thing" in item.error
    assert "pumps" in item.prompt
    assert item.raw_reply == ""
    assert len(bytes.fromhex(item.key)) == 16


def test_the_uuids_of_a_failed_item_are_those_that_its_rows_get_later(tmp_path: Path) -> None:
    dataset = failing(tmp_path)
    expected = set(dataset.failed_items[0].uuids)
    before = {row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}
    dataset.generate([SimulatedProvider("m")], retry_failed=True)
    assert {row["uuid"] for row in rows_of(tmp_path / "out.jsonl")} - before == expected
    assert len(dataset.failed_items) == 0


def test_an_item_that_came_short_names_only_the_rows_that_are_missing(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=["topic 2", "topic 3"], num_samples_per_prompt=2)
    dataset.generate([CountingProvider("m", log=tmp_path / "log", reply=one_of_two)])
    (item,) = dataset.failed_items
    assert (item.category, item.rows, len(item.uuids)) == ("short_reply", 1, 1)
    assert "only text about 2" in item.raw_reply
    assert not set(item.uuids) & {row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}


def test_a_dataset_made_anew_reads_the_failures_of_an_earlier_process(tmp_path: Path) -> None:
    before = list(failing(tmp_path).failed_items)
    again = raw(tmp_path, topics=["pumps", "valves"], num_samples_per_prompt=2)
    assert list(again.failed_items) == before
    assert again.failed_items[0].to_dict() == before[0].to_dict()
    assert isinstance(again.failed_items[0], FailedItem)


def test_what_an_item_is_about_is_unknown_rather_than_wrong_after_the_config_changed(tmp_path: Path) -> None:
    failing(tmp_path)
    changed = raw(tmp_path, topics=["seals", "valves"], num_samples_per_prompt=2)
    assert [item.values for item in changed.failed_items] == [{}]


def test_a_failed_item_of_a_role_names_the_role(tmp_path: Path) -> None:
    dataset = preference(tmp_path, documents=1)
    dataset.generate_roles(roles(SimulatedProvider("m"), judge=SimulatedProvider("j", faults={"refused": 1.0})))
    (item,) = dataset.failed_items
    assert (item.role, item.provider) == ("judge", "simulated/j")
    assert item.values["document"].startswith("document 0")


def test_failed_items_can_be_sliced_and_are_read_in_pages(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=230)
    dataset.generate([SimulatedProvider("m", faults={"refused": 1.0})])
    items = dataset.failed_items
    assert len(items) == len(list(items)) == 230
    assert items[100:103] == list(items)[100:103]
    assert items[-1] == list(items)[-1]
    assert "230 failed items" in repr(items)
    assert len({item.key for item in items}) == 230


def test_items_that_were_retried_since_they_were_listed_are_not_passed_off_as_failed(tmp_path: Path) -> None:
    dataset = failing(tmp_path)
    items = dataset.failed_items
    dataset.generate([SimulatedProvider("m")], retry_failed=True)
    with pytest.raises(OutputError, match="List them again"):
        items[0]


def test_a_damaged_ledger_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.ledger").write_bytes(b"no database" * 999)
    with pytest.raises(OutputError, match="Cannot read the ledger"):
        raw(tmp_path).failed_items  # noqa: B018 - the access is what is tested


# -- on the command line


def test_failures_lists_items_with_their_reasons_counts_and_the_command_that_retries(run: Run) -> None:
    out = run("failures", "rows.jsonl").stdout
    assert len(re.findall("^refused ", out, re.MULTILINE)) == 3
    assert len(re.findall("^short_reply ", out, re.MULTILINE)) == 3
    assert "manual, pumps, English" in out
    assert "simulated/a: 6 refused" in out
    assert "simulated/b: 3 short_reply" in out
    assert "datafast generate c.yaml --retry-failed" in out


def test_failures_json_holds_everything_that_is_recorded(run: Run) -> None:
    found = json.loads(run("failures", "rows.jsonl", "--json").stdout)
    assert found["failed"] == 9
    assert found["failures"] == {"refused": 6, "short_reply": 3}
    assert found["failures_by_provider"] == {"simulated/a": {"refused": 6}, "simulated/b": {"short_reply": 3}}
    refused = next(item for item in found["items"] if item["category"] == "refused")
    assert set(refused) == set(FailedItem.__dataclass_fields__)
    assert "I cannot help" in refused["raw_reply"]
    assert refused["prompt"].startswith("Write texts in English: exactly 2.")
    assert len(refused["uuids"]) == refused["rows"] == 2


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--category", "refused"], 3),
        (["--provider", "simulated/b"], 3),
        (["--category", "refused", "--provider", "simulated/b"], 0),
        (["--limit", "2"], 2),
    ],
)
def test_failures_can_be_narrowed(run: Run, options: list[str], count: int) -> None:
    assert len(json.loads(run("failures", "rows.jsonl", "--json", *options).stdout)["items"]) == count


def test_failures_shows_twenty_items_and_says_how_to_see_the_rest(run: Run) -> None:
    topics = ", ".join(f"t{number}" for number in range(20))
    Path("c.yaml").write_text(CONFIG.replace("pumps, valves, seals", topics), encoding="utf-8")
    run("generate", "c.yaml", "--fresh")
    out = run("failures", "rows.jsonl").stdout
    assert "... and 20 more; --limit 40 shows all" in out


def test_failures_that_no_filter_lets_through_are_still_counted(run: Run) -> None:
    out = run("failures", "rows.jsonl", "--category", "nonsense").stdout
    assert "no failed rows of this category or provider" in out
    assert "6 refused" in out


def test_failures_of_an_output_without_any_says_so(run: Run) -> None:
    Path("c.yaml").write_text(CONFIG.replace("refused: 1.0", "").replace("short: 1.0", ""), encoding="utf-8")
    run("generate", "c.yaml", "--fresh")
    result = run("failures", "rows.jsonl")
    assert (result.exit_code, result.stdout) == (0, "no failed rows in rows.jsonl\n")


def test_failures_finds_a_ledger_that_lies_elsewhere(run: Run) -> None:
    Path("c.yaml").write_text(CONFIG + "run: {ledger: deep/l.ledger}\n", encoding="utf-8")
    assert "datafast failures o.jsonl --ledger deep/l.ledger" in run("generate", "c.yaml", "--output", "o.jsonl").stderr
    assert run("failures", "o.jsonl").exit_code == 2
    assert len(json.loads(run("failures", "o.jsonl", "--ledger", "deep/l.ledger", "--json").stdout)["items"]) == 6


def test_failures_of_what_is_not_there_ends_with_2(run: Run) -> None:
    result = run("failures", "none.jsonl")
    assert result.exit_code == 2
    assert "There is no file none.jsonl" in result.stderr


def test_failures_leaves_nothing_behind(run: Run) -> None:
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    run("failures", "rows.jsonl")
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_text_of_a_model_cannot_reach_the_terminal_unescaped(tmp_path: Path) -> None:
    failing(tmp_path, document_types=["no\x1b[31mte"])
    out = CliRunner().invoke(cli, ["failures", str(tmp_path / "out.jsonl")]).stdout
    assert "\x1b" not in out
    assert "\\x1b[31m" in out


def test_status_counts_failed_rows_by_provider_and_names_the_command_that_lists_them(run: Run) -> None:
    status = json.loads(run("status", "rows.jsonl", "--json").stdout)
    assert status["failures_by_provider"] == {"simulated/a": {"refused": 6}, "simulated/b": {"short_reply": 3}}
    assert "datafast failures rows.jsonl" in run("status", "rows.jsonl").stdout


def test_failures_of_a_script_say_how_a_script_retries(tmp_path: Path) -> None:
    config = ClassificationDatasetConfig(
        classes=[{"name": "calm", "description": "no wind"}, {"name": "storm", "description": "wind"}],
        output_file=tmp_path / "labels.jsonl",
    )
    ClassificationDataset(config).generate([SimulatedProvider(faults={"refused": 1.0})])
    out = CliRunner().invoke(cli, ["failures", str(config.output_file)]).stdout
    assert "calm, English" in out
    assert "retry_failed=True" in out


@pytest.mark.parametrize("strategy", ["random", "coverage"])
def test_what_an_item_is_about_is_known_whatever_the_expansion(tmp_path: Path, strategy: Any) -> None:
    config = RawDatasetConfig(
        document_types=["note"],
        topics=["ice"],
        prompts=["{num_samples} {language_name} {document_type} {topic} <<tone>>"],
        expansion=PromptExpansionConfig(placeholders={"tone": ["dry", "wry"]}, strategy=strategy),
        output_file=tmp_path / "out.jsonl",
    )
    RawDataset(config).generate([SimulatedProvider(faults={"refused": 1.0})])
    found = json.loads(CliRunner().invoke(cli, ["failures", str(config.output_file), "--json"]).stdout)
    assert found["items"]
    assert all(item["values"]["tone"] in {"dry", "wry"} for item in found["items"])


def test_failures_as_a_process_prints_one_json_document(run: Run) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "datafast", "failures", "rows.jsonl", "--json", "--limit", "1"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(done.stdout)["items"]) == 1
    assert done.stderr == ""
