"""Shards in one output: the same bytes as from one process, and an output like any other."""

from __future__ import annotations

import json
import re
import shutil
import signal
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datafast._util.version import VERSION
from datafast.datasets import ClassificationDataset, ConversationDataset, MCQDataset
from datafast.datasets.resharding import reshard
from datafast.datasets.shards import merge, merged_view
from datafast.engine.routes import Route
from datafast.errors import ConfigError, DatafastWarning, OutputChangedError, OutputError, OutputInUseError
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request
from datafast.schema.config import ClassificationDatasetConfig, ConversationDatasetConfig, MCQDatasetConfig, RunConfig
from datafast.store.batches import Gathered
from datafast.store.ledger import Ledger
from datafast.store.lock import take_locks
from datafast.store.reader import LedgerReader
from datafast.store.reservations import note_never_sent
from datafast.store.rows import verify
from datafast.store.shard_exchange import making_place
from datafast.store.shards import ShardName, shard_paths
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    one_of_two,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
    snapshot,
)

ALIKE = [{"stage": "exact_duplicates"}]
MOST = {"stage": "keep_if", "expression": "uuid[0] in '02468abcde'"}
ORDERED = {"ordered": True, "max_concurrency": 4}


def classification(folder: Path, **fields: Any) -> ClassificationDataset:
    classes = [{"name": name, "description": name} for name in "abcdefghij"]
    given = {"output_file": folder / "out.jsonl", "run": RunConfig(**ORDERED), **fields}
    return ClassificationDataset(ClassificationDatasetConfig(classes=classes, num_samples_per_prompt=3, **given))


def conversation(folder: Path, **fields: Any) -> ConversationDataset:
    given = {"output_file": folder / "out.jsonl", "run": RunConfig(**ORDERED), **fields}
    return ConversationDataset(ConversationDatasetConfig(topics=["sea", "sky", "land", "wind"], num_rows=10, **given))


def several(folder: Path, fan_out: str, **fields: Any) -> Any:
    run = {**ORDERED, "fan_out": fan_out}
    return raw(folder, topics=14, num_samples_per_prompt=2, run=run, **fields)


def one_of_few(request: Request) -> str:
    """Two texts out of nine, which follow from the prompt."""
    number = zlib.crc32(request.messages[-1]["content"].encode())
    return json.dumps({"texts": [f"the text {(number + more) % 9}" for more in range(2)]})


def two(log: Path) -> list[CountingProvider]:
    return [CountingProvider(name, log=log, reply=one_of_few) for name in "ab"]


def simulated(log: Path) -> list[CountingProvider]:
    return [CountingProvider(name, log=log) for name in "ab"]


KINDS: dict[str, tuple[Callable[..., Any], Callable[[Path], Any]]] = {
    "all": (lambda folder, **fields: several(folder, "all", quality=ALIKE, **fields), two),
    "split": (lambda folder, **fields: several(folder, "split", quality=ALIKE, **fields), two),
    "fallback": (lambda folder, **fields: several(folder, "fallback", **fields), simulated),
    "regenerated": (
        lambda folder, **fields: several(
            folder,
            "split",
            quality=[{"stage": "keep_if", "expression": "uuid[0] in '02468abc'"}],
            regenerate=2,
            **fields,
        ),
        two,
    ),
    "classification": (classification, simulated),
    "preference": (
        lambda folder, **fields: preference(folder, documents=9, run=ORDERED, **fields),
        lambda log: roles(CountingProvider("m", log=log)),
    ),
    "conversation": (conversation, lambda log: [CountingProvider("m", log=log)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_shards_divided_anew_and_merged_are_the_file_of_one_process(kind: str, tmp_path: Path) -> None:
    make, providers = KINDS[kind]
    needed, log, shards, file = (tmp_path / name for name in ("needed", "log", "rows", "all.jsonl"))
    whole = make(tmp_path / "whole")
    whole.generate(providers(needed))
    sharded = make(tmp_path, output_file=shards)
    unfinished = {}
    for number in range(1, 5):
        limit = {"limit": 1} if number in (2, 3) else {}
        sharded.generate(providers(log), shard=(number, 4), **limit)
        unfinished |= {f"{number}/4": sharded.report.pending} if sharded.report.pending else {}
    assert merge(shards, file).unfinished == unfinished != {}
    assert not file.exists()
    assert reshard(shards, 7).after == 7
    for number in range(1, 8):
        sharded.generate(providers(log), shard=(number, 7))
        assert_balanced(sharded.report)
    made = merge(shards, file)
    assert made.lacks == []
    assert file.read_bytes() == whole.paths.rows.read_bytes()
    assert Counter(requests_in(log)) == Counter(requests_in(needed))
    assert made.report is not None
    assert_balanced(made.report)
    assert made.report.filtered_by_stage == whole.report.filtered_by_stage
    if kind in ("all", "split", "regenerated"):
        assert made.report.filtered > 3

    again = make(tmp_path, output_file=file)
    again.generate(providers(log))
    assert again.report.calls == 0
    assert again.report.counts_line() == whole.report.counts_line()
    assert file.read_bytes() == whole.paths.rows.read_bytes()
    told, own = (json.loads(Path(f"{path}.manifest.json").read_bytes()) for path in (whole.paths.rows, file))
    same = ("kind", "counts", "plan", "row", "providers", "routes", "models", "templates")
    assert {name: told[name] for name in same} == {name: own[name] for name in same}
    assert told["output"]["sha256"] == own["output"]["sha256"]
    assert told["calls"]["replies"] == own["calls"]["replies"]


def test_a_killed_shard_goes_on_and_is_merged(tmp_path: Path, children: ForkServer) -> None:
    whole = killed_config(tmp_path / "whole")
    needed, log, shards = tmp_path / "needed", tmp_path / "log", tmp_path / "rows"
    whole.generate([CountingProvider("m", log=needed, reply=one_of_few)])
    code = children.run("tests.datasets.test_merge:dying_shard", folder=str(shards), log=str(log), at=4)
    assert code == -signal.SIGKILL
    before = snapshot(shards)
    with pytest.warns(DatafastWarning, match="Shard 1/3 is not there"), merged_view(shards) as view:
        assert {row["uuid"] for row in rows_of(view.rows)} <= {row["uuid"] for row in rows_of(whole.paths.rows)}
    assert {name: data for name, data in snapshot(shards).items() if not name.endswith(("-shm", "-wal"))} == {
        name: data for name, data in before.items() if not name.endswith(("-shm", "-wal"))
    }  # looking changes nothing
    assert "2/3" in merge(shards, tmp_path / "all.jsonl", partial=True).lacks[-1]
    for number in range(1, 4):
        killed_config(tmp_path, output_file=shards).generate(
            [CountingProvider("m", log=log, reply=one_of_few)], shard=(number, 3)
        )
    made = merge(shards, tmp_path / "all.jsonl", fresh=True)
    assert (made.lacks, len(made.set_aside)) == ([], 3)
    assert (tmp_path / "all.jsonl").read_bytes() == whole.paths.rows.read_bytes()
    assert len(requests_in(log)) <= len(requests_in(needed)) + 4


def killed_config(folder: Path, **fields: Any) -> Any:
    return raw(folder, topics=30, num_samples_per_prompt=2, run=ORDERED, quality=ALIKE, **fields)


def test_shards_that_are_killed_divided_anew_and_merged_are_the_file_of_one_process(
    tmp_path: Path, children: ForkServer
) -> None:
    needed, log, shards, file = (tmp_path / name for name in ("needed", "log", "rows", "all.jsonl"))
    whole = killed_config(tmp_path / "whole").generate([CountingProvider("m", log=needed, reply=one_of_few)])
    assert whole.report.filtered > 3
    dying = {"folder": str(shards), "log": str(log)}
    for number in range(1, 5):
        shard = {"number": number, "of": 4}
        code = children.run("tests.datasets.test_merge:dying_shard", **dying, **shard, at=2 if number == 1 else 4)
        assert code == -signal.SIGKILL
    killed_config(tmp_path, output_file=shards).generate(
        [CountingProvider("m", log=log, reply=one_of_few)], shard=(2, 4)
    )
    assert len(merge(shards, file).unfinished) == 3
    assert reshard(shards, 7).after == 7
    code = children.run("tests.datasets.test_merge:dying_shard", **dying, number=5, of=7, at=1)
    assert code == -signal.SIGKILL
    for number in range(1, 8):
        killed_config(tmp_path, output_file=shards).generate(
            [CountingProvider("m", log=log, reply=one_of_few)], shard=(number, 7)
        )
    made = merge(shards, file)
    assert made.lacks == []
    assert made.report is not None
    assert made.report.filtered_by_stage == whole.report.filtered_by_stage
    assert file.read_bytes() == whole.paths.rows.read_bytes()
    asked, asked_once = Counter(requests_in(log)), Counter(requests_in(needed))
    assert asked.keys() == asked_once.keys()
    assert (asked - asked_once).total() <= 5 * ORDERED["max_concurrency"]  # at most those in flight at each death


def dying_shard(folder: str, log: str, at: int, number: int = 2, of: int = 3) -> None:
    """Never returns: the process is killed when the call of this number is sent."""
    import os

    sent = iter(range(1, 1_000))

    def reply(request: Request) -> str:
        if next(sent) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return one_of_few(request)

    killed_config(Path(folder).parent, output_file=Path(folder)).generate(
        [CountingProvider("m", log=Path(log), reply=reply)], shard=(number, of)
    )


def with_targets(folder: Path, **fields: Any) -> Any:
    given = {
        "languages": {"en": "English", "fr": "French"},
        "target_rows": {"by": "language", "rows": {"en": 20, "fr": 31}},
        "run": ORDERED,
        "quality": [MOST, *ALIKE],
    }
    return raw(folder, topics=12, num_samples_per_prompt=3, **{**given, **fields})


def one_of_many(request: Request) -> str:
    number = zlib.crc32(request.messages[-1]["content"].encode())
    return json.dumps({"texts": [f"the text {(number + more) % 200}" for more in range(3)]})


def drawing(log: Path) -> list[CountingProvider]:
    return [CountingProvider(name, log=log, reply=one_of_many) for name in "ab"]


def test_with_targets_the_counts_are_exact_after_one_run_on_what_was_merged(tmp_path: Path) -> None:
    shards, file, log = tmp_path / "rows", tmp_path / "all.jsonl", tmp_path / "log"
    sharded = with_targets(tmp_path, output_file=shards)
    for number in range(1, 5):
        limit = {"limit": 2} if number == 3 else {}
        sharded.generate(drawing(log), shard=(number, 4), **limit)
    before = Counter(requests_in(log))
    reshard(shards, 7)
    for number in range(1, 8):
        with LedgerReader(shard_paths(shards, number, 7).ledger) as reader:
            noted = reader.counts()
        sharded.generate(drawing(log), shard=(number, 7))
        assert_balanced(sharded.report)
        assert sharded.report.pending == 0
        assert sharded.report.requested >= noted.requested >= noted.written
    made = merge(shards, file)
    assert made.report is not None
    assert [target.accepted for target in made.report.targets] < [20, 31]
    assert all(
        f"of {target.target} rows were accepted" in told for target, told in zip(made.targets, made.lacks, strict=True)
    )
    goes_on = with_targets(tmp_path, output_file=file)
    goes_on.generate(drawing(log))
    assert_balanced(goes_on.report)
    assert [target.accepted for target in goes_on.report.targets] == [20, 31]
    languages = Counter(row["language"] for row in rows_of(file))
    assert languages == {"en": 20, "fr": 31}
    spent = len(requests_in(log))
    again = with_targets(tmp_path, output_file=file)
    again.generate(drawing(log))
    assert (again.report.calls, len(requests_in(log))) == (0, spent)
    with LedgerReader(again.paths.ledger) as reader:
        assert reader.calls.totals().calls == spent  # each reply is there once, and none was bought twice
        keys = [key for _, key, *_ in reader.identities()]
    assert len(keys) == len(set(keys))
    assert before <= Counter(requests_in(log))
    assert merge(shards, file).lacks == []  # the shards have not changed since


def test_with_targets_an_item_that_a_changed_config_gives_to_another_shard_is_there_once(tmp_path: Path) -> None:
    shards, file, log = tmp_path / "rows", tmp_path / "all.jsonl", tmp_path / "log"
    one, both = drawing(log)[:1], drawing(log)

    def make(output: Path) -> Any:
        return with_targets(tmp_path, output_file=output, quality=[MOST])

    for models in (one, both):  # with another provider, draws of the first one are of other shards
        for number in (1, 2, 3):
            make(shards).generate(models, shard=(number, 3))
    spent = len(requests_in(log))
    reshard(shards, 2)
    for number in (1, 2):
        make(shards).generate(both, shard=(number, 2))
    merge(shards, file)
    goes_on = make(file).generate(both)
    assert_balanced(goes_on.report)
    assert [target.accepted for target in goes_on.report.targets] == [20, 31]
    with LedgerReader(goes_on.paths.ledger) as reader:
        assert reader.calls.totals().calls == len(requests_in(log)) >= spent
        keys = [key for _, key, *_ in reader.identities()]
    assert len(keys) == len(set(keys))
    again = make(file).generate(both)
    assert (again.report.calls, again.report.pending) == (0, 0)


@pytest.mark.parametrize("shards", [1, 3])
def test_with_targets_rows_that_stay_in_the_file_count_for_no_target(shards: int, tmp_path: Path) -> None:
    folder, file, log = tmp_path / "rows", tmp_path / "all.jsonl", tmp_path / "log"

    def make(output: Path) -> Any:
        return with_targets(tmp_path, output_file=output, quality=[MOST], run={**ORDERED, "removed": "keep"})

    for models in (drawing(log)[:1], drawing(log)):  # then some items ask for fewer rows than are in the file
        for number in range(1, shards + 1):
            if shards == 1:
                make(file).generate(models)
            else:
                make(folder).generate(models, shard=(number, shards))
    if shards > 1:
        merge(folder, file)
    report = make(file).generate(drawing(log)).report
    assert report.requested == report.written + report.filtered + report.failed
    assert [target.accepted for target in report.targets] == [20, 31]
    assert report.written == 51
    with LedgerReader(make(file).paths.ledger) as reader:
        counts = reader.counts()
    assert counts.removed > 0
    assert len(rows_of(file)) == 51 + counts.removed


@pytest.mark.parametrize("names", ["a", "abc"])
def test_with_targets_shards_that_were_divided_anew_and_merged_go_on_with_more_or_fewer_providers(
    names: str, tmp_path: Path
) -> None:
    shards, file, log = tmp_path / "rows", tmp_path / "all.jsonl", tmp_path / "log"
    others = [CountingProvider(name, log=log, reply=one_of_many) for name in names]

    def make(output: Path) -> Any:
        return with_targets(tmp_path, output_file=output, quality=[MOST])

    for number in (1, 2):
        make(shards).generate(drawing(log), shard=(number, 2))
    merge(shards, file)
    reshard(shards, 3)
    for number in (1, 2, 3):
        of_shard = make(shards).generate(others, shard=(number, 3), on_change=lambda _: True)
        assert_balanced(of_shard.report)
        assert of_shard.report.pending == 0
    goes_on = make(file).generate(others, on_change=lambda _: True)
    assert_balanced(goes_on.report)
    assert [target.accepted for target in goes_on.report.targets] == [20, 31]


def test_with_targets_a_row_says_the_same_in_a_shard_in_what_is_merged_and_in_one_process(tmp_path: Path) -> None:
    def make(output: Path) -> MCQDataset:
        return MCQDataset(
            MCQDatasetConfig(
                source=["Cranes lift boxes.", "Tides come twice.", "Ropes hold ships."],
                min_document_length=1,
                languages={"en": "English", "fr": "French"},
                num_samples_per_prompt=1,
                target_rows={"by": "language", "each": 7},
                output_file=output,
            )
        )

    whole = make(tmp_path / "whole.jsonl").generate([SimulatedProvider("m")])
    for of in (3, 2):
        if of == 2:
            reshard(tmp_path / "rows", of)
        for number in range(1, of + 1):
            make(tmp_path / "rows").generate([SimulatedProvider("m")], shard=(number, of))
    assert merge(tmp_path / "rows", tmp_path / "all.jsonl").lacks == []
    merged = make(tmp_path / "all.jsonl").generate([SimulatedProvider("m")])
    assert merged.report.calls == 0
    merged.replay(tmp_path / "again.jsonl")  # compares the bytes
    rows, alone = ({row["uuid"]: row for row in rows_of(one.paths.rows)} for one in (merged, whole))
    assert len(rows.keys() & alone.keys()) > 8
    assert all(rows[uuid] == alone[uuid] for uuid in rows.keys() & alone.keys())


def test_rows_that_others_push_out_are_made_again_by_a_run_on_what_was_merged(tmp_path: Path) -> None:
    def make(folder: Path, **fields: Any) -> Any:
        return several(folder, "split", quality=ALIKE, regenerate=2, **fields)

    needed, log, shards, file = (tmp_path / name for name in ("needed", "log", "rows", "all.jsonl"))
    whole = make(tmp_path / "whole").generate(two(needed))
    for number in range(1, 4):
        make(tmp_path, output_file=shards).generate(two(log), shard=(number, 3))
    made = merge(shards, file)
    assert made.to_remake > 0
    assert made.lacks == [f"{made.to_remake} rows that stages have dropped are to be made again."]
    goes_on = make(tmp_path, output_file=file).generate(two(log))
    assert file.read_bytes() == whole.paths.rows.read_bytes()
    assert Counter(requests_in(log)) == Counter(requests_in(needed))
    assert goes_on.report.counts_line() == whole.report.counts_line()
    assert merge(shards, file).lacks == []


def test_failed_rows_stay_failed_and_are_tried_again(tmp_path: Path) -> None:
    def half(request: Request) -> str | None:
        return one_of_two(request) if zlib.crc32(request.messages[-1]["content"].encode()) % 2 else None

    def failing(log: Path) -> list[CountingProvider]:
        return [CountingProvider("a", log=log, reply=half)]

    def make(folder: Path, **fields: Any) -> Any:
        return raw(folder, topics=12, num_samples_per_prompt=2, run=ORDERED, **fields)

    whole = make(tmp_path / "whole").generate(failing(tmp_path / "needed"))
    shards, file = tmp_path / "rows", tmp_path / "all.jsonl"
    for number in range(1, 4):
        make(tmp_path, output_file=shards).generate(failing(tmp_path / "log"), shard=(number, 3))
    reshard(shards, 2)
    made = merge(shards, file)
    assert (made.lacks, made.report.failures) == ([], whole.report.failures)  # type: ignore[union-attr]
    again = make(tmp_path, output_file=file)
    assert {item.key for item in again.failed_items} == {item.key for item in whole.failed_items}
    assert all(item.raw_reply for item in again.failed_items)
    for dataset in (whole, again):
        dataset.generate([CountingProvider("a", log=tmp_path / f"more-{dataset is whole}")], retry_failed=True)
    assert file.read_bytes() == whole.paths.rows.read_bytes()
    assert sorted(requests_in(tmp_path / "more-True")) == sorted(requests_in(tmp_path / "more-False")) != []


@pytest.mark.parametrize("removed", ["move", "keep"])
def test_rows_that_have_left_the_config_come_back_from_what_was_merged(removed: str, tmp_path: Path) -> None:
    def make(topics: int, **fields: Any) -> Any:
        return raw(tmp_path, topics=topics, run={**ORDERED, "removed": removed}, **fields)

    shards, file, log = tmp_path / "rows", tmp_path / "all.jsonl", tmp_path / "log"
    for topics in (12, 8):
        for number in range(1, 4):
            make(topics, output_file=shards).generate(simulated(log), shard=(number, 3), on_change=lambda _: True)
    reshard(shards, 2)
    made = merge(shards, file)
    assert made.lacks == []
    assert (made.report.written, made.report.removed) == (16, 8 if removed == "keep" else 0)  # type: ignore[union-attr]
    spent = len(requests_in(log))
    back = make(12, output_file=file).generate(simulated(log))
    assert (back.report.written, back.report.removed, len(requests_in(log))) == (24, 0, spent)


def test_decisions_of_reviewers_are_joined_and_heard(tmp_path: Path) -> None:
    stages = [{"stage": "keep_if", "expression": "uuid[0] in '02468ace'"}]

    def make(folder: Path, **fields: Any) -> Any:
        return raw(folder, topics=40, quality=stages, run=ORDERED, **fields)

    shards, file = tmp_path / "rows", tmp_path / "all.jsonl"
    models = [SimulatedProvider("m")]
    sharded = make(tmp_path, output_file=shards)
    whole = make(tmp_path / "whole").generate(models)
    for number in range(1, 4):
        sharded.generate(models, shard=(number, 3))
    rows = list(whole.reviews(reviewer="ann").rows(dropped=True))
    kept, dropped = (
        [one.row["uuid"] for one in rows if bool(one.dropped_by) is is_dropped] for is_dropped in (False, True)
    )
    for dataset, number in [(whole, 0), *((sharded, number) for number in range(1, 4))]:
        dataset.shard = ShardName(number, 3) if number else None
        reviews = dataset.reviews(reviewer="ann")
        own = {one.row["uuid"]: one.row for one in reviews.rows(dropped=True)}
        for uuid, decide in (
            (kept[0], lambda row, book=reviews: book.reject(row, "dull")),
            (kept[1], lambda row, book=reviews: book.edit(row, text="A text of mine.")),
            (dropped[0], lambda row, book=reviews: book.accept(row)),
        ):
            if uuid in own:
                decide(own[uuid])
        if reviews.path.exists():
            reviews.path.write_bytes(reviews.path.read_bytes().rstrip(b"\n"))  # as an editor leaves it
    whole.generate(models)
    sharded.generate(models, shard=(1, 3))  # one of them has folded its own in
    reshard(shards, 2)
    made = merge(shards, file)
    assert made.lacks == []
    assert file.read_bytes() == whole.paths.rows.read_bytes()
    assert made.report.filtered_by_stage == whole.report.filtered_by_stage  # type: ignore[union-attr]
    again = make(tmp_path, output_file=file).generate(models)
    assert (again.report.calls, again.report.dropped_again, again.report.returned) == (0, 0, 0)


def test_decisions_of_reviewers_are_heard_by_a_run_on_what_a_merge_that_died_has_made(
    two_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "all.jsonl"
    shard = raw(tmp_path, topics=8, output_file=two_shards)
    shard.shard = ShardName(1, 2)
    reviews = shard.reviews(reviewer="ann")
    first, second = [one.row for one in reviews.rows()][:2]
    reviews.reject(first, "dull")
    with monkeypatch.context() as patch:
        patch.setattr("datafast.store.merging.finish", died)
        with pytest.raises(KeyboardInterrupt):
            merge(two_shards, file)  # its ledger is there, and its rows are not in their place
    run = raw(tmp_path, topics=8, output_file=file).generate([SimulatedProvider("m")])
    assert (run.report.calls, run.report.written, run.report.filtered) == (0, 7, 1)
    assert first["uuid"] not in {row["uuid"] for row in rows_of(file)}
    reviews.reject(second, "dull")  # heard by the next merge, which goes on with this one
    assert merge(two_shards, file).report.written == 6  # type: ignore[union-attr]


def test_a_merge_goes_on_where_one_died_that_had_joined_the_decisions_of_reviewers(
    two_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "all.jsonl"
    shard = raw(tmp_path, topics=8, output_file=two_shards)
    shard.shard = ShardName(1, 2)
    reviews = shard.reviews(reviewer="ann")
    reviews.reject(next(one.row for one in reviews.rows()), "dull")
    own = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if target == Path(f"{file}.ledger"):
            raise KeyboardInterrupt
        return own(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            merge(two_shards, file)
    assert Path(f"{file}.reviews").exists()
    assert not Path(f"{file}.ledger").exists()
    assert merge(two_shards, file).report.written == 7  # type: ignore[union-attr]


def died(*_: object) -> None:
    raise KeyboardInterrupt


def test_blocks_of_positions_are_divided_anew_for_a_changed_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.plan.sharded.BLOCKS_ABOVE", 5)
    shards, file, log = tmp_path / "rows", tmp_path / "all.jsonl", tmp_path / "log"

    def make(topics: str, folder: Path = tmp_path, **fields: Any) -> Any:
        return raw(folder, topics=list(topics), num_samples_per_prompt=2, quality=ALIKE, run=ORDERED, **fields)

    for number in range(1, 5):
        make("abcdefgh", output_file=shards).generate(two(log), shard=(number, 4))
    reshard(shards, 3)
    changed = make("zhgfedcb", output_file=shards)
    with pytest.raises(OutputError, match="datafast reshard"):
        changed.generate(two(log), shard=(1, 3))
    spent = len(requests_in(log))
    routes = [Route.single(provider) for provider in two(log)]
    assert reshard(shards, 5, dataset=changed, routes=routes).leaving == 2
    assert len(requests_in(log)) == spent
    for number in range(1, 6):
        changed.generate(two(log), shard=(number, 5), on_change=lambda _: True)
        assert_balanced(changed.report)
    assert {prompt.count("z") > 0 for _, prompt in requests_in(log)[spent:]} == {True}
    assert len(requests_in(log)) == spent + 2
    made = merge(shards, file)
    whole = make("zhgfedcb", tmp_path / "whole").generate(two(tmp_path / "needed"))
    assert (made.lacks, file.read_bytes()) == ([], whole.paths.rows.read_bytes())
    back = make("abcdefgh", output_file=file)
    back.generate(two(log), on_change=lambda _: True)
    assert len(requests_in(log)) == spent + 2  # what has left the config is recorded still


@pytest.fixture
def two_shards(tmp_path: Path) -> Path:
    folder = tmp_path / "rows"
    for number in (1, 2):
        raw(tmp_path, topics=8, output_file=folder).generate([SimulatedProvider("m")], shard=(number, 2))
    return folder


@pytest.mark.parametrize(
    "command", [lambda folder: merge(folder, folder.with_name("all.jsonl")), lambda f: reshard(f, 3)]
)
def test_a_shard_that_is_running_is_refused(two_shards: Path, command: Callable[[Path], object]) -> None:
    before = snapshot(two_shards)
    with (
        take_locks(shard_paths(two_shards, 2, 2)),
        pytest.raises(OutputInUseError, match=r"Shard 2/2 of .* written to"),
    ):
        command(two_shards)
    assert snapshot(two_shards) == before
    assert sorted(path.name for path in two_shards.parent.iterdir()) == ["rows"]


def test_shards_that_do_not_belong_together_are_refused(two_shards: Path, tmp_path: Path) -> None:
    others = {
        "topics: Shard 1/2 and Shard 2/2": {"topics": 9},
        "quality: Shard 1/2 and Shard 2/2": {"quality": [{"stage": "length", "max_words": 500}]},
    }
    for words, fields in others.items():
        raw(tmp_path, **{"topics": 8, "output_file": two_shards, **fields}).generate(
            [SimulatedProvider("m")], shard=(2, 2), on_change=lambda _: True
        )
        with pytest.raises(OutputError, match=words):
            merge(two_shards, tmp_path / "all.jsonl")
    with closing(Ledger(shard_paths(two_shards, 2, 2).ledger)) as ledger, ledger.transaction():
        ledger.set_meta("mode", "real")
    with pytest.raises(OutputError, match="Shard 1/2 has rows that are simulated, and Shard 2/2 rows that are real"):
        merge(two_shards, tmp_path / "all.jsonl")
    assert not list(tmp_path.glob("*all.jsonl*"))


def test_an_item_in_two_shards_is_refused(two_shards: Path, tmp_path: Path) -> None:
    one, other = (shard_paths(two_shards, number, 2) for number in (1, 2))
    with LedgerReader(one.ledger) as reader:
        (item,) = reader.items_at([1])
    with closing(Ledger(other.ledger)) as ledger, ledger.transaction():
        ledger.put_items([replace(item, id=1_000, slots=0)])
    with pytest.raises(OutputError, match=f"{one.rows.name} and {other.rows.name} have the same item") as caught:
        merge(two_shards, tmp_path / "all.jsonl")
    assert item.key.hex() in str(caught.value)
    assert [path.name for path in tmp_path.glob("*all.jsonl*")] == ["all.jsonl.ledger-lock"]


def test_rows_that_were_changed_by_hand_are_refused(two_shards: Path, tmp_path: Path) -> None:
    rows = shard_paths(two_shards, 1, 2).rows
    rows.write_bytes(rows.read_bytes().replace(b"e", b"E", 1))
    with pytest.raises(OutputChangedError, match="changed since datafast wrote the file"):
        merge(two_shards, tmp_path / "all.jsonl")
    with pytest.raises(OutputChangedError), merged_view(two_shards):
        pass


def test_a_shard_with_batches_under_way_is_refused(two_shards: Path, tmp_path: Path) -> None:
    with closing(Ledger(shard_paths(two_shards, 2, 2).ledger)) as ledger, ledger.transaction():
        ledger.batches.announce(
            "m", "tag", [Gathered(1, b"k" * 16, 0, "generator", 0.1, 5, "{}")], num_calls=1, request=1, at=1.0
        )
    for command in (lambda: merge(two_shards, tmp_path / "all.jsonl"), lambda: reshard(two_shards, 3)):
        with pytest.raises(OutputError, match=r"Shard 2/2: 1 batch is under way at m .*`datafast batches "):
            command()
    with merged_view(two_shards) as view:
        assert len(rows_of(view.rows)) == 8


def test_shards_elsewhere_are_not_divided_anew_and_have_their_ledgers_with_them(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^s3://bucket/rows is not on this machine.*`datafast merge s3://bucket/rows"
    ):
        reshard("s3://bucket/rows", 3)
    with pytest.raises(ConfigError, match=r"^--ledgers .*The ledgers of s3://bucket/rows are at the same place"):
        merge("s3://bucket/rows", tmp_path / "all.jsonl", ledger_folder=tmp_path)


def test_a_copy_under_another_name_is_refused(two_shards: Path, tmp_path: Path) -> None:
    one, other = (shard_paths(two_shards, number, 2) for number in (1, 2))
    for source, target in ((one.rows, other.rows), (one.ledger, other.ledger)):
        shutil.copyfile(source, target)
    with pytest.raises(OutputError, match=r"shard-00002-of-00002.jsonl was made as shard 1/2"):
        merge(two_shards, tmp_path / "all.jsonl")


def test_what_is_there_is_not_replaced(two_shards: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    assert merge(two_shards, file).lacks == []
    before = snapshot(tmp_path)
    assert merge(two_shards, file).lacks == []
    assert {name: data for name, (data, _) in snapshot(tmp_path).items() if name == file.name} == {
        file.name: before[file.name][0]
    }
    for number in (1, 2):  # the shards go on
        raw(tmp_path, topics=10, output_file=two_shards).generate([SimulatedProvider("m")], shard=(number, 2))
    with pytest.raises(OutputError, match="was merged before shards went on"):
        merge(two_shards, file)
    assert len(merge(two_shards, file, fresh=True).set_aside) == 3
    assert len(rows_of(file)) == 10
    other = tmp_path / "other.jsonl"
    other.write_text('{"a": 1}\n')
    with pytest.raises(OutputError, match="is there already"):
        merge(two_shards, other)
    with pytest.raises(ConfigError, match="is one of the shards"):
        merge(two_shards, shard_paths(two_shards, 1, 2).rows)


def test_missing_shards_are_named(two_shards: Path, tmp_path: Path) -> None:
    for path in two_shards.glob("shard-00002-*"):
        path.unlink()
    file = tmp_path / "all.jsonl"
    made = merge(two_shards, file)
    assert (made.lacks, made.report, file.exists()) == (["Shard 2/2 is not there."], None, False)
    made = merge(two_shards, file, partial=True)
    assert made.lacks == ["Shard 2/2 is not there."]
    assert made.report is not None
    assert made.report.requested == 8 > made.report.written == len(rows_of(file))
    rest = raw(tmp_path, topics=8, output_file=file).generate([SimulatedProvider("m")])
    assert (rest.report.written, rest.report.calls) == (8, made.report.pending)
    with (
        pytest.warns(DatafastWarning, match=r"is not complete: Shard 2/2 is not there"),
        merged_view(two_shards) as view,
    ):
        assert len(rows_of(view.rows)) == made.report.written


def test_rows_in_the_order_in_which_they_were_made(two_shards: Path, tmp_path: Path) -> None:
    made = merge(two_shards, tmp_path / "all.jsonl", order="completion")
    assert made.lacks == []
    rows = rows_of(tmp_path / "all.jsonl")
    for number in (1, 2):
        own = rows_of(shard_paths(two_shards, number, 2).rows)
        uuids = {row["uuid"] for row in own}
        assert [row for row in rows if row["uuid"] in uuids] == own
    with closing(Ledger(tmp_path / "all.jsonl.ledger")) as ledger:
        verify(tmp_path / "all.jsonl", ledger.appends.all())


def test_ledgers_elsewhere(tmp_path: Path) -> None:
    folder, ledgers = tmp_path / "rows", tmp_path / "ledgers"
    for number in (1, 2):
        raw(tmp_path, topics=8, output_file=folder, run={"ledger": ledgers}).generate(
            [SimulatedProvider("m")], shard=(number, 2)
        )
    made = reshard(folder, 3, ledger_folder=ledgers)
    assert [Path(path).parent for path in made.aside] == [folder, ledgers]
    again = raw(tmp_path, topics=8, output_file=folder, run={"ledger": ledgers})
    for number in (1, 2, 3):
        again.generate([SimulatedProvider("m")], shard=(number, 3))
        assert (again.report.calls, again.report.pending) == (0, 0)
    merged = merge(folder, tmp_path / "all.jsonl", ledger=tmp_path / "all.ledger", ledger_folder=ledgers)
    assert (merged.lacks, len(rows_of(tmp_path / "all.jsonl"))) == ([], 8)
    whole = raw(tmp_path, topics=8, output_file=tmp_path / "all.jsonl", run={"ledger": tmp_path / "all.ledger"})
    assert whole.generate([SimulatedProvider("m")]).report.calls == 0


def test_what_was_spent_is_counted_together(tmp_path: Path) -> None:
    folder, run = tmp_path / "rows", {"max_calls": 40, "budget_usd": 4.0}
    for number in (1, 2, 3):
        raw(tmp_path, topics=12, output_file=folder, run=run).generate([SimulatedProvider("m")], shard=(number, 3))
    reshard(folder, 2)
    spent = []
    for number in (1, 2):
        with LedgerReader(shard_paths(folder, number, 2).ledger) as reader:
            spent.append(reader.calls.spent(Path()).calls)
        with closing(Ledger(shard_paths(folder, number, 2).ledger)) as ledger, ledger.transaction():
            newest = int(ledger.meta("requests") or 0)
            ledger.set_meta("requests", newest + 2)
            note_never_sent(ledger, [newest + 1, newest + 2])
    assert sum(spent) == 12
    merge(folder, tmp_path / "all.jsonl")
    with LedgerReader(tmp_path / "all.jsonl.ledger") as reader:
        assert reader.calls.spent(Path()).calls == 12
        assert reader.versions == [VERSION]
        assert reader.counts().pending == 0
    grown = raw(tmp_path, topics=13, output_file=tmp_path / "all.jsonl", run={"max_calls": 13})
    assert grown.generate([SimulatedProvider("m")]).report.calls == 1


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    topics=st.integers(1, 7),
    samples=st.integers(1, 3),
    fan_out=st.sampled_from(["all", "split", "fallback"]),
    compares=st.booleans(),
    regenerate=st.integers(0, 2),
    drawn=st.none() | st.integers(1, 20),
    shards=st.integers(1, 4),
    again=st.none() | st.integers(1, 5),
    limit=st.none() | st.integers(1, 2),
)
def test_whatever_the_config_shards_are_the_file_of_one_process(
    tmp_path_factory: pytest.TempPathFactory,
    topics: int,
    samples: int,
    fan_out: str,
    compares: bool,
    regenerate: int,
    drawn: int | None,
    shards: int,
    again: int | None,
    limit: int | None,
) -> None:
    place = tmp_path_factory.mktemp("any")
    stages = [{"stage": "keep_if", "expression": "uuid[0] not in '01'"}, *(ALIKE if compares else [])]

    def make(folder: Path, **fields: Any) -> Any:
        shape = {"num_samples_per_prompt": samples, **({} if drawn is None else {"num_rows": drawn})}
        run = {**ORDERED, "fan_out": fan_out}
        return raw(folder, topics=topics, quality=stages, regenerate=regenerate, run=run, **shape, **fields)

    needed, log, folder, file = (place / name for name in ("needed", "log", "rows", "all.jsonl"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatafastWarning)  # that all rows of a small shard were filtered
        whole = make(place / "whole").generate(any_of_few(needed))
        divisions = [shards] if again is None else [shards, again]
        for turn, of in enumerate(divisions):
            if turn:
                reshard(folder, of)
            for number in range(1, of + 1):
                is_cut = limit is not None and number == 1 and turn < len(divisions) - 1
                options = {"limit": limit} if is_cut else {}
                make(place, output_file=folder).generate(any_of_few(log), shard=(number, of), **options)
        made = merge(folder, file)
        assert (made.missing, made.unfinished) == ([], {})
        assert bool(made.lacks) is bool(made.to_remake)
        goes_on = make(place, output_file=file).generate(any_of_few(log))
    assert file.read_bytes() == whole.paths.rows.read_bytes()
    assert Counter(requests_in(log)) == Counter(requests_in(needed))
    assert goes_on.report.counts_line() == whole.report.counts_line()


def any_of_few(log: Path) -> list[CountingProvider]:
    def reply(request: Request) -> str | None:
        asked = re.search(r"exactly (\d)\.", request.messages[-1]["content"])
        number = zlib.crc32(request.messages[-1]["content"].encode())
        return (
            json.dumps({"texts": [f"the text {(number + more) % 9}" for more in range(int(asked[1]))]})
            if asked
            else None
        )

    return [CountingProvider(name, log=log, reply=reply) for name in "ab"]


@pytest.mark.parametrize("name", ["cut", "other_reasoning"])
def test_what_is_noted_of_items_goes_with_them_into_the_new_shards(two_shards: Path, name: str) -> None:
    noted: set[bytes] = set()
    for number in (1, 2):
        path = shard_paths(two_shards, number, 2).ledger
        with LedgerReader(path) as reader:
            of_shard = {item_id: key for item_id, key, *_ in reader.identities()}
        with closing(Ledger(path)) as ledger, ledger.transaction():
            last = max(of_shard)
            ledger.set_meta(name, json.dumps([last]))
            noted.add(of_shard[last])
    reshard(two_shards, 3)
    found: list[bytes] = []
    for number in (1, 2, 3):
        with LedgerReader(shard_paths(two_shards, number, 3).ledger) as reader:
            of_shard = {item_id: key for item_id, key, *_ in reader.identities()}
            found += [of_shard[item_id] for item_id in reader.noted(name) or ()]
    assert len(found) == 2
    assert set(found) == noted


def test_shards_are_not_divided_for_a_config_with_targets_that_they_were_made_without(tmp_path: Path) -> None:
    shards, log = tmp_path / "rows", tmp_path / "log"
    for number in (1, 2):
        with_targets(tmp_path, output_file=shards, target_rows=None, quality=[]).generate(
            drawing(log), shard=(number, 2)
        )
    before = snapshot(shards)
    routes = [Route.single(provider) for provider in drawing(log)]
    with pytest.raises(OutputError, match="target_rows"):
        reshard(shards, 3, dataset=with_targets(tmp_path, output_file=shards), routes=routes)
    assert snapshot(shards) == before
    for number in (1, 2):
        with_targets(tmp_path, output_file=shards).generate(drawing(log), shard=(number, 2), on_change=lambda _: True)
    assert reshard(shards, 3).after == 3


def test_an_item_where_the_draws_of_its_shard_have_none_is_told(tmp_path: Path) -> None:
    shards, log = tmp_path / "rows", tmp_path / "log"
    for number in (1, 2):
        with_targets(tmp_path, output_file=shards).generate(drawing(log), shard=(number, 2))
    with closing(Ledger(shard_paths(shards, 2, 2).ledger)) as ledger, ledger.transaction():
        (item,) = ledger.items_at([1])
        ledger.put_items([replace(item, position=10**6)])
    with pytest.raises(OutputError, match=r"Shard 2/2: Its ledger has an item at position 1000000"):
        merge(shards, tmp_path / "all.jsonl")


def test_a_folder_that_is_divided_anew_while_a_run_looks_for_its_items_is_not_written_to(
    two_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"

    def run(change: Callable[[], object]) -> None:
        def changing(paths: Any, *given: Any, **named: Any) -> Any:
            change()
            return take_locks(paths, *given, **named)

        late = raw(tmp_path, topics=8, output_file=two_shards)
        with monkeypatch.context() as patched:
            patched.setattr("datafast.store.recovery.take_locks", changing)
            late.generate([CountingProvider("m", log=log)], shard=(2, 2))

    with making_place([two_shards]), pytest.raises(OutputInUseError, match="being divided anew"):
        run(lambda: None)

    def divide() -> None:
        monkeypatch.setattr("datafast.store.recovery.take_locks", take_locks)
        reshard(two_shards, 3)

    with pytest.raises(OutputError, match="no parts of one output"):
        run(divide)
    assert not log.exists()
    assert merge(two_shards, tmp_path / "all.jsonl").lacks == []
