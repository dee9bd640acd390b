"""Plans that grow by rounds: each stratum is drawn as far as it is asked for, evenly, and nothing moves when a round is added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.plan.dimensions import Dimension
from datafast.plan.drawn import DrawnPlan
from datafast.plan.expansion import Expansion, ExpansionSpec, Strategy
from datafast.plan.stratified import StratifiedPlan, fields_of, label_of, lay_out
from datafast.plan.template import Template

TONES = ("plain", "formal", "curt")
LANGUAGES = [("en", "English"), ("fr", "French")]


def parts(strategy: Strategy = "combinatorial", texts: Sequence[str] = ("<<tone>>", "<<tone>> <<era>>")) -> Any:
    values = {"tone": TONES, "era": ("then", "now")}
    templates = [Template.parse(text, mandatory=(), placeholders=values) for text in texts]
    spec = ExpansionSpec(placeholders=values, strategy=strategy, num_random_samples=2)
    dimensions = [Dimension("topic", ["cranes", "docks", "tides"]), Dimension("language", LANGUAGES)]
    return {"dimensions": dimensions, "expansion": Expansion(templates, spec, remark=False, drawn=True), "seed": 7}


def stratified(
    strata: Sequence[dict[str, str]], rounds: Sequence[Sequence[int]], routes: int = 1, **given: Any
) -> StratifiedPlan:
    of = parts(**{name: given.pop(name) for name in ("strategy", "texts") if name in given})
    names = [f"route {number}" for number in range(routes)]
    return StratifiedPlan("test", of.pop("dimensions"), strata=strata, rounds=rounds, routes=names, **of, **given)


BY_LANGUAGE = [{"language": "en"}, {"language": "fr"}]


def test_one_stratum_of_everything_is_the_draw_of_num_rows_in_whatever_rounds() -> None:
    of = parts()
    drawn = DrawnPlan("test", of.pop("dimensions"), num_rows=40, routes=["a", "b"], **of)
    plan = stratified([{}], [[13], [20], [7]], routes=2)
    other = StratifiedPlan("test", parts()["dimensions"], strata=[{}], rounds=[[40]], routes=["a", "b"], **of)
    assert list(other.keys()) == list(drawn.keys())
    assert [item.content for item in map(plan.__getitem__, range(40))] == [drawn[at].content for at in range(40)]


@pytest.mark.parametrize("strategy", ["combinatorial", "random", "coverage"])
def test_a_stratum_has_its_values_and_as_many_rows_as_it_is_asked_for(strategy: Strategy) -> None:
    strata = [{"language": "en", "tone": "curt"}, {"language": "fr", "tone": "plain"}]
    plan = stratified(strata, [[5, 3], [0, 9]], strategy=strategy)
    counts = Counter(
        (item.values["language"][0], item.variant.values["tone"]) for item in map(plan.__getitem__, range(17))
    )
    assert counts == {("en", "curt"): 5, ("fr", "plain"): 12}
    assert plan.num_rows == plan.num_items == 17


def test_templates_without_the_placeholder_of_a_stratum_are_not_in_it_and_the_others_keep_their_numbers() -> None:
    plan = stratified([{"tone": "formal"}], [[30]], texts=("bare", "<<tone>>", "<<era>>", "<<era>> <<tone>>"))
    assert {plan[at].variant.template_index for at in range(30)} == {1, 3}
    assert {plan[at].template.text for at in range(30)} == {"<<tone>>", "<<era>> <<tone>>"}


def test_keys_are_those_of_the_whole_draw_so_that_an_output_keeps_its_rows() -> None:
    of = parts()
    every = set(DrawnPlan("test", of.pop("dimensions"), num_rows=54, routes=["route 0"], **of).keys())
    assert len(every) == 54  # all combinations
    assert set(stratified(BY_LANGUAGE, [[20, 34 - 7], [7, 0]]).keys()) == every


ROUNDS = st.lists(st.lists(st.integers(0, 23), min_size=3, max_size=3), min_size=1, max_size=4)
THREE = [{"topic": topic} for topic in ("cranes", "docks", "tides")]


@settings(deadline=None, max_examples=40)
@given(ROUNDS, st.integers(1, 3), st.integers(1, 4))
def test_a_round_more_moves_nothing_and_every_round_is_exact_even_and_without_repeats(
    rounds: list[list[int]], routes: int, rows_per_item: int
) -> None:
    plan = stratified(THREE, rounds, routes, rows_per_item=rows_per_item)
    items = [plan[position] for position in range(len(plan))]
    keys = list(plan.keys())
    assert [item.key for item in items] == keys
    assert len(set(keys)) == len(keys)
    assert [item.route for item in items] == [position % routes for position in range(len(items))]
    assert sum(item.num_rows for item in items) == plan.num_rows == sum(map(sum, rounds))
    assert sum(map(plan.num_rows_of, range(routes))) == plan.num_rows
    for number, stratum in enumerate(THREE):
        own = [item for item in items if item.values["topic"] == stratum["topic"]]
        assert sum(item.num_rows for item in own) == sum(wanted[number] for wanted in rounds)
        by_route = Counter(item.route for item in own)
        assert max(by_route.values(), default=0) - min([by_route[r] for r in range(routes)]) <= len(rounds)
    fewer = plan.grown(rounds[:-1])
    assert list(fewer.keys()) == keys[: len(fewer)]
    assert [fewer[at].num_rows for at in range(len(fewer))] == [item.num_rows for item in items[: len(fewer)]]
    assert fewer.fingerprint != plan.fingerprint or not sum(rounds[-1])
    assert fewer.grown(rounds).fingerprint == plan.fingerprint
    assert {at for at, item in enumerate(items) if item.num_rows < rows_per_item} == set(plan.ends)


def test_strata_take_turns_within_a_round() -> None:
    layout = lay_out([[4, 8]], strata=2, routes=1, rows_per_item=1)
    assert layout.strata is not None
    assert [list(layout.strata[at : at + 3]).count(0) for at in (0, 3, 6, 9)] == [1, 1, 1, 1]


def test_fields_are_dimensions_with_names_and_placeholders() -> None:
    dimensions = [
        *parts()["dimensions"],
        Dimension("chunk", [object()], digests=[b"0"]),
        Dimension("class", ["a", "a"], called="label"),
    ]
    assert fields_of(dimensions, {"tone": TONES}) == {
        "topic": ["cranes", "docks", "tides"],
        "language": ["en", "fr"],
        "label": ["a"],
        "tone": list(TONES),
    }
    assert label_of("topic", ("harbour", "cranes")) == "cranes"


def test_keys_of_many_items_are_those_of_the_items() -> None:
    plan = stratified(BY_LANGUAGE, [[700, 500], [900, 100]], routes=2)
    assert list(plan.keys()) == [plan[position].key for position in range(len(plan))]
