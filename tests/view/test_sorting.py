"""Rows come in the order of a column, whatever is in it."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.view.index import Lines
from datafast.view.search import folded
from datafast.view.sorting import By, Sorting

ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(-3, 3),
    st.sampled_from(["", "a", "B", "b", "é", "É", "2.5"]),
    st.lists(st.integers(0, 1), max_size=3),
)


def order(values: list[Any], by: By, *, descending: bool = False) -> list[int]:
    sorting = Sorting(("metadata", "x"), by)
    at = 0
    for first in range(0, len(values), 4):
        lines = [json.dumps({"metadata": {"x": value}}).encode() for value in values[first : first + 4]]
        data = b"\n".join(lines) + b"\n"
        at += len(data)
        sorting.take(Lines(first, data, at))
    assert (sorting.rows, sorting.end) == (len(values), at)
    assert (sorting.ordered, sorting.order(descending=descending).tolist()) == (0, [])
    sorting.put_in_order()
    assert sorting.ordered == len(values)
    return sorting.order(descending=descending).tolist()


def as_number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, list) else float(value)
    except ValueError:
        return None


def as_text(value: Any) -> str | None:
    return None if value in (None, "") else folded(value if isinstance(value, str) else str(value)).lstrip()


KEYS = {
    "number": as_number,
    "length": lambda value: len(value) if isinstance(value, str | list) else None,
    "text": as_text,
}


@pytest.mark.parametrize("by", ["number", "length", "text"])
@pytest.mark.parametrize("descending", [False, True])
@given(values=st.lists(ANY, max_size=12))
@settings(deadline=None, max_examples=40)
def test_any_values_come_in_order(by: By, descending: bool, values: list[Any]) -> None:
    keys = [KEYS[by](value) for value in values]
    found = order(values, by, descending=descending)
    assert sorted(found) == list(range(len(values)))
    known = [number for number in found if keys[number] is not None]
    assert found[: len(known)] == known  # rows without a value are last
    for before, after in pairwise(known):
        if keys[before] == keys[after]:
            assert (before > after) == descending
        else:
            assert (keys[before] > keys[after]) == descending
    assert found[len(known) :] == sorted(found[len(known) :])


def test_what_has_no_number_comes_last() -> None:
    assert order([3, None, math.inf, "x", -1, 10**400], "number") == [4, 0, 2, 5, 1, 3]


def test_lines_that_are_not_rows_come_last() -> None:
    sorting = Sorting(("n",), "number")
    sorting.take(Lines(0, b'broken\n{"n": 2}\n[]\n{"n": 1}\n', 32))
    sorting.put_in_order()
    assert sorting.order(descending=False).tolist() == [3, 1, 0, 2]
    assert sorting.order(descending=True).tolist() == [1, 3, 0, 2]


def test_an_order_of_texts_can_be_stopped() -> None:
    sorting = Sorting(("n",), "text")
    data = b"".join(b'{"n": "%d"}\n' % number for number in range(30_000))
    sorting.take(Lines(0, data, len(data)))
    sorting.put_in_order(lambda: True)
    assert sorting.ordered == 0
    sorting.put_in_order()
    assert sorting.ordered == 30_000


def test_texts_are_taken_after_an_order_whose_watcher_has_gone() -> None:
    sorting = Sorting(("n",), "text")
    has_gone = False
    sorting.put_in_order(lambda: has_gone)
    has_gone = True
    data = b"".join(b'{"n": "%d"}\n' % number for number in range(30_000))
    sorting.take(Lines(0, data, len(data)))
    sorting.put_in_order()
    assert sorting.ordered == 30_000
