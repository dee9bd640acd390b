"""A process that dies while it decides, at whichever call that changes a file: what it was told is saved is there."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reviews.test_book import ROWS, a_file, book
from tests.support import ForkServer, fork_server
from tests.test_kill_at_every_call import shim

__all__ = ["shim"]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


@pytest.fixture(scope="module")
def server(shim: Path) -> Iterator[ForkServer]:
    with fork_server(LD_PRELOAD=str(shim), DIES_AT=str(shim)) as running:
        yield running


def deciding(folder: str, log: str, at: int, half: bool) -> None:
    """Decides ten times; the process is gone at its call number `at` that changes a file in the folder."""
    ctypes.CDLL(os.environ["DIES_AT"]).arm(ctypes.c_long(at), folder.encode(), int(half))
    reviews = book(Path(folder) / "rows.jsonl")
    saved = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(5):
        record = reviews.reject(ROWS[number % 4], f"reason {number}", note="why")
        os.write(saved, f"{record.id}\n".encode())
        record = reviews.edit(ROWS[number % 4], text=f"text {number} of mine")
        os.write(saved, f"{record.id}\n".encode())


def test_what_was_saved_is_there_whatever_call_it_dies_at(tmp_path: Path, server: ForkServer) -> None:
    deaths = 0
    for at in range(1, 100):
        folder, log = tmp_path / f"{at}" / "rows", tmp_path / f"{at}.log"
        folder.mkdir(parents=True)
        path = a_file(folder)
        code = server.run(
            "tests.reviews.test_kill:deciding", folder=str(folder), log=str(log), at=at, half=bool(at % 2)
        )
        assert code in {0, 9}
        saved = log.read_text().split() if log.exists() else []
        found = book(path)
        assert set(saved) <= set(found.decisions.by_id), f"died at call {at}"
        others = [one for one in found.decisions.by_id.values() if one.id not in saved and one.action != "note"]
        assert len(others) <= 1, "at most what was being saved is there besides"
        found.accept(ROWS[0])
        assert len(book(path).decisions.by_id) == len(found.decisions.by_id)
        if code == 0:
            break
        deaths += 1
    assert deaths > 10
