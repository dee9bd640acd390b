"""Result files: every line is told, whatever is wrong with it, in bounded memory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.llms.batches.results import Line, read_lines
from datafast.llms.transport.faults import AnswerTooLarge

MOST = 10_000_000


def read(
    path: Path, data: bytes, *, max_bytes: int = 1000, most: int = MOST, id_field: str = "custom_id"
) -> list[Line]:
    path.write_bytes(data)
    return list(read_lines(path, max_bytes=max_bytes, most=most, id_field=id_field))


def test_lines_are_read_with_any_end_and_without(tmp_path: Path) -> None:
    lines = read(tmp_path / "r", b'{"custom_id": "a"}\r\n\n  \n{"custom_id": "b"}\n{"custom_id": "c"}')
    assert [line.custom_id for line in lines] == ["a", "b", "c"]


def test_compressed_files_are_read_too(tmp_path: Path) -> None:
    assert [line.custom_id for line in read(tmp_path / "r", gzip.compress(b'{"custom_id": "a"}\n'))] == ["a"]


@pytest.mark.parametrize("field", ["custom_id", "key"])
@pytest.mark.parametrize("is_last", [True, False])
def test_a_line_that_is_too_large_is_told_with_its_id_and_the_next_is_read(
    tmp_path: Path, field: str, is_last: bool
) -> None:
    text = {"text": f'say "{field}": "wrong" ' + "x" * 300_000}
    large = {**text, field: "big"} if is_last else {field: "big", **text}
    data = json.dumps(large).encode() + b"\n" + json.dumps({field: "next"}).encode()
    assert len(read(tmp_path / "r", data, max_bytes=MOST, id_field=field)) == 2
    first, second = read(tmp_path / "r", data, id_field=field)
    assert (first.data, first.custom_id, first.too_large) == (None, "big", True)
    assert len(first.raw) < 200_000
    assert second.custom_id == "next"


def test_an_unreadable_line_with_two_ids_is_nobodys(tmp_path: Path) -> None:
    (line,) = read(tmp_path / "r", b'{"key": "a", "response": {"args": {"key": "b"}}', id_field="key")
    assert line.custom_id == ""


@pytest.mark.parametrize("line", [b"<html>", b'"text"', b"[1]", b'{"half":', b"\xff\xfe", b"NaN"])
def test_what_is_not_an_object_is_told(tmp_path: Path, line: bytes) -> None:
    (told,) = read(tmp_path / "r", line)
    assert (told.data, told.custom_id, told.raw) == (None, "", line)


def test_half_a_surrogate_pair_and_nan_do_not_keep_a_line_from_being_read(tmp_path: Path) -> None:
    (line,) = read(tmp_path / "r", b'{"custom_id": "a", "text": "\\ud83d", "score": NaN}')
    assert line.custom_id == "a"
    assert line.data is not None


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text() | st.integers(-(2**63), 2**64 - 1) | st.none(), max_size=4)
    ),
    st.integers(1, 50),
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[object], size: int) -> None:
    written = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    lines = read(tmp_path_factory.getbasetemp() / "r", written, max_bytes=MOST)
    assert [line.data for line in lines] == rows
    lines = read(tmp_path_factory.getbasetemp() / "r", written, max_bytes=size)
    assert len(lines) == len(rows)  # too large or not, each is told


def test_a_small_file_that_becomes_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(AnswerTooLarge):
        read(tmp_path / "r", gzip.compress(b"\n" * 200_000), most=100_000)
