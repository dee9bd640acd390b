"""Texts as sets of runs of words, beside sets of tuples that plain Python makes of them letter by letter."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datafast.quality.shingles import shingles

HAN = ("CJK ", "IDEOGRAPHIC CLOSING", "IDEOGRAPHIC ITERATION", "IDEOGRAPHIC NUMBER", "OLD CHINESE")
WORDS = (*HAN, "HIRAGANA", "HENTAIGANA", "KATAKANA", "BOPOMOFO", "TANGUT", "NUSHU", "KHITAN")
PARTS = ("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TAI ", "NEW TAI LUE ", "BALINESE ", "JAVANESE ")
TANGUT = (*range(0x17000, 0x18800), *range(0x18D00, 0x18D80))  # without names in some versions of unicodedata


def name_of(letter: str) -> str:
    return "TANGUT" if ord(letter) in TANGUT else unicodedata.name(letter, "")


@cache
def sort_of(letter: str) -> str:
    """W of a word, P a part of one, L of others, M beside another, or a space."""
    sort, name = unicodedata.category(letter)[0], name_of(letter)
    if sort in "LN":
        return "W" if name.startswith(WORDS) else "P" if name.startswith(PARTS) else "L"
    return "M" if sort == "M" else " "


def words(text: str) -> list[str]:
    found = [""]
    before = " "
    for letter in unicodedata.normalize("NFKC", text).casefold():
        sort = sort_of(letter)
        if sort in "WP" or before == " " or (sort == "L" and before in "WP"):
            found.append("")
        found[-1] += letter if sort != " " else ""
        before = sort
    listed = [word for word in found if word]
    are_parts = [sort_of(word[0]) == "P" for word in listed]
    return [
        "+".join(listed[place : place + 3]) if is_part else listed[place] for place, is_part in enumerate(are_parts)
    ]


def runs(texts: Sequence[str], size: int) -> set[tuple[str, ...]]:
    found = set()
    for listed in map(words, texts):
        if 0 < len(listed) < size:
            found.add((*listed, *[""] * (size - len(listed))))
        found |= set(zip(*(listed[start:] for start in range(size)), strict=False))
    return found


LETTERS = st.sampled_from("abcß éÉİ1_-.,!\n\t٣ªㅏ한국어中文的字がパｱกา้ທ្កमनी́\u0301عرَب😀²Ａ")
TEXTS = st.one_of(st.text(LETTERS, max_size=40), st.text(max_size=30), st.text("ab ", max_size=60))


@given(st.lists(st.lists(TEXTS, max_size=3), min_size=2, max_size=5), st.integers(1, 4))
@example([["0\U00017000"], ["ᦀᦁ ᬅᬆ ꦄꦅ ꪀꪂ"], ["a\U00018b00\U0001b002\U0001b170b"]], 2)
@settings(max_examples=300, deadline=None)
def test_sets_are_those_of_plain_python(rows: list[list[str]], size: int) -> None:
    made = shingles(rows, size)
    expected = [runs(row, size) for row in rows]
    assert [len(found) for found in made] == list(map(len, expected))
    for one, theirs in zip(made, expected, strict=True):
        assert one.tolist() == sorted(set(one.tolist()))
        for other, others in zip(made, expected, strict=True):
            assert len(set(one.tolist()) & set(other.tolist())) == len(theirs & others)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The tide turns, again.", "the TIDE turns again"),
        ("Straße und Maß", "STRASSE UND MASS"),
        ("caf\u00e9 noir", "cafe\u0301 noir"),
        ("Ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("潮水一天涨落两次。", "潮水 一天 涨落两次"),
        ("नदी का पानी", "नदी, का पानी!"),
        ("a" * 10, "A" * 10),
    ],
)
def test_case_punctuation_and_forms_do_not_count(one: str, other: str) -> None:
    first, second = shingles([[one], [other]], 2)
    assert first.tolist() == second.tolist()
    assert len(first)


def test_vowel_signs_belong_to_their_words() -> None:
    assert len(shingles([["नदी का पानी समुद्र में मिलता है"]], 1)[0]) == 7
    first, second = shingles([["कि"], ["की"]], 1)
    assert first.tolist() != second.tolist()


def test_no_run_goes_over_the_end_of_a_text() -> None:
    apart, together = shingles([["one two", "three four"], ["one two three four"]], 2)
    assert (len(apart), len(together)) == (2, 3)


def test_batches_and_long_texts_make_no_difference() -> None:
    numbered = [
        [" ".join(f"w{place * step % 997}" for place in range(count))] for step, count in ((7, 30), (11, 15_000))
    ]
    rows = [
        *numbered,
        [],
        [""],
        ["潮水" * 34_000],
        ["one " * 17_000, "last words of a text"],
        ["น้ำขึ้น" * 1_500],
        *numbered,
    ]
    alone = [shingles([row], 3)[0].tolist() for row in rows]
    assert [found.tolist() for found in shingles(rows, 3)] == alone
    assert list(map(len, alone)) == [len(runs(row, 3)) for row in rows]
    assert len(shingles([["x" * 300_000]], 3)[0]) > 0


def test_hashes_are_the_same_in_every_process_and_version() -> None:
    code = "from datafast.quality.shingles import shingles; print([s.tolist() for s in shingles([['one two three'], ['潮水一天']], 3)])"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert made.strip() == str([[2852999043], [1309100885, 3216877002]])
