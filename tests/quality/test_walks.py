"""Stages that compare rows: the kept rows are those of one walk in an order that is always the same, whatever came when."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from datafast.datasets import RawDataset
from datafast.errors import DatafastWarning
from datafast.llms.base import Request
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, Walk, WalkStage, drop
from tests.support import CountingProvider, assert_balanced, raw, requests_in, rows_of

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")

TOPICS = 12
EACH = 3
ROWS = TOPICS * EACH


class NearStage(WalkStage[int]):
    """Drops texts whose number is at most so far from that of an earlier row that was kept."""

    stage: Literal["near"] = "near"
    within: int = 1
    fails_at: tuple[int, ...] = ()

    def features(self, rows: Sequence[BaseModel]) -> list[int]:
        found = [number_of(row.text) for row in rows]  # type: ignore[attr-defined]
        if not set(self.fails_at).isdisjoint(found):
            raise RuntimeError("no idea")
        return found

    def walk(self) -> Walk[int]:
        return _Numbers(self.within)


class _Numbers:
    def __init__(self, within: int) -> None:
        self.within = within
        self.kept: list[int] = []

    def decide(self, features: int) -> Verdict:
        least = min((abs(features - other) for other in self.kept), default=self.within + 1)
        return KEEP if least > self.within else drop("near an earlier row", least)

    def keep(self, features: int) -> None:
        self.kept.append(features)


class EvenStage(Stage):
    """Drops texts whose number is a multiple of something."""

    stage: Literal["even"] = "even"
    of: int = 7

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        return drop("a multiple") if number_of(row.text) % self.of == 0 else KEEP  # type: ignore[attr-defined]


def number_of(text: str) -> int:
    return int(text.rsplit(" ", 1)[1])


def numbers(request: Request) -> str:
    """Three texts, each with a number at its end that depends on the topic alone. They are near each other by chance."""
    topic = int(request.messages[-1]["content"].split("topic ")[-1].split(".")[0])
    chance = random.Random(topic)
    return json.dumps({"texts": [f"of {topic} at {place}: {chance.randrange(60)}" for place in range(EACH)]})


def provider(folder: Path, *, latency: random.Random | None = None) -> CountingProvider:
    jitter = 0.003 if latency is None else latency.uniform(0, 0.02)
    return CountingProvider("m", log=folder / "requests", reply=numbers, latency_jitter_s=jitter)


def dataset(folder: Path, *quality: Any, topics: int = TOPICS, run: dict[str, Any] | None = None) -> RawDataset:
    settings: dict[str, Any] = {"topics": topics, "num_samples_per_prompt": EACH, "quality": list(quality)}
    return raw(folder, run={"max_concurrency": 4, **(run or {})}, **settings)


def generate(folder: Path, *quality: Any, limit: int | None = None, **fields: Any) -> Any:
    made = dataset(folder, *quality, **fields).generate([provider(folder)], limit=limit)
    return assert_balanced(made.report)


def file_of(folder: Path) -> bytes:
    return (folder / "out.jsonl").read_bytes()


def texts(folder: Path) -> set[str]:
    return {row["text"] for row in rows_of(folder / "out.jsonl")}


def dropped(folder: Path) -> dict[str, tuple[str, str]]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        found = database.execute("SELECT row, stage, reason FROM filtered").fetchall()
    return {json.loads(row)["text"]: (stage, reason) for row, stage, reason in found}


def in_order(folder: Path) -> list[str]:
    """The texts of all recorded rows in the order of the walk, which is that of their items' keys here."""
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        keys = dict(database.execute("SELECT position, key FROM items WHERE state != 3"))
    found = []
    for _, position in sorted((key, position) for position, key in keys.items()):
        chance = random.Random(position)
        found += [f"of {position} at {place}: {chance.randrange(60)}" for place in range(EACH)]
    return found


def oracle(folder: Path, *stages: Any) -> dict[str, str]:
    """The stage that drops each text; '' for those that are kept."""
    walks = {stage.name: stage.walk() for stage in stages if isinstance(stage, NearStage)}
    found: dict[str, str] = {}
    for text in in_order(folder):
        number = number_of(text)
        by_row = [stage.name for stage in stages if isinstance(stage, EvenStage) and number % stage.of == 0]
        by_walk = [name for name, walk in walks.items() if not by_row and not walk.decide(number).keeps]
        found[text] = next(iter([*by_row, *by_walk]), "")
        for walk in walks.values() if not found[text] else ():
            walk.keep(number)
    return found


def assert_as_the_oracle(folder: Path, *stages: Any) -> None:
    expected = oracle(folder, *stages)
    assert texts(folder) == {text for text, stage in expected.items() if not stage}
    assert {text: stage for text, (stage, _) in dropped(folder).items()} == {
        text: stage for text, stage in expected.items() if stage
    }


def test_rows_near_an_earlier_kept_one_are_filtered_at_the_end_of_the_run(tmp_path: Path) -> None:
    report = generate(tmp_path, NearStage())
    assert_as_the_oracle(tmp_path, NearStage())
    assert 0 < report.filtered == report.dropped_at_end < ROWS
    assert report.filtered_by_stage == {"near": {"near an earlier row": report.filtered}}
    again = generate(tmp_path, NearStage())
    assert (again.dropped_at_end, again.returned_at_end, again.calls) == (0, 0, 0)


def test_stages_that_look_at_one_row_decide_first_wherever_they_stand(tmp_path: Path) -> None:
    generate(tmp_path, NearStage(), EvenStage())
    assert_as_the_oracle(tmp_path, NearStage(), EvenStage())


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_replies_and_early_ends_do_not_matter(tmp_path: Path, seed: int) -> None:
    generate(tmp_path / "whole", NearStage(within=2))
    chance = random.Random(seed)
    for limit in (*sorted(chance.sample(range(1, TOPICS), 3)), None):
        asked = provider(tmp_path / "parts", latency=chance)
        made = dataset(tmp_path / "parts", NearStage(within=2), run={"seed": 0}).generate([asked], limit=limit)
        assert_balanced(made.report)
        assert texts(tmp_path / "parts") <= set(in_order(tmp_path / "parts"))
    assert texts(tmp_path / "parts") == texts(tmp_path / "whole")
    assert dropped(tmp_path / "parts") == dropped(tmp_path / "whole")


@pytest.mark.parametrize("ordered", [True, False])
def test_settings_changed_and_changed_back_give_the_same_file_and_no_call(tmp_path: Path, ordered: bool) -> None:
    run = {"ordered": ordered}
    generate(tmp_path, NearStage(), run=run)
    first = file_of(tmp_path)
    for other in ([NearStage(within=4)], [EvenStage(), NearStage()], [], [EvenStage(of=1)], [NearStage(within=0)]):
        changed = generate(tmp_path, *other, run=run)
        assert changed.calls == 0
        assert_as_the_oracle(tmp_path, *other)
        report = generate(tmp_path, NearStage(), run=run)
        assert (report.calls, report.dropped_at_end, report.returned_at_end) == (0, 0, 0)
        assert file_of(tmp_path) == first
    assert len(requests_in(tmp_path / "requests")) == TOPICS


def test_a_settled_output_is_not_written_again(tmp_path: Path) -> None:
    generate(tmp_path, NearStage())
    before = (tmp_path / "out.jsonl").stat()
    generate(tmp_path, NearStage())
    dataset(tmp_path, NearStage()).generate([provider(tmp_path)], decide_only=True)
    after = (tmp_path / "out.jsonl").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_rows_that_leave_the_plan_are_compared_with_none(tmp_path: Path) -> None:
    run = {"removed": "keep"}
    generate(tmp_path, NearStage(within=3), run=run)
    report = dataset(tmp_path, NearStage(within=3), topics=5, run=run).generate([provider(tmp_path)]).report
    assert report is not None
    assert report.calls == 0
    expected = {text for text, stage in oracle(tmp_path, NearStage(within=3)).items() if not stage}
    assert {text for text in texts(tmp_path) if int(text.split()[1]) < 5} == expected
    assert report.removed == len(texts(tmp_path)) - len(expected)
    generate(tmp_path, NearStage(within=3), run=run)
    assert_as_the_oracle(tmp_path, NearStage(within=3))


def test_rows_lost_from_the_file_come_back_and_are_compared(tmp_path: Path) -> None:
    generate(tmp_path, NearStage())
    (tmp_path / "out.jsonl").write_bytes(file_of(tmp_path)[:400])
    report = generate(tmp_path, NearStage())
    assert report.calls == 0
    assert_as_the_oracle(tmp_path, NearStage())


def test_the_first_stage_that_drops_a_row_decides(tmp_path: Path) -> None:
    class OtherStage(NearStage):
        stage: Literal["other"] = "other"  # type: ignore[assignment]

    stages = [NearStage(within=2), OtherStage(within=3)]
    report = generate(tmp_path, *stages)
    assert_as_the_oracle(tmp_path, *stages)
    assert set(report.filtered_by_stage) == {"near", "other"}


def test_a_row_that_a_stage_raises_about_stays_as_it_was(tmp_path: Path) -> None:
    generate(tmp_path, NearStage(within=0))
    before = texts(tmp_path), dropped(tmp_path)
    all_numbers = tuple(range(60))
    with pytest.warns(DatafastWarning, match=rf"{ROWS} recorded rows stay as they were .* RuntimeError: no idea"):
        generate(tmp_path, NearStage(within=2, fails_at=all_numbers))
    assert (texts(tmp_path), dropped(tmp_path)) == before
    generate(tmp_path, NearStage(within=2))
    assert_as_the_oracle(tmp_path, NearStage(within=2))


def test_a_plan_says_how_many_rows_would_move(tmp_path: Path) -> None:
    generate(tmp_path, NearStage())
    change = dataset(tmp_path, NearStage(within=4), EvenStage()).estimate([provider(tmp_path)]).change
    report = generate(tmp_path, NearStage(within=4), EvenStage())
    assert (change.decided_again, change.stages_drop, change.stages_return) == (
        ROWS,
        report.dropped_again,
        report.returned,
    )
    assert report.dropped_again > 0
