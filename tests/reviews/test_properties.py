"""Whatever people do in whatever order: what was written is read back, undone, cut at any byte and merged."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.errors import ConfigError
from datafast.reviews import Reviews, ReviewState, RowKey
from tests.reviews.test_book import ROWS, a_file, book

NAMES = ("ann", "bob")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
ACTIONS = st.one_of(
    st.tuples(st.just("accept"), st.integers(0, 2), st.none()),
    st.tuples(st.just("reject"), st.integers(0, 2), TEXTS),
    st.tuples(st.just("edit"), st.integers(0, 2), TEXTS),
    st.tuples(st.just("label"), st.integers(0, 2), TEXTS | st.integers(0, 2**70) | st.none()),
    st.tuples(st.just("undo"), st.none(), st.booleans()),
)
SEQUENCES = st.lists(st.tuples(st.sampled_from(NAMES), ACTIONS), max_size=12)


def do(books: dict[str, Reviews], name: str, action: tuple[str, Any, Any]) -> None:
    what, number, value = action
    own = books[name]
    if what == "undo":
        records = list(own.decisions.by_id.values())
        own.undo(records[-1] if value and records else None)
        return
    row = ROWS[number]
    acts: dict[str, Callable[[], Any]] = {
        "accept": lambda: own.accept(row),
        "reject": lambda: own.reject(row, value),
        "edit": lambda: own.edit(row, text=value),
        "label": lambda: own.label(row, "name", value),
    }
    with contextlib.suppress(ConfigError):  # an edit to what it is already, a number that JSON cannot hold
        acts[what]()


def states(reviews: Reviews) -> list[ReviewState]:
    return [one.state for one in reviews.rows()]


@settings(deadline=None, max_examples=40)
@given(SEQUENCES)
def test_what_was_done_is_read_back_and_all_of_it_can_be_undone(sequence: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = a_file(Path(folder))
        books = {name: book(path, name) for name in NAMES}
        for name, action in sequence:
            do(books, name, action)
        found = states(books["ann"])
        assert states(books["bob"]) == found == states(book(path))
        mark = books["ann"].decisions.mark
        undone = books["ann"].undo()
        if undone is not None:
            books["ann"].undo(books["ann"].history(_row_of(undone.row))[-1])
            assert states(books["bob"]) == found
            assert books["ann"].decisions.mark == mark
        for own in books.values():
            while own.undo() is not None:
                pass
        for state in states(book(path)):
            assert (state.verdict, state.fields, state.labels, state.stale) == (None, {}, {}, [])
        assert book(path).decisions.mark == ""


def _row_of(name: str) -> Any:
    return next(row for row in ROWS if RowKey.of(row).row == name)


@settings(deadline=None, max_examples=25)
@given(SEQUENCES, st.floats(0, 1))
def test_a_file_that_is_cut_anywhere_has_its_first_decisions(sequence: list[Any], share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = a_file(Path(folder))
        books = {name: book(path, name) for name in NAMES}
        for name, action in sequence:
            do(books, name, action)
        file = books["ann"].path
        if not file.exists():
            return
        whole = file.read_bytes()
        cut = whole[: int(len(whole) * share)]
        file.write_bytes(cut)
        ids = [record.id for record in books["ann"].decisions.by_id.values()]
        left = [record.id for record in book(path).decisions.by_id.values()]
        assert left == ids[: cut.count(b"\n")]
        book(path).accept(ROWS[0])
        assert file.read_bytes().startswith(cut[: cut.rfind(b"\n") + 1])


@settings(deadline=None, max_examples=25)
@given(SEQUENCES, SEQUENCES)
def test_files_are_merged_in_any_order(one: list[Any], other: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, sequence in enumerate((one, other)):
            place = Path(folder) / f"{number}"
            place.mkdir()
            paths.append(a_file(place))
            own = book(paths[-1], NAMES[number])
            for _, action in sequence:
                do(dict.fromkeys(NAMES, own), NAMES[number], action)
        sources = [path.with_name("copy.reviews") for path in paths]
        for path, source in zip(paths, sources, strict=True):
            kept = book(path).path
            source.write_bytes(kept.read_bytes() if kept.exists() else b"")
        for path, source in zip(paths, reversed(sources), strict=True):
            book(path).import_from(source)
        assert states(book(paths[0])) == states(book(paths[1]))
