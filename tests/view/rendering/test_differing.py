"""What differs between two texts."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from datafast.view.rendering.differing import difference
from tests.view.rendering.safe_html import text_of


def only(html: str) -> list[str]:
    return [
        text_of(one).strip()
        for one in re.findall(r"<(?:del|ins)><span[^>]*>[^<]*</span>(.*?)<span[^>]*>]</span>", html, re.DOTALL)
    ]


def test_words_are_marked_where_they_differ() -> None:
    found = difference("The cat sat on the mat.", "The dog sat on a mat.")
    assert (only(found.first), only(found.second)) == (["cat", "the"], ["dog", "a"])
    assert found.by == "word"


def test_marks_are_said_to_who_hears_the_page() -> None:
    found = difference("a b", "a c")
    assert text_of(found.first) == "a [only here: b]"
    assert text_of(found.second) == "a [only here: c]"


def test_the_same_is_alike() -> None:
    found = difference("one two\nthree", "one  two\nthree")
    assert (found.alike, only(found.first), only(found.second)) == (1, [], [])


def test_a_line_instead_of_a_space_is_a_difference() -> None:
    assert only(difference("one two", "one\ntwo").first) == ["one"]


def test_scripts_without_spaces_are_compared_letter_by_letter() -> None:
    assert only(difference("猫は好き", "犬は好き").first) == ["猫"]


def test_long_texts_are_compared_by_lines_and_very_long_ones_are_cut() -> None:
    lines = [f"line {number} of a long text" for number in range(2_000)]
    found = difference("\n".join(lines), "\n".join([*lines[:1_000], "new", *lines[1_000:]]))
    assert (found.by, found.is_cut, only(found.first), only(found.second)) == ("line", False, [], ["new"])
    assert difference("a" * 500_000, "b").is_cut


@given(st.text(alphabet="ab \n.漢", max_size=60), st.text(alphabet="ab \n.漢", max_size=60))
def test_nothing_is_lost(first: str, second: str) -> None:
    found = difference(first, second)
    assert text_of(found.first).replace("[only here: ", "").replace("]", "") == first
    assert text_of(found.second).replace("[only here: ", "").replace("]", "") == second
