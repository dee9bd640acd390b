"""Building topic models: how it is run, where they are kept, and what is never paid for twice, even after a kill."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from datafast import RunConfig, RunStopped, Tree
from datafast.errors import TopicsError
from tests import support
from tests.servers.fault_server import Answer, FaultServer
from tests.support import ForkServer, fork_server
from tests.topics.support import LEAVES, ROOT, asked, provider, subtopics, tree


def test_server_errors_and_rate_limits_are_waited_out(server: FaultServer) -> None:
    server.answer_next(Answer(status=500), Answer(status=429, headers={"Retry-After": "0"}), Answer(cut_after=20))
    grown = tree(server, degree=3).build()
    assert (grown.num_leaves, grown.report.calls, grown.report.retries) == (9, 4, 3)
    assert len(server.requests) == 7


def test_a_failed_build_leaves_a_tree_as_it_was_before(server: FaultServer) -> None:
    grown = tree(server).build()
    server.respond = lambda request: Answer(text="no")
    with pytest.raises(TopicsError):
        grown.build(fresh=True)
    assert grown.paths() == LEAVES


def test_building_again_makes_no_call(server: FaultServer, tmp_path: Path) -> None:
    for options in ({}, {"path": tmp_path / "t.json"}):
        grown = tree(server, **options).build()
        asked_before = len(server.requests)
        assert grown.build().report.calls == 0
        assert len(server.requests) == asked_before
    assert tree(server, path=tmp_path / "t.json").build().paths() == LEAVES
    assert len(server.requests) == asked_before


def test_the_file_of_a_grown_tree_loads_as_a_given_one(server: FaultServer, tmp_path: Path) -> None:
    tree(server, path=tmp_path / "t.json").build()
    assert Tree.load(tmp_path / "t.json").paths() == LEAVES


def test_a_deeper_tree_asks_only_for_its_new_level(server: FaultServer, tmp_path: Path) -> None:
    tree(server, path=tmp_path / "t.json").build()
    del server.requests[:]
    deeper = tree(server, path=tmp_path / "t.json", depth=3).build()
    assert sorted(asked(server)) == [path[-1] for path in LEAVES]
    assert deeper.num_leaves == 8


def test_a_refused_key_stops_at_once_and_can_go_on(server: FaultServer, tmp_path: Path) -> None:
    server.answer_next(Answer(status=401, body={"error": {"message": "no"}}))
    grown = tree(server, path=tmp_path / "t.json")
    with pytest.raises(RunStopped, match="401"):
        grown.build()
    assert grown.build().paths() == LEAVES


# -- killed while growing


def grow_until_killed(url: str, path: str, kill_after_s: float | None) -> None:
    """Run in a forked child."""
    if kill_after_s is not None:
        support.die_after(kill_after_s)
    Tree(ROOT, provider=provider(url), degree=4, depth=3, path=path, run=RunConfig(max_concurrency=4)).build()


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_tree_killed_again_and_again_while_growing_is_the_uncut_one_and_repeats_only_what_was_in_flight(
    server: FaultServer, forks: ForkServer, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    # Six replies in turn at the least, 0.06 s each: no three runs of up to 0.12 s can grow the whole tree.
    server.respond = lambda request: subtopics(request, delay_s=chance.uniform(0.06, 0.1))
    grow = {"function": "tests.topics.test_build:grow_until_killed", "url": server.url}
    assert forks.run(**grow, path=str(tmp_path / "uncut.json"), kill_after_s=None) == 0
    assert len(server.requests) == 21
    del server.requests[:]
    kills = 0
    for _ in range(12):
        code = forks.run(**grow, path=str(tmp_path / "t.json"), kill_after_s=chance.uniform(0.02, 0.12))
        assert code in (0, -signal.SIGKILL)
        kills += code == -signal.SIGKILL
    assert kills > 2
    assert forks.run(**grow, path=str(tmp_path / "t.json"), kill_after_s=None) == 0
    assert (tmp_path / "t.json").read_bytes() == (tmp_path / "uncut.json").read_bytes()
    counts = Counter(asked(server))
    assert len(counts) == 21
    assert sum(counts.values()) <= 21 + 4 * kills
    assert max(counts.values()) <= 1 + kills
