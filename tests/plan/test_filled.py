"""Plans with further draws: everything of a plan holds for them too."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.plan.drawn import DrawnPlan
from datafast.plan.expansion import Expansion, ExpansionSpec
from datafast.plan.filled import Fill, FilledPlan, filled
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.template import Template

LETTERS = "abcdefg"


def _plan(topics: int, routes: int, num_rows: int | None, rows_per_item: int = 2) -> GridPlan:
    template = Template.parse("<<tone>> {topic}", mandatory=("topic",), placeholders=("tone",))
    expansion = Expansion([template], ExpansionSpec(placeholders={"tone": ("calm", "dry")}))
    given: Any = {
        "routes": [f"route {number}" for number in range(routes)],
        "expansion": expansion,
        "rows_per_item": rows_per_item,
    }
    dimensions = [Dimension("topic", list(LETTERS[:topics]))]
    if num_rows is None:
        return GridPlan("test", dimensions, **given)
    return DrawnPlan("test", dimensions, num_rows=num_rows, **given)


plans = st.builds(_plan, st.integers(1, 5), st.integers(1, 3), st.none() | st.integers(1, 40), st.integers(1, 3))


def _fills(plan: GridPlan, places: list[int]) -> list[Fill]:
    """Further draws of items at these places, as many of each as it comes, for each route."""
    drawn: dict[bytes, int] = {}
    fills = []
    for place in places:
        content = plan[place % len(plan)].content
        drawn[content] = drawn.get(content, 0) + 1
        fills.append(Fill(content, drawn[content]))
    return fills if plan.radices else fills[: len(fills) // plan.num_routes * plan.num_routes]


@settings(max_examples=60, deadline=None)
@given(plans, st.lists(st.integers(0, 100), max_size=9))
def test_a_plan_with_further_draws_is_a_plan(base: GridPlan, places: list[int]) -> None:
    fills = _fills(base, places)
    plan = filled(base, fills)
    if not fills:
        assert plan is base
        return
    assert isinstance(plan, FilledPlan)
    items = [plan[position] for position in range(len(plan))]
    assert [item.position for item in items] == list(range(len(plan)))
    assert [item.route for item in items] == [position % plan.num_routes for position in range(len(plan))]
    assert [item.key for item in items] == list(plan.keys())
    assert len({item.key for item in items}) == len(items)
    assert sum(item.num_rows for item in items) == plan.num_rows
    assert sum(map(plan.num_rows_of, range(plan.num_routes))) == plan.num_rows
    assert sum(map(plan.num_items_of, range(plan.num_routes))) == len(plan) == plan.num_items
    assert {item.key for item in items} >= set(base.keys())
    assert {position for position, item in enumerate(items) if item.num_rows != item.most_rows} <= set(plan.ends)
    assert len(plan) - len(base) == len(fills) * (plan.num_routes if base.radices else 1)
    assert plan.fingerprint != base.fingerprint
    assert filled(base, fills).fingerprint == plan.fingerprint
    with pytest.raises(IndexError):
        plan[len(plan)]


@settings(max_examples=60, deadline=None)
@given(plans)
def test_contents_are_those_of_the_items(plan: GridPlan) -> None:
    assert list(plan.contents()) == [plan[position].content for position in range(len(plan))]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 30), st.integers(0, 20), st.lists(st.integers(0, 100), min_size=1, max_size=9))
def test_a_plan_that_grows_keeps_its_further_draws(routes: int, rows: int, more: int, places: list[int]) -> None:
    base, larger = _plan(4, routes, rows), _plan(4, routes, rows + more)
    fills = _fills(base, places)
    assert set(filled(base, fills).keys()) <= set(filled(larger, fills).keys())
    wide, wider = _plan(3, routes, None), _plan(5, routes, None)
    fills = _fills(wide, places)
    assert set(filled(wide, fills).keys()) <= set(filled(wider, fills).keys())


def test_further_draws_ask_for_the_same_after_all_others() -> None:
    base = _plan(3, 2, None)
    plan = filled(base, [Fill(base[4].content, 1), Fill(base[4].content, 2)])
    assert len(plan) == len(base) + 4
    for position in range(len(base), len(plan)):
        assert plan[position].shown_values == base[4].shown_values
        assert plan[position].content != base[4].content
        assert plan.draw_at(position) > max(map(plan.draw_at, range(len(base))))
    assert plan[len(base)].content == plan[len(base) + 1].content
    assert plan[len(base)].rng("x").random() != plan[len(base) + 2].rng("x").random()


def test_draws_of_items_that_are_gone_are_left_out() -> None:
    base, smaller = _plan(3, 2, None), _plan(2, 2, None)
    fills = [Fill(base[0].content, 1), Fill(base[len(base) - 1].content, 1)]
    plan = filled(smaller, fills)
    assert len(plan) == len(smaller) + 2
    assert filled(smaller, fills[1:]).num_rows == smaller.num_rows
