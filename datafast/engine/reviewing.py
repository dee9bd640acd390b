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

from datafast.engine.reasoning import Place, line_as
from datafast.engine.stages import KEEP, Decided, StageRaised, drop
from datafast.store.review_file import ReviewFile
from datafast.store.review_records import RowKey
from datafast.store.review_state import Decisions, Disagreement, ReviewState, Verdict
from datafast.store.verdicts import Dropped

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from pydantic import BaseModel

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
        Exception.__init__(self, f"cannot be edited as a reviewer has: {told.removesuffix('.')}")


class Overruling:
    """The decisions that a run folds in.

    Args:
        place: where what models thought stands in the rows.

    Attributes:
        mark: changes when what follows from the decisions may.
    """

    def __init__(self, decisions: Decisions, place: Place) -> None:
        self._decisions = decisions
        self._place = place
        self.mark = decisions.mark

    def over(self, decided: Decided, original: bytes) -> Decided:
        """What is said about a row, once reviewers are heard.

        Args:
            original: its line as it was made.

        Raises:
            EditRefusedError: it cannot be edited as somebody has.
        """
        if not self._has(decided.row):
            return decided
        line = line_as(decided.row, original, self._place) if decided.changed else original
        state = self._state(line)
        if state.fields:
            decided = self._edited(decided, state.fields)
        if state.verdict == "rejected":
            return decided._replace(stage=REVIEW, verdict=drop(state.reason or _REJECTED))
        if state.verdict == "accepted":
            return decided._replace(stage="", verdict=KEEP, is_accepted=True)
        return decided

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

    def told_of(self, row: str) -> str:
        """What the reviewer who has rejected a row last said of it: the reason, and the notes about the same text."""
        standing = self._decisions.standing_of(row)
        rejections = [one for one in standing if one.action == "reject"]
        if not rejections:
            return ""
        last = rejections[-1]
        notes = [one.text for one in standing if one.action == "note" and one.digest == last.digest]
        return "; ".join(dict.fromkeys(text.strip() for text in (last.reason, *notes) if text.strip()))

    def _has(self, row: BaseModel) -> bool:
        uuid = getattr(row, "uuid", None)
        return not isinstance(uuid, str) or uuid in self._decisions

    def _state(self, line: bytes) -> ReviewState:
        return self._decisions.of(RowKey.of(orjson.loads(line)))

    def _edited(self, decided: Decided, fields: Mapping[str, Any]) -> Decided:
        row = decided.row
        try:
            values = {**orjson.loads(type(row).__pydantic_serializer__.to_json(row)), **fields}
            edited = type(row).model_validate_json(orjson.dumps(values))
        except ValueError as error:
            raise EditRefusedError(error) from error
        changed = {name for name in type(row).model_fields if getattr(edited, name) != getattr(row, name)}
        if not changed:
            return decided
        by = (*decided.changed_by, REVIEW)
        return decided._replace(row=edited, changed=decided.changed | changed, changed_by=by)


def overruling(path: Path, place: Place, disagreement: Disagreement) -> Overruling | None:
    """The decisions in a file; None where there are none.

    Raises:
        OutputError: it cannot be read, or a line of it is no decision.
    """
    file = ReviewFile(path)
    if not file.refresh():
        return None
    return Overruling(Decisions(file.records, disagreement), place)
