"""Which rows of two files belong together."""

from __future__ import annotations

from typing import Any

import pytest

from datafast.errors import ConfigError
from datafast.sources import SourceRows, open_source
from datafast.statistics.pairs import Pairs, asked_of, said_in


def _row(number: int, *, by: str, topic: str | None = None, **more: Any) -> dict[str, Any]:
    row = {"uuid": f"{by} {number}", "text": f"{by} says {number}", "model_id": by, "language": "en"}
    return {**row, "metadata": {"topic": topic or f"topic {number}", "prompt_index": 0}, **more}


def _rows(*rows: dict[str, Any]) -> SourceRows:
    return open_source(list(rows), field="rows")


def _said(pairs: Pairs) -> set[tuple[str, str]]:
    return {(pair.one, pair.other) for pair in pairs}


def test_rows_with_the_same_uuid_belong_together() -> None:
    one = _rows(*(_row(number, by="a") for number in range(6)))
    other = _rows(*(_row(number, by="a", text=f"now {number}") for number in (5, 3, 1, 9)))
    pairs = Pairs(one, other)
    assert pairs.match == "uuid"
    assert _said(pairs) == {(f"a says {number}", f"now {number}") for number in (1, 3, 5)}


def test_rows_that_were_asked_for_with_the_same_values_belong_together_whoever_wrote_them() -> None:
    one = _rows(*(_row(number, by="a") for number in range(6)))
    other = _rows(
        *(_row(number, by="b", metadata={"prompt_index": 0, "topic": f"topic {number}"}) for number in range(3, 8))
    )
    pairs = Pairs(one, other)
    assert pairs.match == "values"
    assert _said(pairs) == {(f"a says {number}", f"b says {number}") for number in (3, 4, 5)}
    assert {pair.asked for pair in pairs} == {f"language: en\ntopic: topic {n}\nprompt_index: 0" for n in (3, 4, 5)}


def test_several_rows_with_the_same_values_are_paired_one_by_one() -> None:
    one = _rows(*(_row(number, by="a", topic="ice") for number in range(3)), _row(7, by="a"))
    other = _rows(*(_row(number, by="b", topic="ice") for number in range(2)), _row(8, by="b"))
    assert _said(Pairs(one, other)) == {("a says 0", "b says 0"), ("a says 1", "b says 1")}


def test_where_nothing_matches_rows_meet_at_random_and_nothing_is_said_of_what_was_asked() -> None:
    one = _rows(*({"text": f"a {number}"} for number in range(5)))
    other = _rows(*({"text": f"b {number}"} for number in range(3)))
    pairs = Pairs(one, other)
    assert pairs.match == "random"
    found = list(pairs)
    assert len(pairs) == len(found) == 3
    assert {pair.asked for pair in found} == {""}
    assert len({pair.one for pair in found}) == len({pair.other for pair in found}) == 3
    assert list(Pairs(one, other)) == found
    assert any(list(Pairs(one, other, seed=seed)) != found for seed in range(1, 6))


def test_the_order_of_pairs_is_random_and_the_same_again() -> None:
    one = _rows(*(_row(number, by="a") for number in range(40)))
    other = _rows(*(_row(number, by="b") for number in range(40)))
    numbers = [int(pair.one.split()[-1]) for pair in Pairs(one, other)]
    assert sorted(numbers) == list(range(40)) != numbers
    assert [int(pair.one.split()[-1]) for pair in Pairs(one, other)] == numbers


def test_a_way_that_matches_nothing_and_a_field_that_is_not_there_are_refused() -> None:
    rows = [_rows({"text": "a"}), _rows({"text": "b"})]
    with pytest.raises(ConfigError, match=r"No two rows .* match by uuid"):
        Pairs(*rows, match="uuid")
    with pytest.raises(ConfigError, match="no column 'txt'"):
        Pairs(*rows, field="txt")


def test_what_a_row_says_has_nothing_about_who_wrote_it() -> None:
    row = _row(1, by="gpt-x")
    assert said_in(row) == "gpt-x says 1"
    judged = {**row, "chosen": "yes", "rejected": "no", "chosen_model_id": "gpt-x", "reasoning": "hm"}
    assert said_in({**judged, "text": ""}) == "chosen:\nyes\n\nrejected:\nno"
    assert said_in(judged, "chosen") == "yes"
    assert asked_of({**judged, "metadata": {"topic": "ice", "best_of_n": {}, "reasoning": "hm"}}) == {
        "language": "en",
        "topic": "ice",
    }
