"""`target_rows` with shards: each draws to its share of each target, and none draws what another one does."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.foreseen import foreseen
from datafast.engine.targets import NOTED
from datafast.llms import SimulatedProvider
from datafast.plan.draw_numbers import DrawNumbers, together
from datafast.store.reader import LedgerReader
from datafast.store.shards import ShardNote
from tests.engine.test_targets import LANGUAGES, accepting, dataset, out
from tests.support import ForkServer, assert_balanced, raw, rows_of

MODELS = [SimulatedProvider("m1"), SimulatedProvider("m2")]
SHARES = {"en": 0.4, "fr": 0.7, "de": 0.9}


def drawn_by_shards(folder: Path, target: Any, of: int, providers: Any, **fields: Any) -> list[Any]:
    """A dataset for each of all shards, which are made."""
    made = []
    for number in range(1, of + 1):
        own = dataset(folder, target, **{"quality": [accepting(SHARES)], **fields})
        own.generate(providers, shard=(number, of))
        report = assert_balanced(own.report)
        assert (report.pending, report.given_up) == (0, [])
        made.append(own)
    return made


def all_rows(made: list[Any]) -> list[dict[str, Any]]:
    return [row for one in made for row in rows_of(one.paths.rows)]


@pytest.mark.parametrize("of", [1, 3, 4])
@pytest.mark.parametrize("rows_per_call", [1, 3])
def test_each_shard_accepts_its_share_and_none_draws_anothers(tmp_path: Path, of: int, rows_per_call: int) -> None:
    target = {"by": "language", "each": 14}
    made = drawn_by_shards(tmp_path, target, of, MODELS, num_samples_per_prompt=rows_per_call)
    rows = all_rows(made)
    assert len({row["uuid"] for row in rows}) == len(rows)
    accepted = Counter(row["language"] for row in rows)
    assert all(accepted[language] >= 14 for language in LANGUAGES)
    shares = [[count.target for count in one.report.targets] for one in made]
    assert [sum(of_stratum) for of_stratum in zip(*shares, strict=True)] == [14] * len(LANGUAGES)
    assert max(map(sum, shares)) - min(map(sum, shares)) <= len(LANGUAGES)
    assert made[0].report.decided_at_merge == ["surplus"]


def test_without_stages_nothing_is_drawn_in_vain_and_the_draws_are_those_of_one_run(tmp_path: Path) -> None:
    made = drawn_by_shards(tmp_path / "shards", 20, 4, [SimulatedProvider("m")], quality=[])
    rows = {row["uuid"]: row for row in all_rows(made)}
    one = dataset(tmp_path / "whole", 20, quality=[])
    one.generate([SimulatedProvider("m")])
    assert rows == {row["uuid"]: row for row in out(tmp_path / "whole")}


def test_a_shard_with_targets_goes_on_where_it_was_and_a_raised_target_only_adds_rows(tmp_path: Path) -> None:
    made = drawn_by_shards(tmp_path, {"by": "language", "each": 10}, 2, MODELS)
    before = [rows_of(one.paths.rows) for one in made]
    for number, one in enumerate(made, start=1):
        one.generate(MODELS, shard=(number, 2))
        assert one.report.calls == 0
    again = drawn_by_shards(tmp_path, {"by": "language", "each": 17}, 2, MODELS)
    for rows, one in zip(before, again, strict=True):
        after = {row["uuid"] for row in rows_of(one.paths.rows)}
        assert {row["uuid"] for row in rows} < after
    accepted = Counter(row["language"] for row in all_rows(again))
    assert all(accepted[language] >= 17 for language in LANGUAGES)


def test_what_is_noted_says_which_draws_exist_of_all_shards(tmp_path: Path) -> None:
    made = drawn_by_shards(tmp_path, {"by": "language", "each": 9}, 3, MODELS)
    notes, held, keys = [], [], set()
    for one in made:
        with LedgerReader(one.paths.ledger) as reader:
            note = ShardNote.read(reader)
            assert note is not None
            notes.append(note)
            noted = reader.meta(NOTED)
            keys |= {item.key for item in reader.items()}
        plan = one.plan_of_run(one._routes(MODELS))
        assert one.targets.note(plan) == noted
        held.append(plan.held)
    assert {(note.plan, note.by, tuple(note.deferred)) for note in notes} == {(notes[0].plan, "draws", ("surplus",))}
    merged = plan.grown([[0] * len(plan.strata)], DrawNumbers(held=together(held)))
    assert {merged[position].key for position in merged.members} == keys


def test_a_single_shard_is_read_by_what_its_ledger_notes(tmp_path: Path) -> None:
    (first, _) = drawn_by_shards(tmp_path, {"by": "language", "each": 9}, 2, MODELS)
    alone = dataset(tmp_path, {"by": "language", "each": 9}, output_file=first.paths.rows)
    plan = alone.whole_plan_for(alone._routes(MODELS))
    assert plan.fingerprint == first.plan_of_run(first._routes(MODELS)).fingerprint
    assert alone.targets == first.targets


def test_an_estimate_is_about_the_share_of_the_shard(tmp_path: Path) -> None:
    own = dataset(tmp_path, 101, quality=[])
    rows = [own.estimate([SimulatedProvider("m")], shard=(number, 2)).rows for number in (1, 2)]
    assert rows == [51, 50]
    assert own.estimate([SimulatedProvider("m")]).rows == 101
    assert foreseen(own.job_for(own._routes([SimulatedProvider("m")]))) is not None


def test_fresh_begins_with_the_shards_own_first_draws(tmp_path: Path) -> None:
    made = drawn_by_shards(tmp_path, 30, 2, [SimulatedProvider("m")])
    rows = {row["uuid"] for row in rows_of(made[1].paths.rows)}
    made[1].generate([SimulatedProvider("m")], shard=(2, 2), fresh=True)
    assert {row["uuid"] for row in rows_of(made[1].paths.rows)} == rows


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_shards_with_targets_that_are_killed_go_on(tmp_path: Path, children: ForkServer) -> None:
    folder = tmp_path / "shards"
    for number, at in ((1, 2), (1, 4), (2, 3)):
        given = {"folder": str(folder), "at": at, "shard": [number, 2], "fields": {"target_rows": 12}}
        assert children.run("tests.killed:run", **given) == -signal.SIGKILL
    one = [SimulatedProvider("m")]
    rows = []
    for number in (1, 2):
        own = raw(folder, topics=20, target_rows=12)
        own.generate(one, shard=(number, 2))
        rows += rows_of(own.paths.rows)
    whole = raw(tmp_path / "whole", topics=20, target_rows=12)
    whole.generate(one)
    assert {row["uuid"] for row in rows} == {row["uuid"] for row in rows_of(whole.paths.rows)}
    assert len(rows) == 12
