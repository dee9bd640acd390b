"""Which draws plans with strata have that are parts of one, or were put together from parts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import orjson
from hypothesis import given
from hypothesis import strategies as st

from datafast.plan.draw_numbers import PLAIN, DrawNumbers, Held, part_of, together
from datafast.plan.grid import Dimension
from datafast.plan.stratified import StratifiedPlan

STRATA = [{"topic": "a"}, {"topic": "b"}, {"topic": "c"}]
ROUNDS = st.lists(st.tuples(*[st.integers(0, 9)] * len(STRATA)), max_size=3)


def plan(
    rounds: Sequence[Sequence[int]], draws: DrawNumbers = PLAIN, *, routes: int = 2, rows: int = 2
) -> StratifiedPlan:
    return StratifiedPlan(
        "raw",
        [Dimension("topic", ["a", "b", "c"]), Dimension("language", ["en", "fr"])],
        strata=STRATA[: len(rounds[0])] if rounds else STRATA,
        rounds=rounds,
        routes=[f"r{number}" for number in range(routes)],
        rows_per_item=rows,
        draws=draws,
    )


def read_back(held: Sequence[Held]) -> list[Held]:
    return [Held.of_plain(told) for told in json.loads(orjson.dumps([one.to_plain() for one in held]))]


def items(some: StratifiedPlan) -> dict[bytes, tuple[int, int, int]]:
    """Route, rows and draw of each item, by key."""
    found = {some[at].key: (some[at].route, some[at].num_rows, some.draw_at(at)) for at in some.members}
    assert len(found) == len(some.members)
    return found


def of_shards(rounds: Sequence[Sequence[Sequence[int]]], routes: int) -> list[StratifiedPlan]:
    return [plan(one, DrawNumbers(number, len(rounds)), routes=routes) for number, one in enumerate(rounds)]


@given(st.integers(1, 9), st.integers(1, 3))
def test_every_draw_is_one_of_exactly_one_shard(of: int, routes: int) -> None:
    first = [
        [list(itertools.islice(DrawNumbers(i, of).all(0, route), 20)) for route in range(routes)] for i in range(of)
    ]
    for route in range(routes):
        turns = sorted(turn for shard in first for turn in shard[route])
        assert turns == list(range(20 * of))


@given(st.sets(st.integers(0, 60)), st.integers(0, 5), st.integers(1, 6))
def test_what_is_held_comes_first_and_then_what_is_free_of_the_class(taken: set[int], offset: int, stride: int) -> None:
    offset %= stride
    draws = DrawNumbers(offset, stride, [Held.of_turns([taken], step=stride)])
    found = list(itertools.islice(draws.all(0, 0), len(taken) + 15))
    free = [turn for turn in range(offset, 1_000, stride) if turn not in taken][:15]
    assert found == [*sorted(taken), *free]


@given(st.sets(st.integers(0, 200)), st.integers(1, 12), st.integers(1, 9))
def test_what_is_held_is_read_back_and_divided_without_a_rest(taken: set[int], step: int, of: int) -> None:
    short = dict.fromkeys(((0, turn) for turn in list(taken)[:3]), 1)
    held = [Held.of_turns([taken], short, step=step)]
    assert read_back(held) == held
    parts = [part_of(held, number, of) for number in range(1, of + 1)]
    for number, part in enumerate(parts):
        assert list(part[0].on_route(0)) == [turn for turn in sorted(taken) if turn % of == number]
    back = together(parts)[0]
    assert (list(back.on_route(0)), dict(back.short)) == (sorted(taken), short)


def test_shards_that_have_drawn_alike_make_one_range() -> None:
    (held,) = together([[Held.of_turns([range(i, 40, 4)], step=4)] for i in range(4)])
    assert held.turns == ((range(40),),)


@given(st.lists(ROUNDS, min_size=1, max_size=4), st.integers(1, 3), ROUNDS)
def test_a_merged_plan_has_the_items_of_its_shards_and_goes_on_with_others(
    rounds: list[list[tuple[int, ...]]], routes: int, more: list[tuple[int, ...]]
) -> None:
    shards = of_shards(rounds, routes)
    of_all = {key: item for shard in shards for key, item in items(shard).items()}
    assert len(of_all) == sum(len(items(shard)) for shard in shards)
    held = read_back(together([shard.held for shard in shards]))
    merged = plan([(0, 0, 0)], DrawNumbers(held=held), routes=routes)
    assert items(merged) == of_all
    assert merged.num_rows == sum(shard.num_rows for shard in shards)
    assert sum(merged.num_rows_of(route) for route in range(routes)) == merged.num_rows
    assert sum(merged.num_items_of(route) for route in range(routes)) == len(of_all)
    assert [key for key in list(merged.keys()) if key] == [merged[at].key for at in merged.members]
    further = merged.grown([*merged.rounds, *more])
    assert items(further).items() >= of_all.items()
    assert further.num_rows == merged.num_rows + sum(map(sum, more))
    numbers = {draw for key, (_, _, draw) in items(further).items() if key not in of_all}
    # What is drawn on comes as early as possible.
    assert all(draw < (len(items(further)) + 1) * routes for draw in numbers)


@given(st.lists(ROUNDS, min_size=2, max_size=4), st.integers(2, 5), st.integers(1, 2), ROUNDS)
def test_draws_are_divided_anew_and_shards_go_on_without_drawing_twice(
    rounds: list[list[tuple[int, ...]]], of: int, routes: int, more: list[tuple[int, ...]]
) -> None:
    shards = of_shards(rounds, routes)
    held = together([shard.held for shard in shards])
    new = [
        plan([(0, 0, 0)], DrawNumbers(number, of, part_of(held, number + 1, of)), routes=routes) for number in range(of)
    ]
    before = {key for shard in shards for key in items(shard)}
    assert sorted(key for shard in new for key in items(shard)) == sorted(before)
    grown = [shard.grown([*shard.rounds, *more]) for shard in new]
    keys = [key for shard in grown for key in items(shard)]
    assert len(keys) == len(set(keys))
    again = together([shard.held for shard in grown])
    assert set(items(plan([(0, 0, 0)], DrawNumbers(held=again), routes=routes))) == set(keys)


@given(st.lists(st.integers(0, 30), max_size=4), st.integers(1, 3), st.integers(1, 4))
def test_one_stratum_alone_has_the_draws_of_its_class(rounds: list[int], routes: int, of: int) -> None:
    made = [
        plan([(rows,) for rows in rounds] or [(0,)], DrawNumbers(number, of), routes=routes, rows=1)
        for number in range(of)
    ]
    for number, shard in enumerate(made):
        turns = [divmod(shard.draw_at(at), routes) for at in range(len(shard))]
        assert [route for _, route in turns] == [at % routes for at in range(len(shard))]
        assert [turn for turn, _ in turns] == [number + of * (at // routes) for at in range(len(shard))]
    assert len({shard.fingerprint for shard in made}) == of
