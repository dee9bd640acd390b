"""How far judges agree."""

from __future__ import annotations

import sys

import pytest

from datafast.errors import MissingExtraError
from datafast.judging import agreement_of

# The reliability data of Krippendorff, "Computing Krippendorff's Alpha-Reliability": four observers, twelve units.
OBSERVERS = {
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}


def test_alpha_is_that_of_the_published_example() -> None:
    scores = {judge: [None if cell == "." else int(cell) for cell in row.split()] for judge, row in OBSERVERS.items()}
    found = agreement_of([{judge: scores[judge][unit] for judge in scores} for unit in range(12)])
    assert found.alpha == pytest.approx(0.849, abs=0.0005)
    assert found.num_rows == 11
    assert len(found.pairs) == 6


def test_judges_who_always_agree_have_an_alpha_of_one_and_opposite_ones_a_negative_one() -> None:
    assert agreement_of([{"a": score, "b": score} for score in (1, 3, 5)]).alpha == 1
    opposite = agreement_of([{"a": score, "b": 6 - score} for score in (1, 2, 4, 5)])
    assert opposite.alpha is not None
    assert opposite.alpha < 0
    assert opposite.pairs == {("a", "b"): opposite.alpha}


@pytest.mark.parametrize(
    "rows", [[], [{"a": 1}, {"a": 2}], [{"a": 1, "b": None}], [{"a": 3, "b": 3}, {"a": 3, "b": 3}]]
)
def test_where_it_cannot_be_told_it_is_none(rows: list[dict[str, float | None]]) -> None:
    assert agreement_of(rows).alpha is None


def test_without_nltk_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nltk.metrics.agreement", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'datafast\[agreement\]'"):
        agreement_of([{"a": 1, "b": 2}, {"a": 2, "b": 1}])
