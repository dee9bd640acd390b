"""Shards: together they make what one process makes, and each is an output of its own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from datafast.datasets import (
    ClassificationDataset,
    DocumentQADataset,
)
from datafast.errors import ConfigError, DatafastWarning, OutputError, RunStopped
from datafast.llms import SimulatedProvider
from datafast.schema.config import ClassificationDatasetConfig, DocumentQADatasetConfig, RunConfig
from datafast.store.reader import LedgerReader
from datafast.store.shards import ShardFolder, ShardNote, shard_paths
from tests.support import CountingProvider, ForkServer, assert_balanced, columns, preference, raw, roles

SAME = orjson.dumps({"texts": ["always the same text"]}).decode()
MODELS = [SimulatedProvider("m1"), SimulatedProvider("m2", weight=2.0)]


def rows_in(path: Path) -> list[dict[str, Any]]:
    return list(map(orjson.loads, path.read_bytes().splitlines()))


def together(dataset: Any, providers: Any, of: int, **options: Any) -> dict[str, dict[str, Any]]:
    """Makes all shards of a dataset. The rows of all by uuid; none is in two shards."""
    found: list[dict[str, Any]] = []
    for number in range(1, of + 1):
        dataset.generate(providers, shard=(number, of), **options)
        assert_balanced(dataset.report)
        assert dataset.report.written == len(dataset.data_rows)
        found += rows_in(dataset.paths.rows)
    by_uuid = by_name(found)
    assert len(by_uuid) == len(found)
    return by_uuid


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rows by uuid; those of kinds without one by their number."""
    return {str(row.get("uuid", row.get("n"))): row for row in rows}


def whole(dataset: Any, providers: Any) -> dict[str, dict[str, Any]]:
    dataset.generate(providers)
    return by_name(rows_in(dataset.paths.rows))


def classification(folder: Path, **fields: Any) -> ClassificationDataset:
    return ClassificationDataset(
        ClassificationDatasetConfig(
            classes=[{"name": name, "description": f"texts that are {name}"} for name in ("good", "bad", "odd")],
            output_file=folder / "out.jsonl",
            **fields,
        )
    )


KINDS: dict[str, tuple[Callable[[Path], Any], Any]] = {
    "every provider": (lambda folder: raw(folder, topics=9, num_samples_per_prompt=2), MODELS),
    "split": (lambda folder: raw(folder, topics=20, run={"fan_out": "split"}), MODELS),
    "fallback": (lambda folder: raw(folder, topics=12, run={"fan_out": "fallback"}), MODELS),
    "drawn": (lambda folder: classification(folder, num_rows=31, num_samples_per_prompt=2), MODELS),
    "drawn and split": (
        lambda folder: classification(folder, num_rows=40, run=RunConfig(fan_out="split")),
        MODELS,
    ),
    "roles": (lambda folder: preference(folder, documents=9), roles(SimulatedProvider("m"))),
    "columns": (
        lambda folder: columns(folder, {"n": {"type": "uuid"}, "a": {"type": "choice", "values": ["x", "y"]}}, rows=25),
        {},
    ),
    "documents": (
        lambda folder: DocumentQADataset(
            DocumentQADatasetConfig(
                source=[f"# Part {n}\n\nA crane lifts {n} tons. It stands by the harbour." for n in range(6)],
                num_samples_per_prompt=2,
                chunk_size=20,
                chunk_overlap=4,
                output_file=folder / "out.jsonl",
            )
        ),
        MODELS,
    ),
}


@pytest.mark.parametrize("of", [1, 2, 3, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_all_shards_together_have_the_rows_of_one_run(kind: str, of: int, tmp_path: Path) -> None:
    make, providers = KINDS[kind]
    assert together(make(tmp_path / "shards"), providers, of) == whole(make(tmp_path / "whole"), providers)


def test_rows_per_document_are_counted_by_shard(tmp_path: Path) -> None:
    make, providers = KINDS["documents"]
    dataset = make(tmp_path)
    rows = [dataset.estimate(providers, shard=(number, 4)).rows for number in range(1, 5)]
    assert sum(rows) == dataset.get_num_expected_rows(providers)
    together(dataset, providers, 4)
    assert rows == [len(rows_in(paths.rows)) for paths in ShardFolder.open(tmp_path / "out.jsonl").outputs]


def test_an_item_stays_in_its_shard_when_the_config_changes_around_it(tmp_path: Path) -> None:
    first = together(raw(tmp_path, topics=["a", "b", "c", "d"]), MODELS, 3)
    calls = 0
    second: dict[str, Any] = {}
    dataset = raw(tmp_path, topics=["z", "d", "b", "new", "a"])
    for number in range(1, 4):
        dataset.generate(MODELS, shard=(number, 3))
        assert_balanced(dataset.report)
        calls += dataset.report.calls
        second |= {row["uuid"]: row for row in rows_in(dataset.paths.rows)}
    assert calls == 4  # two new topics, each asked of two models
    kept = [uuid for uuid in first if uuid in second]
    assert len(kept) == 6
    assert [first[uuid] for uuid in kept] == [second[uuid] for uuid in kept]
    assert second == whole(raw(tmp_path / "whole", topics=["z", "d", "b", "new", "a"]), MODELS)
    # Rows of the topic that left are set aside by the shards that had them.
    stale = [row for path in (tmp_path / "out.jsonl").glob("*.stale-*") for row in rows_in(path)]
    assert {row["uuid"] for row in stale} == set(first) - set(second)


def test_which_items_a_shard_has_is_counted_once_and_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw(tmp_path, topics=30).generate(MODELS, shard="2/3", limit=4)
    paths = shard_paths(tmp_path / "out.jsonl", 2, 3)
    with LedgerReader(paths.ledger) as reader:
        note = ShardNote.read(reader)
    assert note is not None
    assert (note.name, note.by, list(note.deferred)) == ((2, 3), "keys", [])
    monkeypatch.setattr("datafast.datasets.sharding.members_by_keys", None)
    dataset = raw(tmp_path, topics=30)
    dataset.generate(MODELS, shard="2/3")
    assert dataset.report.written == note.items == assert_balanced(dataset.report).requested


def test_a_limit_is_that_of_the_shard_and_its_items_are_spread(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=30)
    dataset.generate(MODELS, shard=(1, 2), limit=8)
    assert dataset.report.written == 8
    assert len({row["model_id"] for row in rows_in(dataset.paths.rows)}) == 2
    dataset.generate(MODELS, shard=(1, 2))
    assert_balanced(dataset.report)
    assert dataset.report.pending == 0


def test_more_shards_than_items_leave_some_without_any(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=1)
    assert len(together(dataset, MODELS[:1], 5)) == 1
    assert dataset.estimate(MODELS[:1], shard=(1, 5)).rows in (0, 1)


def test_large_plans_are_divided_into_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.plan.sharded.BLOCKS_ABOVE", 10)
    made = together(raw(tmp_path / "shards", topics=9), MODELS, 4)
    assert made == whole(raw(tmp_path / "whole", topics=9), MODELS)
    with LedgerReader(shard_paths(tmp_path / "shards" / "out.jsonl", 1, 4).ledger) as reader:
        note = ShardNote.read(reader)
    assert note is not None
    assert (note.by, note.items) == ("blocks", 4)
    with pytest.raises(OutputError, match=r"divided into blocks.*`datafast reshard .*out\.jsonl --shards 4`"):
        raw(tmp_path / "shards", topics=10).generate(MODELS, shard=(1, 4))
    dataset = raw(tmp_path / "shards", topics=10)
    dataset.generate(MODELS, shard=(1, 4), fresh=True)
    assert dataset.report.written == 5


def test_stages_that_compare_rows_do_not_decide_in_a_shard(tmp_path: Path) -> None:
    stages: Any = [{"stage": "length", "field": "text", "min_characters": 1}, {"stage": "exact_duplicates"}]
    dataset = raw(tmp_path, topics=12, quality=stages)
    dataset.generate([CountingProvider("m", log=tmp_path / "log", reply=lambda request: SAME)], shard=(1, 2))
    assert dataset.report.decided_at_merge == ["exact_duplicates"]
    assert dataset.report.written == dataset.report.requested > 1
    with LedgerReader(dataset.paths.ledger) as reader:
        note = ShardNote.read(reader)
    assert note is not None
    assert list(note.deferred) == ["exact_duplicates"]


def test_limits_are_divided_so_that_they_hold_for_all(tmp_path: Path) -> None:
    used = []
    for number in range(1, 4):
        dataset = raw(tmp_path, topics=40, run={"max_calls": 11})
        with pytest.raises(RunStopped), pytest.warns(DatafastWarning, match="has used its part"):
            dataset.generate(MODELS, shard=(number, 3))
        used.append(dataset.report.calls)
    assert used == [4, 4, 3]
    with pytest.raises(ConfigError, match=r"run\.max_calls is 2 for all 3 shards together.*shard 3/3"):
        raw(tmp_path, topics=40, run={"max_calls": 2}).generate(MODELS, shard=(3, 3))


@pytest.mark.parametrize(
    ("shard", "message"),
    [("0/4", "counted from 1"), ("5/4", "1/4 to 4/4"), ("a/b", "expected which shard"), ((1, 2, 3), "expected which")],
)
def test_a_wrong_shard_is_refused_before_anything_is_made(shard: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        raw(tmp_path).generate(MODELS, shard=shard)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_and_a_file_are_not_taken_for_each_other(tmp_path: Path) -> None:
    raw(tmp_path, topics=2).generate(MODELS)
    with pytest.raises(ConfigError, match=r"output_file: .*out\.jsonl is a file, and with --shard"):
        raw(tmp_path, topics=2).generate(MODELS, shard=(1, 2))
    shards = tmp_path / "shards"
    raw(shards, topics=2).generate(MODELS, shard=(1, 2))
    with pytest.raises(OutputError, match=r"is a folder of shards\. Add --shard i/2 .*datafast merge"):
        raw(shards, topics=2).generate(MODELS)
    one = raw(shards, topics=2, output_file=shards / "out.jsonl" / "shard-00001-of-00002.jsonl")
    with pytest.raises(OutputError, match=r"is shard 1/2 of the output .*out\.jsonl\."):
        one.generate(MODELS)
    with pytest.raises(OutputError, match=r"has shards of 2 .* of 3.*datafast reshard .* --shards 3"):
        raw(shards, topics=2).generate(MODELS, shard=(3, 3))
    folder = shards / "out.jsonl"
    for path in list(folder.glob("shard-00001*")):
        path.rename(folder / path.name.replace("00001", "00002"))
    with pytest.raises(OutputError, match=r"has the rows of shard 1/2"):
        raw(shards, topics=2).generate(MODELS, shard=(2, 2))


def test_fill_looks_at_all_shards_and_is_refused_for_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fill .* looks at the rows of all shards"):
        raw(tmp_path).generate(MODELS, shard=(1, 2), fill=True)


def test_ledgers_go_into_a_folder_of_their_own(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=5, run={"ledger": tmp_path / "ledgers"})
    dataset.generate(MODELS, shard=(1, 2))
    assert (tmp_path / "ledgers" / "shard-00001-of-00002.jsonl.ledger").is_file()
    assert ShardFolder.open(tmp_path / "out.jsonl", tmp_path / "ledgers").missing == [2]


def test_rows_of_a_shard_can_be_in_plan_order_and_it_goes_on_as_a_whole(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=12, run={"ordered": True})
    dataset.generate(MODELS, shard=(2, 2))
    topics = [int(row["metadata"]["topic"].split()[1]) for row in rows_in(dataset.paths.rows)]
    assert topics == sorted(topics)
    dataset.generate(MODELS, shard=(2, 2))
    assert dataset.report.calls == 0


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_shards_that_are_killed_go_on_and_have_the_rows_of_one_run(tmp_path: Path, children: ForkServer) -> None:
    shards = tmp_path / "shards"
    for number, at in ((1, 1), (1, 3), (2, 4), (2, 1)):
        assert children.run("tests.killed:run", folder=str(shards), at=at, shard=[number, 2]) == -signal.SIGKILL
    one = [SimulatedProvider("m")]
    assert together(raw(shards, topics=20), one, 2) == whole(raw(tmp_path / "whole", topics=20), one)


def test_other_options_of_a_run_hold_for_the_shard(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "topics": 20,
        "quality": [{"stage": "length", "field": "text", "min_characters": 100_000}],
    }
    one = [SimulatedProvider("m")]
    dataset = raw(tmp_path, **fields)
    with pytest.warns(DatafastWarning, match="rows were filtered"):
        dataset.generate(one, shard=(1, 2))
    assert dataset.report.filtered == dataset.report.requested > 0
    again = raw(tmp_path, topics=20)
    again.generate(one, shard=(1, 2), decide_only=True)
    assert (again.report.written, again.report.calls) == (dataset.report.requested, 0)
    again.generate(one, shard=(1, 2), fresh=True)
    assert again.report.calls == dataset.report.requested
    assert list((tmp_path / "out.jsonl").glob("shard-00001-of-00002.jsonl.*.bak"))


def test_failed_items_of_a_shard_are_tried_again(tmp_path: Path) -> None:
    bad = CountingProvider("m", log=tmp_path / "log", reply=lambda request: "no JSON")
    dataset = raw(tmp_path, topics=8, run={"max_parse_retries": 0})
    dataset.generate([bad], shard=(2, 2))
    assert dataset.report.failed == dataset.report.requested > 0
    dataset.generate([SimulatedProvider("m")], shard=(2, 2), retry_failed=True)
    assert (dataset.report.failed, dataset.report.written) == (0, dataset.report.requested)


def test_a_changed_config_says_what_leaves_the_shard(tmp_path: Path) -> None:
    raw(tmp_path, topics=16).generate([SimulatedProvider("m")], shard=(1, 2))
    before = rows_in(shard_paths(tmp_path / "out.jsonl", 1, 2).rows)
    dataset = raw(tmp_path, topics=[f"topic {number}" for number in range(8)])
    estimate = dataset.estimate([SimulatedProvider("m")], shard=(1, 2))
    assert estimate.change is not None
    kept = [row for row in before if int(row["metadata"]["topic"].split()[1]) < 8]
    assert (estimate.change.rows_kept, estimate.change.rows_leaving) == (len(kept), len(before) - len(kept))
    assert (estimate.rows, estimate.calls) == (0, 0)


def test_what_a_stage_drops_by_itself_is_made_again_in_its_shard_and_what_others_push_out_is_not(
    tmp_path: Path,
) -> None:
    texts = iter(range(10_000))

    def reply(request: Any) -> str:
        number = next(texts)
        return orjson.dumps({"texts": ["short" if number % 2 else "always the same long text"]}).decode()

    stages = [{"stage": "length", "field": "text", "min_characters": 10}, {"stage": "exact_duplicates"}]
    dataset = raw(tmp_path, topics=20, quality=stages, regenerate=6)
    dataset.generate([CountingProvider("m", log=tmp_path / "log", reply=reply)], shard=(1, 2))
    report = assert_balanced(dataset.report)
    assert (report.written, report.filtered) == (report.requested, 0)
    assert report.calls > report.requested
