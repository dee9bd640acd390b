"""A shard of a plan: which items it has, by their keys."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.plan.drawn import DrawnPlan
from datafast.plan.grid import Dimension, GridPlan, spread
from datafast.plan.sharded import ShardPlan, block_of, members_by_keys, shard_numbers


def grid(topics: int, routes: int = 2) -> GridPlan:
    return GridPlan(
        "raw",
        [Dimension("topic", [f"topic {number}" for number in range(topics)]), Dimension("language", ["en", "fr"])],
        routes=[f"r{number}" for number in range(routes)],
        rows_per_item=2,
    )


def drawn(rows: int) -> DrawnPlan:
    dimensions = [Dimension("topic", ["a", "b", "c"])]
    return DrawnPlan("raw", dimensions, num_rows=rows, rows_per_item=2, routes=["x", "y"])


@given(st.integers(0, 200), st.integers(1, 9))
def test_shards_divide_a_plan_and_count_their_part_of_it(size: int, of: int) -> None:
    for plan in (grid(size), drawn(size)):
        shards = [ShardPlan(plan, number, of, members_by_keys(plan, number, of)) for number in range(1, of + 1)]
        assert sorted(position for shard in shards for position in shard.members) == list(range(len(plan)))
        assert sum(shard.num_rows for shard in shards) == plan.num_rows
        assert sum(shard.num_items for shard in shards) == len(plan)
        assert len({shard.fingerprint for shard in shards}) == of
        for shard in shards:
            assert shard.num_rows == sum(plan[position].num_rows for position in shard.members)
            for route in range(2):
                own = [position for position in shard.members if position % 2 == route]
                assert shard.num_items_of(route) == len(own)
                assert shard.num_rows_of(route) == sum(plan[position].num_rows for position in own)


@given(st.integers(1, 99_999), st.integers(0, 50))
def test_the_shard_of_a_key_is_its_place_among_all_keys(of: int, size: int) -> None:
    plan = grid(size)
    expected = [int.from_bytes(key[:8], "big") * of // 2**64 + 1 for key in list(plan.keys())]
    assert [number for numbers in shard_numbers(plan, of) for number in numbers.tolist()] == expected


@given(st.integers(0, 10**12), st.integers(1, 500))
def test_blocks_are_as_equal_as_can_be(size: int, of: int) -> None:
    blocks = [block_of(size, number, of) for number in range(1, of + 1)]
    assert (blocks[0].start, blocks[-1].stop) == (0, size)
    assert all(one.stop == other.start for one, other in itertools.pairwise(blocks))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


def test_keys_of_other_shards_are_none_of_its_own() -> None:
    plan = grid(20)
    shard = ShardPlan(plan, 2, 3, members_by_keys(plan, 2, 3))
    keys = list(shard.keys())
    assert [position for position, key in enumerate(keys) if key] == list(shard.members)
    assert [key for key in keys if key] == [plan[position].key for position in shard.members]


@pytest.mark.parametrize("limit", [0, 1, 5, 13, 500])
def test_items_for_a_limit_are_spread_over_those_of_the_shard(limit: int) -> None:
    plan = grid(40)
    shard = ShardPlan(plan, 1, 3, members_by_keys(plan, 1, 3))
    chosen = spread(shard, limit, seed=3)
    assert len(chosen) == len(set(chosen)) == min(limit, len(shard.members))
    assert set(chosen) <= set(shard.members)
    assert chosen[: limit // 2] == spread(shard, limit // 2, seed=3)[: limit // 2]


def test_a_few_of_very_many_are_found_at_once() -> None:
    plan = GridPlan("raw", [Dimension("a", range(10**5)), Dimension("b", range(10**4))], routes=["r"])
    number = random.Random(1).randint(1, 99_999)
    shard = ShardPlan(plan, number, 99_999, block_of(len(plan), number, 99_999))
    assert len(set(spread(shard, 24, seed=0)) & set(shard.members)) == 24


def test_a_new_edition_of_keys_moves_no_item_to_another_shard() -> None:
    topics = [Dimension("topic", [f"topic {number}" for number in range(60)])]
    old = GridPlan("raw", topics, routes=["r"], shape=["first"])
    new = GridPlan("raw", topics, routes=["r"], shape=["second"], former=lambda: [old])
    assert list(new.keys()) != list(old.keys())
    for number in range(1, 5):
        assert members_by_keys(new, number, 4) == members_by_keys(old, number, 4)
