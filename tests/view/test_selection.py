"""What a table shows of rows that were chosen, found and ordered."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datafast.view.selection import selected


def numbers(*given: int) -> np.ndarray:
    return np.array(given, np.uint32)


def test_all_rows_need_no_numbers() -> None:
    assert selected(5) is None


@given(data=st.data(), rows=st.integers(0, 12))
def test_rows_are_those_that_all_want_in_the_order_that_is_wanted(data: st.DataObject, rows: int) -> None:
    order = data.draw(st.none() | st.permutations(range(rows)))
    chosen = data.draw(st.none() | st.lists(st.booleans(), max_size=rows + 3))
    found = data.draw(st.none() | st.lists(st.integers(0, rows + 3), unique=True).map(sorted))
    got = selected(
        rows,
        chosen=None if chosen is None else np.array(chosen, bool),
        found=None if found is None else numbers(*found),
        order=None if order is None else numbers(*order),
    )
    expected = [
        number
        for number in (range(rows) if order is None else order)
        if (chosen is None or (number < len(chosen) and chosen[number])) and (found is None or number in found)
    ]
    assert (list(range(rows)) if got is None else got.tolist()) == expected


def test_rows_that_came_after_they_were_ordered_come_last() -> None:
    found = selected(4, order=numbers(1, 0))
    assert found is not None
    assert found.tolist() == [1, 0, 2, 3]
