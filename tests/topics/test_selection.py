"""Which topic a row is about."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from datafast import Graph, Tree
from datafast.topics import TopicModel
from datafast.topics.selection import Selection
from tests.topics.support import crossing, shape_of


def picks(model: TopicModel, strategy: Any, number: int, *, seed: int = 0) -> list[tuple[tuple[str, ...], int]]:
    selection = Selection(model, strategy, seed=seed)
    return [tuple(selection.pick(row)) for row in range(number)]  # type: ignore[misc]


def test_sequential_goes_from_left_to_right_and_begins_again() -> None:
    chosen = picks(Tree.from_topics(["a", "b", "c"]), "sequential", 7)
    assert [(path[-1], repeat) for path, repeat in chosen] == [
        *(("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("c", 1), ("a", 2))
    ]


def test_shuffle_takes_each_topic_once_before_any_again_in_an_order_of_each_round() -> None:
    model = Tree.from_topics([f"t{number}" for number in range(50)])
    chosen = [path[-1] for path, _ in picks(model, "shuffle", 150)]
    rounds = [chosen[:50], chosen[50:100], chosen[100:]]
    assert all(sorted(order) == sorted(model.leaves()) for order in rounds)
    assert len({tuple(order) for order in [*rounds, model.leaves()]}) == 4
    assert chosen != [path[-1] for path, _ in picks(model, "shuffle", 150, seed=1)]


@settings(max_examples=60)
@given(crossing, st.integers(0, 1), st.integers(1, 60), st.integers(0, 3))
def test_balanced_gives_branches_counts_that_differ_by_one_at_most(
    given_paths: list[list[str]], which: int, rows: int, seed: int
) -> None:
    model = shape_of(which).from_paths(given_paths)
    below: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for path, _ in picks(model, "balanced", rows, seed=seed):
        for level in range(1, len(path) + 1):
            below[path[: level - 1]][path[level - 1]] += 1
    all_paths = [tuple(path) for path in model.paths()]
    for above, counts in below.items():
        children = {path[len(above)] for path in all_paths if path[: len(above)] == above}
        shares = [counts[child] for child in children]
        assert max(shares) - min(shares) <= 1


@settings(max_examples=60)
@given(crossing, st.integers(0, 1), st.sampled_from(["sequential", "shuffle", "balanced"]), st.integers(1, 40))
def test_no_row_is_about_the_same_topic_in_the_same_variation_as_another(
    given_paths: list[list[str]], which: int, strategy: str, rows: int
) -> None:
    chosen = picks(shape_of(which).from_paths(given_paths), strategy, rows)
    assert len(set(chosen)) == rows
    counted: Counter[tuple[str, ...]] = Counter()
    for path, repeat in chosen:
        assert repeat == counted[path]
        counted[path] += 1


@given(crossing, st.sampled_from(["sequential", "shuffle", "balanced"]), st.integers(0, 50))
def test_a_row_has_its_topic_whatever_was_asked_for_before(
    given_paths: list[list[str]], strategy: Any, row: int
) -> None:
    model = Graph.from_paths(given_paths)
    assert picks(model, strategy, row + 1)[row] == tuple(Selection(model, strategy, seed=0).pick(row))


def test_many_topics_are_read_counted_and_chosen_from_in_moments() -> None:
    listed = [[f"branch {number % 40}", f"twig {number % 800}", f"leaf {number}"] for number in range(20_000)]
    began = time.process_time()
    for shape in (Tree, Graph):
        model = shape.from_paths(listed)
        assert model.num_leaves == 20_000
        for strategy in ("sequential", "shuffle", "balanced"):
            assert len({path for path, _ in picks(model, strategy, 5_000)}) == 5_000
        assert shape.from_dict(model.to_dict()).num_paths == 20_000
    assert time.process_time() - began < 15  # ten times what it takes; a quadratic step takes minutes
    wide = Graph.from_paths([["r", str(number)] for number in range(20_000)])
    assert wide.num_paths == 20_000
    assert time.process_time() - began < 30


def test_a_graph_with_more_paths_than_memory_is_counted_and_chosen_from() -> None:
    """Thirty levels of two topics, each linked to both of the next: 2 ** 30 paths."""
    levels = [[f"{level}{side}" for side in "ab"] for level in range(30)]
    links = [[one, other] for upper, lower in itertools.pairwise(levels) for one in upper for other in lower]
    model = Graph.from_paths([["root", *levels[0][:1]], ["root", *levels[0][1:]], *(["root", *link] for link in links)])
    chosen = [path for path, _ in picks(model, "balanced", 64)]
    assert model.num_paths >= 2**30
    assert len(set(chosen)) == 64
    assert model.path(model.num_paths - 1)[0] == "root"
    assert model.num_leaves == 2
