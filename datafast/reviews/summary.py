"""How far reviewers are, and how far they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from datafast.judging.agreement import Agreement, agreement_of
from datafast.reviews.rows import ReviewedRow
from datafast.store.review_records import ABOUT_TEXT
from datafast.store.review_state import Decisions

__all__ = [
    "DepartingRow",
    "Departure",
    "ModelWins",
    "PairSummary",
    "Progress",
    "ReviewerCount",
    "agreement_between",
    "progress_of",
]

_REVIEW = "review"


class ReviewerCount(BaseModel):
    """What one reviewer has decided that stands: rows by verdict, and labels, notes and preferences. `stale`: of these rows, those that say
    something else by now."""

    model_config = ConfigDict(frozen=True)

    accepted: int = 0
    rejected: int = 0
    edited: int = 0
    stale: int = 0
    labels: int = 0
    notes: int = 0
    preferences: int = 0


class Progress(BaseModel):
    """How far a review is.

    Attributes:
        rows: in the file, and rejected ones that are not there any more.
        accepted, rejected: rows by what follows from all decisions about them. undecided: reviewers disagree, and nothing follows.
        edited: accepted rows with an edit.
        disputed: rows about which reviewers disagree.
        stale: rows about which decisions are known that are all about another text.
        reasons: of rejections, with how many rows each has.
        labels: by name, how often each value was given; values that are no texts as JSON.
        by_reviewer: by name.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    accepted: int
    rejected: int
    undecided: int
    edited: int
    disputed: int
    stale: int
    reasons: dict[str, int]
    labels: dict[str, dict[str, int]]
    by_reviewer: dict[str, ReviewerCount]

    @property
    def reviewed(self) -> int:
        """Rows that were decided about as they are now."""
        return self.accepted + self.rejected + self.undecided


class ModelWins(BaseModel):
    """How often people preferred the texts of a model (`provider/model_id`, or what rows call it) to those of others.

    Attributes:
        win_rate: from 0 to 1; a tie is half a win. low, high: its 95 % interval, a confidence sequence.
        against: the win rate against each other model.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    pairs: int
    wins: int
    ties: int
    losses: int
    win_rate: float
    low: float
    high: float
    against: dict[str, float]


class PairSummary(BaseModel):
    """What people prefer.

    Attributes:
        pairs: preferences that stand; ties: those for neither.
        first_shown: how often what stood first was preferred, of those that are no ties. Far from one half, the order decides.
        models: those that were compared with others, the best first.
        judged: preferences about pairs that judges in the rows have scored, neither side with a tie.
        agreed: how often the judge prefers the same, of these; low, high: the 95 % interval. None where there are none.
        departing: pairs where judge and person differ, those first where the judge is surest.
    """

    model_config = ConfigDict(frozen=True)

    pairs: int
    ties: int
    first_shown: float | None
    models: list[ModelWins]
    judged: int
    agreed: float | None
    low: float | None
    high: float | None
    departing: list[DepartingPair]


class DepartingPair(BaseModel):
    """A pair where the judge prefers the other text. `rows`: both, the one first that people prefer. `by`: how much higher the judge scores
    the other one."""

    model_config = ConfigDict(frozen=True)

    rows: tuple[str, str]
    fields: tuple[str | None, str | None]
    reviewer: str
    by: float


class DepartingRow(BaseModel):
    """A row that a judge scores higher or lower than what people say of it makes one expect."""

    model_config = ConfigDict(frozen=True)

    row: str
    verdict: str
    reason: str
    score: float


class Departure(BaseModel):
    """Where scores in rows depart from what people say of the rows.

    Attributes:
        score: the name of the score.
        accepted, rejected: how many rows of each have it; mean_accepted, mean_rejected: the means.
        delta: how much more often an accepted row has a higher score than a rejected one than the other way round, from -1 to 1 (Cliff's
            delta): 1 where the score says the same as people, 0 where it says nothing. low, high: its 95 % interval. None where all are
            accepted, or all rejected.
        rows: rejected rows with the highest scores and accepted ones with the lowest, those first that depart the most.
    """

    model_config = ConfigDict(frozen=True)

    score: str
    accepted: int
    rejected: int
    mean_accepted: float | None
    mean_rejected: float | None
    delta: float | None
    low: float | None
    high: float | None
    rows: list[DepartingRow]


def progress_of(rows: Iterable[ReviewedRow], decisions: Decisions) -> Progress:
    """How far a review is, by all rows, also those that were dropped."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for one in rows:
        state = one.state
        if not one.dropped_by or one.dropped_by == _REVIEW or state.verdict is not None:
            counts["rows"] += 1
        if state.verdict is not None:
            counts[state.verdict] += 1
        elif state.by_reviewer:
            counts["undecided"] += 1
        if state.verdict == "rejected":
            reasons[state.reason] += 1
        is_edited = state.verdict == "accepted" and any(said.action == "edit" for said in state.by_reviewer.values())
        counts.update({"edited": is_edited, "disputed": state.is_disputed, "stale": state.is_stale})
        for said in state.stale:
            counts[f"stale of {said.reviewer}"] += 1
    by_reviewer, labels = _by_reviewer(decisions, counts)
    names = ("rows", "accepted", "rejected", "undecided", "edited", "disputed", "stale")
    return Progress(
        **{name: counts[name] for name in names},
        reasons=dict(reasons.most_common()),
        labels={name: dict(values.most_common()) for name, values in sorted(labels.items())},
        by_reviewer=by_reviewer,
    )


def _by_reviewer(
    decisions: Decisions, counted: Mapping[str, int]
) -> tuple[dict[str, ReviewerCount], dict[str, Counter[str]]]:
    found: dict[str, Counter[str]] = {}
    labels: dict[str, Counter[str]] = {}
    verdicts = {"accept": "accepted", "reject": "rejected", "edit": "edited"}
    for row in decisions.rows:
        newest: dict[tuple[str, str], str] = {}
        named: dict[tuple[str, str], Any] = {}
        for one in decisions.standing_of(row):
            own = found.setdefault(one.reviewer, Counter())
            if one.action in ABOUT_TEXT:
                newest[one.reviewer, "verdict"] = verdicts[one.action]
            elif one.action == "label":
                named[one.reviewer, one.name] = one.value
            else:
                own["notes"] += 1
        for (reviewer, _), verdict in newest.items():
            found[reviewer][verdict] += 1
        for (reviewer, name), value in named.items():
            found[reviewer]["labels"] += 1
            labels.setdefault(name, Counter())[_shown(value)] += 1
    for one in decisions.preferences:
        found.setdefault(one.reviewer, Counter())["preferences"] += 1
    told = {name: ReviewerCount(**own, stale=counted[f"stale of {name}"]) for name, own in sorted(found.items())}
    return told, labels


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def agreement_between(decisions: Decisions, label: str | None) -> Agreement:
    """See `Reviews.agreement`."""
    said: list[dict[str, Any]] = []
    for row in decisions.rows:
        newest: dict[str, tuple[str, Any]] = {}
        for one in decisions.standing_of(row):
            if label is None and one.action in ABOUT_TEXT:
                text = one.digest if one.action != "edit" else one.becomes or ""
                newest[one.reviewer] = text, one.action != "reject"
            elif label is not None and one.action == "label" and one.name == label:
                newest[one.reviewer] = one.digest, _shown(one.value)
        texts = dict.fromkeys(text for text, _ in newest.values())
        said += [{name: value for name, (of, value) in newest.items() if of == text} for text in texts]
    return agreement_of(said, nominal=True)
