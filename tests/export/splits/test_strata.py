"""The table of strata and splits, in whole rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.export.splits.strata import divided


@given(
    strata=st.lists(st.integers(1, 9), min_size=1, max_size=12), parts=st.tuples(st.integers(0, 20), st.integers(0, 20))
)
def test_every_share_is_rounded_down_or_up_and_every_sum_is_kept(strata: list[int], parts: tuple[int, int]) -> None:
    total = sum(strata)
    first, second = sorted(min(part, total) for part in parts)
    sizes = [first, second - first, total - second]
    found = divided(np.array(strata), np.array(sizes))
    assert found.sum(axis=0).tolist() == sizes
    assert found.sum(axis=1).tolist() == strata
    exact = np.outer(strata, sizes)
    assert (abs(found * total - exact) < total).all()


def test_a_row_moves_by_way_of_a_third_split_where_there_is_no_other_way() -> None:
    strata, sizes = np.array([2, 2, 2, 3, 3]), np.array([4, 2, 6])
    found = divided(strata, sizes)
    assert found.sum(axis=0).tolist() == sizes.tolist()
    assert (abs(found * 12 - np.outer(strata, sizes)) < 12).all()


@pytest.mark.parametrize("size", [0, 40, 77, 100])
def test_of_two_splits_the_largest_remainders_are_rounded_up(size: int) -> None:
    strata = [5, 17, 1, 40, 8, 29]
    found = divided(np.array(strata), np.array([size, 100 - size]))[:, 0].tolist()
    down = [count * size // 100 for count in strata]
    rests = [count * size % 100 for count in strata]
    up = sorted(range(6), key=lambda number: -rests[number])[: size - sum(down)]
    assert found == [low + (number in up) for number, low in enumerate(down)]
