"""A text is found in every row that holds it, however the row is written, and in no other."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datafast.view.index import Lines
from datafast.view.search import MOST_SLOW, Search, SearchError, folded

LETTERS = st.one_of(
    st.sampled_from("aAbB zZ09.\"\\/<>&'\n\t\réÉßẞσςΣΟİıKkſsÅåΩω\u2028😀привПРИВ"),
    st.characters(exclude_categories=["Cs"]),
)
TEXTS = st.text(LETTERS, max_size=12)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(-99, 99), st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["text", "label", "é"]), VALUES, max_size=3), max_size=8)


def escaped(text: str) -> str:
    """JSON in which each letter of a text is an escape."""
    inside, made, skip = False, "", False
    for letter in text:
        if skip or letter == "\\":
            made, skip = made + letter, not skip
        elif letter == '"':
            made, inside = made + letter, not inside
        elif inside and letter.isalpha():
            units = letter.encode("utf-16-be").hex().upper()
            made += "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        else:
            made += letter
    return made


WRITERS = st.sampled_from(
    [
        json.dumps,
        lambda row: json.dumps(row, ensure_ascii=False),
        lambda row: json.dumps(row).replace("/", "\\/").replace("<", "\\u003C"),
        lambda row: (
            escaped(json.dumps(row, ensure_ascii=False))
            if "\\" not in json.dumps(row, ensure_ascii=False)
            else json.dumps(row)
        ),
    ]
)


def searched(text: str, *lines: bytes, is_pattern: bool = False) -> Search:
    search = Search(text, is_pattern=is_pattern)
    at = 0
    for first in range(0, len(lines), 3):
        data = b"".join(line + b"\n" for line in lines[first : first + 3])
        at += len(data)
        search.take(Lines(first, data, at))
    return search


def found(text: str, *lines: bytes, is_pattern: bool = False) -> list[int]:
    return searched(text, *lines, is_pattern=is_pattern).found.tolist()


def values(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in values(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in values(inner)]
    if value is None:
        return []
    return [value if isinstance(value, str) else json.dumps(value)]


@given(rows=ROWS, text=st.text(LETTERS, min_size=1, max_size=3), write=WRITERS)
@example(rows=[{"text": "ΟΔΟΣ"}], text="οδοσ", write=json.dumps)
@settings(deadline=None, max_examples=300)
def test_it_is_found_however_it_is_written(rows: list[dict[str, Any]], text: str, write: Any) -> None:
    expected = [
        number for number, row in enumerate(rows) if any(folded(text) in folded(value) for value in values(row))
    ]
    assert found(text, *(write(row).encode() for row in rows)) == expected


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("CAFÉ", "un café"),
        ("straße", "die Straße"),
        ("привет", "ПРИВЕТ"),
        ("😀", "a 😀"),
        ('say "no"', 'I say "NO".'),
        ("a\\b", "a\\b"),
        ("</script>", "</SCRIPT>"),
        ("one\ntwo", "One\nTwo"),
        ("ångström", "Ångström".replace("Å", "\u212b")),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_large_and_small_letters_are_the_same(text: str, held: str, ascii_only: bool) -> None:
    line = json.dumps({"metadata": {"a": [{"text": held}]}}, ensure_ascii=ascii_only).encode()
    assert found(text, b"{}", line, b'{"text": "other"}') == [1]


def test_names_of_fields_are_not_searched() -> None:
    assert found("label", b'{"label": "x"}', b'{"x": "label"}') == [1]


def test_a_line_that_is_not_a_row_is_searched_as_it_is() -> None:
    assert found("half", b'{"text": "half', b"\xff\xfe half", b"{}") == [0, 1]
    assert found('a "b', b'{"text": a "b') == [0]


def test_every_row_that_holds_it_is_found_once() -> None:
    lines = [b'{"text": "no no no", "other": "no"}'] * 10
    assert found("no", *lines) == list(range(10))


def test_a_pattern_is_searched_in_each_text() -> None:
    lines = [b'{"text": "Row 17\\nend"}', b'{"text": "row x"}', b'{"n": 17}']
    assert found(r"^row \d+$", *lines, is_pattern=True) == [0]
    assert found(r"(?<!Row )17", *lines, is_pattern=True) == [2]


def test_a_pattern_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.view.search._SECONDS", 0.01)
    line = json.dumps({"text": "a" * 40 + "b"}).encode()
    started = time.monotonic()
    search = searched(r"(a|a)+$", *[line] * 200, is_pattern=True)
    assert search.gave_up
    assert search.slow == MOST_SLOW
    assert search.num_found == 0
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("text", "says"),
    [("(", "is not a regular expression"), ("", "has 0 characters"), ("x" * 2_000, "has 2,000 characters")],
)
def test_what_cannot_be_searched_for_is_told(text: str, says: str) -> None:
    with pytest.raises(SearchError, match=says):
        Search(text, is_pattern=True)


def test_a_search_knows_how_far_it_is() -> None:
    search = searched("b", b'{"text": "a"}', b'{"text": "b"}')
    assert (search.rows, search.num_found) == (2, 1)
    assert search.end == len(b'{"text": "a"}\n{"text": "b"}\n')
