"""What the stages of a job say about rows that are recorded: verdicts are a view, so they are given anew when the stages change, and where
rows are compared with each other, whenever some have come."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import orjson
from pydantic import BaseModel, ValidationError

from datafast._util.notify import warn_user
from datafast.amounts import counted
from datafast.engine.reasoning import line_as, row_of
from datafast.engine.recorded_answers import RecordedAnswers, RowAsked, Unasked
from datafast.engine.reviewing import REVIEW, EditRefusedError
from datafast.engine.stages import AnyStage, Decided, asks, said_of_stage, settings_of, told_apart, verdict_of
from datafast.engine.targets import SURPLUS
from datafast.engine.walking import WalkInOrder
from datafast.errors import CallFailed
from datafast.logger_config import logger
from datafast.store.review_records import key_of
from datafast.store.verdicts import BEHIND, Abandoned, Dropped, Key, RecordedRow, Said

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.engine.job import Job
    from datafast.engine.stop import StopSignal
    from datafast.plan.items import WorkItem
    from datafast.store.records import Recorded
    from datafast.store.verdicts import CallsOf

__all__ = ["Decider"]

_EXAMPLES = 50  # calls of a route and role, by which the cost of all is told


class Decider:
    """Decides about recorded rows by the stages of a job.

    Attributes:
        settings: those of the stages that look at one row, as JSON.
        walks: those of the stages that compare rows, likewise.
        walk_names: the names of these.
        most_replaced: how often a row that they drop is made again; not if it is one of `for_good` that has dropped it.
        num_rows: how many rows the plan asks for.
        beyond: see `datafast.store.verdicts.Decides`.
        looked_at: how many rows the last pass has looked at, of `expected`; for others to tell.
        unasked, asked_in_vain: see `datafast.store.verdicts.Decides`.
        missing_calls: the calls of the last pass that were never made, by route of the plan and role.

    Args:
        stop: an interruption leaves a pass a few seconds. Then it is abandoned, before anything has changed.
        most_s: after so many seconds it is abandoned in any case.
    """

    def __init__(self, job: Job, stop: StopSignal | None = None, *, most_s: float | None = None) -> None:
        self.settings = job.stage_settings
        compared: list[AnyStage] = [*job.walk_stages, *([] if job.compared_targets is None else [job.compared_targets])]
        self.walks = settings_of(compared)
        self.walk_names = frozenset(one.name for one in compared)
        self.most_replaced = job.regenerate
        self.for_good = frozenset({SURPLUS})
        self.num_rows = job.plan.num_rows
        self.reviewed = "" if job.reviews is None else job.reviews.read
        self.looked_at = self.expected = 0
        self.beyond: dict[int, int] | None = {} if job.compared_targets is None else None
        self._unasked: dict[int, dict[int, int]] = {}
        self._unasked_before: dict[int, dict[int, int]] = {}
        self._alike: dict[tuple[tuple[int, int], ...], dict[int, int]] = {}
        self._in_vain: set[int] = set()
        self.missing_calls: Counter[tuple[int, str]] = Counter()
        self._examples: list[tuple[int, Call]] = []
        self._job = job
        self._stop = stop
        self._most_s = most_s
        self._since = 0.0
        self._is_given_up = False
        self._undecided = 0
        self._why = ""

    def only_reviewed(self, stages: str, reviewed: str) -> Collection[str] | None:
        """See `datafast.store.verdicts.Decides`."""
        reviews, (before, mark) = self._job.reviews, told_apart(stages)
        if reviews is None or before != told_apart(self.settings)[0]:
            return None
        return reviews.since(reviewed, mark)

    def anew(
        self,
        *,
        each: bool,
        former_walks: Collection[str],
        calls_of: CallsOf,
        tries_again: bool = False,
        only: Collection[str] | None = None,
    ) -> _Verdicts:
        """See `datafast.store.verdicts.Decides`."""
        self.looked_at, self._since = 0, time.monotonic()
        self.beyond = {}
        if each:
            self._unasked_before = self._unasked
            self._unasked, self._in_vain, self.missing_calls, self._examples = {}, set(), Counter(), []
        is_asked = each and any(map(asks, self._job.row_stages))
        answers = RecordedAnswers(self._job, tries_again=tries_again) if is_asked else None
        walk_names = self.walk_names | set(former_walks)
        return _Verdicts(self, self._job, walk_names, each=each, answers=answers, calls_of=calls_of, only=only)

    @property
    def unasked(self) -> Mapping[int, Mapping[int, int]]:
        return self._unasked

    @property
    def has_found_unasked(self) -> bool:
        """Whether models have to be asked about rows about which they had not to be before the last pass: later generations of rows
        that they have dropped since."""
        before = self._unasked_before
        return any(
            rows & ~before.get(item, {}).get(generation, 0)
            for item, generations in self._unasked.items()
            for generation, rows in generations.items()
        )

    @property
    def asked_in_vain(self) -> Collection[int]:
        return self._in_vain

    def examples(self) -> list[tuple[int, Call, float]]:
        """Some of the missing calls, each with its route, and how many it stands for."""
        of_sort = Counter((route, call.role) for route, call in self._examples)
        return [
            (route, call, self.missing_calls[route, call.role] / of_sort[route, call.role])
            for route, call in self._examples
        ]

    def tell(self) -> None:
        """Warns of rows about which nothing could be decided since it was last called."""
        if self._undecided:
            stay = "stays as it was" if self._undecided == 1 else "stay as they were"
            warn_user(f"quality: {counted(self._undecided, 'recorded row')} {stay} decided before. {self._why}")
        self._undecided = 0

    def give_up(self) -> None:
        """Abandons the pass that goes on, at its next rows."""
        self._is_given_up = True

    def look_at(self, rows: int) -> None:
        """Counts rows. Raises `Abandoned` if the run does not wait for the verdicts any more."""
        is_late = self._most_s is not None and time.monotonic() - self._since > self._most_s
        if is_late or self._is_given_up or (self._stop is not None and not self._stop.waits(self._since)):
            raise Abandoned
        self.looked_at += rows

    def note(self, error: Exception) -> None:
        """Counts a row about which nothing can be decided, because of an error."""
        if not self._undecided:
            if isinstance(error, ValidationError):
                self._why = f"The first is not a row of this kind: {error}"
            elif isinstance(error, EditRefusedError):
                self._why = f"The first {error}"
            elif isinstance(error, CallFailed):
                again = "Run with --retry-failed (retry_failed=True) to ask again."
                self._why = f"A model gave no usable answer: {str(error).removesuffix('.')}. {again}"
            else:
                again = "Correct the stage, and run with --retry-failed (retry_failed=True) to have it decide again."
                self._why = f"{said_of_stage(error).removesuffix('.')}. {again}"
            logger.opt(exception=error).debug("A recorded row could not be decided about.")
        self._undecided += 1

    def note_beyond(self, row: RecordedRow) -> None:
        """Counts a dropped row for which there is no room."""
        assert self.beyond is not None  # noqa: S101 - of this pass
        self.beyond[row.item] = self.beyond.get(row.item, 0) | 1 << row.number

    def note_unasked(self, row: RecordedRow, unasked: Unasked) -> None:
        """Counts a row about which models have to be asked first."""
        rows = dict(self._unasked.get(row.item, {}))
        rows[row.generation] = rows.get(row.generation, 0) | 1 << row.number
        # Most items are alike in this, and there may be very many.
        self._unasked[row.item] = self._alike.setdefault(tuple(rows.items()), rows)
        if unasked.again:
            self._in_vain.add(row.item)
        route = row.place.position % self._job.plan.num_routes
        self.missing_calls.update((route, call.role) for call in unasked.calls)
        for call in unasked.calls:
            if self.missing_calls[route, call.role] <= _EXAMPLES:
                self._examples.append((route, call))


class _Verdicts:
    """One pass; see `datafast.store.verdicts.Deciding`."""

    def __init__(
        self,
        decider: Decider,
        job: Job,
        walk_names: Collection[str],
        *,
        each: bool,
        answers: RecordedAnswers | None,
        calls_of: CallsOf,
        only: Collection[str] | None,
    ) -> None:
        self.walks = bool(job.walk_stages) or job.compared_targets is not None
        self._decider = decider
        self._plan = job.plan
        self._in_plan_order = job.in_plan_order
        self._each = each
        self._only = only
        self._named: tuple[Key | None, str] = None, ""
        self._stages = job.row_stages
        self._reviews = job.reviews
        self._walk_names = walk_names
        self._row_model = job.row_model
        self._reasoning = job.reasoning.place
        targets = job.compared_targets
        self._walk = WalkInOrder(job.walk_stages, None if targets is None else targets.room(job.plan))
        self._most_replaced = job.regenerate
        self._shown = (-1, -1)
        self._answers = answers
        self._calls_of = calls_of

    def expect(self, rows: int) -> None:
        self._decider.expected = rows

    def draw(self, position: int) -> int:
        return position if self._in_plan_order else self._plan.draw_at(position)

    def verdicts(self, rows: Sequence[RecordedRow]) -> Sequence[Said]:
        self._decider.look_at(len(rows))
        asked = self._asked(rows)
        found = [self._of_each(row, asked.get(place)) for place, row in enumerate(rows)]
        said = [one.said for one in found]
        compared = [(row, one) for row, one in zip(rows, found, strict=True) if one.model is not None]
        walked = self._walk.verdicts(
            [one.model for _, one in compared if one.model is not None],
            [row.place.position for row, _ in compared],
            {place for place, (_, one) in enumerate(compared) if one.is_accepted},
        )
        for place, (row, one) in enumerate(zip(rows, found, strict=True)):
            verdict = next(walked) if one.model is not None else None
            if row.key[:2] == self._shown or row.generation > self._most_replaced:
                said[place] = one.said._replace(drops=one.said.drops or BEHIND, is_unasked=False)
                continue
            if isinstance(unasked := asked.get(place), Unasked) and one.said.is_unasked:
                self._decider.note_unasked(row, unasked)
            if verdict is not None:
                drops = verdict()
                if isinstance(drops, Exception):
                    self._decider.note(drops)
                    said[place] = row.as_it_is._replace(is_undecided=True)
                else:
                    said[place] = one.said._replace(drops=drops)
            if said[place].drops is None:
                self._shown = row.key[:2]
            elif self._most_replaced and self._walk.is_full(row.place.position):
                self._decider.note_beyond(row)
        return said

    def _asked(self, rows: Sequence[RecordedRow]) -> dict[int, Decided | Unasked | Exception]:
        """By place: what the stages say that look at a row alone, where some of them ask models; nothing where none does."""
        if self._answers is None:
            return {}
        found: dict[int, Decided | Unasked | Exception] = {}
        asked: dict[int, RowAsked] = {}
        item = 0
        replies: dict[bytes, list[Recorded]] = {}
        for place, row in enumerate(rows):
            if not self._is_anew(row):
                continue
            if row.item != item:
                item, replies = row.item, {}
                for key, reply in self._calls_of(item):
                    replies.setdefault(key, []).append(reply)
            try:
                model = row_of(row.original, self._reasoning, self._row_model)
                asked[place] = RowAsked(model, self._item(row.place.position, row.place.key), replies)
            except Exception as error:  # noqa: BLE001 - as of a stage
                found[place] = error
        return found | dict(zip(asked, self._answers.decide(list(asked.values())), strict=True))

    def _of_each(self, row: RecordedRow, asked: Decided | Unasked | Exception | None) -> _Each:
        """What the stages say that look at a row alone, and the row as it is compared with others, if it is."""
        is_dropped = row.before is not None and row.before != BEHIND and row.before.stage not in self._walk_names
        is_anew = self._is_anew(row)
        if is_dropped and not is_anew:
            return _Each(row.as_it_is)
        if not is_anew and not self.walks:
            return _Each(row.as_it_is._replace(drops=None))
        if is_anew and not self._stages and not self.walks and self._reviews is None:
            return _Each(Said(None, row.original))
        try:
            if not is_anew:
                kept = row.as_it_is._replace(drops=None)
                return _Each(kept, row_of(row.line, self._reasoning, self._row_model), self._is_accepted(row))
            if isinstance(asked, Unasked):
                return self._as_it_is(row, row.as_it_is._replace(is_unasked=True), is_dropped=is_dropped)
            said, decided = self._decided(row, asked)
        except Exception as error:  # noqa: BLE001 - of a stage, which may raise anything: it concerns this row
            self._decider.note(error)
            return self._as_it_is(row, row.as_it_is._replace(is_undecided=True), is_dropped=is_dropped)
        return _Each(said, decided.row if self.walks and said.drops is None else None, decided.is_accepted)

    def _decided(self, row: RecordedRow, asked: Decided | Exception | None) -> tuple[Said, Decided]:
        """What the stages say that look at a row alone, and the row as they leave it."""
        if isinstance(asked, Exception):
            raise asked
        if asked is None:
            model = row_of(row.original, self._reasoning, self._row_model)
            asked = verdict_of(self._stages, Decided(model), self._item(row.place.position, row.place.key))
        if self._reviews is not None:
            decided, line = self._reviews.over(asked, row.original)
        else:
            decided, line = asked, line_as(asked.row, row.original, self._reasoning) if asked.changed else row.original
        verdict = decided.verdict
        drops = None if verdict.keeps else Dropped(decided.stage, verdict.reason, verdict.score)
        return Said(drops, line, decided.changed_by), decided

    def _is_anew(self, row: RecordedRow) -> bool:
        """Whether stages that look at one row decide about it in this pass."""
        return self._each and (self._only is None or self._name(row) in self._only)

    def _name(self, row: RecordedRow) -> str:
        """How reviewers call a row."""
        if self._named[0] != row.key:
            self._named = row.key, key_of(orjson.loads(row.line))
        return self._named[1]

    def _is_reviewed(self, row: RecordedRow) -> bool:
        return self._reviews is not None and self._name(row) in self._reviews

    def _is_accepted(self, row: RecordedRow) -> bool:
        reviews = self._reviews
        return reviews is not None and self._is_reviewed(row) and reviews.verdict_of(row.line) == "accepted"

    def _as_it_is(self, row: RecordedRow, said: Said, *, is_dropped: bool) -> _Each:
        """A row about which nothing can be decided now; it is still compared with others, if it can be read."""
        is_accepted = False
        if self._reviews is not None and self._is_reviewed(row):
            drops = self._reviews.over_dropped(said.drops, row.line)
            is_rejected = (
                drops is not None and drops.stage == REVIEW
            )  # so that nothing is paid for what models say about it
            said = said._replace(drops=drops, is_unasked=said.is_unasked and not is_rejected)
            is_accepted = self._is_accepted(row)
            is_dropped = said.drops is not None and (is_dropped or said.drops.stage == REVIEW)
        elif said.drops is not None and said.drops.stage == REVIEW:  # nobody says so any more
            said, is_dropped = said._replace(drops=None), False
        if is_dropped or not self.walks:
            return _Each(said)
        try:
            return _Each(said, row_of(row.line, self._reasoning, self._row_model), is_accepted)
        except ValidationError:
            return _Each(said)

    def _item(self, position: int, key: bytes) -> WorkItem:
        """An item as it was made, with the texts of an earlier version if it has the key of that."""
        item = self._plan[position]
        if item.key == key:
            return item
        return next((found for plan in self._plan.former if (found := plan[position]).key == key), item)


class _Each(NamedTuple):
    """What is said about a row before it is compared with others; `model` if it is, and whether that may not drop it."""

    said: Said
    model: BaseModel | None = None
    is_accepted: bool = False
