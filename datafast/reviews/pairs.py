"""What people prefer of two texts, whose texts these are, and where the judges in the rows say otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from datafast.errors import ConfigError
from datafast.judging.scores import SCORE, is_number, main_score, numbers_in
from datafast.reviews.rows import ReviewedRow, about_field, dropped_rows, rows_in
from datafast.reviews.summary import DepartingPair, DepartingRow, Departure, ModelWins, PairSummary
from datafast.statistics.uncertainty import WinRate, cliffs_delta
from datafast.store.paths import OutputPaths
from datafast.store.review_records import Pair, ReviewRecord, RowKey, Side
from datafast.store.review_state import Decisions

__all__ = ["departure_of", "summary_of_pairs"]

_LISTED = 20


def summary_of_pairs(paths: OutputPaths, decisions: Decisions) -> PairSummary:
    """See `Reviews.pairs`. Cost: a pass over the file, if there are preferences. Memory: the rows that were compared."""
    preferences = decisions.preferences
    first = [one.pair.better == one.pair.shown_first for one in preferences if one.pair and one.pair.better is not None]
    rows = _rows_of(paths, preferences)
    rate = WinRate()
    departing: list[DepartingPair] = []
    for record, pair, by in _judged(preferences, rows):
        rate.add(by > 0)
        if by < 0:
            better, other = pair.sides if pair.better == 0 else pair.sides[::-1]
            names, fields = (better.row, other.row), (better.field, other.field)
            departing.append(DepartingPair(rows=names, fields=fields, reviewer=record.reviewer, by=-by))
    return PairSummary(
        pairs=len(preferences),
        ties=len(preferences) - len(first),
        first_shown=sum(first) / len(first) if first else None,
        models=_models(preferences),
        judged=rate.count,
        agreed=rate.mean,
        low=rate.interval[0] if rate.count else None,
        high=rate.interval[1] if rate.count else None,
        departing=sorted(departing, key=lambda one: -one.by)[:_LISTED],
    )


def _rows_of(paths: OutputPaths, preferences: Iterable[ReviewRecord]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The rows that were compared, as far as they still say what they said."""
    wanted = {side[:2] for one in preferences if one.pair for side in one.pair.sides}
    if not wanted:
        return {}
    names = {name for name, _ in wanted}
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in chain(rows_in(paths.rows), (row for row, *_ in dropped_rows(paths))):
        uuid = row.get("uuid")
        if isinstance(uuid, str) and uuid not in names:
            continue
        key = RowKey.of(row)
        if key[:2] in wanted:
            found[key.row, key.digest] = row
    return found


def _judged(
    preferences: Iterable[ReviewRecord], rows: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Iterator[tuple[ReviewRecord, Pair, float]]:
    """The preferences about pairs that are scored, with how much higher the preferred text is; without ties of either."""
    for record in preferences:
        pair = record.pair
        if pair is None or pair.better is None:
            continue
        scores = [_score_of(rows.get(side[:2]), side) for side in pair.sides]
        if scores[0] is not None and scores[1] is not None and scores[0] != scores[1]:
            by = scores[0] - scores[1]
            yield record, pair, by if pair.better == 0 else -by


def _score_of(row: Mapping[str, Any] | None, side: Side) -> float | None:
    if row is None:
        return None
    if side.field is None:
        return main_score(dict(numbers_in(row)))
    score = about_field(row, side.field, SCORE)
    return float(score) if is_number(score) else None


def _models(preferences: Iterable[ReviewRecord]) -> list[ModelWins]:
    rates: dict[str, WinRate] = {}
    counts: dict[str, Counter[float]] = {}
    against: dict[str, dict[str, list[float]]] = {}
    for record in preferences:
        pair = record.pair
        one, other = (None, None) if pair is None else (pair.sides[0].model, pair.sides[1].model)
        if pair is None or one is None or other is None or one == other:
            continue
        won = 0.5 if pair.better is None else 1.0 - pair.better
        for model, opponent, value in ((one, other, won), (other, one, 1 - won)):
            rates.setdefault(model, WinRate()).add(value)
            counts.setdefault(model, Counter())[value] += 1
            against.setdefault(model, {}).setdefault(opponent, []).append(value)
    found = [
        ModelWins(
            model=model,
            pairs=rate.count,
            wins=counts[model][1.0],
            ties=counts[model][0.5],
            losses=counts[model][0.0],
            win_rate=rate.mean or 0.0,
            low=rate.interval[0],
            high=rate.interval[1],
            against={name: sum(values) / len(values) for name, values in sorted(against[model].items())},
        )
        for model, rate in rates.items()
    ]
    return sorted(found, key=lambda one: (-one.win_rate, one.model))


def departure_of(rows: Iterable[ReviewedRow], score: str | None, most: int) -> Departure:
    """See `Reviews.departure`."""
    found: dict[str, list[tuple[float, ReviewedRow]]] = {"accepted": [], "rejected": []}
    for one in rows:
        if one.state.verdict is None:
            continue
        scores = dict(numbers_in(one.row))
        if score is None:
            score = _name_of_score(scores)
        if score is not None and score in scores:
            found[one.state.verdict].append((scores[score], one))
    accepted, rejected = found["accepted"], found["rejected"]
    if score is None or not (accepted or rejected):
        raise ConfigError(
            f"score: No row that was accepted or rejected has {'a score' if score is None else f'the score {score!r}'}. Name "
            "another one, or review rows with scores first.",
            key="score",
        )
    numbers = [Counter(value for value, _ in part) for part in (rejected, accepted)]
    delta = cliffs_delta(*numbers) if accepted and rejected else None
    return Departure(
        score=score,
        accepted=len(accepted),
        rejected=len(rejected),
        mean_accepted=_mean(accepted),
        mean_rejected=_mean(rejected),
        delta=None if delta is None else delta.value,
        low=None if delta is None else delta.low,
        high=None if delta is None else delta.high,
        rows=_departing(accepted, rejected, most),
    )


def _name_of_score(scores: Mapping[str, float]) -> str | None:
    return "score" if "score" in scores else next(iter(scores), None)


def _mean(part: list[tuple[float, ReviewedRow]]) -> float | None:
    return sum(value for value, _ in part) / len(part) if part else None


def _departing(
    accepted: list[tuple[float, ReviewedRow]], rejected: list[tuple[float, ReviewedRow]], most: int
) -> list[DepartingRow]:
    """Rows by how far they are on the other side of the middle between the means; all where there is only one sort of rows."""
    means = [mean for mean in (_mean(accepted), _mean(rejected)) if mean is not None]
    middle = sum(means) / len(means)
    departing = [(middle - value, value, one) for value, one in accepted]
    departing += [(value - middle, value, one) for value, one in rejected]
    departing.sort(key=lambda told: -told[0])
    return [
        DepartingRow(row=one.state.key.row, verdict=str(one.state.verdict), reason=one.state.reason, score=value)
        for by, value, one in departing[:most]
        if by > 0
    ]
