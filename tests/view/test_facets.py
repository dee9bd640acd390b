"""Values of fields are counted as rows come, and rows are chosen by them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.view import facets as module
from datafast.view.facets import NO_VALUE, Facet, Facets, field_id, field_path
from datafast.view.index import Lines

SHORT = st.one_of(st.none(), st.sampled_from(["en", "fr", "", "a.b"]), st.integers(0, 3), st.booleans())
ROWS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {}, optional={"language": SHORT, "metadata": st.dictionaries(st.sampled_from(["topic", "x"]), SHORT)}
        ),
        st.just("broken"),
    ),
    max_size=12,
)


def taken(*rows: Any, at_once: int = 4) -> Facets:
    """Facets of rows; what is no mapping is a line as it is."""
    facets = Facets()
    end = 0
    for first in range(0, len(rows), at_once):
        lines = [
            row.encode() if isinstance(row, str) else json.dumps(row).encode() for row in rows[first : first + at_once]
        ]
        data = b"\n".join(lines) + b"\n"
        end += len(data)
        facets.take(Lines(first, data, end))
    assert (facets.rows, facets.end) == (len(rows), end)
    return facets


def named(facets: Facets) -> dict[str, Facet]:
    return {facet.id: facet for facet in facets}


def counts(facets: Facets, name: str) -> dict[str, int]:
    return {value: rows for value, rows in facets.counted(named(facets)[name]) if rows}


def shown(value: Any) -> str:
    return (
        {None: NO_VALUE, True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, int) or isinstance(value, bool)
        else str(value)
    )


@given(rows=ROWS, wanted=st.sets(st.sampled_from(["en", "fr", "true", "1", NO_VALUE])), at_once=st.integers(1, 5))
@settings(deadline=None)
def test_any_values_are_counted_and_chosen(rows: list[Any], wanted: set[str], at_once: int) -> None:
    facets = taken(*rows, at_once=at_once)
    mappings = [row if isinstance(row, dict) else {} for row in rows]
    languages = [shown(row.get("language")) for row in mappings]
    topics = [shown((row.get("metadata") or {}).get("topic")) for row in mappings]
    for name, values in (("language", languages), ("metadata.topic", topics)):
        if name in named(facets):
            assert counts(facets, name) == dict(Counter(values))
            mask = facets.chosen({name: wanted}, facets.rows)
            assert mask is not None
            assert mask.tolist() == [value in wanted for value in values]
    assert facets.broken == rows.count("broken")


def test_rows_are_chosen_by_several_fields() -> None:
    facets = taken({"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"})
    both = facets.chosen({"a": ["1"], "b": ["x"]}, 3)
    assert both is not None
    assert both.tolist() == [True, False, False]
    without = facets.chosen({"a": ["1"], "b": ["x"]}, 3, but="a")
    assert without is not None
    assert without.tolist() == [True, False, True]
    assert facets.chosen({}, 3) is None
    unknown = facets.chosen({"nothing": ["x"]}, 3)
    assert unknown is not None
    assert not unknown.any()


def test_values_are_counted_among_the_rows_that_are_shown() -> None:
    facets = taken({"a": 1}, {"a": 2}, {"a": 1}, {})
    found = facets.counted(named(facets)["a"], np.array([True, True, False]))
    assert found == [("1", 1), ("2", 1)]


def test_texts_and_lists_make_no_facet() -> None:
    facets = taken(*({"text": "word " * 40 + str(n), "tags": ["a"], "label": "x"} for n in range(200)), at_once=50)
    assert list(named(facets)) == ["label"]


def test_a_field_with_too_many_values_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VALUES", 30)
    facets = taken(*({"uuid": f"u{n}", "n": n % 30} for n in range(200)), at_once=7)
    assert named(facets)["uuid"].is_many
    assert not named(facets)["uuid"].is_usable
    assert len(counts(facets, "n")) == 30
    chosen = facets.chosen({"uuid": ["u1"]}, 200)
    assert chosen is not None
    assert not chosen.any()


def test_a_field_that_names_rows_is_no_choice() -> None:
    facets = taken(*({"uuid": f"u{n}", "topic": f"t{n % 20}", "few": f"f{n}" if n < 3 else None} for n in range(40)))
    assert [facet.id for facet in facets if facet.is_telling] == ["topic", "few"]


def test_more_values_than_a_byte_holds_are_told_apart() -> None:
    facets = taken(*({"topic": f"t{n % 700}"} for n in range(2_000)), at_once=90)
    assert len(counts(facets, "topic")) == 700
    chosen = facets.chosen({"topic": ["t699"]}, 2_000)
    assert chosen is not None
    assert np.flatnonzero(chosen).tolist() == [699, 1_399]


def test_a_mapping_that_comes_late_is_counted_from_then_on() -> None:
    facets = taken({"metadata": None}, {"metadata": None}, {"metadata": {"topic": "ice"}}, at_once=1)
    assert counts(facets, "metadata.topic") == {NO_VALUE: 2, "ice": 1}


def test_rows_with_very_many_fields_are_counted_within_bounds() -> None:
    facets = taken({f"c{n}": "x" for n in range(10_000)}, {f"d{n}": "x" for n in range(10_000)})
    assert facets.more_fields
    assert len(list(facets)) == 200


def test_the_pass_ends_where_it_would_take_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 10)
    assert not taken(*[{"a": 1}] * 9).is_full
    assert taken(*[{"a": 1}] * 11).is_full


@given(path=st.lists(st.text("a.\\x", max_size=4), min_size=1, max_size=3).map(tuple))
def test_fields_are_named_without_doubt(path: tuple[str, ...]) -> None:
    assert field_path(field_id(*path)) == path


def test_the_name_of_a_field_is_readable() -> None:
    assert field_id("metadata", "topic") == "metadata.topic"
