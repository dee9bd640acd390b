"""`where`, `skip_if`, `when` and `check` are one language: the same is true, false and refused in each, with the same words."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError, create_model

from datafast.errors import DatafastWarning
from datafast.quality.keep_if import KeepIfStage
from datafast.schema.config import GenericPipelineDatasetConfig, JudgementDatasetConfig, RawDatasetConfig
from datafast.templates.condition import Condition
from datafast.templates.sandbox import _METHODS, environment

ROW = {"a": "x", "n": 3, "zero": 0, "no": "No", "tags": [], "part": {"k": 1}, "my col": "y", "empty": None, "a.b": "z"}
OTHER = {**dict.fromkeys(ROW), "a": "other"}


def by_where(text: str) -> bool:
    made = JudgementDatasetConfig(source={"source": [ROW, OTHER], "where": f"a == 'other' or ({text})"}, rubric="?")
    return len(made.rows) == 2


def by_where_of_texts(text: str) -> bool:
    source = {"source": [ROW, OTHER], "column": "a", "where": f"a == 'other' or ({text})"}
    return len(RawDatasetConfig(topics=source, document_types=["note"]).topics) == 2


def by_skip_if(text: str) -> bool:
    made = GenericPipelineDatasetConfig(source=[ROW, OTHER], input_columns=["a"], skip_if=f"a != 'other' and ({text})")
    return len(made.rows) == 1


def by_condition(text: str) -> bool:
    return Condition.parsed(text, names=ROW, field="when").holds(ROW)


def by_keep_if(text: str) -> bool:
    fields: Any = dict.fromkeys(ROW, (Any, None))
    stage = KeepIfStage(expression=text)
    row = create_model("Row", **fields)(**ROW)
    stage.check(type(row))
    return stage.decide(row, None).keeps  # type: ignore[arg-type]


PLACES: dict[str, Callable[[str], bool]] = {
    "where": by_where,
    "where of texts": by_where_of_texts,
    "skip_if": by_skip_if,
    "when and check": by_condition,
    "keep_if": by_keep_if,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n > 2", True),
        ("n > 3", False),
        ("zero", False),
        ("empty", False),
        ("tags", False),
        ("part.k == 1", True),
        ("part['k'] == 1", True),
        ("'false'", False),
        ("' FALSE '", False),
        ("''", False),
        ("'0'", True),
        ("not 'false'", True),
        ("{my col} == 'y'", True),
        ("{a.b} == 'z'", True),
        ("a in ['x', 'y'] and n is odd", True),
        ("a | upper == 'X' and a.startswith('x')", True),
        ("range(3) | list | length == 3", True),
        ("a if n else empty", True),
    ],
)
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_the_same_is_true_and_false_everywhere(place: str, text: str, expected: bool) -> None:
    assert PLACES[place](text) is expected


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n >", "is not an expression"),
        ("nn > 2", "no column 'nn'. Known: a, n, "),
        ("a | uper", "There is no filter 'uper'. Did you mean 'upper'?"),
        ("a > 3", "'>' not supported between instances of 'str' and 'int'. a | float makes a number of a text, and so does types"),
        ("n / zero", "the expression has no value: division by zero"),
        ("part.x", "'dict object' has no attribute 'x'"),
        ("'a' * 10 ** 9", "the expression was stopped: a value of "),
        ("range(10 ** 9) | list", "the expression was stopped: a range of 1,000,000,000 numbers"),
        ("n ** 64 ** 64", "a number of too many digits|a power of too many digits"),
        ("1e999 > n", "a number is too large"),
        ("a.__class__", "unsafe"),
        ("a.format(n)", "format cannot be called here"),
        ("'{0.__class__}'.format(a)", "format cannot be called here"),
        ("(" * 2_000 + "a" + ")" * 2_000, "nested too deeply"),
        ("not " * 3_000 + "a", "nested too deeply"),
        ("a" + " + a" * 5_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_the_same_is_refused_everywhere_with_the_same_words(place: str, text: str, words: str) -> None:
    began = time.process_time()
    with pytest.raises((ValidationError, ValueError), match=f"(?i){_escaped(words)}") as caught:
        PLACES[place](text)
    assert " at 0x" not in str(caught.value)
    assert time.process_time() - began < 20


def _escaped(words: str) -> str:
    return "|".join(
        "".join(f"\\{sign}" if sign in "().?*+'[]{}" else sign for sign in part) for part in words.split("|")
    )


@pytest.mark.parametrize("text", ["{{ n > 2 }}", "  {{ n > 2 }}  ", "{{- n > 2 -}}"])
def test_braces_around_a_condition_mean_nothing(text: str) -> None:
    made = JudgementDatasetConfig(source={"source": [ROW, {**ROW, "n": 1}], "where": text}, rubric="?")
    assert len(made.rows) == 1
    assert by_condition(text)


def test_a_text_that_may_be_meant_as_a_no_is_told_once_everywhere() -> None:
    rows = [ROW, ROW]
    for text, made in (
        ("where", lambda: JudgementDatasetConfig(source={"source": rows, "where": "no"}, rubric="?")),
        (
            "skip_if",
            lambda: GenericPipelineDatasetConfig(source=[*rows, {**ROW, "no": ""}], input_columns=["a"], skip_if="no"),
        ),
    ):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            made()
        (message,) = [str(warning.message) for warning in told if issubclass(warning.category, DatafastWarning)]
        assert message.startswith(f"{text}: The text 'No' counts as true: of all texts only 'false' and '' are false.")


def test_a_column_that_is_looked_at_and_cannot_be_read_is_no_null() -> None:
    source = {"source": [{**ROW, "n": 2**70}], "where": "n > 3"}
    with pytest.raises(ValidationError, match="row 0: The column 'n' holds a whole number of more than 64 bits"):
        JudgementDatasetConfig(source=source, rubric="?")


def test_the_guide_names_all_that_there_is() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "expressions.md").read_text("utf-8")
    filters = re.search(r"\* Filters: (.*?)\.\n", guide, re.DOTALL)
    methods = re.search(r"\* Methods of text: (.*?)\.\n", guide, re.DOTALL)
    assert filters is not None
    assert methods is not None
    assert re.findall(r"`(\w+)`", filters[1]) == sorted(name for name in environment.filters if name[0] != "_")
    known = {name for kind in (str, dict, list) for name in _METHODS[kind]}
    assert set(re.findall(r"`(\w+)`", methods[1])) == known
