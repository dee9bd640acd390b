"""Characters that cannot be seen are shown as codes; those that an orthography needs stay."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.view.rendering.hidden import coded, with_codes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a\\u202eb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("pay\u200bpal\u2060", "pay\\u200bpal\\u2060"),
        ("\ufeffa\xad", "\\ufeffa\\xad"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("a\u200db", "a\\u200db"),
        ("a\ufe0f", "a\\ufe0f"),
        ("a\r\nb\tc\n", "a\nb\tc\n"),
        ("a\rb", "a\\rb"),
    ],
)
def test_hidden_characters_are_codes(text: str, shown: str) -> None:
    assert coded(text) == shown


@pytest.mark.parametrize("text", ["می‌خواهم", "क्‍ष", "👩‍👩‍👧", "❤️", "1️⃣", "👍🏽", "naïve café", "日本語"])
def test_what_an_orthography_needs_stays_unless_the_text_is_raw(text: str) -> None:
    assert coded(text) == text
    assert with_codes(text) == text
    assert (coded(text, every=True) == text) == (not set("\u200c\u200d\ufe0f") & set(text))


def test_many_selectors_smuggle_nothing() -> None:
    assert coded("❤\ufe0f\ufe0f\ufe0e") == "❤\ufe0f\\ufe0f\\ufe0e"


def test_a_code_says_on_hover_what_it_is() -> None:
    assert with_codes("<\u200b") == '&lt;<span class="hidden-character" title="U+200B zero width space">\\u200b</span>'


@given(st.text(st.characters(codec=None)))
def test_nothing_stays_hidden_in_raw_text(text: str) -> None:
    shown = coded(text, every=True)
    assert not [one for one in shown if unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"} and one not in "\n\t"]
    assert not [
        one
        for one in shown
        if unicodedata.bidirectional(one) in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}
    ]
