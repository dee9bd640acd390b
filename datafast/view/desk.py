"""The rows of one output as a reviewer goes through them, and what is decided about them.

Cost: a look for the next row that a reviewer wants reads rows in their order, at most `_AT_ONCE` a request. Memory: the decisions, and of
dropped rows the first `_DROPPED`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from datafast.errors import ConfigError
from datafast.reviews import Progress, ReviewedRow, ReviewRecord, Reviews, ReviewState
from datafast.reviews.rows import dropped_rows, row_in_line, state_in
from datafast.reviews.summary import progress_of
from datafast.store.review_records import ABOUT_TEXT, NOT_EDITED, digest_of
from datafast.view.index import RowIndex
from datafast.view.outputs import FileState, Output

__all__ = [
    "WANTED",
    "Desk",
    "Found",
    "Wanted",
    "desk_of",
    "fields_of",
    "reach",
    "said_of",
    "seen_of",
    "told_of",
]

Wanted: TypeAlias = Literal["open", "all", "accepted", "rejected", "edited", "disputed", "stale", "dropped"]
"""Which rows a reviewer goes through. open: those that this reviewer has not decided about as they are now. dropped: those that stages or
reviewers have dropped, which are no longer in the file."""
WANTED: tuple[Wanted, ...] = get_args(Wanted)

_AT_ONCE = 20_000
_BATCH = 256
_DROPPED = 10_000


class Found(NamedTuple):
    """What a look for a row has come to.

    Attributes:
        one: the row; None if there is none, or none so far.
        number: of the row, from 0; where there is none, where the next look goes on.
        ended: whether there are no more rows in this direction.
    """

    one: ReviewedRow | None
    number: int
    ended: bool


class Desk:
    """One output under review. Any thread may use it.

    Args:
        output: that is reviewed.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.RLock()
        self._reviews = Reviews(output.paths, output.model, disagreement=output.disagreement)
        self._dropped: tuple[FileState, list[tuple[Mapping[str, Any], str, str]]] | None = None

    @property
    def reviewer(self) -> str:
        """The name under which the user of this process decides, if no other is given."""
        return self._reviews.reviewer

    @contextmanager
    def held(self) -> Iterator[Reviews]:
        """Its reviews, which are for one thread at a time: others wait until this context ends."""
        with self._lock:
            yield self._reviews

    # -- going through rows

    def look(self, wanted: Wanted, start: int, *, back: bool = False, reviewer: str = "") -> Found:
        """The next row from a number on, or back from it, of those that are wanted."""
        step = -1 if back else 1
        with self._lock:
            number = start
            for number, one in self._from(wanted, start, step):
                if _is_wanted(one, wanted, reviewer):
                    return Found(one, number, ended=False)
                if abs(number - start) >= _AT_ONCE:
                    return Found(None, number + step, ended=False)
        return Found(None, number, ended=True)

    def _from(self, wanted: Wanted, start: int, step: int) -> Iterator[tuple[int, ReviewedRow]]:
        if wanted == "dropped":
            rows = self.dropped
            for number in range(start, len(rows) if step > 0 else -1, step):
                if 0 <= number < len(rows):
                    row, stage, why = rows[number]
                    yield number, ReviewedRow(row, state_in(self._reviews.decisions, row), stage, why)
            return
        decisions = self._reviews.decisions
        for number, row in self._rows(start, step):
            yield number, ReviewedRow(row, state_in(decisions, row))

    def _rows(self, start: int, step: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        at = start
        reach(self._output.rows, start)
        while at >= 0:
            first = at if step > 0 else max(0, at - _BATCH + 1)
            lines = list(self._output.rows.lines(first, _BATCH if step > 0 else at - first + 1))
            if not lines:
                return
            for line in lines[::step]:
                row = None if line.data is None else row_in_line(line.data)
                if row is not None:
                    yield line.number, row
            at = lines[-1].number + 1 if step > 0 else first - 1

    @property
    def dropped(self) -> list[tuple[Mapping[str, Any], str, str]]:
        """The rows that were dropped, with the stage and why: the first ten thousand."""
        state = self._output.state
        with self._lock:
            if self._dropped is None or self._dropped[0] != state:
                found = []
                for told in dropped_rows(self._output.paths):
                    found.append(told)
                    if len(found) >= _DROPPED:
                        break
                self._dropped = state, found
            return self._dropped[1]

    def row(self, wanted: Wanted, number: int) -> ReviewedRow:
        """A row by its number. Raises ConfigError if there is none."""
        with self._lock:
            for found, one in self._from(wanted, number, 1):
                if found == number:
                    return one
                break
        raise ConfigError(f"number: There is no row {number + 1:,} any more. Load the page again.", key="number")

    # -- deciding

    def decide(self, told: Mapping[str, Any]) -> tuple[ReviewRecord, ReviewState]:
        """Saves a decision, as a page sends it: `action`, `reviewer`, `wanted`, `number`, `row` (the name of the row that was shown),
        `seen`, and what the action takes.

        Raises:
            ConfigError: something in it is wrong, or another row has come to this place.
            OutputError: it cannot be saved.
        """
        wanted, number = told.get("wanted"), told.get("number")
        if wanted not in WANTED or not isinstance(number, int):
            raise ConfigError("number: Say which row is meant. Load the page again.", key="number")
        with self._lock:
            one = self.row(wanted, number)
            if one.state.key.row != told.get("row"):
                raise ConfigError(
                    "row: The file has changed, and another row stands here now. Nothing was saved; look at it again.",
                    key="row",
                )
            record = self._decided(one.row, told)
            return record, self._reviews.state(one.row)

    def _decided(self, row: Mapping[str, Any], told: Mapping[str, Any]) -> ReviewRecord:
        who, seen = _text(told, "reviewer") or None, _text(told, "seen") or None
        action = told.get("action")
        if action == "accept":
            return self._reviews.accept(row, reviewer=who, seen=seen)
        if action == "reject":
            return self._reviews.reject(row, _text(told, "reason"), note=_text(told, "note"), reviewer=who, seen=seen)
        if action == "edit":
            return self._reviews.edit(row, _edited(told), reviewer=who, seen=seen)
        if action == "label":
            return self._reviews.label(row, _text(told, "name"), told.get("value"), reviewer=who)
        if action == "note":
            return self._reviews.note(row, _text(told, "text"), reviewer=who)
        raise ConfigError(f"action: {action!r} is none. Load the page again.", key="action")

    def undo(self, reviewer: str) -> ReviewRecord | None:
        """Takes the newest decision of a reviewer back, and returns it."""
        with self._lock:
            return self._reviews.undo(reviewer=reviewer or None)

    # -- what has come of it

    def by_reviewer(self) -> Progress:
        """What each reviewer has decided, without a look at the rows."""
        with self._lock:
            return progress_of((), self._reviews.decisions)

    @property
    def reasons(self) -> list[str]:
        """The reasons of rejections so far, the most frequent first."""
        with self._lock:
            decisions = self._reviews.decisions
            found: dict[str, int] = {}
            for record in decisions.by_id.values():
                if record.action == "reject" and record.reason:
                    found[record.reason] = found.get(record.reason, 0) + 1
        return sorted(found, key=lambda reason: (-found[reason], reason))


def reach(index: RowIndex, number: int) -> None:
    """Counts rows until the place of this one is known, or there are no more."""
    index.refresh()
    if index.known <= number:
        index.wait()
    while index.known <= number and index.step():
        pass


def _is_wanted(one: ReviewedRow, wanted: Wanted, reviewer: str) -> bool:
    state = one.state
    if wanted in {"all", "dropped"}:
        return True
    if wanted == "open":
        return reviewer not in state.by_reviewer
    if wanted == "disputed":
        return state.is_disputed
    if wanted == "stale":
        return bool(state.stale)
    if wanted == "edited":
        return any(said.action == "edit" for said in state.by_reviewer.values())
    return state.verdict == wanted


def fields_of(one: ReviewedRow) -> list[tuple[str, str, bool]]:
    """The fields of a row that can be edited, as one writes them: name, what it is now, and whether that is a text. Else it is JSON, made
    here because a browser would round long numbers and write `1.0` as `1`."""
    return [(name, *_as_written(value)) for name, value in one.current.items() if name not in NOT_EDITED]


def _as_written(value: object) -> tuple[str, bool]:
    return (value, True) if isinstance(value, str) else (json.dumps(value, ensure_ascii=False, indent=1), False)


def _edited(told: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an edit: `fields` as they are, and `written`, which are JSON."""
    fields, written = told.get("fields") or {}, told.get("written") or {}
    if not isinstance(fields, dict) or not isinstance(written, dict):
        raise ConfigError("fields: Say which fields have which values. Load the page again.", key="fields")
    found = dict(fields)
    for name, text in written.items():
        try:
            found[name] = json.loads(text, parse_constant=_refused)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"{name}: This is not JSON ({error}). A text stands in quotes.", key=name) from error
    return found


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def said_of(record: ReviewRecord) -> dict[str, Any]:
    """A decision as a page shows it."""
    kept = ("action", "reviewer", "at", "reason", "text", "name", "value", "id", "row")
    return {name: value for name, value in record.told().items() if name in kept}


def seen_of(one: ReviewedRow) -> str:
    """What a reviewer sees of a row, as a digest: decisions come back with it, and are refused where the row has changed since."""
    return one.state.becomes or digest_of(one.row)


def told_of(state: ReviewState) -> dict[str, Any]:
    """How a row stands, as a page shows it."""
    return {
        "verdict": state.verdict,
        "reason": state.reason,
        "disputed": state.is_disputed,
        "edited": sorted(state.fields),
        "decisions": [said_of(one) for one in state.by_reviewer.values() if one.action in ABOUT_TEXT],
        "stale": [said_of(one) for one in state.stale],
        "labels": state.labels,
        "notes": [said_of(one) for one in state.notes],
    }


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name) or ""
    if not isinstance(value, str):
        raise ConfigError(f"{name}: A text is expected.", key=name)
    return value


@lru_cache(maxsize=64)
def desk_of(output: Output) -> Desk:
    """The desk of an output. It is kept, because it holds the decisions."""
    return Desk(output)
