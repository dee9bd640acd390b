"""What the decisions about a row come to: which of them stand, whether it is accepted, and how it is edited.

    taken back   an `undo` of it stands; an undo may be taken back like everything else
    edits        each applies where the row says what it began from, in the order in which they were made
    verdict      of each reviewer the newest of accept, reject and edit that is about what the row says now counts: an edit accepts
    stale        a reviewer has decided about other texts only; that decides nothing until somebody looks at the row again
    labels       the newest value under a name, by reviewer
    notes        all that stand

Where reviewers disagree about a row, `Disagreement` decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from datafast._util.digest import hashed
from datafast.store.review_records import ABOUT_TEXT, ReviewRecord, RowKey

__all__ = ["DISAGREEMENTS", "Decisions", "Disagreement", "ReviewState", "Verdict", "state_of"]

Verdict: TypeAlias = Literal["accepted", "rejected"]
Disagreement: TypeAlias = Literal["reject", "majority", "newest"]
"""What counts where reviewers disagree. reject: one rejection is enough. majority: what more of them say; nothing where as many say the one
as the other. newest: what was said last."""
DISAGREEMENTS: tuple[Disagreement, ...] = get_args(Disagreement)

_NOTHING: Sequence[ReviewRecord] = ()


@dataclass(frozen=True, slots=True)
class ReviewState:
    """How a row stands.

    Attributes:
        key: the row, as it is where it was read.
        verdict: whether it is accepted or rejected; None where nobody has decided, or nothing follows from what they said.
        record: the decision that the verdict is that of.
        fields: those that edits give other values, with these.
        becomes: the digest of the row with them.
        by_reviewer: what each reviewer says about the row as it is now.
        stale: the newest decisions of reviewers all of whose decisions are about other texts.
        labels: by name, and by reviewer.
        notes: in their order.
    """

    key: RowKey
    verdict: Verdict | None = None
    record: ReviewRecord | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    becomes: str = ""
    by_reviewer: Mapping[str, ReviewRecord] = field(default_factory=dict)
    stale: Sequence[ReviewRecord] = ()
    labels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Sequence[ReviewRecord] = ()

    @property
    def reason(self) -> str:
        """Why it is rejected."""
        return "" if self.record is None or self.verdict != "rejected" else self.record.reason

    @property
    def is_edited(self) -> bool:
        """Whether edits change the row as it was read. Not where they have changed it before."""
        return bool(self.fields)

    @property
    def is_disputed(self) -> bool:
        """Whether reviewers disagree about it."""
        return len({record.action == "reject" for record in self.by_reviewer.values()}) > 1

    @property
    def is_stale(self) -> bool:
        """Whether all that was decided is about another text."""
        return bool(self.stale) and not self.by_reviewer


def state_of(key: RowKey, records: Sequence[ReviewRecord], disagreement: Disagreement = "reject") -> ReviewState:
    """How a row stands.

    Args:
        records: all about it, in the order of the file.
    """
    standing = _standing(records)
    fields: dict[str, Any] = {}
    now = key.digest
    for record in standing:
        if record.action == "edit" and record.digest == now:
            fields |= record.fields or {}
            now = record.becomes or now
    newest = {record.reviewer: record for record in standing if record.action in ABOUT_TEXT}
    # A row that is made again, and rows of other tools that share a uuid, say different things: what was said of
    # another text does not take back what was said of this one.
    own = {record.reviewer: record for record in standing if record.action in ABOUT_TEXT and _is_about(record, now)}
    verdict, counts = _verdict(own, disagreement)
    labels: dict[str, dict[str, Any]] = {}
    for one in standing:
        if one.action == "label":
            labels.setdefault(one.name, {})[one.reviewer] = one.value
    return ReviewState(
        key=key,
        verdict=verdict,
        record=counts,
        fields=fields,
        becomes=now,
        by_reviewer=own,
        stale=[one for name, one in newest.items() if name not in own],
        labels=labels,
        notes=[one for one in standing if one.action == "note"],
    )


def _is_about(record: ReviewRecord, digest: str) -> bool:
    return (record.becomes if record.action == "edit" else record.digest) == digest


def _verdict(own: Mapping[str, ReviewRecord], disagreement: Disagreement) -> tuple[Verdict | None, ReviewRecord | None]:
    said = sorted(own.values(), key=lambda record: record.at)
    rejecting = [record for record in said if record.action == "reject"]
    accepting = [record for record in said if record.action != "reject"]
    if not said:
        return None, None
    if disagreement == "newest":
        return ("rejected" if said[-1].action == "reject" else "accepted"), said[-1]
    if disagreement == "majority" and len(rejecting) == len(accepting):
        return None, None
    is_rejected = bool(rejecting) if disagreement == "reject" else len(rejecting) > len(accepting)
    return ("rejected", rejecting[-1]) if is_rejected else ("accepted", accepting[-1])


def _standing(records: Sequence[ReviewRecord]) -> list[ReviewRecord]:
    """Those that were not taken back, by time; of the same time in the order of the file."""
    undoing: dict[str, list[ReviewRecord]] = {}
    for record in records:
        if record.undoes is not None:
            undoing.setdefault(record.undoes, []).append(record)
    stands: dict[str, bool] = {}
    for record in records if undoing else ():
        _decide(record, undoing, stands)
    return sorted(
        (record for record in records if record.action != "undo" and stands.get(record.id, True)),
        key=lambda record: record.at,
    )


def _decide(record: ReviewRecord, undoing: Mapping[str, Sequence[ReviewRecord]], stands: dict[str, bool]) -> None:
    """Whether a record stands: if none of those that take it back does. Without recursion: people undo and redo for long."""
    waiting = [record]
    begun = set[str]()
    while waiting:
        one = waiting[-1]
        others = undoing.get(one.id, ())
        left = [other for other in others if other.id not in stands and other.id not in begun]
        if one.id not in stands and left:
            begun.add(one.id)
            waiting += left
            continue
        stands[one.id] = not any(stands.get(other.id, False) for other in others)
        waiting.pop()


class Decisions:
    """The decisions about the rows of a file, by row. Memory: one list a row, beside the records."""

    def __init__(self, records: Iterable[ReviewRecord] = (), disagreement: Disagreement = "reject") -> None:
        self.disagreement = disagreement
        self.pairs: list[ReviewRecord] = []
        self.by_id: dict[str, ReviewRecord] = {}
        self._by_row: dict[str, list[ReviewRecord]] = {}
        self.take(records)

    def take(self, records: Iterable[ReviewRecord]) -> None:
        """Takes in further records."""
        for record in records:
            if record.id in self.by_id:
                continue  # a copy that somebody has added by hand
            self.by_id[record.id] = record
            if _is_of_pair(record, self.by_id):
                self.pairs.append(record)
            else:
                self._by_row.setdefault(record.row, []).append(record)

    def __len__(self) -> int:
        """The rows that there are decisions about, also those that were taken back."""
        return len(self._by_row)

    def __contains__(self, row: str) -> bool:
        return row in self._by_row

    def of(self, key: RowKey) -> ReviewState:
        """How a row stands."""
        return state_of(key, self._by_row.get(key.row, _NOTHING), self.disagreement)

    def records_of(self, row: str) -> Sequence[ReviewRecord]:
        """All records about a row, in their order."""
        return self._by_row.get(row, _NOTHING)

    def standing_of(self, row: str) -> Sequence[ReviewRecord]:
        """Those that were not taken back, by time."""
        return _standing(self.records_of(row))

    @property
    def rows(self) -> Iterator[str]:
        """The rows that there are decisions about."""
        return iter(self._by_row)

    @property
    def preferences(self) -> list[ReviewRecord]:
        """The preferences between two texts that stand; of one reviewer about the same pair the newest."""
        found: dict[tuple[str, frozenset[tuple[str, str, str | None]]], ReviewRecord] = {}
        for record in _standing(self.pairs):
            if record.pair is not None:
                found[record.reviewer, frozenset(side[:3] for side in record.pair.sides)] = record
        return list(found.values())

    def last_of(self, reviewer: str) -> ReviewRecord | None:
        """The newest decision of a reviewer that stands and is no undo: what an undo takes back."""
        for record in reversed(self.by_id.values()):
            if record.reviewer == reviewer and record.action != "undo" and self._stands(record):
                return record
        return None

    def _stands(self, record: ReviewRecord) -> bool:
        among = self.pairs if _is_of_pair(record, self.by_id) else self.records_of(record.row)
        return any(one.id == record.id for one in _standing(among))

    @property
    def mark(self) -> str:
        """Changes where what a run makes of the decisions may: not with labels, notes, preferences, and what was taken back again. Empty
        where nothing was decided."""
        told = sorted(one.id for row in self._by_row for one in self.standing_of(row) if one.action in ABOUT_TEXT)
        return hashed(" ".join([self.disagreement, *told]).encode()).hex() if told else ""


def _is_of_pair(record: ReviewRecord, known: Mapping[str, ReviewRecord]) -> bool:
    """Whether it is a preference, or takes one back."""
    while record.undoes is not None and record.undoes in known and record.action == "undo":
        record = known[record.undoes]
    return record.pair is not None
