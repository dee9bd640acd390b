"""Covering arrays: their size is what the design page says, their lower bound is one, and no pair or triple is missing."""

from __future__ import annotations

import itertools
import re

import pytest

from datafast.plan.covering import covering_array, fewest_rows, num_tuples
from datafast.plan.items import digest
from tests.support import ROOT


def shapes() -> list[tuple[tuple[int, ...], int, int, int]]:
    """(sizes, strength, lower bound, rows) of each line of the design page's table."""
    page = (ROOT / "docs" / "design" / "expansion.md").read_text(encoding="utf-8")
    found = []
    for lists, strength, bound, rows in re.findall(
        r"^\| ([\d, of]+) \| (\d) \| (\d+) \| \**(\d+)\b", page, re.MULTILINE
    ):
        count, of, size = lists.partition(" of ")
        sizes = (int(size),) * int(count) if of else tuple(int(part) for part in lists.split(","))
        found.append((sizes, int(strength), int(bound), int(rows)))
    return found


def tuples_of(array: tuple[tuple[int, ...], ...], strength: int) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The tuples of values that occur, with their columns."""
    return {
        (columns, tuple(row[column] for column in columns))
        for row in array
        for columns in itertools.combinations(range(len(row)), strength)
    }


def test_the_table_of_the_design_page_is_read() -> None:
    assert len(shapes()) >= 10


@pytest.mark.parametrize(("sizes", "strength", "bound", "rows"), shapes())
def test_an_array_is_as_small_as_the_design_page_says_and_covers_everything(
    sizes: tuple[int, ...], strength: int, bound: int, rows: int
) -> None:
    assert fewest_rows(sizes, strength) == bound
    array = covering_array(sizes, strength, max_rows=10_000)
    assert array is not None
    assert len(array) == rows
    assert len(tuples_of(array, strength)) == num_tuples(sizes, strength)
    assert all(0 <= value < size for row in array for value, size in zip(row, sizes, strict=True))


@pytest.mark.parametrize(
    ("sizes", "strength", "tuples"), [((2, 3), 2, 6), ((2, 3, 4), 2, 6 + 8 + 12), ((2, 3, 4), 3, 24), ((5,), 2, 0)]
)
def test_tuples_are_counted_over_all_choices_of_lists(sizes: tuple[int, ...], strength: int, tuples: int) -> None:
    assert num_tuples(sizes, strength) == tuples


@pytest.mark.parametrize(("sizes", "strength", "fewest"), [((2, 3, 4), 2, 12), ((4, 2, 3), 3, 24), ((7,), 2, 7)])
def test_the_lower_bound_is_the_product_of_the_largest_lists(
    sizes: tuple[int, ...], strength: int, fewest: int
) -> None:
    assert fewest_rows(sizes, strength) == fewest


SHAPES = [
    ((), 2),
    ((5,), 2),
    ((3, 4), 2),
    ((4, 3), 3),
    ((2, 3, 4), 2),
    ((2, 3, 4), 3),
    ((4, 2, 5, 3), 2),
    ((6,) * 5, 2),
    ((5, 5, 5, 4, 4), 3),
    ((2,) * 9, 2),
    ((2,) * 9, 3),
    ((10, 10, 10, 10, 3), 2),
    ((9, 8, 7, 7, 2), 2),
    ((16,) * 6, 2),
    ((25, 25, 24, 23), 2),
    ((27, 26, 3, 27), 2),
    ((8,) * 9, 2),
    ((7,) * 9, 2),
    ((4,) * 7, 3),
    ((9,) * 5, 3),
]


def test_the_rows_of_many_shapes_stay() -> None:
    """A change would buy other prompts for every output that covers pairs or triples."""
    arrays = [covering_array(sizes, strength, max_rows=10_000) for sizes, strength in SHAPES]
    assert [len(array or ()) for array in arrays] == [
        *(1, 5, 12, 12, 12, 24, 20, 48, 125, 8),
        *(16, 120, 76, 256, 625, 729, 64, 87, 112, 729),
    ]
    assert digest(str(arrays)).hex() == "7f7b2d58db424cb44fd0308ddead98a4"


@pytest.mark.parametrize(("sizes", "strength"), SHAPES)
def test_every_tuple_is_covered_by_as_many_rows_as_are_allowed_and_by_one_fewer_never(
    sizes: tuple[int, ...], strength: int
) -> None:
    array = covering_array(sizes, strength, max_rows=10_000)
    assert array is not None
    assert covering_array(sizes, strength, max_rows=len(array)) == array
    fewer = covering_array(sizes, strength, max_rows=len(array) - 1)
    assert fewer is None
    width = min(strength, len(sizes))
    assert len(tuples_of(array, width)) == num_tuples(sizes, width)


@pytest.mark.parametrize("q", [2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 25, 27])
def test_as_many_columns_as_a_field_allows_take_no_more_rows_than_two_of_them(q: int) -> None:
    """Every pair occurs exactly once, in `q` squared rows: an orthogonal array over the field of `q` elements."""
    array = covering_array((q,) * min(q + 1, 9), 2, max_rows=10_000)
    assert array is not None
    assert len(array) == q * q
    assert len(tuples_of(array, 2)) == num_tuples((q,) * len(array[0]), 2)


@pytest.mark.parametrize("q", [2, 3, 4, 5, 7])
def test_so_it_is_with_triples(q: int) -> None:
    array = covering_array((q,) * (q + 1), 3, max_rows=10_000)
    assert array is not None
    assert len(array) == q**3
    assert len(tuples_of(array, 3)) == num_tuples((q,) * (q + 1), 3)
