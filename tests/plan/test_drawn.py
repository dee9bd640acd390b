"""`num_rows`: exactly so many rows, spread evenly, the beginning of the draw for more, from all that the config describes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.datasets import ClassificationDataset, PreferenceDataset, RawDataset
from datafast.errors import DatafastWarning
from datafast.plan.grid import GridPlan, spread
from datafast.plan.items import digest
from datafast.schema.config import (
    ClassificationDatasetConfig,
    PreferenceDatasetConfig,
    PromptExpansionConfig,
    RawDatasetConfig,
    RunConfig,
)

pytestmark = pytest.mark.filterwarnings("ignore:expansion.num_random_samples is")  # of a single prompt

BASE = "{num_samples} {language_name} {document_type} {topic} "
LISTS = {"a": ["1", "2", "3"], "b": ["x", "y"], "c": ["p", "q", "r", "s"]}
TEMPLATES = {
    "none": ["plain"],
    "one": ["<<a>> <<b>>"],
    "shared": ["<<a>> <<b>>", "other <<b>> <<a>>"],
    "different": ["<<a>>", "<<b>>", "plain", "<<a>> <<c>>"],
    "partly shared": ["<<a>> <<b>>", "<<b>> <<c>>", "<<b>>"],
    "same text": ["<<a>>", "<<a>>", "<<b>>"],
}
STRATEGIES = ["combinatorial", "coverage", "random"]


def plan(num_rows: int | None, routes: int = 1, **fields: Any) -> GridPlan:
    texts = fields.pop("prompts", ["plain"])
    given: dict[str, Any] = {
        "document_types": ["note", "page", "card"],
        "topics": [f"topic {number}" for number in range(4)],
        "languages": {"en": "English", "fr": "French"},
        "num_samples_per_prompt": 1,
        **fields,
    }
    if strategy := given.pop("strategy", None):
        used = {name: values for name, values in LISTS.items() if f"<<{name}>>" in "".join(texts)}
        given["expansion"] = PromptExpansionConfig(placeholders=used, strategy=strategy, num_random_samples=3)
    config = RawDatasetConfig(prompts=[BASE + text for text in texts], num_rows=num_rows, **given)
    return RawDataset(config).plan([f"provider {number}" for number in range(routes)])


def shown(of: GridPlan, positions: Sequence[int]) -> dict[str, Counter[Any]]:
    """How often each value of each dimension is asked for."""
    counts: dict[str, Counter[Any]] = {}
    for item in (of[position] for position in positions):
        seen = {**item.values, **item.variant.values, "route": item.route, "prompt": item.variant.template_index}
        for name, value in seen.items():
            counts.setdefault(name, Counter())[value] += 1
    return counts


def span(counts: Counter[Any], size: int) -> int:
    return max(counts.values()) - (min(counts.values()) if len(counts) == size else 0)


@settings(max_examples=60)
@given(
    num_rows=st.integers(1, 400),
    per_call=st.integers(1, 7),
    routes=st.integers(1, 4),
    templates=st.sampled_from(sorted(TEMPLATES)),
    strategy=st.sampled_from(STRATEGIES),
)
@pytest.mark.filterwarnings("ignore:num_rows")
def test_the_rows_are_exactly_as_many_and_the_beginning_of_those_for_more(
    num_rows: int, per_call: int, routes: int, templates: str, strategy: str
) -> None:
    fields = {"prompts": TEMPLATES[templates], "strategy": strategy, "num_samples_per_prompt": per_call}
    drawn, more = plan(num_rows, routes, **fields), plan(num_rows + 1, routes, **fields)
    items = [drawn[position] for position in range(len(drawn))]
    assert sum(item.num_rows for item in items) == drawn.num_rows == num_rows
    assert [item.num_rows for item in items[:-1]] == [per_call] * (len(items) - 1)
    keys = [item.key for item in items]
    assert keys == list(drawn.keys()) == list(more.keys())[: len(keys)]
    assert len(set(keys)) == len(keys)
    assert [item.route for item in items] == [position % routes for position in range(len(items))]
    by_route = [sum(item.num_rows for item in items if item.route == route) for route in range(routes)]
    assert by_route == [drawn.num_rows_of(route) for route in range(routes)]
    assert max(by_route) - min(by_route) <= per_call
    assert drawn.fingerprint != more.fingerprint


@pytest.mark.parametrize("routes", [1, 2, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("templates", sorted(TEMPLATES))
def test_no_combination_comes_twice_before_all_have_come(templates: str, strategy: str, routes: int) -> None:
    fields = {"prompts": TEMPLATES[templates], "strategy": strategy}
    whole = plan(None, routes, **fields)
    drawn = plan(whole.num_rows, routes, **fields)
    assert set(drawn.keys()) == set(whole.keys())  # what was bought without num_rows stays
    twice = plan(2 * whole.num_rows, routes, **fields)
    assert len(set(twice.keys())) == 2 * whole.num_rows
    if strategy != "random":  # which goes on with further draws
        asked = Counter(
            (str(item.values), item.template.text, str(item.variant.values), item.route)
            for item in (twice[position] for position in range(len(twice)))
        )
        once = Counter(
            (str(item.values), item.template.text, str(item.variant.values), item.route)
            for item in (whole[position] for position in range(len(whole)))
        )
        assert asked == Counter({key: 2 * number for key, number in once.items()})


@settings(max_examples=40)
@given(num_rows=st.integers(1, 300), routes=st.integers(1, 3), seed=st.integers(0, 3))
def test_every_dimension_is_spread_evenly(num_rows: int, routes: int, seed: int) -> None:
    drawn = plan(num_rows, routes, prompts=TEMPLATES["shared"], strategy="combinatorial", run=RunConfig(seed=seed))
    sizes = {"document_type": 3, "topic": 4, "language": 2, "route": routes, "prompt": 2, "a": 3, "b": 2}
    for number in {1, num_rows // 3 + 1, num_rows}:
        counts = shown(drawn, range(number))
        assert {name: span(counts[name], size) <= 2 for name, size in sizes.items()} == dict.fromkeys(sizes, True)
        assert max(span(counts["route"], routes), span(counts["prompt"], 2)) <= 1


@settings(max_examples=30)
@given(num_rows=st.integers(1, 96), routes=st.integers(1, 3))
def test_prompts_with_different_placeholders_take_turns_and_each_is_even_in_itself(num_rows: int, routes: int) -> None:
    drawn = plan(num_rows, routes, prompts=["<<a>>", "<<b>> <<a>>", "<<c>>"], strategy="combinatorial")
    items = [drawn[position] for position in range(num_rows)]
    counts = shown(drawn, range(num_rows))
    if num_rows <= 3 * 24 * routes * 3:  # the first and the second prompt have other combinations to come
        assert span(counts["prompt"], 3) <= 1
    for prompt, name, size in ((0, "a", 3), (1, "a", 3), (1, "b", 2), (2, "c", 4)):
        values = Counter(item.variant.values[name] for item in items if item.variant.template_index == prompt)
        if values:
            assert span(values, size) <= 2


def test_a_prompt_without_further_combinations_leaves_its_turns_to_others() -> None:
    routes = 2
    drawn = plan(24 * routes * 5, routes, prompts=["plain", "<<c>>"], strategy="combinatorial")
    counts = shown(drawn, range(len(drawn)))
    assert counts["prompt"] == {0: 24 * routes, 1: 24 * routes * 4}
    assert set(counts["c"].values()) == {24 * routes}
    assert len(set(drawn.keys())) == len(drawn)
    assert span(shown(drawn, range(24 * routes * 2))["prompt"], 2) == 0
    assert span(shown(drawn, range(24 * routes * 4))["topic"], 4) <= 2


def test_a_value_that_is_listed_twice_is_asked_for_twice_as_often() -> None:
    expansion = PromptExpansionConfig(placeholders={"a": ["often", "often", "seldom"]})
    drawn = plan(90, prompts=["<<a>>"], expansion=expansion)
    assert shown(drawn, range(90))["a"] == {"often": 60, "seldom": 30}
    assert len(set(drawn.keys())) == 90


def test_with_random_only_what_is_drawn_for_each_base_combination_is_left_to_chance() -> None:
    few, many = (plan(number, 2, prompts=["<<a>> <<b>> <<c>>"], strategy="random") for number in (100, 480))
    counts = shown(few, range(100))
    assert [span(counts[name], size) <= 2 for name, size in (("topic", 4), ("language", 2), ("route", 2))] == [True] * 3
    assert len(set(many.keys())) == 480  # ten draws of 24 for each, although num_random_samples is 3
    assert max(item.variant.repeat for item in (many[position] for position in range(480))) == 0


def test_coverage_that_so_few_rows_cannot_have_is_told_of() -> None:
    with pytest.warns(DatafastWarning, match=r"5 rows come from 5 prompts, .* takes 12\. Raise num_rows"):
        plan(5, prompts=["<<a>> <<c>>"], strategy="coverage")
    drawn = plan(12, topics=["tides"], document_types=["note"], prompts=["<<a>> <<c>>"], strategy="coverage")
    pairs = {(item.variant.values["a"], item.variant.values["c"]) for item in (drawn[p] for p in range(12))}
    assert len(pairs) > 6


def test_a_trillion_combinations_cost_nothing() -> None:
    lists = {f"p{number}": [str(value) for value in range(10)] for number in range(20)}
    prompts = [BASE + " ".join(f"<<{name}>>" for name in lists)]
    config = RawDatasetConfig(
        document_types=["a"],
        topics=["t"],
        prompts=prompts,
        num_samples_per_prompt=1,
        num_rows=1000,
        expansion=PromptExpansionConfig(placeholders=lists),
    )
    begun = process_time()
    drawn = RawDataset(config).plan(["a", "b"])
    assert (len(drawn), drawn.num_variants) == (1000, 10**20)
    assert drawn[999].num_rows == 1
    assert process_time() - begun < 0.1  # building what is drawn from would take for ever
    counts = shown(drawn, range(1000))
    assert all(set(counts[name].values()) == {100} for name in lists)


def test_a_preview_shows_the_beginning_of_the_draw() -> None:
    drawn = plan(50, 2)
    assert spread(drawn, 6, seed=0) == [0, 1, 2, 3, 4, 5]
    assert spread(drawn, 60, seed=0) == list(range(50))


def test_another_seed_draws_other_rows_and_a_repeated_call_the_same() -> None:
    keys = [list(plan(10, topics=[str(n) for n in range(500)], run=RunConfig(seed=seed)).keys()) for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]


def test_a_position_beyond_the_end_is_refused() -> None:
    for position in (5, -1):
        with pytest.raises(IndexError):
            plan(5)[position]


def test_keys_of_a_draw_stay() -> None:
    """A change would buy the rows of every output with num_rows again."""
    drawn = plan(7, 2, prompts=TEMPLATES["different"], strategy="combinatorial", num_samples_per_prompt=3)
    keys = list(drawn.keys())
    assert [key.hex()[:8] for key in keys] == ["328d005b", "01f2fcb9", "0402ea41"]


def test_draws_of_all_strategies_stay() -> None:
    """Each with the second time round, and some on several routes."""
    keys = [
        drawn[position].key
        for texts in TEMPLATES.values()
        for strategy in STRATEGIES
        for routes in (1, 2, 3)
        for drawn in [plan(400, routes, prompts=texts, strategy=strategy)]
        for position in range(0, 400, 13)
    ]
    assert digest(*keys).hex() == "1fc632e9ea4e2998c7652b27cb073f8c"


def test_what_is_shown_of_a_plan_stays_and_has_no_item_twice() -> None:
    whole = plan(None, 2, prompts=TEMPLATES["different"], strategy="combinatorial")
    assert whole.radices == (3, 4, 2, 18, 2)
    few, nearly_all = spread(whole, 20, seed=3), spread(whole, 863, seed=3)
    assert few == nearly_all[:20]
    assert few[:10] == [219, 630, 440, 121, 365, 782, 817, 64, 370, 187]
    counts = shown(whole, few)
    sizes = {"document_type": 3, "topic": 4, "language": 2, "route": 2}
    assert {name: span(counts[name], size) <= 1 for name, size in sizes.items()} == dict.fromkeys(sizes, True)
    assert len(set(nearly_all)) == len(nearly_all) == 863
    assert digest(str(nearly_all)).hex() == "cc8096634b87d2c3a0af5316e23f5639"
    assert spread(whole, 864, seed=3) == spread(whole, 9999, seed=3) == list(range(864))


def test_classes_and_documents_are_spread_too(tmp_path: Path) -> None:
    classes: Any = [{"name": f"class {number}", "description": "d"} for number in range(3)]
    languages = {"en": "English", "fr": "French"}
    texts = ClassificationDataset(ClassificationDatasetConfig(classes=classes, languages=languages, num_rows=20))
    drawn: Any = texts.plan(["a", "b"])
    counts = Counter(drawn[position].values["class"].name for position in range(len(drawn)))
    assert (drawn.num_rows, sorted(counts.values())) == (20, [1, 1, 2])
    pairs = PreferenceDataset(
        PreferenceDatasetConfig(input_documents=list("abcdefg"), languages=languages, num_rows=20)
    )
    assert pairs.get_num_expected_rows() == 20
    drawn = pairs.plan(["roles"])
    assert len({drawn[position].values["document"] for position in range(len(drawn))}) == 7


@pytest.mark.parametrize("texts", TEMPLATES)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("routes", [1, 2, 3])
def test_keys_made_in_bulk_are_those_of_the_items(texts: str, strategy: str, routes: int) -> None:
    """Plans of more than a thousand items; so many draws run through all combinations several times."""
    of = plan(1_700, routes, strategy=strategy, prompts=TEMPLATES[texts])
    assert list(of.keys()) == [of[position].key for position in range(len(of))]
    assert list(of.contents()) == [of[position].content for position in range(len(of))]


@pytest.mark.parametrize("sizes", [[3, 4, 2], [70, 6, 8], [1, 5_000, 12], [2, 3, 100_000]])
def test_keys_made_in_bulk_of_large_dimensions(sizes: list[int]) -> None:
    kinds, topics, places = sizes
    of = plan(
        70_000,  # more than are made at once
        2,
        document_types=[f"kind {number}" for number in range(kinds)],
        topics=[f"topic {number}" for number in range(topics)],
        languages={f"l{number}": f"language {number}" for number in range(places % 97 + 1)},
    )
    looked_at = range(0, len(of), 613)
    keys = list(of.keys())
    assert len(keys) == len(of)
    assert [keys[position] for position in looked_at] == [of[position].key for position in looked_at]
