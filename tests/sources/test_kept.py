"""Rows of Parquet files and streams beside the ledger: copied once, by one process at a time, and whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datafast.errors import ConfigError
from datafast.sources import SourceRows, open_source

ROWS = [{"text": f"text {number}", "n": number} for number in range(3_000)]


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def opened(path: Path, **how: Any) -> SourceRows:
    return open_source(path, field="source", spool=path.parent / "sources", **how)


def copies(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "sources").glob("*/*/*") if path.name != "about.json")


def test_rows_of_a_parquet_file_are_copied_once_and_anew_when_it_changes(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", ROWS)
    first = opened(path)
    (copy,) = copies(tmp_path)
    written = copy.stat().st_mtime_ns
    again = opened(path)
    assert (list(again), again.digest, again.columns) == (list(first), first.digest, first.columns)
    assert copy.stat().st_mtime_ns == written
    parquet(path, ROWS[:2])
    assert list(opened(path)) == ROWS[:2]
    assert len(copies(tmp_path)) == 1


def test_the_files_of_a_folder_are_kept_each_and_a_limit_holds_for_all(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, start in (("a", 0), ("b", 1_000), ("c", 2_000)):
        parquet(tmp_path / "data" / f"{name}.parquet", ROWS[start : start + 1_000])
    spool = tmp_path / "sources"
    for _ in range(2):
        found = open_source(tmp_path / "data", field="source", spool=spool, limit=1_500)
        assert list(found) == ROWS[:1_500]
        assert found.place(1_200).endswith("b.parquet, row 200")
        assert list(open_source(tmp_path / "data", field="source", spool=spool, where="n > 2500")) == ROWS[2_501:]
    assert list(open_source(tmp_path / "data", field="source", spool=spool)) == ROWS


def test_columns_of_files_without_a_row_that_is_used_are_known_again(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, rows in (("a", [{"n": 1}]), ("b", [{"n": 0, "m": 1}]), ("c", [{"n": 2, "k": 1}])):
        parquet(tmp_path / "data" / f"{name}.parquet", rows)
    for _ in range(2):
        found = open_source(tmp_path / "data", field="source", spool=tmp_path / "sources", where="n > 0")
        assert (found.columns, len(found)) == (("n", "m", "k"), 2)


@pytest.mark.parametrize("damage", ["cut", "half", "about", "nothing"])
def test_a_copy_that_is_not_whole_is_made_anew(tmp_path: Path, damage: str) -> None:
    path = parquet(tmp_path / "a.parquet", ROWS)
    opened(path)
    (copy,) = copies(tmp_path)
    if damage == "cut":
        os.truncate(copy, copy.stat().st_size - 40)
    elif damage == "half":
        copy.replace(f"{copy}.part")
    elif damage == "about":
        (copy.parent / "about.json").write_text("[", encoding="utf-8")
    else:
        copy.parent.rename(tmp_path / "away")
    assert list(opened(path)) == ROWS
    assert list(opened(path)) == ROWS
    assert len(copies(tmp_path)) == 1


CHILD = """
import sys, time
from pathlib import Path
from datafast.sources import open_source
from datafast.sources import parquet

def slow(*args):
    time.sleep(0.001)
    return 1  # row at once

parquet._rows_at_once = slow
Path(sys.argv[2]).touch()
rows = open_source(sys.argv[1], field="source", spool=Path(sys.argv[1]).parent / "sources")
print(len(rows), rows[2_999])
"""


def child(path: Path, name: str) -> subprocess.Popen[str]:
    ready = path.parent / name
    process = subprocess.Popen([sys.executable, "-c", CHILD, path, ready], stdout=subprocess.PIPE, text=True)
    while not ready.exists() and process.poll() is None:
        time.sleep(0.01)
    return process


def test_a_process_that_is_killed_leaves_nothing_that_is_taken_for_a_copy(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", ROWS)
    process = child(path, "one")
    while not copies(tmp_path):
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert list(opened(path)) == ROWS
    assert [copy.name for copy in copies(tmp_path)] == ["rows.jsonl"]


def test_two_processes_copy_a_source_once(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", ROWS)
    children = [child(path, name) for name in ("one", "two")]
    told = {process.communicate(timeout=60)[0] for process in children}
    assert told == {f"3000 {ROWS[2_999]}\n"}
    assert len(copies(tmp_path)) == 1


def test_an_error_while_it_is_copied_lets_the_next_one_copy_it(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", ROWS)
    with pytest.raises(ConfigError, match="where: ") as caught:
        opened(path, where="text > 3")
    assert caught.value.__traceback__ is not None  # which holds on to all that was under way
    assert len(opened(path, where="n > 3")) == 2_996
    with pytest.raises(ConfigError, match="where: "):
        opened(path, where="text > 3")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", ROWS)
    (tmp_path / "sources").touch()
    with pytest.raises(ConfigError, match=r"source: Cannot keep the rows of .*a\.parquet in .*sources.*: .*\."):
        opened(path)


ROOM = """
import sys
import pyarrow.parquet
from datafast.sources import open_source

def peak():
    status = dict(line.split(":") for line in open("/proc/self/status"))
    return int(status["VmHWM"].split()[0]) // 1024

open_source([{"text": "warm"}], field="source")
before = peak()
rows = open_source(sys.argv[1], field="source")
print(len(rows), peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the memory of a process is told in other ways")
def test_neither_a_row_group_nor_the_file_is_held_in_memory(tmp_path: Path) -> None:
    texts = pa.array([f"{number} " * 200 for number in range(150_000)])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts}), path, compression="none", use_dictionary=False, row_group_size=len(texts))
    assert path.stat().st_size > 180 * 2**20
    told = subprocess.run([sys.executable, "-c", ROOM, path], capture_output=True, text=True, check=True).stdout
    rows, mebibytes = map(int, told.split())
    assert (rows, mebibytes < 90) == (150_000, True), told
