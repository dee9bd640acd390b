"""The order of combinations: each once, every beginning spread evenly, pairs too, and nothing is stored."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.plan.items import digest
from datafast.plan.lattice import Lattice

AXES = st.lists(st.integers(1, 9), min_size=1, max_size=5).filter(lambda sizes: math.prod(sizes) <= 1500)


def spans(lattice: Lattice, sizes: list[int], number: int) -> list[int]:
    """For each axis the largest difference between the counts of two values in any beginning."""
    counts = [[0] * size for size in sizes]
    widest = [0] * len(sizes)
    for index in range(number):
        for axis, digit in enumerate(lattice.digits(index)):
            counts[axis][digit] += 1
            widest[axis] = max(widest[axis], counts[axis][digit] - min(counts[axis]))
    return widest


@settings(max_examples=150)
@given(sizes=AXES, seed=st.integers(0, 5), leading=st.integers(0, 3), fixed=st.integers(0, 1))
def test_all_combinations_come_once_and_every_beginning_is_even(
    sizes: list[int], seed: int, leading: int, fixed: int
) -> None:
    leading = min(leading, len(sizes))
    lattice = Lattice(sizes, seed=seed, leading=leading, fixed=min(fixed, leading))
    total = math.prod(sizes)
    assert lattice.size == total
    assert len({tuple(lattice.digits(index)) for index in range(total)}) == total
    assert [lattice.digits(index + total) for index in range(5)] == [lattice.digits(index) for index in range(5)]
    widest = spans(lattice, sizes, 2 * total)
    assert max(widest) <= 2
    assert max(widest[:leading], default=0) <= 1


@settings(max_examples=60)
@given(sizes=AXES, before=st.integers(1, 8))
def test_combinations_are_distinct_together_with_what_else_comes_round(sizes: list[int], before: int) -> None:
    lattice = Lattice(sizes, seed=1, before=before)
    assert lattice.size == math.prod(sizes)
    number = before * math.prod(sizes)
    assert len({(index % before, *lattice.digits(index)) for index in range(number)}) == number
    assert max(spans(lattice, sizes, number)) <= 2


@settings(max_examples=60)
@given(sizes=AXES, leading=st.integers(1, 3), seed=st.integers(0, 3))
def test_each_block_of_a_leading_axis_has_each_of_its_values(sizes: list[int], leading: int, seed: int) -> None:
    leading = min(leading, len(sizes))
    lattice = Lattice(sizes, seed=seed, leading=leading, fixed=1)
    digits = [lattice.digits(index) for index in range(math.prod(sizes))]
    assert [row[0] for row in digits] == [index % sizes[0] for index in range(len(digits))]
    for axis in range(leading):
        blocks = [digits[start : start + sizes[axis]] for start in range(0, len(digits), sizes[axis])]
        assert all({row[axis] for row in block} == set(range(sizes[axis])) for block in blocks)


@pytest.mark.parametrize(
    ("sizes", "number"),
    [
        ([2, 4, 3, 1000], 600),
        ([10, 10, 10], 400),
        ([3, 8, 2, 3], 144),
        ([2, 2, 2, 2, 2, 2], 64),
        ([4, 4, 6, 6, 10, 10], 1500),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pairs_come_up_about_equally_often(sizes: list[int], number: int, seed: int) -> None:
    lattice = Lattice(sizes, seed=seed, leading=1, fixed=1)
    rows = [lattice.digits(index) for index in range(number)]
    for left, right in combinations(range(len(sizes)), 2):
        counts = Counter((row[left], row[right]) for row in rows)
        mean = number / (sizes[left] * sizes[right])
        assert max(counts.values()) <= 1 + 2 * mean
        if mean >= 4:
            assert len(counts) == sizes[left] * sizes[right]


def test_another_seed_is_another_order() -> None:
    orders = {tuple(tuple(Lattice([5, 7, 4], seed=seed).digits(index)) for index in range(10)) for seed in range(8)}
    assert len(orders) == 8


def test_the_order_is_the_same_on_every_platform_and_in_every_version() -> None:
    """A change would draw other rows for every output that exists."""
    lattice = Lattice([2, 3, 8, 5], seed=7, leading=1, fixed=1)
    assert [lattice.digits(index) for index in (0, 1, 2, 50, 239)] == [
        [0, 1, 4, 2],
        [1, 0, 7, 0],
        [0, 2, 1, 1],
        [0, 2, 1, 2],
        [1, 2, 4, 3],
    ]


def test_values_come_in_a_seeded_order_even_if_there_are_only_two() -> None:
    first = [[Lattice([2, 5], seed=seed).digits(index) for index in range(2)] for seed in range(20)]
    assert {rows[0][0] for rows in first} == {0, 1}
    assert {rows[0][1] for rows in first} == set(range(5))


def test_the_order_of_many_shapes_stays() -> None:
    shapes = [
        ([2, 2], 1),
        ([3, 9, 3, 2], 1),
        ([4, 4, 4], 0),
        ([2, 6, 10, 15], 2),
        ([1, 5, 1], 0),
        ([12, 8], 0),
        ([3, 6, 2], 1),
    ]
    lattices = [
        Lattice(sizes, seed=seed, leading=leading, fixed=1, before=5) for sizes, leading in shapes for seed in (0, 9)
    ]
    digits = [lattice.digits(index) for lattice in lattices for index in range(0, 400, 7)]
    assert digest(str(digits)).hex() == "1dc3b5af927e1de066da8d514abe4221"


def test_the_order_of_axes_of_one_size_stays() -> None:
    rows = [Lattice([4, 4], seed=1).digits(index) for index in range(6)]
    assert rows == [[0, 0], [2, 1], [3, 2], [1, 3], [0, 1], [2, 2]]


def test_the_number_of_combinations_costs_nothing() -> None:
    begun = process_time()
    lattice = Lattice([2] + [97] * 60, seed=1, leading=1, fixed=1)
    assert lattice.size == 2 * 97**60
    assert [lattice.digits(lattice.size - index)[0] for index in (1, 2)] == [1, 0]
    assert process_time() - begun < 0.5
