"""The index of lines: any line of any file comes back to the byte."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast._util.jsonl import LineIndex, last_line


def lines_of(content: bytes, *, whole_only: bool = False) -> list[bytes]:
    """The lines as the index gives them, read in no order of their own."""
    index = LineIndex()
    scanned = list(index.scan(io.BytesIO(content), whole_only=whole_only))
    file = io.BytesIO(content)
    read = {number: index.read(file, number) for number in reversed(range(len(index)))}
    assert [read[number] for number in sorted(read)] == scanned
    assert [index.size(number) for number in range(len(index))] == [len(line) for line in scanned]
    return scanned


@given(st.lists(st.sampled_from([b"{}", b"\n", b"\r", b"\xe2\x80\xa8", b"a"])).map(b"".join))
def test_every_line_comes_back_to_the_byte(content: bytes) -> None:
    assert b"".join(lines_of(content)) == content
    assert all(line.count(b"\n") == line.endswith(b"\n") for line in lines_of(content))


@pytest.mark.parametrize(
    ("content", "whole"), [(b"", []), (b"{}", []), (b"{}\n{", [b"{}\n"]), (b"\n{}\n", [b"\n", b"{}\n"])]
)
def test_a_last_line_that_is_still_being_written_can_be_left_out(content: bytes, whole: list[bytes]) -> None:
    assert lines_of(content, whole_only=True) == whole


@given(st.lists(st.sampled_from([b"{}", b"\n", b"\r", b"a" * 70_000])).map(b"".join))
def test_the_last_whole_line_is_found_from_the_end(content: bytes) -> None:
    whole = lines_of(content, whole_only=True)
    assert last_line(io.BytesIO(content)) == (whole[-1][:-1] if whole else None)
