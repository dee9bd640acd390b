"""Decisions about rows: written, read back, taken back."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import datafast
from datafast.errors import ConfigError, OutputChangedError, OutputError, OutputInUseError
from datafast.llms import SimulatedProvider
from datafast.reviews import Reviews
from datafast.store.paths import OutputPaths
from datafast.store.review_file import lock_of
from tests.support import raw

ROWS = [{"id": number, "text": f"text {number}", "metadata": {"topic": "ice"}} for number in range(4)]


def a_file(folder: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def book(path: Path, reviewer: str = "ann", **more: Any) -> Reviews:
    return Reviews(OutputPaths.of(path), reviewer=reviewer, **more)


def test_what_is_decided_is_read_back_by_others(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    ann = book(path)
    ann.accept(ROWS[0])
    ann.reject(ROWS[1], "dull", note="Name the place.")
    ann.edit(ROWS[2], text="better")
    ann.label(ROWS[3], "tone", "dry")
    states = [one.state for one in book(path, "bob").rows()]
    assert [state.verdict for state in states] == ["accepted", "rejected", "accepted", None]
    assert states[1].reason == "dull"
    assert [note.text for note in states[1].notes] == ["Name the place."]
    assert states[2].fields == {"text": "better"}
    assert states[3].labels == {"tone": {"ann": "dry"}}


def test_an_undo_takes_the_newest_decision_of_its_reviewer_back(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    ann, bob = book(path), book(path, "bob")
    ann.accept(ROWS[0])
    ann.reject(ROWS[0], "dull")
    bob.note(ROWS[0], "hm")
    undone = ann.undo()
    assert undone is not None
    assert undone.action == "reject"
    assert bob.state(ROWS[0]).verdict == "accepted"
    ann.undo(ann.history(ROWS[0])[-1])  # the undo itself
    assert ann.state(ROWS[0]).verdict == "rejected"
    ann.undo()
    ann.undo()
    assert ann.undo() is None
    assert ann.state(ROWS[0]).verdict is None


def test_an_edit_goes_on_from_the_one_before_it(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    ann, bob = book(path), book(path, "bob")
    first = ann.edit(ROWS[0], text="one")
    second = bob.edit(ROWS[0], id=7)
    assert (first.before, second.before) == ({"text": "text 0"}, {"id": 0})
    state = ann.state(ROWS[0])
    assert state.fields == {"text": "one", "id": 7}
    assert list(state.by_reviewer) == ["bob"]
    assert [one.reviewer for one in state.stale] == ["ann"]
    ann.undo()  # what bob has edited is not there any more
    assert ann.state(ROWS[0]).fields == {}
    assert ann.state(ROWS[0]).is_stale


def test_a_row_that_was_edited_since_it_was_shown_is_not_decided_about(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    ann, bob = book(path), book(path, "bob")
    shown = bob.state(ROWS[0]).becomes
    ann.edit(ROWS[0], text="one")
    with pytest.raises(OutputChangedError, match="edited since it was shown"):
        bob.accept(ROWS[0], seen=shown)
    bob.accept(ROWS[0], seen=bob.state(ROWS[0]).becomes)


@pytest.mark.parametrize(
    ("disagreement", "verdict"), [("reject", "rejected"), ("majority", "accepted"), ("newest", "accepted")]
)
def test_where_reviewers_disagree_the_rule_decides(tmp_path: Path, disagreement: Any, verdict: str) -> None:
    path = a_file(tmp_path)
    book(path, "ann").accept(ROWS[0])
    book(path, "bob").reject(ROWS[0], "dull")
    book(path, "cid").accept(ROWS[0])
    state = book(path, disagreement=disagreement).state(ROWS[0])
    assert state.verdict == verdict
    assert state.is_disputed


def test_as_many_for_as_against_is_no_majority(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    book(path, "ann").accept(ROWS[0])
    book(path, "bob").reject(ROWS[0], "dull")
    state = book(path, disagreement="majority").state(ROWS[0])
    assert state.verdict is None
    assert book(path, disagreement="majority").progress().undecided == 1


def test_a_row_that_says_something_else_by_now_is_stale(tmp_path: Path) -> None:
    row = {"uuid": "u-1", "text": "one", "metadata": {"score": 1}}
    ann = book(a_file(tmp_path, [row]))
    ann.accept(row)
    assert ann.state({**row, "metadata": {"score": 2}, "more": None}).verdict == "accepted"  # it says the same
    state = ann.state({**row, "text": "two"})
    assert state.verdict is None
    assert state.is_stale


def test_an_edit_is_checked_by_the_row_model(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=1).generate([SimulatedProvider("m")])
    (row,) = dataset.data_rows
    for reviews in (dataset.reviews(), datafast.load(tmp_path / "out.jsonl").reviews()):
        with pytest.raises(ConfigError, match=r"^text: .*string"):
            reviews.edit(row, text=3)
        with pytest.raises(ConfigError, match=r"^txt: Rows have no such field.*'text'"):
            reviews.edit(row, txt="a")
        with pytest.raises(ConfigError, match=r"^uuid: .* is not edited"):
            reviews.edit(row, uuid="a")
        with pytest.raises(ConfigError, match="has these values already"):
            reviews.edit(row, text=row.text)  # type: ignore[attr-defined]
    assert not (tmp_path / "out.jsonl.reviews").exists()


def test_rows_are_found_by_their_uuid(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=3).generate([SimulatedProvider("m")])
    row = dataset.data_rows[1]
    reviews = dataset.reviews()
    reviews.reject(row.uuid, "dull")  # type: ignore[attr-defined]
    assert reviews.state(row).verdict == "rejected"
    with pytest.raises(ConfigError, match="There is no row nobody"):
        reviews.accept("nobody")


def test_a_last_line_that_was_cut_short_is_left_out_and_goes(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    ann = book(path)
    ann.accept(ROWS[0])
    whole = ann.path.read_bytes()
    for end in (1, len(whole) // 2, len(whole) - 2):
        ann.path.write_bytes(whole + whole[:end])
        found = book(path)
        assert found.state(ROWS[0]).verdict == "accepted"
        found.note(ROWS[0], "x")
        assert ann.path.read_bytes().count(b"\n") == 2
        assert len(book(path).history(ROWS[0])) == 2


def test_a_last_line_without_its_newline_is_kept(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    ann = book(path)
    ann.accept(ROWS[0])
    ann.path.write_bytes(ann.path.read_bytes().rstrip(b"\n"))
    book(path).reject(ROWS[1], "dull")
    assert [one.state.verdict for one in book(path).rows()] == ["accepted", "rejected", None, None]


@pytest.mark.parametrize(
    "line", ["{}", "what", '{"version":1,"action":"burn"}', '{"version":2,"action":"accept"}', "[1]"]
)
def test_a_line_that_is_no_decision_is_named(tmp_path: Path, line: str) -> None:
    path = a_file(tmp_path)
    book(path).accept(ROWS[0])
    with (tmp_path / "rows.jsonl.reviews").open("a") as file:
        file.write(f"{line}\n")
    reviews = book(path)
    for _ in range(2):
        with pytest.raises(OutputError, match=r"rows\.jsonl\.reviews: line 2: This"):
            reviews.progress()


def test_a_process_that_waits_too_long_for_another_is_told(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    ann = book(path, wait_s=0.01)
    with (
        FileLock(lock_of(ann.path)),
        pytest.raises(OutputInUseError, match=r"^Another process is writing to .*rows\.jsonl\.reviews"),
    ):
        ann.accept(ROWS[0])
    ann.accept(ROWS[0])


def _decide(path: Path, reviewer: str) -> None:
    reviews = book(path, reviewer, wait_s=60)
    for row in ROWS * 5:
        reviews.note(row, f"by {reviewer}")


def test_two_processes_decide_at_once(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_decide, args=(path, name)) for name in ("ann", "bob")]
    for other in others:
        other.start()
    for other in others:
        other.join()
    found = book(path)
    assert found.progress().by_reviewer["ann"].notes == 20
    assert found.progress().by_reviewer["bob"].notes == 20
    times = [record.at for record in found.decisions.by_id.values()]
    assert times == sorted(times)


def test_decisions_of_another_file_are_added_once(tmp_path: Path) -> None:
    one, other = a_file(tmp_path), tmp_path / "copy.jsonl"
    other.write_bytes(one.read_bytes())
    book(one, "ann").accept(ROWS[0])
    book(other, "bob").reject(ROWS[1], "dull")
    theirs = tmp_path / "copy.jsonl.reviews"
    theirs.write_bytes(theirs.read_bytes().rstrip(b"\n"))  # as an editor left it
    assert book(one).import_from(theirs) == 1
    assert book(one).import_from(theirs) == 0
    assert [one.state.verdict for one in book(one).rows()] == ["accepted", "rejected", None, None]


def test_a_name_that_nobody_has_is_refused(tmp_path: Path) -> None:
    for name in ("", " ", "a\x1b[31m", "x" * 101):
        with pytest.raises(ConfigError, match=r"^reviewer: "):
            book(a_file(tmp_path), name)


def test_a_table_has_a_column_for_each_field_that_a_row_has(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": 2, "b": [3]}\n')
    reviews = datafast.load(tmp_path / "rows.jsonl").reviews()
    for row in ({"a": 1}, {"a": 2, "b": [3]}):
        reviews.accept(row)
    assert reviews.export(tmp_path / "rows.csv", accepted=True) == 2
    assert (tmp_path / "rows.csv").read_text().split() == ["a,b", "1,", "2,[3]"]
    assert reviews.export(tmp_path / "decisions.csv") == 2
    assert (tmp_path / "decisions.csv").read_text().splitlines()[0].endswith(",row.a,row.b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"score": float("nan")}]], ids=str)
def test_what_json_has_no_number_for_is_refused(tmp_path: Path, value: Any) -> None:
    path = a_file(tmp_path)
    for decide in (lambda: book(path).label(ROWS[0], "score", value), lambda: book(path).edit(ROWS[0], text=value)):
        with pytest.raises(ConfigError, match="Give a value that JSON can hold"):
            decide()
    assert not OutputPaths.of(path).reviews.exists()


def test_rows_that_share_a_uuid_are_decided_about_each_by_itself(tmp_path: Path) -> None:
    rows = [{"uuid": "same", "text": f"text {number}"} for number in range(3)]
    path = a_file(tmp_path, rows)
    ann = book(path)
    ann.accept(rows[0])
    ann.edit(rows[1], text="better")
    ann.reject(rows[2], "dull")
    states = [one.state for one in book(path).rows()]
    assert [state.verdict for state in states] == ["accepted", "accepted", "rejected"]
    assert [dict(state.fields) for state in states] == [{}, {"text": "better"}, {}]
    assert not any(state.stale for state in states)
