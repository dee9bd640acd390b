"""A merge, or a division of shards, that dies at a call which changes a file, whichever it is: the shards are all there, and the same
command again ends as if nothing had happened.

Usually some moments are tried; `DATAFAST_FUZZ=95` tries every one.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets.resharding import reshard
from datafast.datasets.shards import merge
from datafast.store.shards import ShardFolder
from tests.support import CountingProvider, ForkServer, fork_server, raw, requests_in, rows_of
from tests.test_kill_at_every_call import MANY, shim

__all__ = ["shim"]  # a fixture

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)

STEP = max(1, 95 // MANY) | 1  # odd, so that every other death leaves half of what was to be written
RUN = {"ordered": True, "max_concurrency": 4}


@pytest.fixture(scope="module")
def server(shim: Path) -> Iterator[ForkServer]:
    with fork_server(LD_PRELOAD=str(shim), DIES_AT=str(shim)) as running:
        yield running


def dataset(folder: Path, **fields: Any) -> Any:
    stages = [{"stage": "exact_duplicates"}]
    return raw(folder, topics=12, num_samples_per_prompt=2, run=RUN, quality=stages, **fields)


def providers(log: Path) -> list[CountingProvider]:
    return [CountingProvider("m", log=log, reply=lambda request: SOME[len(request.messages[-1]["content"]) % 3])]


SOME = [f'{{"texts": ["a text {number}", "a text {number + 1}"]}}' for number in range(3)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three shards (`rows`), in one of which a row was rejected after its run, and the same rows from one process (`whole`)
    that has heard it."""
    place = tmp_path_factory.mktemp("made")
    models = providers(place / "log")
    whole = dataset(place / "whole").generate(models)
    rejected = rows_of(place / "whole/out.jsonl")[1]["uuid"]
    made = [whole]
    for number in range(1, 4):
        made.append(dataset(place, output_file=place / "rows").generate(models, shard=(number, 3)))
    for output in made:
        reviews = output.reviews(reviewer="ann")
        for row in [one.row for one in reviews.rows() if one.row["uuid"] == rejected]:
            reviews.reject(row, "dull")
    dataset(place / "whole").generate(models)
    assert rejected not in {row["uuid"] for row in rows_of(place / "whole/out.jsonl")}
    assert len(list((place / "rows").glob("*.reviews"))) == 1
    return place


def dying_merge(folder: str, at: int, half: bool) -> None:
    arm(folder, at, half)
    merge(Path(folder) / "rows", Path(folder) / "all.jsonl")


def dying_reshard(folder: str, at: int, half: bool) -> None:
    arm(folder, at, half)
    reshard(Path(folder) / "rows", 2)


def arm(folder: str, at: int, half: bool) -> None:
    ctypes.CDLL(os.environ["DIES_AT"]).arm(ctypes.c_long(at), folder.encode(), int(half))


def contents(folder: Path) -> dict[str, bytes]:
    """The rows and the ledgers of shards."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".jsonl", ".ledger")}


def test_a_merge_that_dies_leaves_the_shards_and_is_made_again(made: Path, tmp_path: Path, server: ForkServer) -> None:
    whole = (made / "whole/out.jsonl").read_bytes()
    at, deaths = 1, 0
    while True:
        folder = tmp_path / f"{at}"
        shutil.copytree(made, folder)
        before = contents(folder / "rows")
        code = server.run("tests.test_kill_shards:dying_merge", folder=str(folder), at=at, half=at % 2 == 0)
        told = f"died at call {at}: {code}"
        assert code in (0, 9), told
        assert contents(folder / "rows") == before, told
        file = folder / "all.jsonl"
        if code == 9:
            if file.exists():  # whole, or not there
                assert len(rows_of(file)) in (24, len(whole.splitlines())), told
            if deaths % 2 and Path(f"{file}.ledger").exists():
                dataset(folder, output_file=file).generate(providers(folder / "more"))
            else:
                result = merge(folder / "rows", file)
                assert result.lacks == [], told
        assert file.read_bytes() == whole, told
        assert not list(folder.glob(".all*.merging*")), told
        again = dataset(folder, output_file=file).generate(providers(folder / "more"))
        assert (again.report.calls, again.report.pending, file.read_bytes()) == (0, 0, whole), told
        shutil.rmtree(folder)
        if code == 0:
            break
        deaths += 1
        at += STEP
    assert deaths >= 3


def test_a_reshard_that_dies_is_finished_or_never_was(made: Path, tmp_path: Path, server: ForkServer) -> None:
    whole = (made / "whole/out.jsonl").read_bytes()
    at, deaths = 1, 0
    while True:
        folder = tmp_path / f"{at}"
        shutil.copytree(made, folder)
        code = server.run("tests.test_kill_shards:dying_reshard", folder=str(folder), at=at, half=at % 2 == 0)
        told = f"died at call {at}: {code}"
        assert code in (0, 9), told
        found = ShardFolder.open(folder / "rows")  # does what is left to do
        assert (found.of, list(found.numbers)) in ((2, [1, 2]), (3, [1, 2, 3])), told
        if code == 9:
            reshard(folder / "rows", 2)
        for number in (1, 2):
            run = dataset(folder, output_file=folder / "rows").generate(providers(folder / "more"), shard=(number, 2))
            assert (run.report.calls, run.report.pending) == (0, 0), told
        assert merge(folder / "rows", folder / "all.jsonl").lacks == [], told
        assert (folder / "all.jsonl").read_bytes() == whole, told
        assert requests_in(folder / "more") == [], told
        shutil.rmtree(folder)
        if code == 0:
            break
        deaths += 1
        at += STEP
    assert deaths >= 3
