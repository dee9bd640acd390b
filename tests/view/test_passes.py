"""A file is gone through in the background: stopped, gone on with, and anew where it is another one."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from datafast.view import index as index_module
from datafast.view.index import Lines, RowIndex
from datafast.view.passes import Pass


class Taken:
    """Keeps lines; waits before each part for a permit, if there is one."""

    def __init__(self, permits: threading.Semaphore | None = None) -> None:
        self.rows, self.end = 0, 0
        self.lines: list[bytes] = []
        self.permits = permits

    def take(self, lines: Lines) -> None:
        if self.permits is not None:
            self.permits.acquire()
        self.lines += lines.data.removesuffix(b"\n").split(b"\n")
        self.rows, self.end = len(self.lines), lines.end


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_READ", 64)


def rows(count: int, name: str = "n") -> list[bytes]:
    return [b'{"%s": %d}' % (name.encode(), number) for number in range(count)]


def written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_it_takes_all_rows_and_says_when_it_is_done(tmp_path: Path) -> None:
    index = RowIndex(written(tmp_path / "rows.jsonl", rows(100)))
    ended: list[Any] = []
    through = Pass(index, Taken(), at_end=lambda stopped: ended.append(stopped()))
    assert not through.is_done
    through.go_on()
    through.wait(30)
    assert through.is_done
    assert through.share == 1.0
    assert through.taker.lines == rows(100)
    assert ended == [False]
    through.go_on()  # there is nothing to do
    assert ended == [False]


def test_it_goes_on_after_a_stop_where_it_was(tmp_path: Path) -> None:
    index = RowIndex(written(tmp_path / "rows.jsonl", rows(100)))
    permits = threading.Semaphore(2)
    through = Pass(index, Taken(permits))
    through.go_on()
    through.stop()
    permits.release()
    through.wait(30)
    assert not through.is_done
    assert through.taker.rows < 100
    for _ in range(200):
        permits.release()
    through.go_on()
    through.wait(30)
    assert through.taker.lines == rows(100)


def test_it_goes_on_when_the_file_has_grown(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", rows(10))
    index = RowIndex(path)
    through = Pass(index, Taken())
    through.go_on()
    through.wait(30)
    written(path, rows(25))
    index.refresh()
    assert not through.is_done
    assert 0 < through.share < 1
    through.go_on()
    through.wait(30)
    assert through.taker.lines == rows(25)


def test_it_ends_when_it_has_enough(tmp_path: Path) -> None:
    index = RowIndex(written(tmp_path / "rows.jsonl", rows(100)))
    taker = Taken()
    through = Pass(index, taker, is_enough=lambda: taker.rows >= 10)
    through.go_on()
    through.wait(30)
    assert through.is_done
    assert 10 <= taker.rows < 100


def test_it_never_mixes_the_rows_of_two_files(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", rows(100))
    index = RowIndex(path)
    permits = threading.Semaphore(1)
    through = Pass(index, Taken(permits))
    through.go_on()
    written(tmp_path / "other", rows(50, "other")).replace(path)
    index.refresh()
    for _ in range(200):
        permits.release()
    through.wait(30)
    assert not through.is_done
    assert all(line.startswith(b'{"n"') for line in through.taker.lines)
    through.go_on()
    through.wait(30)
    assert all(line.startswith(b'{"n"') for line in through.taker.lines)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", rows(3))
    index = RowIndex(path)
    through = Pass(index, Taken())
    path.unlink()
    through.go_on()
    through.wait(30)
    assert through.error == "The file cannot be read: No such file or directory."


class Broken(Taken):
    """Has no room for what it takes."""

    def take(self, lines: Lines) -> None:
        raise sqlite3.OperationalError("database or disk is full")


def test_a_pass_without_room_says_so_and_is_not_tried_again(tmp_path: Path) -> None:
    through = Pass(RowIndex(written(tmp_path / "rows.jsonl", rows(3))), Broken())
    for _ in range(2):
        through.go_on()
        through.wait(30)
    assert (
        through.error
        == "There is no room for a temporary file of its values: database or disk is full. Free some space."
    )
    assert not through.is_done
