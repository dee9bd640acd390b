"""Scores in rows: numbers called score, of the rows themselves or of what judges have said of them, in all and in groups.

Guarantee: one pass, and memory only for different scores and groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from datafast.errors import MissingExtraError
from datafast.judging.output import scores_in
from datafast.judging.scores import SCORE, is_number, numbers_in
from datafast.report.models import MeanScore, Score
from datafast.statistics.fields import Field

__all__ = ["ScoresFound"]

_MOST_VALUES = 12  # different scores that have a bar each
_RANGES = 10
_MOST_DIFFERENT = 10_000
_MOST_GROUPS = 50
_MOSTSCORES = 12
_MOST_AGREEMENT = 20_000


class _Mean:
    def __init__(self) -> None:
        self.rows = 0
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.rows += 1
        self.sum += value

    def told(self) -> MeanScore:
        return MeanScore(rows=self.rows, mean=self.sum / self.rows)


class _Found:
    """What is known of one score."""

    def __init__(self) -> None:
        self.all = _Mean()
        self.lowest, self.highest = float("inf"), float("-inf")
        self.counts: Counter[float] = Counter()
        self.by: dict[str, dict[str, _Mean]] = {}

    def add(self, value: float, groups: Sequence[tuple[str, str]]) -> None:
        self.all.add(value)
        self.lowest, self.highest = min(self.lowest, value), max(self.highest, value)
        if len(self.counts) < _MOST_DIFFERENT or value in self.counts:
            self.counts[value] += 1
        else:  # so many different ones are told in ranges anyway
            self.counts[min(self.counts, key=lambda known: abs(known - value))] += 1
        for field, group in groups:
            means = self.by.setdefault(field, {})
            if group in means or len(means) <= _MOST_GROUPS:
                means.setdefault(group, _Mean()).add(value)


class ScoresFound:
    """Takes rows one after the other.

    Args:
        groups: the fields that make groups.
    """

    def __init__(self, groups: Sequence[Field]) -> None:
        self._groups = groups
        self._found: dict[str, _Found] = {}
        self._by_judge: dict[str, dict[str, _Mean]] = {}
        self._said: dict[str, list[Mapping[str, float | None]]] = {}

    def add(self, row: Mapping[str, Any]) -> dict[str, float]:
        """Takes a row, and gives its scores."""
        found = dict(numbers_in(row))
        if not found:
            return found
        valued = ((field.name, field.value(row)) for field in self._groups)
        groups = [(name, group) for name, group in valued if group is not None]
        for name, value in found.items():
            if name in self._found or len(self._found) < _MOSTSCORES:
                # A score makes no groups of itself.
                own = [group for group in groups if group[0] != name.rpartition(".")[2]]
                self._found.setdefault(name, _Found()).add(value, own)
        for place, scores in scores_in(row):
            self._add_judges(place, scores)
        return found

    def _add_judges(self, place: str, scores: Mapping[str, float | None]) -> None:
        means = self._by_judge.setdefault(place, {})
        for judge, score in scores.items():
            if score is not None and is_number(score):
                means.setdefault(judge, _Mean()).add(float(score))
        said = self._said.setdefault(place, [])
        if len(scores) > 1 and len(said) < _MOST_AGREEMENT:
            said.append(scores)

    def told(self) -> list[Score]:
        """All scores, that of the row itself first."""
        ranked = sorted(self._found.items(), key=lambda one: (one[0] != SCORE, "." in one[0]))
        return [self._told(name, found) for name, found in ranked]

    def _told(self, name: str, found: _Found) -> Score:
        place = self._place_of(name)
        judges = {} if place is None else self._by_judge[place]
        alpha, rows, note = (None, 0, None) if place is None else self._agreement(place)
        return Score(
            name=name,
            rows=found.all.rows,
            mean=found.all.sum / found.all.rows,
            lowest=found.lowest,
            highest=found.highest,
            counts=_counted(found),
            by={
                field: {value: mean.told() for value, mean in means.items()}
                for field, means in found.by.items()
                if 1 < len(means) <= _MOST_GROUPS
            },
            by_judge={judge: mean.told() for judge, mean in judges.items()} if len(judges) > 1 else {},
            alpha=alpha,
            agreement_rows=rows,
            note=note,
        )

    def _place_of(self, name: str) -> str | None:
        """Where what judges say stands that has given a score."""
        of = name.removeprefix("metadata.").removesuffix(f".{SCORE}")
        place = "judgements" if of == SCORE else of
        return place if place in self._by_judge else None

    def _agreement(self, place: str) -> tuple[float | None, int, str | None]:
        said = self._said[place]
        if not said:
            return None, 0, None
        from datafast.judging.agreement import agreement_of

        try:
            agreed = agreement_of(said)
        except MissingExtraError as error:
            return None, 0, str(error)
        return agreed.alpha, agreed.num_rows, None


def _counted(found: _Found) -> dict[str, int]:
    """Rows by score in rising order: each score by itself, or ranges of equal length."""
    if len(found.counts) <= _MOST_VALUES:
        return {f"{value:g}": found.counts[value] for value in sorted(found.counts)}
    step = (found.highest - found.lowest) / _RANGES
    counts = [0] * _RANGES
    for value, count in found.counts.items():
        counts[min(int((value - found.lowest) / step), _RANGES - 1)] += count
    edges = [found.lowest + step * number for number in range(_RANGES + 1)]
    return {f"{edges[number]:.3g} to {edges[number + 1]:.3g}": count for number, count in enumerate(counts)}
