"""How far the judges of an output agree, from its rows.

Wherever several judges stand in rows: `judgements` of judgements and preference pairs, columns of the type judge with several judges, what
the stage `judge` has put into the metadata, and the candidates of `best_of_n`. Scores are compared; where two texts are judged against each
other, the differences of their scores.
Cost: nothing but the first row is read where it names no two judges. At most 20,000 rows count, the first ones, which takes a second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from datafast.judging.agreement import Agreement, agreement_of

__all__ = ["agreements_in", "judges_in", "scores_in"]

_MOST = 20_000
_JUDGEMENTS = "judgements"
_COMPARED = (("first_score", "second_score"), ("chosen_score", "rejected_score"))

Scores = dict[str, float | None]


def agreements_in(path: Path) -> dict[str, Agreement]:
    """The agreement of the judges in an output file, by where in its rows they stand; empty where no two judges do.

    Raises:
        MissingExtraError: nltk is not installed.
    """
    found: dict[str, list[Scores]] = defaultdict(list)
    for place, scores in _all_scores(path):
        found[place].append(scores)
    return {place: agreement_of(scores) for place, scores in found.items()}


def judges_in(path: Path) -> dict[str, list[str]]:
    """The names of the judges in an output file, by where in its rows they stand, where there are several."""
    with path.open("rb") as file:
        row = _row(next(iter(file), b""))
    found: dict[str, list[str]] = {}
    for place, scores in scores_in(row):
        if len(scores) > 1:
            found.setdefault(place, list(scores))
    return found


def scores_in(row: Mapping[str, Any]) -> Iterator[tuple[str, Scores]]:
    """What judges say in a row: where it stands, and the score of each. Each candidate of `best_of_n` has scores of its own."""
    if said := _scores(row):
        yield _JUDGEMENTS, said
    for name, value in row.items():
        if isinstance(value, Mapping) and (said := _scores(value)):
            yield name, said
    found = row.get("metadata")
    metadata = found if isinstance(found, Mapping) else {}
    for name, value in metadata.items():
        if isinstance(value, Mapping) and (said := _scores(value)):
            yield name, said
    choice = metadata.get("best_of_n")
    by_judge = choice.get("scores_by_judge") if isinstance(choice, Mapping) else None
    if isinstance(by_judge, Mapping):
        for scores in zip(*by_judge.values(), strict=False):
            yield "best_of_n", dict(zip(by_judge, scores, strict=True))


def _scores(value: Mapping[str, Any]) -> Scores:
    said = value.get(_JUDGEMENTS)
    if not isinstance(said, list) or not all(isinstance(one, Mapping) and "judge" in one for one in said):
        return {}
    return {str(one["judge"]): _score(one) for one in said}


def _score(said: Mapping[str, Any]) -> float | None:
    for one, other in _COMPARED:
        if one in said and other in said:
            return float(said[one] - said[other])
    return said.get("score")


def _all_scores(path: Path) -> Iterator[tuple[str, Scores]]:
    places = judges_in(path)
    if not places:
        return
    with path.open("rb") as file:
        for line in islice(file, _MOST):
            yield from ((place, scores) for place, scores in scores_in(_row(line)) if place in places)


def _row(line: bytes) -> Mapping[str, Any]:
    """A line as a row; an empty one for what is not one, such as a line that is being written."""
    try:
        row = orjson.loads(line) if line.endswith(b"\n") else {}
    except orjson.JSONDecodeError:
        return {}
    return row if isinstance(row, dict) else {}
