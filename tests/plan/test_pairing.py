"""Values that each prompt gets by a draw or in turn: the laws of a plan, even shares, and what stays when values come and go."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.datasets import RawDataset
from datafast.plan.grid import GridPlan
from datafast.schema.config import PromptExpansionConfig, RawDatasetConfig

WAYS = ["all", "random", "cycle"]
BASE = "{num_samples} {language_name} {document_type} {topic} "
MANY = [f"person {number}" for number in range(100)]


def plan(routes: int = 1, **fields: Any) -> GridPlan:
    known: dict[str, Any] = {
        "document_types": ["note", "page"],
        "topics": [f"topic {number}" for number in range(fields.pop("num_topics", 3))],
        "num_samples_per_prompt": 1,
    }
    return RawDataset(RawDatasetConfig(**{**known, **fields})).plan([f"provider {number}" for number in range(routes)])


def met(of: GridPlan, name: str = "persona") -> dict[tuple[str, str], Any]:
    """What the prompt about each document type and topic got."""
    items = [of[position] for position in range(len(of))]
    return {(item.values["document_type"], item.values["topic"]): item.values[name] for item in items}


@given(
    ways=st.fixed_dictionaries({"personas": st.sampled_from(WAYS), "seed_texts": st.sampled_from(WAYS)}),
    people=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6),
    texts=st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=4),
    topics=st.integers(1, 5),
    routes=st.integers(1, 3),
    num_rows=st.none() | st.integers(1, 60),
    strategy=st.none() | st.sampled_from(["combinatorial", "random"]),
)
@settings(max_examples=80)
@pytest.mark.filterwarnings("ignore:expansion.num_random_samples is")
def test_a_plan_is_what_its_keys_say_and_every_key_is_another_one(
    ways: Any, people: list[str], texts: list[str], topics: int, routes: int, num_rows: int | None, strategy: Any
) -> None:
    more: dict[str, Any] = {}
    if strategy is not None:
        expansion = PromptExpansionConfig(placeholders={"mood": ["calm", "grim"]}, strategy=strategy)
        more = {"expansion": expansion, "prompts": [BASE + "{persona} {seed_text} <<mood>>"]}
    found = plan(routes, num_topics=topics, personas=people, seed_texts=texts, pair=ways, num_rows=num_rows, **more)
    items = [found[position] for position in range(len(found))]
    assert [item.key for item in items] == list(found.keys())
    assert len({item.key for item in items}) == len(items)
    assert {item.values["persona"] for item in items} <= set(people)
    assert sum(item.num_rows for item in items) == found.num_rows
    if num_rows is not None:
        assert found.num_rows == num_rows
    else:
        axes = [len(values) for field, values in (("personas", people), ("seed_texts", texts)) if ways[field] == "all"]
        variants = 2 if strategy == "combinatorial" else 1
        assert len(found) == 2 * topics * routes * variants * (axes[0] if axes else 1) * (axes[1] if axes[1:] else 1)


@given(prompts=st.integers(1, 200), people=st.integers(1, 30), texts=st.integers(1, 30), num_rows=st.booleans())
@settings(max_examples=60)
def test_in_turn_each_value_comes_as_often_as_the_others(prompts: int, people: int, texts: int, num_rows: bool) -> None:
    found = plan(
        document_types=["note"],
        num_topics=prompts,
        personas=MANY[:people],
        seed_texts=MANY[:texts],
        pair="cycle",
        num_rows=prompts if num_rows else None,
    )
    for name, size in (("persona", people), ("seed_text", texts)):
        counts = Counter(found[position].values[name] for position in range(prompts))
        assert max(counts.values()) - min(counts.values()) <= (1 if len(counts) == size else 0)
        assert len(counts) == min(prompts, size)


def test_in_turn_no_value_is_tied_to_another_dimension() -> None:
    for size in (2, 4, 8, 16):
        values = [str(number) for number in range(size)]
        found = plan(document_types=["note", "page"], topics=values, personas=values, seed_texts=values, pair="cycle")
        by_type: dict[str, set[str]] = {}
        for position in range(len(found)):
            by_type.setdefault(found[position].values["document_type"], set()).add(found[position].values["persona"])
        assert all(len(people) == size for people in by_type.values())
        both = Counter((found[p].values["persona"], found[p].values["seed_text"]) for p in range(len(found)))
        assert len(both) > size or size == 2
    found = plan(document_types=["note"], num_topics=16, personas=["a", "b"], seed_texts=["x", "y"], pair="cycle")
    both = Counter((found[p].values["persona"], found[p].values["seed_text"]) for p in range(16))
    assert set(both.values()) == {4}


@pytest.mark.parametrize("num_rows", [None, 2000])
def test_drawn_values_have_about_equal_shares(num_rows: int | None) -> None:
    found = plan(num_topics=1000, personas=MANY[:20], pair="random", num_rows=num_rows)
    counts = Counter(found[position].values["persona"] for position in range(len(found)))
    assert len(counts) == 20
    assert min(counts.values()) > 60
    assert max(counts.values()) < 150


def test_a_value_that_comes_or_goes_changes_only_the_prompts_that_get_it() -> None:
    before = met(plan(num_topics=1000, personas=MANY, pair="random"))
    more = met(plan(num_topics=1000, personas=[*MANY, "new"], pair="random"))
    changed = [prompt for prompt in before if before[prompt] != more[prompt]]
    assert {more[prompt] for prompt in changed} == {"new"}
    assert 5 <= len(changed) <= 45  # of 2,000, where 20 is the mean

    less = met(plan(num_topics=1000, personas=[*MANY[:50], *MANY[51:]], pair="random"))
    assert {prompt for prompt in before if before[prompt] != less[prompt]} == {
        prompt for prompt, person in before.items() if person == MANY[50]
    }
    assert met(plan(num_topics=1000, personas=MANY[::-1], pair="random")) == before
    assert met(plan(num_topics=900, personas=MANY, pair="random")).items() <= before.items()


def test_many_values_are_put_in_order_in_little_memory() -> None:
    drawn = plan(personas=[f"person {number}" for number in range(20_000)], pair="random")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    assert drawn[0].values["persona"].startswith("person ")
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 20_000 * 700


def test_another_seed_draws_others_and_two_lists_are_drawn_apart() -> None:
    first = plan(num_topics=50, personas=MANY, seed_texts=MANY, pair="random")
    other = plan(num_topics=50, personas=MANY, seed_texts=MANY, pair="random", run={"seed": 1})
    assert met(first) != met(other)
    assert met(first) != met(first, "seed_text")
    assert first.fingerprint != other.fingerprint


def test_providers_answer_the_same_prompts_with_the_same_values() -> None:
    for way in WAYS:
        found = plan(2, personas=MANY[:3], pair=way)
        for position in range(0, len(found), 2):
            assert found[position].content == found[position + 1].content
            assert found[position].values == found[position + 1].values


def test_another_way_to_pair_keeps_the_prompts_that_both_have() -> None:
    every = set(plan(num_topics=20, personas=MANY).keys())
    for way in ("random", "cycle"):
        assert set(plan(num_topics=20, personas=MANY, pair=way).keys()) < every


def test_more_rows_keep_those_that_are_there() -> None:
    for way in WAYS:
        few = plan(personas=MANY, pair=way, num_rows=10)
        assert list(plan(personas=MANY, pair=way, num_rows=30).keys())[:10] == list(few.keys())


def test_a_plan_of_any_size_is_made_at_once() -> None:
    texts = [f"text {number}" for number in range(30_000)]
    found = plan(document_types=texts, topics=texts, personas=texts[:1000], pair="random")
    assert len(found) == 900_000_000
    assert found[899_999_999].values["persona"] in texts
    assert len(plan(document_types=texts, topics=texts, personas=texts[:100])) == 90_000_000_000


def test_what_is_drawn_and_what_comes_in_turn_stays_so_in_every_version() -> None:
    for way, people in {
        "random": "0 2 1 2 1 2",
        "cycle": "0 1 2 3 1 2",
    }.items():
        found = plan(personas=[str(number) for number in range(4)], pair=way)
        assert " ".join(found[position].values["persona"] for position in range(6)) == people
