"""What people prefer, whose texts these are, and where judges say otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datafast.errors import ConfigError
from datafast.reviews import Reviews
from tests.reviews.test_book import a_file, book


def row(number: int, model: str, score: float) -> dict[str, Any]:
    return {"uuid": f"{model}-{number}", "text": f"text {number} of {model}", "model_id": model, "score": score}


def a_pair(number: int, better: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows of two models about the same, of which a judge likes one better."""
    return row(number, "m/a", 5 - 3 * better), row(number, "m/b", 2 + 3 * better)


def reviewed(folder: Path, choices: list[tuple[int, int | None]]) -> Reviews:
    """A file of pairs: whom the judge likes, and whom Ann does."""
    pairs = [a_pair(number, judge) for number, (judge, _) in enumerate(choices)]
    ann = book(a_file(folder, [one for pair in pairs for one in pair]))
    for number, (pair, (_, said)) in enumerate(zip(pairs, choices, strict=True)):
        ann.prefer(*pair, said, shown_first=number % 2)
    return ann


def test_win_rates_count_a_tie_as_half_a_win(tmp_path: Path) -> None:
    found = reviewed(tmp_path, [(0, 0), (0, 0), (0, 0), (0, 1), (0, None), (0, None)]).pairs()
    assert (found.pairs, found.ties) == (6, 2)
    first, second = found.models
    assert (first.model, first.wins, first.ties, first.losses) == ("m/a", 3, 2, 1)
    assert first.win_rate == pytest.approx(4 / 6)
    assert second.win_rate == pytest.approx(2 / 6)
    assert second.against == {"m/a": pytest.approx(2 / 6)}
    assert 0 <= second.low < 0.5 < first.high <= 1, "six pairs say next to nothing"


def test_many_equal_preferences_leave_no_doubt(tmp_path: Path) -> None:
    (first, second) = reviewed(tmp_path, [(0, 0)] * 30).pairs().models
    assert first.low > 0.5 > second.high


def test_what_stood_first_is_told(tmp_path: Path) -> None:
    found = reviewed(tmp_path, [(0, number % 2) for number in range(6)]).pairs()
    assert found.first_shown == 1.0


def test_the_judge_is_compared_with_people(tmp_path: Path) -> None:
    found = reviewed(tmp_path, [(0, 0), (0, 0), (1, 1), (1, 0), (0, None)]).pairs()
    assert (found.judged, found.agreed) == (4, 0.75)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.75 <= found.high
    (one,) = found.departing
    assert (one.rows, one.reviewer, one.by) == (("m/a-3", "m/b-3"), "ann", 3)


def test_the_newest_preference_of_each_reviewer_about_a_pair_counts(tmp_path: Path) -> None:
    ann = reviewed(tmp_path, [(0, 0)])
    one, other = a_pair(0)
    ann.prefer(other, one, 0)
    assert [(model.model, model.wins) for model in ann.pairs().models] == [("m/b", 1), ("m/a", 0)]
    book(tmp_path / "rows.jsonl", "bob").prefer(one, other, None)
    assert (ann.pairs().pairs, ann.pairs().ties) == (2, 1)
    ann.undo()
    assert [model.wins for model in ann.pairs().models] == [1, 0]


def test_the_two_answers_of_a_preference_row_are_compared(tmp_path: Path) -> None:
    rows = [
        {
            "uuid": f"u-{number}",
            "chosen_response": "yes",
            "rejected_response": "no",
            "chosen_model_id": "m/a",
            "rejected_model_id": "m/b",
            "chosen_score": 4,
            "rejected_score": score,
        }
        for number, score in enumerate((1, 2, 4))
    ]
    ann = book(a_file(tmp_path, rows))
    for one, better in zip(rows, (0, 1, 1), strict=True):
        ann.prefer((one, "chosen_response"), (one, "rejected_response"), better)
    found = ann.pairs()
    assert [(model.model, model.wins) for model in found.models] == [("m/b", 2), ("m/a", 1)]
    assert (found.judged, found.agreed) == (2, 0.5), "the judge has a tie for the last one"
    assert [one.rows for one in found.departing] == [("u-1", "u-1")]
    with pytest.raises(ConfigError, match="field: The row has no 'chose'"):
        ann.prefer((rows[0], "chose"), (rows[0], "rejected_response"), 1)


def test_scores_depart_from_what_people_say(tmp_path: Path) -> None:
    rows = [row(number, "m/a", number) for number in range(10)]
    ann = book(a_file(tmp_path, rows))
    with pytest.raises(ConfigError, match="No row that was accepted or rejected has a score"):
        ann.departure()
    for one in rows:
        if one["score"] in {0, 6, 7, 8}:
            ann.accept(one)
        elif one["score"] != 5:
            ann.reject(one, "dull")
    found = ann.departure()
    assert (found.score, found.accepted, found.rejected) == ("score", 4, 5)
    assert found.delta is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.delta <= found.high
    assert [(one.row, one.verdict) for one in found.rows[:2]] == [("m/a-0", "accepted"), ("m/a-9", "rejected")]
    with pytest.raises(ConfigError, match="the score 'nothing'"):
        ann.departure("nothing")


@pytest.mark.parametrize(
    ("better", "shown_first", "said"), [(2, 0, "^better: "), (True, 0, "^better: "), (0, 3, "^shown_first: ")]
)
def test_a_preference_names_one_of_two(tmp_path: Path, better: Any, shown_first: int, said: str) -> None:
    one, other = a_pair(0)
    ann = book(a_file(tmp_path, [one, other]))
    with pytest.raises(ConfigError, match=said):
        ann.prefer(one, other, better, shown_first=shown_first)
    with pytest.raises(ConfigError, match="Both are the same text"):
        ann.prefer(one, one, 0)
