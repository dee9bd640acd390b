"""What a table shows of rows: columns, and a line for each cell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.plain import plain_text
from datafast.view.cells import LETTERS, MOST_COLUMNS, columns_of, preview, value_at

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def shown(*rows: dict[str, Any]) -> list[str]:
    return [column.id for column in columns_of(rows)[0] if column.is_shown]


@given(value=JSON, find=st.text(max_size=3))
def test_a_cell_is_one_line_of_plain_text(value: Any, find: str) -> None:
    found = preview(value, find)
    if value is None:
        assert found is None
    else:
        assert found is not None
        assert len(found) <= LETTERS
        assert plain_text(found) == found
        assert "\n" not in found


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("one\n two", "one two"),
        (True, "true"),
        (0.123456789, "0.123457"),
        ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}], "user: Hi ⏎ assistant: Yes?"),
        ([{"from": "human", "value": "Hi"}], "human: Hi"),
        ({"a": [1]}, '{"a":[1]}'),
        ("\u202eabc", "\\u202eabc"),
    ],
)
def test_values_are_told_on_one_line(value: Any, line: str) -> None:
    assert preview(value) == line


def test_what_was_searched_for_is_in_sight() -> None:
    text = "word " * 1_000 + "Needle" + " word" * 1_000
    assert "Needle" in (preview(text, "NEEDLE") or "")
    assert (preview(text) or "").startswith("word")


def test_texts_come_first_and_what_says_nothing_is_not_shown() -> None:
    rows = [
        {
            "uuid": f"u{n}",
            "source": "same",
            "n": n,
            "language": "en" if n % 2 else "fr",
            "text": "word " * 20,
            "metadata": {"topic": "x"},
        }
        for n in range(40)
    ]
    assert shown(*rows) == ["text", "language", "n"]
    assert [column.id for column in columns_of(rows)[0]][-1] == "metadata.topic"


def test_columns_that_few_rows_have_are_not_shown() -> None:
    assert shown({"odd": "word " * 20}, *({"text": f"text {n} " * 9} for n in range(40))) == ["text"]


def test_why_rows_were_dropped_comes_first() -> None:
    rows = [{"text": "word " * 20, "dropped": {"stage": "length", "reason": "too short", "score": None}}] * 3
    assert shown(*rows) == ["dropped.stage", "dropped.reason", "text"]


def test_very_many_columns_are_counted() -> None:
    columns, more = columns_of([{f"c{number}": 1 for number in range(10_000)}])
    assert (len(columns), more) == (MOST_COLUMNS, 10_000 - MOST_COLUMNS)


def test_values_are_found_by_their_names() -> None:
    assert value_at({"a": {"b": 1}}, ("a", "b")) == 1
    assert value_at({"a": 1}, ("a", "b")) is None
