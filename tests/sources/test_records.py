"""Records and numbers are the same in memory and in a file, and equal ids are found in parts as they are at once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from datafast.sources import identity, records
from datafast.sources.identity import Content, number_equal, repeated
from datafast.sources.records import Numbers, Records
from tests.sources.test_sources import opened


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What otherwise begins with millions of rows begins with a few."""
    monkeypatch.setattr(records, "_IN_MEMORY", 160)
    monkeypatch.setattr(records, "_BLOCK", 512)
    monkeypatch.setattr(identity, "_PART", 50)


def test_records_are_what_a_list_of_them_is() -> None:
    rng = random.Random(1)
    found, expected = Records(16), list[bytes]()
    for number in range(700):
        found.append(made := rng.randbytes(16))
        expected.append(made)
        if number % 3 == 0:
            place = rng.randrange(len(expected))
            found[place] = expected[place] = rng.randbytes(16)
    assert list(found) == expected
    assert [found[number] for number in range(700)] == expected
    assert (found[-1], found[5:9], len(found)) == (expected[-1], expected[5:9], 700)
    assert b"".join(found.blocks()) == b"".join(expected)
    with pytest.raises(IndexError):
        found[700]


def test_numbers_are_what_a_list_of_them_is() -> None:
    found = Numbers([0])
    for number in range(1, 300):
        found.append(number**3)
    found[0] = 7
    assert list(found) == [7, *(number**3 for number in range(1, 300))]


@pytest.mark.parametrize("parts", [1, 64])
def test_equal_ids_are_numbered_among_themselves(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    monkeypatch.setattr(identity, "_MOST_PARTS", parts)
    rng, content = random.Random(2), Content()
    values = [content.of({"x": rng.randrange(90)}) for _ in range(500)]
    ids = Records(16, values)
    number_equal(ids, content.again)
    seen: dict[bytes, int] = {}
    expected = []
    for value in values:
        ordinal = seen[value] = seen.get(value, -1) + 1
        expected.append(content.again(value, ordinal) if ordinal else value)
    assert list(ids) == expected
    assert repeated(ids) is None
    first = repeated(Records(16, values))
    assert first is not None
    assert values[first[0]] == values[first[1]]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "txt"])
def test_the_rows_of_a_long_file_are_found_again(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    lines = [f'{{"text": "row {number}"}}' if ending == "jsonl" else f"row {number}" for number in range(400)]
    path.write_text("\n".join(["text", *lines] if ending == "csv" else lines), encoding="utf-8")
    rows = opened(path, lines=True, where="text[-1] == '7'")
    expected = [f"row {number}" for number in range(7, 400, 10)]
    assert [row["text"] for row in rows] == expected
    assert [rows[number]["text"] for number in reversed(range(40))] == expected[::-1]
    assert rows.place(39) == f"line {397 + (2 if ending == 'csv' else 1)}"
