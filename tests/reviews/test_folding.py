"""Runs fold decisions in: they overrule stages, move nothing else, and cost nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from zipfile import ZipFile

import orjson
import pytest
from pydantic import BaseModel

import datafast
from datafast.datasets import RawDataset
from datafast.errors import DatafastWarning, OutputError
from datafast.llms import SimulatedProvider
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict
from datafast.store.reader import LedgerReader
from tests.support import CountingProvider, ThinkingProvider, assert_balanced, raw, requests_in

SHORT = [{"stage": "keep_if", "expression": "metadata.topic == 'topic 4'"}]
ECHO = [{"stage": "exact_duplicates"}]


def run(folder: Path, *, topics: int = 5, generate: dict[str, Any] | None = None, **fields: Any) -> RawDataset:
    dataset = raw(folder, topics=topics, **fields)
    dataset.generate([CountingProvider("m", log=folder / "requests")], **(generate or {}))
    assert dataset.report is not None
    assert_balanced(dataset.report)
    return dataset


def lines(folder: Path) -> bytes:
    return (folder / "out.jsonl").read_bytes()


def test_a_rejected_row_is_filtered_and_comes_back_with_the_undo(tmp_path: Path) -> None:
    dataset = run(tmp_path)
    before = lines(tmp_path)
    reviews = dataset.reviews()
    reviews.reject(dataset.data_rows[1], "dull")
    told = run(tmp_path).report
    assert told is not None
    assert (told.written, told.filtered, told.filtered_by_stage) == (4, 1, {"review": {"dull": 1}})
    assert lines(tmp_path) == b"".join(line for n, line in enumerate(before.splitlines(keepends=True)) if n != 1)
    reviews.path.write_bytes(reviews.path.read_bytes().rstrip(b"\n"))  # as an editor leaves it
    assert run(tmp_path).report.filtered == 1  # type: ignore[union-attr]
    reviews.undo()
    run(tmp_path)
    assert lines(tmp_path) == before
    assert len(requests_in(tmp_path / "requests")) == 5


def test_an_accepted_row_stays_although_a_stage_drops_it(tmp_path: Path) -> None:
    dataset = run(tmp_path)
    before = lines(tmp_path).splitlines(keepends=True)
    dataset.reviews().accept(dataset.data_rows[2])
    told = run(tmp_path, quality=SHORT).report
    assert told is not None
    assert (told.written, told.filtered) == (2, 3)
    assert before[2] in lines(tmp_path).splitlines(keepends=True)


def test_a_dropped_row_that_is_accepted_comes_back(tmp_path: Path) -> None:
    dataset = run(tmp_path, quality=SHORT)
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        assert reader.filtered.counts().total() == 4
    reviews = dataset.reviews()
    dropped = [one.row for one in reviews.rows(dropped=True) if one.dropped_by]
    reviews.accept(dropped[0])
    run(tmp_path, quality=SHORT, generate={"decide_only": True})
    assert dropped[0]["uuid"] in [row.uuid for row in dataset.data_rows]
    assert len(list(dataset.data_rows)) == 2
    assert len(requests_in(tmp_path / "requests")) == 5


def test_an_accepted_row_is_kept_by_what_compares_rows_and_others_are_compared_with_it(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=4)
    dataset.generate([SimulatedProvider("m")])
    reviews = dataset.reviews()
    same = "All of these say the same."
    for row in list(dataset.data_rows):
        reviews.edit(row, text=same)
    again = raw(tmp_path, topics=4, quality=ECHO).generate([SimulatedProvider("m")])
    assert again.report is not None
    assert_balanced(again.report)
    assert (again.report.written, again.report.filtered) == (4, 0)  # an edit accepts
    reviews.undo()  # of the last row
    row = list(again.data_rows)[-1]
    assert row.text == same
    told = raw(tmp_path, topics=4, quality=ECHO).generate([SimulatedProvider("m")]).report
    assert told is not None
    assert (told.written, told.filtered) == (4, 0)  # it says something of its own again


def test_an_edited_row_keeps_its_original_and_stays_edited(tmp_path: Path) -> None:
    dataset = run(tmp_path)
    before = lines(tmp_path)
    row = dataset.data_rows[0]
    reviews = dataset.reviews()
    reviews.edit(row, text="A text of mine.")
    told = run(tmp_path).report
    assert told is not None
    assert told.changed_again == 1
    edited = lines(tmp_path)
    assert dataset.data_rows[0].text == "A text of mine."
    assert reviews.state(dataset.data_rows[0]).verdict == "accepted"
    for _ in range(2):
        run(tmp_path, quality=SHORT)
        assert edited.splitlines()[0] in lines(tmp_path).splitlines()
        run(tmp_path, generate={"decide_only": True})
        assert lines(tmp_path) == edited
    (tmp_path / "out.jsonl").unlink()  # it is built again from recorded replies
    run(tmp_path)
    assert sorted(lines(tmp_path).splitlines()) == sorted(edited.splitlines())
    reviews.undo()
    run(tmp_path)
    assert sorted(lines(tmp_path).splitlines()) == sorted(before.splitlines())
    assert len(requests_in(tmp_path / "requests")) == 5


def test_decisions_about_another_text_change_nothing(tmp_path: Path) -> None:
    dataset = run(tmp_path)
    before = lines(tmp_path)
    row = dataset.data_rows[0].model_dump()
    dataset.reviews().reject({**row, "text": "what it does not say"}, "dull")
    told = run(tmp_path).report
    assert told is not None
    assert told.filtered == 0
    assert lines(tmp_path) == before
    assert dataset.reviews().progress().stale == 1


def test_decisions_that_did_not_change_decide_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = run(tmp_path)
    reviews = dataset.reviews()
    reviews.reject(dataset.data_rows[0], "dull")
    run(tmp_path)
    reviews.note(dataset.data_rows[0], "Fine.")
    reviews.label(dataset.data_rows[0], "tone", "dry")

    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError("decided again")

    monkeypatch.setattr("datafast.store.deciding._decide", never)
    run(tmp_path)
    reviews.undo()
    reviews.undo()
    run(tmp_path)
    reviews.undo()
    with pytest.raises(AssertionError, match="decided again"):
        run(tmp_path)


def test_a_rejected_row_is_made_again_with_what_the_reviewer_said(tmp_path: Path) -> None:
    dataset = run(tmp_path, regenerate=2)
    row = dataset.data_rows[0]
    reviews = dataset.reviews()
    reviews.reject(row, "dull", note="Name the harbour.")
    told = run(tmp_path, regenerate=2).report
    assert told is not None
    assert (told.written, told.filtered) == (5, 0)
    assert len(requests_in(tmp_path / "requests")) == 6
    again = next(one for one in dataset.data_rows if one.uuid == row.uuid)
    assert again.text != row.text
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        (context,) = (one for item in range(1, 6) for one in reader.contexts.of(item))
    assert context.notes == ("dull; Name the harbour.",)
    assert reviews.state(again).is_stale
    after = lines(tmp_path)
    reviews.note(row, "More of it.")  # what a model was told does not change
    run(tmp_path, regenerate=2)
    (tmp_path / "out.jsonl").unlink()
    run(tmp_path, regenerate=2)
    assert sorted(lines(tmp_path).splitlines()) == sorted(after.splitlines())
    assert len(requests_in(tmp_path / "requests")) == 6
    reviews.undo()
    reviews.undo()  # the rejection
    run(tmp_path, regenerate=2)
    assert row.text in lines(tmp_path).decode()
    assert len(requests_in(tmp_path / "requests")) == 6


def test_each_text_of_a_row_that_was_rejected_stays_rejected(tmp_path: Path) -> None:
    dataset = run(tmp_path, regenerate=2)
    before, reviews = lines(tmp_path), dataset.reviews()
    uuid, texts = dataset.data_rows[0].uuid, set[str]()
    for number, (written, requests) in enumerate(((5, 6), (5, 7), (4, 7))):
        row = next(one for one in dataset.data_rows if one.uuid == uuid)
        texts.add(row.text)
        reviews.reject(row, f"dull {number}")
        told = run(tmp_path, regenerate=2).report
        assert told is not None
        assert (told.written, len(requests_in(tmp_path / "requests"))) == (written, requests)
    assert len(texts) == 3
    assert told.filtered_by_stage == {"review": {"dull 2": 1}}
    while reviews.undo() is not None:
        pass
    run(tmp_path, regenerate=2)
    assert (lines(tmp_path), len(requests_in(tmp_path / "requests"))) == (before, 7)


def test_the_prompt_says_what_the_reviewer_said(tmp_path: Path) -> None:
    dataset = run(tmp_path, topics=1, regenerate=1)
    dataset.reviews().reject(dataset.data_rows[0], "dull", note="Name the harbour.")
    run(tmp_path, topics=1, regenerate=1)
    asked = (tmp_path / "requests").read_text().splitlines()
    assert len(asked) == 2
    assert "This was said about it: dull; Name the harbour. Heed it" in asked[1]


def test_a_plan_says_how_many_rows_would_change(tmp_path: Path) -> None:
    dataset = run(tmp_path)
    reviews = dataset.reviews()
    reviews.reject(dataset.data_rows[0], "dull")
    reviews.edit(dataset.data_rows[1], text="mine")
    change = raw(tmp_path, topics=5).estimate([SimulatedProvider("m")]).change
    assert change is not None
    assert (change.decided_again, change.stages_drop, change.stages_change) == (5, 1, 1)


def test_a_fresh_start_has_no_decisions(tmp_path: Path) -> None:
    dataset = run(tmp_path)
    dataset.reviews().reject(dataset.data_rows[0], "dull")
    told = run(tmp_path, generate={"fresh": True}).report
    assert told is not None
    assert told.filtered == 0
    assert not (tmp_path / "out.jsonl.reviews").exists()
    assert len(list(tmp_path.glob("out.jsonl.reviews.*.bak"))) == 1


def test_an_edit_that_rows_may_not_have_leaves_the_row_and_is_told(tmp_path: Path) -> None:
    from datafast.reviews import Reviews

    dataset = run(tmp_path)
    before = lines(tmp_path)
    Reviews(dataset.paths).edit(dataset.data_rows[0], text=7)  # without a row model it is not known
    with pytest.warns(
        DatafastWarning,
        match="1 recorded row stays as it was decided before. The first cannot be edited as a reviewer has: text: ",
    ):
        run(tmp_path)
    assert lines(tmp_path) == before


def test_an_edit_that_a_new_row_may_not_have_costs_no_row(tmp_path: Path) -> None:
    from datafast.reviews import Reviews

    (tmp_path / "made").mkdir()
    dataset = run(tmp_path / "made", num_samples_per_prompt=2)
    Reviews(dataset.paths).edit(dataset.data_rows[0], text=7)
    dataset.paths.reviews.rename(tmp_path / "out.jsonl.reviews")
    with pytest.warns(
        DatafastWarning, match="A new row stays as stages leave it. It cannot be edited .* text: .* Take the"
    ):
        told = run(tmp_path, num_samples_per_prompt=2).report
    assert told is not None
    assert (told.written, told.failed) == (10, 0)
    assert sorted(lines(tmp_path).splitlines()) == sorted(lines(tmp_path / "made").splitlines())


def test_what_models_thought_can_be_edited_where_it_is_a_field(tmp_path: Path) -> None:
    def told() -> list[str | None]:
        dataset = raw(tmp_path, topics=2, reasoning="field")
        dataset.generate([ThinkingProvider("m", log=tmp_path / "requests")])
        assert_balanced(dataset.report)
        return [row.reasoning for row in dataset.data_rows]  # type: ignore[attr-defined]

    thoughts, before = told(), lines(tmp_path)
    reviews = raw(tmp_path, topics=2, reasoning="field").reviews()
    reviews.edit(orjson.loads(before.splitlines()[0]), reasoning="A thought of mine.")
    assert told() == ["A thought of mine.", thoughts[1]]
    state = reviews.state(orjson.loads(lines(tmp_path).splitlines()[0]))
    assert (state.verdict, state.is_edited) == ("accepted", False)
    (tmp_path / "out.jsonl").unlink()  # it is built again from recorded replies
    assert sorted(told(), key=str) == sorted(["A thought of mine.", thoughts[1]], key=str)
    reviews.undo()
    assert sorted(told(), key=str) == sorted(thoughts, key=str)
    assert len(requests_in(tmp_path / "requests")) == 2


def test_only_rows_that_were_decided_about_are_looked_at_again(tmp_path: Path) -> None:
    class Seen(Stage):
        stage: Literal["seen"] = "seen"

        def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
            seen.append(row.uuid)  # type: ignore[attr-defined]
            return KEEP

    seen: list[str] = []
    dataset = run(tmp_path, quality=[Seen()])
    rows = list(dataset.data_rows)
    reviews = dataset.reviews()
    for number, acts in enumerate((reviews.reject, reviews.accept)):
        seen.clear()
        acts(rows[number])
        run(tmp_path, quality=[Seen()])
        assert seen == [rows[number].uuid]
    seen.clear()
    reviews.undo()
    reviews.undo()
    run(tmp_path, quality=[Seen()])
    assert sorted(seen) == sorted(row.uuid for row in rows[:2])
    reviews.path.unlink()
    dataset.reviews().accept(rows[3])
    seen.clear()
    run(tmp_path, quality=[Seen()])
    assert len(seen) == 5, "the decisions are not those of before and some more"


def test_another_rule_for_those_who_disagree_decides_about_all_rows(tmp_path: Path) -> None:
    dataset = run(tmp_path)
    reviews = dataset.reviews()
    for name, acts in (("ann", reviews.accept), ("bob", reviews.reject), ("cy", reviews.accept)):
        acts(dataset.data_rows[0], reviewer=name)
    rules: list[tuple[str, int]] = [("reject", 4), ("majority", 5), ("reject", 4), ("newest", 5)]
    for rule, written in rules:
        told = run(tmp_path, disagreement=rule).report
        assert told is not None
        assert (rule, told.written) == (rule, written)
    assert len(requests_in(tmp_path / "requests")) == 5


def test_without_the_file_nothing_was_decided(tmp_path: Path) -> None:
    dataset = run(tmp_path)
    before = lines(tmp_path)
    dataset.reviews().reject(dataset.data_rows[0], "dull")
    dataset.reviews().edit(dataset.data_rows[1], text="mine")
    run(tmp_path)
    assert lines(tmp_path) != before
    dataset.reviews().path.unlink()
    run(tmp_path)
    assert lines(tmp_path) == before


def test_what_reviewers_have_changed_is_replayed_and_packed(tmp_path: Path) -> None:
    dataset = run(tmp_path, regenerate=1)
    rows = list(dataset.data_rows)
    reviews = dataset.reviews()
    reviews.edit(rows[0], text="A text of mine.")
    reviews.reject(rows[1], "dull")
    run(tmp_path, regenerate=1)
    reviews.reject(rows[2], "after the run")  # which the rows do not show yet
    after = lines(tmp_path)
    assert dataset.replay(tmp_path / "again.jsonl").size == len(after)
    assert (tmp_path / "again.jsonl").read_bytes() == after
    dataset.pack(tmp_path / "all.zip")
    with ZipFile(tmp_path / "all.zip") as archive:
        archive.extractall(tmp_path / "there")
    there = datafast.load(tmp_path / "there" / "out.jsonl")
    assert there.reviews().progress().by_reviewer == reviews.progress().by_reviewer
    reviews.path.unlink()
    with pytest.raises(OutputError, match="has not the decisions of reviewers"):
        dataset.replay(tmp_path / "more.jsonl")


def test_judges_are_not_asked_about_a_rejected_row(tmp_path: Path) -> None:
    judge = {"stage": "judge", "providers": [CountingProvider("judge", log=tmp_path / "requests")]}
    dataset = run(tmp_path)
    dataset.reviews().reject(dataset.data_rows[0], "dull")
    dataset.reviews().accept(dataset.data_rows[1])
    with pytest.warns(DatafastWarning, match="4 calls of stages are missing"):
        told = run(tmp_path, quality=[judge], generate={"decide_only": True}).report
    assert told is not None
    assert told.filtered_by_stage == {"review": {"dull": 1}}
    told = run(tmp_path, quality=[judge]).report
    assert told is not None
    assert told.filtered_by_stage["review"] == {"dull": 1}
    assert len([one for one in requests_in(tmp_path / "requests") if one[0] == "simulated/judge"]) == 4
