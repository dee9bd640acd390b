"""A row of any kind is shown to stages as it was recorded just as when it was new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from zlib import crc32

import pytest
from pydantic import BaseModel

from datafast.engine.options import RunOptions
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, Walk, WalkStage, change, drop, texts_of, with_texts
from datafast.quality.exact_duplicates import ExactDuplicatesStage
from datafast.types import RunReport
from tests.datasets.test_contract import Bench, bench, every_kind, others
from tests.support import assert_balanced, rows_of

__all__ = ["bench", "others"]

SEEN: dict[str, set[str]] = {}
"""What `SharesStage` was shown, by uuid."""


class SharesStage(Stage):
    """Drops a share of the rows, always the same ones."""

    stage: Literal["shares"] = "shares"
    every: int

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        uuid: str = row.uuid  # type: ignore[attr-defined]
        SEEN.setdefault(uuid, set()).add(repr([row, row.model_extra, item.key]))
        return drop("a share") if crc32(uuid.encode()) % self.every == 0 else KEEP


@pytest.mark.filterwarnings("ignore:All .* rows were filtered")
@every_kind
def test_other_stages_decide_about_recorded_rows_as_about_new_ones_and_back_again(bench: Bench) -> None:
    project = bench.changed(reasoning="metadata").project

    def filtered(every: int, **options: Any) -> RunReport:
        dataset = project.dataset()
        dataset.config.quality = [SharesStage(every=every)]
        project.generate(dataset, RunOptions(progress=False, **options))
        return assert_balanced(dataset.report)

    SEEN.clear()
    first = filtered(2)
    before = bench.output.read_bytes()
    assert 0 < first.filtered < first.requested
    other = filtered(3)
    assert min(other.dropped_again, other.returned) > 0
    assert filtered(1).filtered == first.requested
    last = filtered(2, decide_only=True)
    assert (last.written, last.filtered) == (first.written, first.filtered)
    assert bench.output.read_bytes() == before
    assert [report.calls for report in (other, last)] == [0, 0]
    assert len(SEEN) == first.requested
    assert {len(shown) for shown in SEEN.values()} == {1}


class Marked(Stage):
    """Adds a mark to all texts of a share of the rows, but for single words, which may be one of a choice."""

    stage: Literal["marked"] = "marked"
    every: int

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        if crc32(row.uuid.encode()) % self.every:  # type: ignore[attr-defined]
            return KEEP
        return change(with_texts(row, lambda text: f"{text} <mark>" if " " in text else text))


@pytest.mark.filterwarnings("ignore:All .* rows were filtered")
@every_kind
def test_rows_of_every_kind_are_changed_and_come_back_byte_for_byte(bench: Bench) -> None:
    project = bench.changed(reasoning="metadata").project

    def made(*stages: Stage, **options: Any) -> RunReport:
        dataset = project.dataset()
        dataset.config.quality = list(stages)
        project.generate(dataset, RunOptions(progress=False, **options))
        return assert_balanced(dataset.report)

    first = made(Marked(every=1), SharesStage(every=2))
    changed = bench.output.read_bytes()
    assert first.failed == 0
    assert b"<mark>" in changed
    assert len(list(project.dataset().data_rows)) == first.written
    plain = made()
    original = bench.output.read_bytes()
    assert b"<mark>" not in original
    assert made(Marked(every=1)).changed_by_stage == {"marked": plain.written}
    assert made(Marked(every=2)).calls == 0
    assert made(Marked(every=1), SharesStage(every=2), decide_only=True).calls == 0
    assert bench.output.read_bytes() == changed
    assert made().calls == plain.calls == 0
    assert bench.output.read_bytes() == original


class Quarters(Stage):
    """Drops so many quarters of all texts."""

    stage: Literal["quarters"] = "quarters"
    quarters: int

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        return drop("a share") if crc32(repr(list(texts_of(row))).encode()) % 4 < self.quarters else KEEP


@pytest.mark.filterwarnings("ignore:All .* rows were filtered")
@every_kind
def test_rows_of_every_kind_that_are_dropped_are_made_again_under_the_same_uuid(bench: Bench) -> None:
    project = bench.project

    def made(share: int, times: int, **options: Any) -> RunReport:
        dataset = project.dataset()
        dataset.config.quality = [Quarters(quarters=share)]
        dataset.config.regenerate = times
        project.generate(dataset, RunOptions(progress=False, **options))
        return assert_balanced(dataset.report)

    plain = made(0, 0)
    uuids = {row["uuid"] for row in rows_of(bench.output)}
    first = bench.output.read_bytes()
    strict = made(2, 6)
    assert (strict.pending, strict.requested) == (0, plain.requested)
    assert strict.written > plain.requested / 2 or strict.failed
    assert {row["uuid"] for row in rows_of(bench.output)} <= uuids
    again = bench.output.read_bytes()
    assert made(0, 0).calls == 0
    assert bench.output.read_bytes() == first
    assert made(2, 6).calls == 0
    assert bench.output.read_bytes() == again


class GroupsStage(WalkStage[int]):
    """Keeps one row of each group."""

    stage: Literal["groups"] = "groups"
    groups: int

    def features(self, rows: Sequence[BaseModel]) -> list[int]:
        for row in rows:
            SEEN.setdefault(row.uuid, set()).add(repr([row, row.model_extra]))  # type: ignore[attr-defined]
        return [crc32(row.uuid.encode()) % self.groups for row in rows]  # type: ignore[attr-defined]

    def walk(self) -> Walk[int]:
        return Groups()


class Groups:
    def __init__(self) -> None:
        self.kept: set[int] = set()

    def decide(self, features: int) -> Verdict:
        return drop("a group that is there") if features in self.kept else KEEP

    def keep(self, features: int) -> None:
        self.kept.add(features)


@every_kind
def test_rows_of_every_kind_are_compared_and_come_back(bench: Bench) -> None:
    project = bench.changed(reasoning="metadata").project

    def compared(*quality: Any, **options: Any) -> RunReport:
        dataset = project.dataset()
        dataset.config.quality = [ExactDuplicatesStage(), *quality]
        project.generate(dataset, RunOptions(progress=False, **options))
        return assert_balanced(dataset.report)

    SEEN.clear()
    first = compared(GroupsStage(groups=2))
    before = bench.output.read_bytes()
    assert first.written <= 2
    assert first.dropped_at_end == first.filtered > 0
    other = compared()
    assert other.returned > 0
    last = compared(GroupsStage(groups=2), decide_only=True)
    assert (last.written, last.dropped_at_end) == (first.written, 0)
    assert bench.output.read_bytes() == before
    assert [report.calls for report in (other, last)] == [0, 0]
    assert {len(shown) for shown in SEEN.values()} == {1}
