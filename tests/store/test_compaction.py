"""Moving and sorting rows, by themselves: where each byte comes to lie, and what is left when it cannot be done."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from datafast.store import compaction
from datafast.store.compaction import finish_rewrite, move_stale_rows, order_rows
from datafast.store.ledger import Ledger
from datafast.store.records import Append, ItemRecord, ItemState

OPEN, DONE, FAILED, STALE = ItemState


class Output:
    """Rows and their ledger; row n of item k is the line `k:n`, and every other row is longer."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "out.jsonl"
        self.path.touch()
        self.ledger = Ledger(folder / "out.jsonl.ledger")
        self.items: dict[int, ItemRecord] = {}

    def add(self, of: int, rows: list[int], *, state: ItemState = DONE, num_rows: int = 4, position: int = 0) -> None:
        data = b"".join(line(of, number) for number in rows)
        start, slots = self.path.stat().st_size, sum(1 << number for number in rows)
        with self.path.open("ab") as file:
            file.write(data)
        record = self.items.setdefault(
            of, ItemRecord(of, bytes([of]) * 16, b"c" * 16, position or 10 * of, state, 0, num_rows)
        )
        record.slots |= slots
        with self.ledger.transaction():
            self.ledger.put_items([record])
            append = Append(self.ledger.max_id("appends") + 1, of, start, len(data), zlib.crc32(data), slots)
            self.ledger.appends.put([append])

    def resize(self, of: int, num_rows: int) -> None:
        with self.ledger.transaction():
            self.ledger.resize(self.ledger.items_of([of])[of], num_rows)

    @property
    def rows(self) -> list[str]:
        return lines_of(self.path)

    def check(self) -> None:
        """What the ledger says of the file is true, and ids rise in the order of the file."""
        data, end = self.path.read_bytes(), 0
        slots: dict[int, int] = {}
        for number, append in enumerate(self.ledger.appends.all(), start=1):
            part = data[append.start : append.end]
            assert (append.start, zlib.crc32(part)) == (end, append.crc)
            numbers = [bit for bit in range(8) if append.slots >> bit & 1]
            assert part == b"".join(line(append.item, bit) for bit in numbers)
            assert append.id >= number
            slots[append.item] = slots.get(append.item, 0) | append.slots
            end = append.end
        assert end == len(data) == self.ledger.appends.committed_size()
        assert slots == {item.id: item.slots for item in self.ledger.items() if item.slots}


def line(of: int, number: int) -> bytes:
    return f"{of}:{number}{' long' * (number % 2)}\n".encode()


def lines_of(path: Path) -> list[str]:
    return [text.split()[0] for text in path.read_text().splitlines()]


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Output]:
    output = Output(tmp_path)
    yield output
    output.ledger.close()


def made_files(out: Output) -> list[str]:
    return sorted(path.name for path in out.path.parent.iterdir() if path.name.startswith(".datafast-"))


# -- moving


def test_rows_of_items_that_left_the_plan_go_into_a_file_of_their_own(out: Output) -> None:
    out.add(1, [0, 1])
    out.add(2, [0, 2], state=STALE)
    out.add(3, [0])
    out.add(1, [3])
    out.add(2, [1], state=STALE)
    moved = move_stale_rows(out.path, out.ledger)
    assert moved is not None
    assert moved.name.startswith("out.jsonl.stale-")
    assert (out.rows, lines_of(moved)) == (["1:0", "1:1", "3:0", "1:3"], ["2:0", "2:2", "2:1"])
    out.check()
    assert out.ledger.items_of([2])[2].slots == 0
    assert made_files(out) == []
    assert move_stale_rows(out.path, out.ledger) is None
    out.add(4, [0])
    out.check()


def test_rows_that_an_item_does_not_ask_for_any_more_go_too(out: Output) -> None:
    out.add(1, [1, 3])
    out.add(2, [0])
    out.add(1, [0, 2])
    out.resize(1, 2)
    moved = move_stale_rows(out.path, out.ledger)
    assert moved is not None
    assert (out.rows, lines_of(moved)) == (["1:1", "2:0", "1:0"], ["1:3", "1:2"])
    out.check()
    assert out.ledger.items_to_cut() == {}
    assert out.ledger.counts(5).removed == 0


def test_where_nothing_left_the_plan_no_file_is_made(out: Output) -> None:
    out.add(1, [0])
    out.add(2, [], state=STALE)
    before = out.path.stat()
    assert move_stale_rows(out.path, out.ledger) is None
    assert (out.path.stat().st_ino, out.ledger.meta("new_files")) == (before.st_ino, None)


def test_a_second_file_of_the_same_second_gets_a_number(out: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name was free when it was chosen, and is taken when the rename is done."""
    out.add(1, [0])
    out.add(2, [0], state=STALE)
    chosen: list[Path] = []

    def taken(path: Path, what: str) -> Path:
        chosen.append(path.with_name(f"{path.name}.{what}-{len(chosen)}"))
        if len(chosen) == 1:
            chosen[0].write_text("mine")
        return chosen[-1]

    monkeypatch.setattr(compaction, "set_aside_name", taken)
    assert move_stale_rows(out.path, out.ledger) == chosen[1]
    assert (chosen[0].read_text(), lines_of(chosen[1]), out.rows) == ("mine", ["2:0"], ["1:0"])
    assert len(chosen) == 2


def test_the_name_that_was_chosen_is_used_where_it_is_free(out: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    out.add(1, [0], state=STALE)
    monkeypatch.setattr(compaction, "set_aside_name", lambda path, what: path.with_name(f"{what}.jsonl"))
    assert move_stale_rows(out.path, out.ledger) == out.path.with_name("stale.jsonl")
    assert out.rows == []


# -- in order


def test_rows_are_put_in_plan_order_those_of_an_item_together(out: Output) -> None:
    out.add(1, [2], position=30)
    out.add(2, [0, 1], position=20)
    out.add(3, [0], state=STALE, position=1)
    out.add(1, [0, 3], position=30)
    out.add(4, [1], position=10)
    order_rows(out.path, out.ledger)
    assert out.rows == ["4:1", "2:0", "2:1", "1:0", "1:2", "1:3", "3:0"]
    out.check()
    assert [append.id for append in out.ledger.appends.all()] == [1, 2, 3, 4]
    assert out.ledger.appends.is_in_order()
    assert made_files(out) == []
    before = out.path.stat().st_ino
    order_rows(out.path, out.ledger)
    assert out.path.stat().st_ino == before
    out.add(5, [0])
    out.check()


@pytest.mark.parametrize("change", ["longer", "changed"])
def test_a_file_that_somebody_has_changed_is_not_sorted(out: Output, change: str) -> None:
    out.add(2, [0])
    out.add(1, [0])
    data = out.path.read_bytes()
    data = data + b"mine\n" if change == "longer" else data.replace(b"2:0", b"x:0")
    out.path.write_bytes(data)
    order_rows(out.path, out.ledger)
    assert out.path.read_bytes() == data
    assert [append.item for append in out.ledger.appends.all()] == [2, 1]
    assert made_files(out) == []


# -- what an interrupted one has left


@pytest.mark.parametrize("begun", [move_stale_rows, order_rows])
def test_a_process_that_ends_between_the_renames_is_finished_by_the_next(
    out: Output, monkeypatch: pytest.MonkeyPatch, begun: Any
) -> None:
    out.add(2, [0])
    out.add(3, [0], state=STALE)
    out.add(1, [0])
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "finish_rewrite", lambda rows, ledger: None)
        begun(out.path, out.ledger)
    assert out.rows == ["2:0", "3:0", "1:0"]
    assert len(made_files(out)) == (2 if begun is move_stale_rows else 1)
    moved = finish_rewrite(out.path, out.ledger)
    assert (moved is not None) == (begun is move_stale_rows)
    assert out.rows == (["2:0", "1:0"] if moved else ["1:0", "2:0", "3:0"])
    out.check()
    assert made_files(out) == []
    assert finish_rewrite(out.path, out.ledger) is None


def test_files_that_were_made_and_not_committed_are_removed_and_no_others(out: Output) -> None:
    out.add(1, [0])
    names = [".datafast-aa.rows", ".datafast-aa.stale"]
    for name in [*names, ".datafast-bb.rows"]:
        out.path.with_name(name).write_text("x")
    with out.ledger.transaction():
        out.ledger.set_meta("new_files", orjson.dumps([*names, ".datafast-gone"]).decode())
    assert finish_rewrite(out.path, out.ledger) is None
    assert made_files(out) == [".datafast-bb.rows"]
    assert not out.ledger.meta("new_files")
    assert out.rows == ["1:0"]


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
def test_behind_a_link_the_files_lie_next_to_the_file_itself(out: Output, tmp_path: Path) -> None:
    out.add(2, [0])
    out.add(3, [0], state=STALE)
    out.add(1, [0])
    (tmp_path / "disk").mkdir()
    real = out.path.rename(tmp_path / "disk" / "real.jsonl")
    out.path.symlink_to(real)
    moved = move_stale_rows(out.path, out.ledger)
    assert moved is not None
    assert moved.parent == tmp_path / "disk"
    order_rows(out.path, out.ledger)
    assert out.path.is_symlink()
    assert (lines_of(real), lines_of(moved)) == (["1:0", "2:0"], ["3:0"])


def test_no_room_for_the_second_file_leaves_neither(out: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    out.add(1, [0])
    out.add(2, [0], state=STALE)
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        move_stale_rows(out.path, out.ledger)
    assert (made_files(out), out.rows) == ([], ["1:0", "2:0"])
    out.check()
