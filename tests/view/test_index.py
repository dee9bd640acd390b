"""Rows are found by their numbers, in a file that grows at any byte, is replaced, or is edited."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.view import index as module
from datafast.view.index import RowIndex

LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [b'{"text": "a"}', b'{"text": "\\n"}', b"", b"{broken", b"[1, 2]", b"\x00\xff", b'{"a": "\xe2\x80\xa8"}']
        ),
        st.integers(0, 90).map(lambda size: b'{"text": "' + b"x" * size + b'"}'),
    ),
    max_size=40,
)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """All borders are met by a few rows."""
    for name, value in {"_BLOCK": 32, "_STEP": 48, "_READ": 40, "_MARK": 16}.items():
        monkeypatch.setattr(module, name, value)


def through(index: RowIndex) -> RowIndex:
    while index.step():
        pass
    return index


def found(index: RowIndex, start: int = 0, count: int = 1_000) -> list[bytes | None]:
    return [line.data for line in index.lines(start, count)]


def scanned(index: RowIndex, first: int = 0, at: int = 0) -> list[bytes]:
    lines = []
    for part in index.scan(first, at):
        assert part.first == first + len(lines)
        lines += part.data.removesuffix(b"\n").split(b"\n")
    return lines


@given(lines=LINES, start=st.integers(0, 45), count=st.integers(0, 45))
@settings(deadline=None)
def test_any_rows_are_read_from_any_place(tmp_path_factory: Any, lines: list[bytes], start: int, count: int) -> None:
    path = tmp_path_factory.mktemp("index") / "rows.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    index = through(RowIndex(path))
    assert index.count() == (len(lines), True)
    assert found(index, start, count) == lines[start : start + count]
    assert scanned(index) == lines
    for line in index.lines(start, count):
        assert path.read_bytes()[line.start : line.start + line.size] == line.data


@given(lines=LINES, cuts=st.lists(st.integers(0, 2_000), max_size=6), steps=st.lists(st.integers(0, 5), max_size=6))
@settings(deadline=None)
def test_a_file_that_grows_at_any_byte_is_followed(
    tmp_path_factory: Any, lines: list[bytes], cuts: list[int], steps: list[int]
) -> None:
    path = tmp_path_factory.mktemp("index") / "rows.jsonl"
    whole = b"".join(line + b"\n" for line in lines)
    index = RowIndex(path)
    assert index.count() == (0, True)
    at = 0
    for cut, num_steps in zip(sorted(cuts), [*steps, *[0] * 6], strict=False):
        with path.open("ab") as file:
            file.write(whole[at : max(at, cut)])
        at = min(max(at, cut), len(whole))
        for _ in range(num_steps):
            index.step()
        complete = whole[:at].count(b"\n")
        assert found(index)[:complete] == lines[:complete]
        assert index.known <= complete + 1
    with path.open("ab") as file:
        file.write(whole[at:])
    through(index)
    assert index.count() == (len(lines), True)
    assert found(index) == lines
    assert index.generation == 0


@given(lines=LINES, cut=st.integers(0, 2_000))
@settings(deadline=None)
def test_a_pass_goes_on_where_it_was_when_the_file_has_grown(
    tmp_path_factory: Any, lines: list[bytes], cut: int
) -> None:
    path = tmp_path_factory.mktemp("index") / "rows.jsonl"
    whole = b"".join(line + b"\n" for line in lines)
    path.write_bytes(whole[:cut])
    index = RowIndex(path)
    seen, at = [], 0
    for part in index.scan():
        seen += part.data.removesuffix(b"\n").split(b"\n")
        at = part.end
    path.write_bytes(whole)
    assert seen + scanned(index, len(seen), at) == lines


def test_the_first_rows_need_no_index(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"n": 1}\n' * 1_000)
    index = RowIndex(path)
    assert found(index, 0, 3) == [b'{"n": 1}'] * 3
    assert index.known == 0
    assert index.count().rows == 1_000
    assert not index.count().exact
    index.step()
    assert found(index, 990, 1) == []
    assert 900 <= index.count().rows <= 1_100
    assert through(index).count() == (1_000, True)


@pytest.mark.parametrize(("tail", "rows"), [(b'{"a": 2}', 2), (b'{"a": "half', 1), (b"17", 1), (b"", 1)])
def test_a_last_line_without_a_newline_is_a_row_once_it_is_whole(tmp_path: Path, tail: bytes, rows: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' + tail)
    index = through(RowIndex(path))
    assert index.count() == (rows, True)
    assert len(found(index)) == len(scanned(index)) == rows


def test_a_row_that_was_taken_without_its_newline_is_one_row_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}')
    index = through(RowIndex(path))
    with path.open("ab") as file:
        file.write(b'\n{"a": 2}\n')
    assert through(index).count() == (2, True)
    assert index.generation == 0


def test_a_row_that_was_no_row_after_all_is_counted_anew(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}')
    index = through(RowIndex(path))
    with path.open("ab") as file:
        file.write(b'{"a": 2}\n')
    assert through(index).count() == (1, True)
    assert index.generation == 1


def test_a_file_that_is_replaced_is_counted_anew(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 50)
    index = through(RowIndex(path))
    other = tmp_path / "other"
    other.write_bytes(b'{"b": 22}\n' * 70)
    other.replace(path)
    assert found(index, 0, 1) == [b'{"b": 22}']
    assert index.generation == 1
    assert through(index).count() == (70, True)
    assert found(index, 69, 5) == [b'{"b": 22}']


@pytest.mark.parametrize("edited", [b'{"a": 1}\n' * 20, b'{"a": 9}\n' * 50, b'{"a": 9}\n' * 90])
def test_a_file_that_is_edited_where_it_is_is_counted_anew(tmp_path: Path, edited: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 50)
    index = through(RowIndex(path))
    path.write_bytes(edited)
    os.utime(path, ns=(1, 1))
    assert through(index).count() == (edited.count(b"\n"), True)
    assert index.generation == 1
    assert found(index, 3, 1) == [edited[:8]]


def test_a_file_that_goes_away_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 5)
    index = through(RowIndex(path))
    path.unlink()
    assert found(index) == []
    assert index.count() == (0, True)


def test_of_a_line_that_is_too_long_only_the_size_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 100)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' + b"x" * 500 + b'\n{"a": 2}\n')
    index = through(RowIndex(path))
    assert [(line.size, line.data) for line in index.lines(0, 9)] == [(8, b'{"a": 1}'), (500, None), (8, b'{"a": 2}')]
    assert found(index, 2, 1) == [b'{"a": 2}']
    assert scanned(index) == [b'{"a": 1}', b"", b'{"a": 2}']
    path.write_bytes(b'{"a": 1}\n' + b"x" * 500)
    assert found(through(index)) == [b'{"a": 1}']
