"""Groups of rows that are nearly the same, beside a comparison of every pair."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from datafast.quality.near_groups import NearDuplicateGroup, near_duplicate_groups
from datafast.quality.shingles import shingles

WORDS = ["ice", "core", "tide", "gauge", "salt", "marsh", "river", "delta", "basalt", "ridge", "kelp", "plume", "moss"]


def a_text(chance: random.Random, words: int = 60) -> list[str]:
    return [f"{chance.choice(WORDS)}{chance.randrange(200)}" for _ in range(words)]


def edited(words: Sequence[str], chance: random.Random, places: int = 1) -> list[str]:
    """With so many words replaced: 0.8 and more of the pairs of 60 words are the same up to three, as far apart as may be."""
    made = list(words)
    for place in chance.sample(range(len(made)), places):
        made[place] = f"new{chance.randrange(10_000)}"
    return made


def rows_of(*texts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"uuid": f"row-{number}", "text": " ".join(words), "language": "en"} for number, words in enumerate(texts)]


def by_all_pairs(rows: Sequence[Mapping[str, Any]], threshold: float) -> list[int]:
    """Of each row the first one of its group."""
    sets = [set(one.tolist()) for one in shingles([[row["text"]] for row in rows], 2)]
    first = list(range(len(rows)))
    for later in range(len(rows)):
        for earlier in range(later):
            both = len(sets[earlier] & sets[later])
            if both and both / len(sets[earlier] | sets[later]) >= threshold:
                low, high = sorted((first[earlier], first[later]))
                first = [low if one == high else one for one in first]
    return first


def test_rows_that_are_like_a_third_one_are_in_one_group_though_not_like_each_other() -> None:
    chance = random.Random(5)
    a = [f"word{number}" for number in range(60)]
    b = [*a[:4], "x", *a[5:]]
    c = [*b[:20], "y", *b[21:40], "z", *b[41:]]
    other = a_text(chance)
    rows = rows_of(a, other, c, b)  # b, which joins a and c, comes last

    found = near_duplicate_groups(rows, threshold=0.85)

    assert by_all_pairs(rows_of(a, c), 0.85) == [0, 1]
    assert found.first.tolist() == [0, 1, 0, 0]
    assert found.largest() == [NearDuplicateGroup([0, 2, 3], ["row-0", "row-2", "row-3"])]


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_those_of_all_pairs_whatever_the_order(seed: int) -> None:
    chance = random.Random(seed)
    texts: list[Sequence[str]] = []
    for _ in range(40):
        texts.append(a_text(chance))
        for _ in range(chance.randrange(5)):
            texts.append(edited(texts[-1], chance))  # far from the first one, after some steps
    chance.shuffle(texts)
    rows = rows_of(*texts)
    expected = by_all_pairs(rows, 0.8)
    assert len(set(expected)) < len(rows)

    assert near_duplicate_groups(rows).first.tolist() == expected

    order = chance.sample(range(len(rows)), len(rows))
    moved = near_duplicate_groups(rows[place] for place in order)
    groups = {frozenset(group.uuids) for group in near_duplicate_groups(rows).largest()}
    assert {frozenset(group.uuids) for group in moved.largest()} == groups


def test_a_crowd_of_rows_with_a_frame_in_common_is_one_group() -> None:
    chance = random.Random(2)
    frame = a_text(chance, 80)
    rows = rows_of(*(edited(frame, chance) for _ in range(1_500)), a_text(chance))
    found = near_duplicate_groups(rows)
    assert [len(group.rows) for group in found.largest()] == [1_500]
    assert found.first[-1] == 1_500


def test_groups_are_told_the_largest_first_and_at_most_so_many() -> None:
    chance = random.Random(7)
    one, two, three = (a_text(chance) for _ in range(3))
    found = near_duplicate_groups(rows_of(one, two, one, two, three, two))
    assert [group.rows for group in found.largest()] == [[1, 3, 5], [0, 2]]
    assert [group.rows for group in found.largest(1)] == [[1, 3, 5]]


def test_rows_without_words_are_each_by_themselves_and_rows_need_no_uuid() -> None:
    found = near_duplicate_groups([{"text": "!"}, {"text": None}, {"text": "a b"}, {"other": 1}, {"text": "A, b"}])
    assert found.first.tolist() == [0, 1, 2, 3, 2]
    assert found.largest() == [NearDuplicateGroup([2, 4], [None, None])]
    assert near_duplicate_groups([]).largest() == []


def test_one_field_may_be_compared_alone() -> None:
    rows = [{"question": "How deep is it there", "answer": f"{number} and so on"} for number in (7, 80)]
    assert near_duplicate_groups(rows, field="question").first.tolist() == [0, 0]
    assert near_duplicate_groups(rows).first.tolist() == [0, 1]
    assert near_duplicate_groups(rows, about=["answer"]).first.tolist() == [0, 0]
