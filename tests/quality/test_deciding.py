"""Verdicts are a view: other stages decide about all recorded rows again, at no cost, and the same stages make the same file again."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from datafast.datasets import RawDataset
from datafast.errors import (
    ConfigError,
    DatafastWarning,
    MissingKeyError,
    OutputChangedError,
    OutputError,
    OutputWriteError,
)
from datafast.llms.base import Request
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, drop
from datafast.store.ledger import Ledger
from tests.support import (
    CountingProvider,
    ThinkingProvider,
    assert_balanced,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
    same_rows,
)

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")

ROWS = 36


class LettersStage(Stage):
    """Drops texts that end in one of these letters."""

    stage: Literal["letters"] = "letters"
    drops: str = ""
    fails_at: str = ""
    reason: str = "a letter"

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        letter = row.text[-1]  # type: ignore[attr-defined]
        if letter in self.fails_at:
            raise RuntimeError("no idea")
        return drop(self.reason) if letter in self.drops else KEEP


def letters(request: Request) -> str:
    """Three texts, each with a letter at its end that depends on the topic alone."""
    number = int(request.messages[-1]["content"].split("topic ")[-1].split(".")[0])
    return json.dumps({"texts": [f"text {number} {'abcdef'[(number * 7 + place * 5) % 6]}" for place in range(3)]})


def provider(folder: Path) -> CountingProvider:
    return CountingProvider("m", log=folder / "requests", reply=letters, latency_jitter_s=0.003)


def dataset(
    folder: Path, drops: str | None, *, topics: int = ROWS // 3, run: dict[str, Any] | None = None, **fields: Any
) -> RawDataset:
    quality = [] if drops is None else [LettersStage(drops=drops, **fields)]
    settings: dict[str, Any] = {"topics": topics, "num_samples_per_prompt": 3, "quality": quality}
    return raw(folder, run={"max_concurrency": 4, **(run or {})}, **settings)


def generate(folder: Path, drops: str | None, **fields: Any) -> Any:
    return assert_balanced(dataset(folder, drops, **fields).generate([provider(folder)]).report)


def file_of(folder: Path) -> bytes:
    return (folder / "out.jsonl").read_bytes()


def kept(folder: Path) -> set[str]:
    return {row["uuid"] for row in rows_of(folder / "out.jsonl")}


def dropped(folder: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        found = database.execute("SELECT row, reason FROM filtered").fetchall()
    return {(json.loads(row)["uuid"], reason) for row, reason in found}


def test_other_stages_decide_about_all_rows_again_and_buy_nothing(tmp_path: Path) -> None:
    first = generate(tmp_path, "ab")
    assert (first.written, first.filtered) == (24, 12)
    report = generate(tmp_path, "bcd")
    assert (report.written, report.filtered, report.calls) == (18, 18, 0)
    assert (report.dropped_again, report.returned) == (12, 6)
    assert {row["text"][-1] for row in rows_of(tmp_path / "out.jsonl")} == set("aef")
    assert len(requests_in(tmp_path / "requests")) == ROWS // 3
    again = generate(tmp_path, "bcd")
    assert (again.dropped_again, again.returned) == (0, 0)


def test_the_same_stages_make_the_same_file_again_byte_for_byte(tmp_path: Path) -> None:
    generate(tmp_path, "ab")
    first = file_of(tmp_path)
    for drops in ("f", None, "abcdef", "c"):
        generate(tmp_path, drops)
        generate(tmp_path, "ab")
        assert file_of(tmp_path) == first
    assert len(requests_in(tmp_path / "requests")) == ROWS // 3


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_stages_comes_to_what_the_last_one_alone_makes(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    ordered = bool(seed % 2)
    sequence = ["".join(chance.sample("abcdef", chance.randint(0, 6))) for _ in range(4)]
    seen: dict[str, bytes] = {}
    for drops in [*sequence, sequence[0]]:
        report = generate(tmp_path, drops, run={"ordered": ordered})
        (tmp_path / "alone").mkdir(exist_ok=True)
        alone = generate(tmp_path / "alone", drops, run={"ordered": ordered})
        assert (report.written, report.filtered) == (alone.written, alone.filtered)
        assert (kept(tmp_path), dropped(tmp_path)) == (kept(tmp_path / "alone"), dropped(tmp_path / "alone"))
        if ordered:
            assert file_of(tmp_path) == file_of(tmp_path / "alone")
        assert seen.setdefault(drops, file_of(tmp_path)) == file_of(tmp_path)
        shutil.rmtree(tmp_path / "alone")
    assert len(requests_in(tmp_path / "requests")) == ROWS // 3


def test_a_new_reason_is_recorded_although_no_row_moves(tmp_path: Path) -> None:
    generate(tmp_path, "ab")
    first = file_of(tmp_path)
    report = generate(tmp_path, "ab", reason="another")
    assert (report.dropped_again, report.returned) == (0, 0)
    assert report.filtered_by_stage == {"letters": {"another": 12}}
    assert file_of(tmp_path) == first


def test_rows_that_come_later_are_behind_the_others_whatever_was_decided_between(tmp_path: Path) -> None:
    generate(tmp_path, "ab", topics=6)
    generate(tmp_path, "cd", topics=6)
    generate(tmp_path, "cd", topics=12)
    generate(tmp_path, None, topics=12)
    numbers = [int(row["text"].split()[1]) for row in rows_of(tmp_path / "out.jsonl")]
    assert len(numbers) == ROWS
    assert set(numbers[:18]) == set(range(6))


def test_rows_lost_from_the_file_are_decided_by_the_stages_of_now(tmp_path: Path) -> None:
    generate(tmp_path, "ab")
    (tmp_path / "out.jsonl").unlink()
    report = generate(tmp_path, "bcd")
    assert (report.written, report.filtered, report.calls) == (18, 18, 0)
    assert {row["text"][-1] for row in rows_of(tmp_path / "out.jsonl")} == set("aef")
    again = generate(tmp_path, "bcd")
    assert (again.dropped_again, again.returned, again.written) == (0, 0, 18)


def test_reasoning_and_stages_may_change_together(tmp_path: Path) -> None:
    def made(drops: str, place: str) -> Any:
        quality = [LettersStage(drops=drops)]
        thinking = ThinkingProvider("m", log=tmp_path / "requests", reply=letters)
        settings: dict[str, Any] = {"topics": 6, "num_samples_per_prompt": 3, "reasoning": place}
        return assert_balanced(raw(tmp_path, quality=quality, **settings).generate([thinking]).report)

    made("ab", "drop")
    for drops, place in (("bcd", "metadata"), ("a", "metadata"), ("", "field"), ("ef", "field"), ("ab", "drop")):
        report = made(drops, place)
        assert report.calls == 0
        found = rows_of(tmp_path / "out.jsonl")
        assert {row["text"][-1] for row in found} == set("abcdef") - set(drops)
        assert len(found) == report.written == 18 - report.filtered
        assert all(
            ("reasoning" in (row if place == "field" else row["metadata"])) == (place != "drop") for row in found
        )
    assert len(requests_in(tmp_path / "requests")) == 6


@pytest.mark.parametrize("removed", ["keep", "move"])
def test_rows_that_have_left_the_plan_are_not_decided_about(tmp_path: Path, removed: str) -> None:
    run = {"removed": removed}
    generate(tmp_path, "ab", topics=12, run=run)
    dataset(tmp_path, "ab", topics=6, run=run).generate([provider(tmp_path)])
    before = {row["uuid"] for row in rows_of(tmp_path / "out.jsonl") if int(row["text"].split()[1]) >= 6}
    report = dataset(tmp_path, "abcdef", topics=6, run=run).generate([provider(tmp_path)]).report
    assert report is not None
    assert (report.written, report.filtered, report.removed) == (0, 18, len(before))
    assert kept(tmp_path) == before
    assert bool(before) == (removed == "keep")
    report = generate(tmp_path, "ab", topics=12, run=run)
    assert (report.written, report.filtered, report.calls) == (24, 12, 0)


@pytest.mark.parametrize("between", ["cdef", ""])
def test_rows_that_come_back_into_the_plan_are_decided_by_the_stages_of_now(tmp_path: Path, between: str) -> None:
    run = {"removed": "keep"}
    generate(tmp_path, "ab", topics=12, run=run)
    for drops in ("ab", between):
        dataset(tmp_path, drops, topics=6, run=run).generate([provider(tmp_path)])
    report = generate(tmp_path, "cdef", topics=12, run=run)
    assert (report.written, report.filtered, report.calls) == (12, 24, 0)
    assert {row["text"][-1] for row in rows_of(tmp_path / "out.jsonl")} == set("ab")
    again = generate(tmp_path, "cdef", topics=12, run=run)
    assert (again.dropped_again, again.returned) == (0, 0)


def test_rows_that_an_item_asks_for_no_more_are_not_decided_about(tmp_path: Path) -> None:
    def made(drops: str, rows: int) -> Any:
        settings: dict[str, Any] = {"num_samples_per_prompt": 3, "num_rows": rows, "run": {"removed": "keep"}}
        stages = [LettersStage(drops=drops)]
        return raw(tmp_path, quality=stages, **settings).generate([provider(tmp_path)]).report

    made("", 18)
    report = made("", 13)
    assert (report.written, report.removed) == (13, 5)
    report = made("abcdef", 13)
    assert (report.written, report.filtered, report.pending, report.removed) == (0, 13, 0, 5)
    assert len(rows_of(tmp_path / "out.jsonl")) == 5
    report = assert_balanced(made("abcdef", 18))
    assert (report.written, report.filtered, report.calls) == (0, 18, 0)
    assert assert_balanced(made("", 18)).written == 18


def test_a_plan_counts_only_rows_that_stay_in_it(tmp_path: Path) -> None:
    generate(tmp_path, "ab")
    change = dataset(tmp_path, "bcd", topics=3).estimate([provider(tmp_path)]).change
    assert change is not None
    dataset(tmp_path, "bcd", topics=3).generate([provider(tmp_path)])
    report = dataset(tmp_path, "ab", topics=3).generate([provider(tmp_path)]).report
    assert report is not None
    assert (change.decided_again, change.stages_drop, change.stages_return) == (
        9,
        report.returned,
        report.dropped_again,
    )


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: data.replace(b"text 3", b"Text 3")]
)
def test_a_plan_buys_nothing_again_where_rows_are_not_in_the_file_as_they_were(tmp_path: Path, damage: Any) -> None:
    generate(tmp_path, "ab")
    (tmp_path / "out.jsonl").write_bytes(damage(file_of(tmp_path)))
    told = dataset(tmp_path, "bcd").estimate([provider(tmp_path)])
    assert told.calls == 0
    assert told.change is not None
    assert 12 < told.change.decided_again < ROWS


def test_rows_without_the_fields_that_a_stage_looks_at_are_made_again_from_recorded_replies(tmp_path: Path) -> None:
    asked = CountingProvider("m", log=tmp_path / "requests")

    def judged(**fields: Any) -> Any:
        return preference(tmp_path, documents=6, run={"ordered": True}, **fields)

    judged().generate_roles(roles(asked))
    plain, sent = file_of(tmp_path), len(requests_in(tmp_path / "requests"))
    change = judged(min_margin=1).estimate_roles(roles(asked)).change
    assert (change.rows_kept, change.other_fields, change.decided_again, change.stages_drop) == (12, True, 12, None)
    assert "Rows have other fields now: 12 rows are made again from recorded replies" in " ".join(change.sentences())
    with pytest.raises(OutputError, match="more than its stages"):
        judged(min_margin=1).generate_roles(roles(asked), decide_only=True)

    report = assert_balanced(judged(min_margin=1).generate_roles(roles(asked)).report)
    assert (report.calls, report.failed, report.pending) == (0, 0, 0)
    assert report.filtered > 0
    assert all(row["margin"] >= 1 for row in rows_of(tmp_path / "out.jsonl"))
    assert [Path(path).read_bytes() for path in report.set_aside] == [plain]
    assert assert_balanced(judged(min_margin=3).generate_roles(roles(asked)).report).set_aside == []
    judged().generate_roles(roles(asked))
    assert (file_of(tmp_path), len(requests_in(tmp_path / "requests"))) == (plain, sent)


class Number:
    """What other libraries have for a number."""

    def __float__(self) -> float:
        return 0.5


class ScoredStage(Stage):
    """Drops texts that end in "a", with a score."""

    stage: Literal["scored"] = "scored"
    kind: Literal["other", "nan", "huge", "text"] = "other"

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        scores: dict[str, Any] = {"other": Number(), "nan": float("nan"), "huge": 10**5000, "text": "high"}
        return drop("scored", scores[self.kind]) if row.text.endswith("a") else KEEP  # type: ignore[attr-defined]


def scored(folder: Path, kind: Any) -> Any:
    settings: dict[str, Any] = {"topics": ROWS // 3, "num_samples_per_prompt": 3}
    made = raw(folder, quality=[ScoredStage(kind=kind)], **settings).generate([provider(folder)])
    return assert_balanced(made.report)


@pytest.mark.parametrize(("kind", "stored"), [("other", 0.5), ("nan", None)])
def test_a_score_may_be_a_number_of_any_library(tmp_path: Path, kind: str, stored: float | None) -> None:
    assert scored(tmp_path, kind).filtered == 6
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database:
        assert database.execute("SELECT DISTINCT score FROM filtered").fetchall() == [(stored,)]


@pytest.mark.parametrize("kind", ["huge", "text"])
def test_a_score_that_is_no_number_costs_its_item_and_not_the_run(tmp_path: Path, kind: str) -> None:
    report = scored(tmp_path, kind)
    assert report.failures == {"stage_error": 18}
    assert (report.written, report.pending) == (18, 0)
    generate(tmp_path, "b")
    with pytest.warns(DatafastWarning, match=r"6 recorded rows stay .* The stage 'scored' gave a score of the type"):
        scored(tmp_path, kind)


def test_a_limited_run_decides_about_all_rows_that_there_are(tmp_path: Path) -> None:
    generate(tmp_path, "ab")
    report = dataset(tmp_path, "bcd").generate([provider(tmp_path)], limit=1).report
    assert assert_balanced(report).written == 18


class Keyless(CountingProvider):
    """A provider that cannot be asked."""

    def require_ready(self) -> None:
        raise MissingKeyError("There is no key.", variable="KEY")


def test_to_decide_only_needs_no_key_and_makes_no_row(tmp_path: Path) -> None:
    dataset(tmp_path, "ab").generate([provider(tmp_path)], limit=6)
    keyless = Keyless("m", log=tmp_path / "requests")
    checked = assert_balanced(dataset(tmp_path, "bcd").generate([keyless], decide_only=True).report)
    assert (checked.written + checked.filtered, checked.pending, checked.calls) == (18, 18, 0)
    assert {row["text"][-1] for row in rows_of(tmp_path / "out.jsonl")} <= set("aef")
    with pytest.raises(MissingKeyError):
        dataset(tmp_path, "bcd").generate([keyless])


def test_to_decide_only_is_refused_where_more_has_changed_than_the_stages(tmp_path: Path) -> None:
    generate(tmp_path, "ab")
    before = file_of(tmp_path)
    with pytest.raises(OutputError, match=r"more than its stages.*Run without --decide-only"):
        dataset(tmp_path, "c", topics=3).generate([provider(tmp_path)], decide_only=True)
    assert file_of(tmp_path) == before


@pytest.mark.parametrize("other", ["fresh", "retry_failed"])
def test_to_decide_only_is_refused_with_what_would_make_rows(tmp_path: Path, other: Any) -> None:
    generate(tmp_path, "ab")
    before = file_of(tmp_path)
    with pytest.raises(
        ConfigError, match=r"^decide_only \(--decide-only\) makes no rows, and .* Leave one of them out\.$"
    ):
        dataset(tmp_path, "c").generate([provider(tmp_path)], decide_only=True, **{other: True})
    assert file_of(tmp_path) == before


def test_to_decide_only_is_refused_where_nothing_is_there_and_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"No rows are recorded yet .* Run without --decide-only"):
        dataset(tmp_path, "c").generate([provider(tmp_path)], decide_only=True)
    assert not list(tmp_path.iterdir())


def test_a_stage_that_raises_leaves_the_verdict_and_says_so(tmp_path: Path) -> None:
    generate(tmp_path, "ab")
    with pytest.warns(
        DatafastWarning,
        match=r"12 recorded rows stay as they were decided before\. The stage 'letters' raised RuntimeError: no idea",
    ):
        report = generate(tmp_path, "c", fails_at="ae")
    assert (report.written, report.filtered) == (18 + 6, 12)
    found = {row["text"][-1] for row in rows_of(tmp_path / "out.jsonl")}
    assert found == set("bdef")


def test_what_a_stage_could_not_decide_about_is_tried_again_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tmp_path, "ab")
    decide = LettersStage.decide

    def down(stage: LettersStage, row: BaseModel, item: WorkItem) -> Verdict:
        raise ConnectionError("the tool is down")

    monkeypatch.setattr(LettersStage, "decide", down)
    with pytest.warns(
        DatafastWarning, match=r"36 recorded rows stay as they were .* is down\. Correct .*--retry-failed"
    ):
        assert generate(tmp_path, "bcd").written == 24
    monkeypatch.setattr(LettersStage, "decide", decide)
    assert generate(tmp_path, "bcd").written == 24
    for returned in (6, 0):
        report = assert_balanced(dataset(tmp_path, "bcd").generate([provider(tmp_path)], retry_failed=True).report)
        assert (report.written, report.returned, report.calls) == (18, returned, 0)


def test_items_that_failed_because_of_a_stage_are_made_from_recorded_replies(tmp_path: Path) -> None:
    first = generate(tmp_path, "a", fails_at="abcdef")
    assert first.failures == {"stage_error": ROWS}
    report = generate(tmp_path, "a")
    assert (report.written, report.filtered, report.failed, report.calls) == (30, 6, 0, 0)


def test_lines_that_were_edited_are_named_and_nothing_happens(tmp_path: Path) -> None:
    generate(tmp_path, "ab")
    edited = file_of(tmp_path).replace(b"text 3", b"Text 3")
    (tmp_path / "out.jsonl").write_bytes(edited)
    with pytest.raises(OutputChangedError, match="changed since datafast wrote"):
        generate(tmp_path, "bcd")
    assert file_of(tmp_path) == edited


def test_without_room_in_the_ledger_nothing_happens_and_no_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tmp_path, "ab")
    before = file_of(tmp_path)

    def full(*args: Any, **kwargs: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "change_verdicts", full)
        with pytest.raises(OutputWriteError, match="disk is full"):
            generate(tmp_path, "bcd")
    assert file_of(tmp_path) == before
    assert not list(tmp_path.glob(".datafast-*"))
    assert generate(tmp_path, "bcd").written == 18


def test_an_output_behind_a_link_stays_behind_it(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out.jsonl").symlink_to(tmp_path / "disk" / "rows.jsonl")
    generate(tmp_path, "ab")
    first = file_of(tmp_path)
    generate(tmp_path, "bcd")
    generate(tmp_path, "ab")
    assert (tmp_path / "out.jsonl").is_symlink()
    assert (tmp_path / "disk" / "rows.jsonl").read_bytes() == first
    assert not list((tmp_path / "disk").glob(".datafast-*"))


def test_a_ledger_of_the_format_before_is_decided_anew_too(tmp_path: Path) -> None:
    generate(tmp_path, "ab")
    first = rows_of(tmp_path / "out.jsonl")
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database:
        names = (
            "SELECT type, name FROM sqlite_master WHERE type = 'trigger' OR (type = 'table' AND name LIKE 'sealed%')"
        )
        for what, name in sorted(database.execute(names).fetchall(), reverse=True):  # triggers before their tables
            database.execute(f"DROP {what} {name}")
        database.executescript(
            "DROP TABLE replies; DROP TABLE dictionaries; ALTER TABLE calls DROP COLUMN stored;"
            "DROP TABLE changed; DROP TABLE contexts; DROP INDEX filtered_of_place; DROP INDEX filtered_generations;"
            "ALTER TABLE filtered DROP COLUMN generation; ALTER TABLE filtered DROP COLUMN hidden;"
            "ALTER TABLE filtered DROP COLUMN place; ALTER TABLE filtered DROP COLUMN score;"
            "DELETE FROM appends WHERE num_rows = 0;"
            "UPDATE meta SET value = '3' WHERE name = 'format'"
        )
    generate(tmp_path, None)
    assert len(rows_of(tmp_path / "out.jsonl")) == ROWS
    generate(tmp_path, "ab")
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)
