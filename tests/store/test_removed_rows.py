"""`run.removed: keep`: rows of items that have left the config stay in the output file, and are counted apart from the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.errors import DatafastWarning
from tests.support import (
    CountingProvider,
    ForkServer,
    columns,
    fork_server,
    raw,
    requests_in,
    rows_of,
    same_rows,
    snapshot,
)

KEEP = {"removed": "keep"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


@pytest.fixture
def provider(log: Path) -> CountingProvider:
    return CountingProvider("m", log=log)


def counts(dataset: Any) -> tuple[int, int, int, int]:
    """Requested, written, removed, and the calls of the last run; every row of the file is one or the other."""
    report = dataset.report
    assert report.requested == report.written + report.filtered + report.failed + report.pending
    assert len(rows_of(Path(report.output_file))) == report.written + report.removed
    return report.requested, report.written, report.removed, report.calls


def topics_of(folder: Path) -> list[str]:
    return [row["metadata"]["topic"] for row in rows_of(folder / "out.jsonl")]


def test_removed_rows_stay_to_the_byte_and_are_counted_apart(tmp_path: Path, provider: CountingProvider) -> None:
    raw(tmp_path, topics=6).generate([provider])
    before = snapshot(tmp_path, "out.jsonl")
    dataset = raw(tmp_path, topics=["topic 0", "topic 3"], run=KEEP).generate([provider])
    assert counts(dataset) == (2, 2, 4, 0)
    assert dataset.report.set_aside == []
    assert "2 written, 0 filtered, 0 failed, 0 pending, and 4 removed ones are kept" in dataset.report.counts_line()
    assert dataset.report.to_dict()["removed"] == 4
    assert snapshot(tmp_path, "out.jsonl") == before
    again = raw(tmp_path, topics=["topic 0", "topic 3"], run=KEEP).generate([provider])
    assert counts(again) == (2, 2, 4, 0)
    assert snapshot(tmp_path, "out.jsonl") == before


def test_new_items_are_bought_and_returning_ones_are_not_written_twice(
    tmp_path: Path, provider: CountingProvider, log: Path
) -> None:
    raw(tmp_path, topics=["a", "b", "c"]).generate([provider])
    assert counts(raw(tmp_path, topics=["c", "d"], run=KEEP).generate([provider])) == (2, 2, 2, 1)
    before = snapshot(tmp_path, "out.jsonl")
    assert counts(raw(tmp_path, topics=["a", "c", "d"], run=KEEP).generate([provider])) == (3, 3, 1, 0)
    assert counts(raw(tmp_path, topics=["a", "b", "c", "d"], run=KEEP).generate([provider])) == (4, 4, 0, 0)
    assert snapshot(tmp_path, "out.jsonl") == before
    assert len(requests_in(log)) == 4


@pytest.mark.parametrize("ordered", [False, True])
def test_the_setting_may_change_at_any_time(tmp_path: Path, provider: CountingProvider, ordered: bool) -> None:
    def run(topics: list[str], removed: str) -> Any:
        settings = {"removed": removed, "ordered": ordered}
        return raw(tmp_path, topics=topics, run=settings).generate([provider])

    first = rows_of(run(list("abcdef"), "keep").config.output_file)
    assert counts(run(list("ace"), "keep")) == (3, 3, 3, 0)
    moved = run(list("ace"), "move")
    assert counts(moved) == (3, 3, 0, 0)
    (stale,) = map(Path, moved.report.set_aside)
    assert sorted(row["metadata"]["topic"] for row in rows_of(stale)) == list("bdf")
    assert counts(run(list("ac"), "keep")) == (2, 2, 1, 0)
    assert counts(run(list("abcdef"), "keep")) == (6, 6, 0, 0)
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)


def test_ordered_rows_come_first_and_removed_ones_behind_them(tmp_path: Path, provider: CountingProvider) -> None:
    def run(*topics: str) -> None:
        raw(tmp_path, topics=list(topics), run={**KEEP, "ordered": True}).generate([provider])

    run("a", "b", "c", "d")
    run("e", "d", "b")
    assert topics_of(tmp_path) == ["e", "d", "b", "a", "c"]
    before = snapshot(tmp_path, "out.jsonl")
    run("e", "d", "b")
    assert snapshot(tmp_path, "out.jsonl") == before
    run("b", "c", "f")
    assert topics_of(tmp_path) == ["b", "c", "f", "a", "d", "e"]
    run("a", "b", "c", "d", "e", "f")
    assert topics_of(tmp_path) == list("abcdef")


def test_removed_rows_of_a_lost_file_come_back_with_their_items(tmp_path: Path, provider: CountingProvider) -> None:
    raw(tmp_path, topics=6).generate([provider])
    first = rows_of(tmp_path / "out.jsonl")
    raw(tmp_path, topics=2, run=KEEP).generate([provider])
    (tmp_path / "out.jsonl").unlink()
    assert counts(raw(tmp_path, topics=2, run=KEEP).generate([provider])) == (2, 2, 0, 0)
    assert counts(raw(tmp_path, topics=6, run=KEEP).generate([provider])) == (6, 6, 0, 0)
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)


def test_the_status_counts_them(tmp_path: Path, provider: CountingProvider) -> None:
    raw(tmp_path, topics=6).generate([provider])
    path = str(tmp_path / "out.jsonl")
    assert "removed" not in CliRunner().invoke(cli, ["status", path]).stdout
    raw(tmp_path, topics=2, run=KEEP).generate([provider])
    status = json.loads(CliRunner().invoke(cli, ["status", path, "--json"]).stdout)
    assert (status["requested"], status["written"], status["removed"]) == (2, 2, 4)
    shown = CliRunner().invoke(cli, ["status", path]).stdout
    assert "4 rows in the file, of items that are not in the config any more (run.removed: keep)" in shown


def test_rows_with_other_fields_are_moved_all_the_same(tmp_path: Path, log: Path) -> None:
    schema: dict[str, Any] = {
        "n": {"type": "range", "start": 1, "end": 9},
        "q": {"type": "text", "prompt": "Ask of {n}"},
    }
    provider = CountingProvider("m", log=log)
    columns(tmp_path, schema, run=KEEP).generate({"default": provider})
    first = rows_of(tmp_path / "out.jsonl")
    more = {**schema, "tone": {"type": "constant", "value": "dry"}}
    with pytest.warns(DatafastWarning, match=r"run.removed: The fields of the rows have changed.*out.jsonl.stale-"):
        dataset = columns(tmp_path, more, run=KEEP).generate({"default": provider})
    assert counts(dataset) == (6, 6, 0, 0)
    assert rows_of(Path(dataset.report.set_aside[0])) == first
    assert [row.tone for row in dataset.data_rows] == ["dry"] * 6  # type: ignore[attr-defined]


# -- kills


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


POINTS = [
    ("datafast.store.ledger:Ledger.set_state", "before"),
    ("datafast.store.ledger:Ledger.set_state", "after"),
    ("datafast.store.recovery:match", "after"),
    ("datafast.store.ledger:Ledger.replace_appends", "after"),
    ("datafast.store.compaction:finish_rewrite", "before"),
    ("pathlib:Path.replace", "before"),
    ("pathlib:Path.replace", "after"),
]


@pytest.mark.parametrize("kept_before", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(("point", "when"), POINTS)
def test_a_kill_while_the_plan_changes_loses_no_row(
    tmp_path: Path,
    server: ForkServer,
    provider: CountingProvider,
    log: Path,
    point: str,
    when: str,
    ordered: bool,
    kept_before: bool,
) -> None:
    raw(tmp_path, topics=list("abcdef"), run={"ordered": ordered}).generate([provider])
    first = rows_of(tmp_path / "out.jsonl")
    if kept_before:  # the killed run moves what this one keeps
        raw(tmp_path, topics=list("fed"), run={**KEEP, "ordered": ordered}).generate([provider])
    settings = {"removed": "move" if kept_before else "keep", "ordered": ordered}
    crash = {"folder": str(tmp_path), "log": str(log), "point": point, "when": when}
    assert server.run("tests.support:crashing_run", topics=list("fed"), run=settings, **crash) in {0, 9}
    dataset = raw(tmp_path, topics=list("fed"), run={**KEEP, "ordered": ordered}).generate([provider])
    kept = rows_of(tmp_path / "out.jsonl")
    stale = [row for path in tmp_path.glob("out.jsonl.stale-*") for row in rows_of(path)]
    assert counts(dataset)[:2] == (3, 3)
    assert same_rows(kept + stale, first)
    if ordered:
        assert topics_of(tmp_path)[:3] == list("fed")
    assert counts(raw(tmp_path, topics=list("abcdef"), run=KEEP).generate([provider])) == (6, 6, 0, 0)
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)
    assert not list(tmp_path.glob(".datafast-*"))
    assert len(requests_in(log)) == 6
