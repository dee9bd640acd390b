"""Texts of simulated models for patterns."""

from __future__ import annotations

import random
import re
import time
from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast._util.linear_schema import check_patterns, matches
from datafast.llms.simulated.patterns import text_for

PATTERNS = [
    r"^(a+)+$",
    r"^[a-z]+-[0-9]+$",
    r"^#[0-9a-fA-F]{6}$",
    r"^(?:\+\d{1,3} )?\(\d{3}\) \d{3}-\d{4}$",
    r"^[A-Z]{2}\d{2}[A-Z0-9]{1,30}$",
    r"^(?P<year>\d{4})-(0[1-9]|1[0-2])$",
    r"^[\w.+-]+@[\w-]+\.[\w.]+$",
    r"^\p{Lu}\p{L}+$",
    r"^\p{Han}{2,4}$",
    r"^[^,;]+(, [^,;]+)*$",
    r"^[[:alpha:]]{3}[]\-]$",
    r"^\\frac\{\d\}\x41\u0042\x{43}$",
    r"^(?i)yes|no$",
    r"\bword\b",
    r"^$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_text_is_made_in_which_the_pattern_is_found(pattern: str) -> None:
    made = [text_for(pattern, random.Random(seed)) for seed in range(20)]
    assert all(text is not None and matches(pattern, text) for text in made)
    assert made[0] == text_for(pattern, random.Random(0))


def test_bounds_on_length_hold() -> None:
    for least, most in ((0, 3), (5, 9), (200, None), (3, 3)):
        text = text_for("^[A-Z][A-Z ]*$", random.Random(1), least=least, most=most)
        assert text is not None
        assert least <= len(text) <= (most or 10_000)
    assert text_for("^a$", random.Random(1), least=2) is None


@pytest.mark.parametrize(
    "pattern",
    [r"^[a-z&&[^b]]$", r"^\p{Runic}$", "(" * 500 + ")" * 500, "^a{90000000}$", "^((a{99}){99}){99}$", "(", "[", "\\"],
)
def test_what_is_not_read_or_would_be_too_long_gives_nothing_and_costs_little(pattern: str) -> None:
    began = time.process_time()
    assert text_for(pattern, random.Random(1)) is None
    assert time.process_time() - began < 2


REGEXES = st.recursive(
    st.sampled_from([*ascii_lowercase[:4], r"\d", r"\w", ".", "[a-c]", "[^a]", r"\.", r"\s"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "+?"])).map(
            lambda both: f"(?:{both[0]}){both[1]}"
        ),
    ),
    max_leaves=8,
)


@given(REGEXES, st.integers(0, 9))
@settings(max_examples=150)
def test_patterns_of_all_sorts_have_a_text(inner: str, seed: int) -> None:
    pattern = f"^{inner}$"
    check_patterns({"pattern": pattern})
    text = text_for(pattern, random.Random(seed))
    assert text is not None
    assert re.search(pattern, text)
