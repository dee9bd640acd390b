"""No text, and no row, becomes anything that a browser runs or loads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from datafast.view.rendering import Texts, part_html, row_html
from datafast.view.rendering.differing import difference
from datafast.view.rendering.fence import fenced
from datafast.view.rendering.formulas import formula
from datafast.view.rendering.markdown import markdown
from datafast.view.rendering.values import row_of
from tests.view.hostile import TEXTS, hostile_rows
from tests.view.rendering.safe_html import assert_safe

HTML = (
    "<script> </script> <img src=x onerror=alert(1)> javascript: data:text/html, https://evil.test </math> "
    "&lt; <!-- --> ]]> <svg onload="
)
MARKDOWN = "![ ]( ``` $$ \\( \\) \\[ \\] |---| > - 1."
LATEX = "\\href{ \\text{ \\style{ \\frac \\begin{matrix} \\end{matrix} \\color{"
OTHERS = ["\u202e", "\x1b[31m", "\x00", "\r", "\u200b", "\ud800", "é", "漢", "שלום"]
PIECES = st.sampled_from(
    [
        *HTML.split(),
        *MARKDOWN.split(),
        *LATEX.split(),
        *OTHERS,
        *"<>\"'&`$*_[]()!#|-\\:/{}~=+ \n\t",
    ]
)
ANY_TEXT = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=30).map("".join), st.characters(codec=None))
ANY_VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANY_TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = (
    "text messages conversations tools options choices answer_index answer correct_answer incorrect_answer_1 chosen rejected "
    "chosen_response rejected_response prompt question chunk evidence document metadata reasoning instruction response judgements score "
    "uuid"
)
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system", "x"]), "content": ANY_TEXT | ANY_VALUE},
    optional={"tool_calls": ANY_VALUE, "reasoning_content": ANY_VALUE, "name": ANY_VALUE, "tool_call_id": ANY_VALUE},
)
ANY_ROW = st.dictionaries(
    st.sampled_from(NAMES.split()) | ANY_TEXT,
    ANY_VALUE | st.lists(TURN, min_size=1, max_size=3) | st.lists(ANY_TEXT, max_size=4),
    max_size=6,
)


@given(ANY_TEXT)
def test_any_text_becomes_safe_html(text: str) -> None:
    assert_safe(markdown(text))
    assert_safe(part_html("text", Texts(raw=True).shown(text)))


@given(ANY_TEXT)
def test_any_formula_becomes_safe_html(text: str) -> None:
    assert_safe(formula(text))
    assert_safe(markdown(f"$${text}$$"))


@given(ANY_TEXT, ANY_TEXT)
def test_any_difference_becomes_safe_html(first: str, second: str) -> None:
    found = difference(first, second)
    assert_safe(found.first)
    assert_safe(found.second)


@given(ANY_ROW | ANY_VALUE, st.booleans())
def test_any_row_becomes_safe_html(row: Any, raw: bool) -> None:
    assert_safe(row_html(row, Texts(raw=raw)))


@pytest.mark.parametrize("name", TEXTS)
def test_texts_that_try_to_harm_are_shown_and_do_nothing(name: str) -> None:
    assert_safe(markdown(TEXTS[name]))


@pytest.mark.parametrize("name", TEXTS)
def test_each_of_the_two_fences_holds_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name != "half a pair":  # which no HTML can hold
        assert_safe(fenced(Markup(TEXTS[name])))
    monkeypatch.setattr("datafast.view.rendering.markdown.fenced", lambda made: made)
    assert_safe(markdown(TEXTS[name]))


@pytest.mark.parametrize("raw", [False, True])
def test_rows_that_try_to_harm_are_shown_and_do_nothing(raw: bool) -> None:
    for row in hostile_rows():
        html = row_html(row_of(json.dumps(row).encode()), Texts(raw=raw))
        assert_safe(html)
        assert len(html) < 2_000_000
