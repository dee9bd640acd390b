"""What people have decided about rows, over what stages say of them.

A decision counts where the row says what it said when somebody looked at it: as stages leave it, or as an edit that stands has made it.
Then a rejected row is dropped by the stage `review`, an accepted one is kept whatever stages say, and an edited one has other fields.
About any other text it says nothing.

Cost: a look into a table for each row; only rows that somebody has decided about are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from pydantic import ValidationError

from datafast._util.digest import hashed
from datafast.engine.reasoning import KEY, Place, line_as
from datafast.engine.stages import KEEP, Decided, StageRaised, drop
from datafast.store.review_file import ReviewFile
from datafast.store.review_records import ReviewRecord, RowKey
from datafast.store.review_state import Decisions, Disagreement, ReviewState, Verdict
from datafast.store.verdicts import Dropped

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path
    from typing import Any

__all__ = ["REVIEW", "EditRefusedError", "Overruling", "overruling"]

REVIEW = "review"
"""The name under which rows that people have rejected are filtered, and those that they have edited are counted."""
_REJECTED = "rejected"


class EditRefusedError(StageRaised):
    """A row cannot be edited as somebody has, because its model does not allow it: it was another one when that was said."""

    def __init__(self, error: ValueError) -> None:
        told = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        Exception.__init__(
            self,
            f"cannot be edited as a reviewer has: {told.removesuffix('.')}. Take the edit back, or edit the row as it is now.",
        )


class Overruling:
    """The decisions that a run folds in.

    Args:
        place: where what models thought stands in the rows.

    Attributes:
        mark: changes when what follows from the decisions may.
        read: which decisions these are: how many, and a digest of their ids.
    """

    def __init__(self, records: Sequence[ReviewRecord], place: Place, disagreement: Disagreement) -> None:
        self._records = records
        self._decisions = Decisions(records, disagreement)
        self._place = place
        self._disagreement: Disagreement = disagreement
        self.mark = self._decisions.mark
        self.read = _told(records)

    def __contains__(self, row: str) -> bool:
        """Whether anybody has decided anything about the row of this uuid."""
        return row in self._decisions

    def as_of(self, read: str) -> Overruling | None:
        """The same with the decisions alone that had been read when this was noted; None if these are not its first ones."""
        number = _number(read)
        before = self._records[:number]
        if number > len(self._records) or (number and _told(before) != read):
            return None
        return self if number == len(self._records) else Overruling(before, self._place, self._disagreement)

    def since(self, read: str, mark: str) -> Collection[str] | None:
        """The rows about which anything was decided since this was noted; None where it cannot be told, or more than that is new: another
        rule for reviewers who disagree."""
        before = self.as_of(read)
        if before is None or before.mark != mark:
            return None
        return {record.row for record in self._records[_number(read) :]}

    def over(self, decided: Decided, original: bytes) -> tuple[Decided, bytes]:
        """What is said about a row, once reviewers are heard, and its line: as it was made, or as it is changed.

        Args:
            original: its line as it was made.

        Raises:
            EditRefusedError: it cannot be edited as somebody has.
        """
        line = line_as(decided.row, original, self._place) if decided.changed else original
        if (uuid := getattr(decided.row, "uuid", None)) and str(uuid) not in self._decisions:
            return decided, line
        state = self._state(line)
        if state.fields:
            decided, line = self._edited(decided, line, state.fields)
        if state.verdict == "rejected":
            decided = decided._replace(stage=REVIEW, verdict=drop(state.reason or _REJECTED))
        elif state.verdict == "accepted":
            decided = decided._replace(stage="", verdict=KEEP, is_accepted=True)
        return decided, line

    def over_dropped(self, before: Dropped | None, line: bytes) -> Dropped | None:
        """What drops a row about which stages cannot decide now, and which stays as it is.

        Args:
            before: what drops it so far.
        """
        state = self._state(line)
        if state.verdict == "rejected":
            return Dropped(REVIEW, drop(state.reason or _REJECTED).reason)
        is_taken_back = before is not None and before.stage == REVIEW
        return None if state.verdict == "accepted" or is_taken_back else before

    def verdict_of(self, line: bytes) -> Verdict | None:
        """What reviewers say about a row that has this line."""
        return self._state(line).verdict

    def told_of(self, line: bytes) -> str:
        """What reviewers said of a row that they have rejected: the reasons, and the notes about the same text."""
        state = self._state(line)
        reasons = [one.reason for one in state.by_reviewer.values() if one.action == "reject"]
        notes = [one.text for one in state.notes if one.digest == state.becomes]
        return "; ".join(dict.fromkeys(filter(None, (*reasons, *notes))))

    def _state(self, line: bytes) -> ReviewState:
        return self._decisions.of(RowKey.of(orjson.loads(line)))

    def _edited(self, decided: Decided, line: bytes, fields: Mapping[str, Any]) -> tuple[Decided, bytes]:
        row = decided.row
        try:
            values = {**orjson.loads(type(row).__pydantic_serializer__.to_json(row)), **fields}
            edited = type(row).model_validate_json(orjson.dumps(values))
        except ValueError as error:
            raise EditRefusedError(error) from error
        changed = {name for name in type(row).model_fields if getattr(edited, name) != getattr(row, name)}
        if self._place == "field" and KEY in fields:  # what models thought is no field of the row that stages see
            line = orjson.dumps({**orjson.loads(line), KEY: fields[KEY]})
            changed.add(KEY)
        if not changed:
            return decided, line
        by = (*decided.changed_by, REVIEW)
        decided = decided._replace(row=edited, changed=decided.changed | changed, changed_by=by)
        return decided, line_as(edited, line, self._place)


def overruling(path: Path, place: Place, disagreement: Disagreement) -> Overruling | None:
    """The decisions in a file; None where there are none.

    Raises:
        OutputError: it cannot be read, or a line of it is no decision.
    """
    records = ReviewFile(path).read()
    return Overruling(records, place, disagreement) if records else None


def _told(records: Sequence[ReviewRecord]) -> str:
    return f"{len(records)} {hashed(' '.join(record.id for record in records).encode()).hex()}"


def _number(read: str) -> int:
    return int(read.partition(" ")[0] or 0)
