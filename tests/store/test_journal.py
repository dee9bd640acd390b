"""The journal: what was recorded is read back, and a file that is cut anywhere gives its whole records and nothing else."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datafast.errors import OutputWriteError
from datafast.store.append_file import AppendFile
from datafast.store.journal import Journal, read_journal

HEADERS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name not in {"size", "crc"}),
    st.integers(0, 2**53)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.floats(0, 1)
    | st.none(),
    max_size=4,
)
BODIES = st.binary(max_size=80) | st.sampled_from([b"", b"\n", b"\n\n", b'{"size": 0, "crc": 0}\n\n', b"\r\n{}"])
RECORDS = st.lists(st.tuples(HEADERS, BODIES), max_size=6)


def written(folder: str, records: list[tuple[dict[str, Any], bytes]]) -> Path:
    journal = Journal(Path(folder) / "journal")
    for header, body in records:
        journal.record(dict(header), body)
    journal.close()
    return journal.path


def read(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    found = list(read_journal(path))
    return [
        ({name: value for name, value in header.items() if name not in {"size", "crc"}}, body) for header, body in found
    ]


@settings(max_examples=100)
@given(RECORDS)
def test_what_was_recorded_is_read_back(records: list[tuple[dict[str, Any], bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert read(written(folder, records)) == records


@settings(max_examples=40)
@given(RECORDS)
def test_a_journal_cut_at_any_byte_gives_its_whole_records(records: list[tuple[dict[str, Any], bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ends = [len(written(tempfile.mkdtemp(dir=folder), records[:n]).read_bytes()) for n in range(len(records) + 1)]
        path = written(folder, records)
        with path.open("r+b") as file:
            for cut in reversed(range(ends[-1] + 1)):
                file.truncate(cut)
                assert read(path) == records[: sum(end <= cut for end in ends) - 1]


@settings(max_examples=100)
@given(RECORDS, st.binary(max_size=60) | BODIES)
def test_what_follows_whole_records_changes_nothing_about_them(
    records: list[tuple[dict[str, Any], bytes]], rest: bytes
) -> None:
    """A journal with something behind it gives its records, and then what that something gives by itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, records)
        (Path(folder) / "rest").write_bytes(rest)
        path.write_bytes(path.read_bytes() + rest)
        assert read(path) == records + read(Path(folder) / "rest")


# What looks like a record, and seldom is one.
_SIZES = st.integers(-2, 30) | st.sampled_from([True, None, 2.0, 1e99, 2**70, "1"])
_CHECKSUMS = st.integers(0, 3) | st.none() | BODIES.map(zlib.crc32)
_NEARLY = st.tuples(_SIZES, _CHECKSUMS, BODIES).map(
    lambda parts: b'{"size": %s, "crc": %s}\n%s\n' % (*(json.dumps(part).encode() for part in parts[:2]), parts[2])
)


@settings(max_examples=300)
@example(b'{"size":1,"":0}\n\x00\x00{"size":0,"crc":0}\n\n')
@given(st.lists(st.binary(max_size=60) | _NEARLY, max_size=4).map(b"".join))
def test_only_what_keeps_its_size_and_its_checksum_is_read_from_any_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        path.write_bytes(data)
        left = data
        for header, body in read_journal(path):
            assert header["size"] == len(body)
            assert header["crc"] == zlib.crc32(body)
            # One that is damaged may stand before it.
            line, _, left = left.partition(b"\n")
            while not (left.startswith(body + b"\n") and _ends_in(line, header)):
                assert left
                line, _, left = left.partition(b"\n")
            left = left[len(body) + 1 :]


def _ends_in(line: bytes, value: dict[str, Any]) -> bool:
    """Whether a line is this as JSON, behind the end of a damaged record, if there is one."""
    return any(_is_json(line[start:], value) for start, letter in enumerate(line) if letter == ord("{"))


def _is_json(line: bytes, value: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(line) == value)
    except ValueError:
        return False


@pytest.mark.parametrize(
    "header",
    [
        b'{"size": -1, "crc": 0}',
        b'{"size": 1e99, "crc": 0}',
        b"[]",
        b"5",
        b'{"size": true, "crc": 0}',
        b'{"size": 9999999999999, "crc": 0}',
    ],
)
def test_a_header_that_nobody_wrote_ends_the_journal(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(header + b"\nbody\n")
    assert list(read_journal(path)) == []


def test_no_file_is_an_empty_journal(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path / "nowhere")) == []


def test_records_follow_those_of_an_earlier_process(tmp_path: Path) -> None:
    assert written(str(tmp_path), [({"id": 1}, b"one")]) == written(str(tmp_path), [({"id": 2}, b"two")])
    assert read(tmp_path / "journal") == [({"id": 1}, b"one"), ({"id": 2}, b"two")]


def test_clearing_leaves_a_journal_that_can_be_written_to(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.record({"id": 1}, b"one")
    journal.clear()
    assert journal.size == 0
    journal.record({"id": 2}, b"two")
    journal.close()
    assert read(journal.path) == [({"id": 2}, b"two")]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes")
def test_a_record_that_did_not_fit_hides_none_that_follow(tmp_path: Path) -> None:
    """A disk may be full for one large reply and have room for the next small one."""
    import resource  # not on Windows

    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal = Journal(tmp_path / "journal")
    journal.record({"id": 1}, b"x" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))
    try:
        with pytest.raises(OutputWriteError, match="journal"):
            journal.record({"id": 2}, b"y" * 1000)
        journal.record({"id": 3}, b"z" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert journal.size == journal.path.stat().st_size
    journal.close()
    assert [header["id"] for header, _ in read(journal.path)] == [1, 3]


def test_appending_counts_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"before\n")
    rows = AppendFile(path, what="rows")
    assert rows.size == 7
    rows.append(b"after\n")
    rows.append(b"")
    assert rows.size == 13
    rows.sync()
    rows.close()
    assert path.read_bytes() == b"before\nafter\n"


def test_a_body_that_was_damaged_costs_no_other_record(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    for number in range(3):
        journal.record({"id": number}, b"reply %d" % number)
    journal.close()
    path.write_bytes(path.read_bytes().replace(b"reply 1", b"rep?y 1"))
    assert [(header["id"], body) for header, body in read_journal(path)] == [(0, b"reply 0"), (2, b"reply 2")]


@settings(max_examples=150)
@given(st.data(), st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=6))
def test_damage_in_one_record_is_told_and_changes_none_before_it(data: st.DataObject, bodies: list[bytes]) -> None:
    """A newline that is gone joins a record to the one behind it; all else costs that record alone."""
    with tempfile.TemporaryDirectory() as folder:
        records = [({"id": number}, body) for number, body in enumerate(bodies)]
        path = written(folder, records)
        whole = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(whole)
        told: list[int] = []
        found = [(header.get("id"), body) for header, body in read_journal(path, lambda: told.append(1))]
        ends = [len(written(tempfile.mkdtemp(dir=folder), records[: n + 1]).read_bytes()) for n in range(len(records))]
        hit = sum(end <= place for end in ends)
        assert found[:hit] == list(enumerate(bodies))[:hit]
        behind = list(enumerate(bodies))[hit + 2 :]
        assert [record for record in found[hit:] if record in behind] in (behind, [])
        assert told or hit >= len(records) - 2 or len(found) == len(records)


def test_a_damaged_header_costs_its_record_alone_and_is_told(tmp_path: Path) -> None:
    path = written(str(tmp_path), [({"id": number}, b"reply\n%d" % number) for number in range(4)])
    path.write_bytes(path.read_bytes().replace(b'{"id":1', b'}"id":1'))
    told: list[int] = []
    assert [body for _, body in read_journal(path, lambda: told.append(1))] == [b"reply\n0", b"reply\n2", b"reply\n3"]
    assert told == [1]
