"""What the stages of a job say about rows that are recorded: verdicts are a view, so they are given anew when the stages change, and where
rows are compared with each other, whenever some have come."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pydantic import BaseModel, ValidationError

from datafast._util.notify import warn_user
from datafast.amounts import counted
from datafast.engine.reasoning import KEY, METADATA
from datafast.engine.stages import HasSettings, Walk, Walks, checked, settings_of, verdict_of
from datafast.engine.targets import FULL, SURPLUS, Room
from datafast.logger_config import logger
from datafast.store.deciding import Abandoned, Dropped, RecordedRow, Undecided

if TYPE_CHECKING:
    from datafast.engine.job import Job
    from datafast.engine.stop import StopSignal
    from datafast.plan.items import WorkItem

__all__ = ["Decider", "WalkInOrder"]


class Decider:
    """Decides about recorded rows by the stages of a job.

    Attributes:
        settings: those of the stages that look at one row, as JSON.
        walks: those of the stages that compare rows, likewise.
        walk_names: the names of these.
        looked_at: how many rows the last pass has looked at, of `expected`; for others to tell.

    Args:
        stop: an interruption leaves a pass a few seconds. Then it is abandoned, before anything has changed.
    """

    def __init__(self, job: Job, stop: StopSignal | None = None) -> None:
        self.settings = settings_of(job.row_stages)
        compared: list[HasSettings] = [*job.walk_stages, *([] if job.targets is None else [job.targets])]
        self.walks = settings_of(compared)
        self.walk_names = frozenset(one.name for one in compared)
        self.looked_at = self.expected = 0
        self._job = job
        self._stop = stop
        self._since = 0.0
        self._is_given_up = False
        self._undecided = 0
        self._why = ""

    def anew(self, *, each: bool, former_walks: Collection[str]) -> _Verdicts:
        """A pass of verdicts.

        Args:
            each: whether the stages that look at one row decide anew; else what they have decided stands.
            former_walks: the names of stages by which rows were ever compared. What these have decided never stands.
        """
        self.looked_at, self._since = 0, time.monotonic()
        return _Verdicts(self, self._job, self.walk_names | set(former_walks), each=each)

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
        if self._is_given_up or (self._stop is not None and not self._stop.waits(self._since)):
            raise Abandoned
        self.looked_at += rows

    def note(self, error: Exception) -> None:
        """Counts a row about which nothing can be decided, because of an error."""
        if not self._undecided:
            if isinstance(error, ValidationError):
                self._why = f"The first is not a row of this kind: {error}"
            else:
                again = "Correct the stage, and run with --retry-failed (retry_failed=True) to have it decide again."
                self._why = f"{type(error).__name__}: {str(error).removesuffix('.')}. {again}"
            logger.opt(exception=error).debug("A recorded row could not be decided about.")
        self._undecided += 1


class _Verdicts:
    """One pass; see `datafast.store.deciding.Deciding`."""

    def __init__(self, decider: Decider, job: Job, walk_names: Collection[str], *, each: bool) -> None:
        self.walks = bool(job.walk_stages) or job.targets is not None
        self._decider = decider
        self._plan = job.plan
        self._each = each
        self._stages = job.row_stages
        self._walk_names = walk_names
        self._row_model = job.row_model
        self._reasoning = job.reasoning.place
        self._walk = WalkInOrder(job.walk_stages, None if job.targets is None else job.targets.room(job.plan))

    def expect(self, rows: int) -> None:
        self._decider.expected = rows

    def draw(self, position: int) -> int:
        return self._plan.draw_at(position)

    def verdicts(self, rows: Sequence[RecordedRow]) -> Sequence[Dropped | Undecided | None]:
        self._decider.look_at(len(rows))
        found = [self._of_each(row) for row in rows]
        verdicts = [one.verdict for one in found]
        compared = [(place, one.model) for place, one in enumerate(found) if one.model is not None]
        positions = [rows[place].place.position for place, _ in compared]
        walked = self._walk.verdicts([model for _, model in compared], positions)
        for (place, _), verdict in zip(compared, walked, strict=True):
            if isinstance(verdict, Exception):
                self._decider.note(verdict)
                verdicts[place] = Undecided(rows[place].before)
            else:
                verdicts[place] = Undecided(verdict) if isinstance(verdicts[place], Undecided) else verdict
        return verdicts

    def _of_each(self, row: RecordedRow) -> _Each:
        """What the stages say that look at a row alone, and the row as stages see it if it is to be compared with others."""
        is_dropped = row.before is not None and row.before.stage not in self._walk_names
        decides = bool(self._stages) and self._each
        if is_dropped and not self._each:
            return _Each(row.before)
        if not decides and not self.walks:
            return _Each(None)
        model: BaseModel | None = None
        try:
            model = self._row(row.line)
            if decides:
                stage, verdict = verdict_of(self._stages, model, self._item(row.place.position, row.place.key))
                if not verdict.keeps:
                    return _Each(Dropped(stage, verdict.reason, verdict.score))
        except Exception as error:  # noqa: BLE001 - of a stage, which may raise anything: it concerns this row
            self._decider.note(error)
            if is_dropped or not self.walks:
                return _Each(Undecided(row.before))
            return _Each(Undecided(row.before), model)
        return _Each(None, model if self.walks else None)

    def _item(self, position: int, key: bytes) -> WorkItem:
        """An item as it was made, with the texts of an earlier version if it has the key of that."""
        item = self._plan[position]
        if item.key == key:
            return item
        return next((found for plan in self._plan.former if (found := plan[position]).key == key), item)

    def _row(self, line: bytes) -> BaseModel:
        if self._reasoning != "drop":  # stages are shown rows without it
            line = orjson.dumps(_without(orjson.loads(line), self._reasoning))
        return self._row_model.model_validate_json(line)


class _Each(NamedTuple):
    """What becomes of a row before it is compared with others; `model` if it is."""

    verdict: Dropped | Undecided | None
    model: BaseModel | None = None


class WalkInOrder:
    """Stages that compare rows, over rows in their order: the first that drops a row decides, and a dropped one is compared with none.

    Args:
        room: where rows have targets: the room that there is in each stratum, which decides last.
    """

    def __init__(self, stages: Sequence[Walks], room: Room | None = None) -> None:
        self._stages = stages
        self._room = room
        self._walks: list[Walk[Any]] | None = None
        self._error: Exception | None = None

    def verdicts(self, rows: Sequence[BaseModel], positions: Sequence[int] = ()) -> list[Dropped | Exception | None]:
        """What drops each of the next rows; an error where a stage has raised one about it.

        Args:
            positions: where rows have targets: of their items in the plan.
        """
        if self._error is None and self._walks is None:
            try:
                self._walks = [stage.walk() for stage in self._stages]
            except Exception as error:  # noqa: BLE001 - of a stage, which may raise anything: it concerns all rows
                self._error = error
        if self._error is not None:
            return [self._error] * len(rows)
        features = [_features(stage, rows) for stage in self._stages]
        by_row: Iterable[Sequence[_Features]] = zip(*features, strict=True) if features else itertools.repeat(())
        return [self._verdict(own, at) for own, at in zip(by_row, positions or range(len(rows)), strict=False)]

    def _verdict(self, features: Sequence[_Features], position: int) -> Dropped | Exception | None:
        assert self._walks is not None  # noqa: S101 - made by the caller
        for own in features:
            if own.error is not None:
                return own.error
        try:
            for stage, walk, own in zip(self._stages, self._walks, features, strict=True):
                verdict = checked(stage, walk.decide(own.value))
                if not verdict.keeps:
                    return Dropped(stage.name, verdict.reason, verdict.score)
            if self._room is not None and not self._room.take(position):
                return Dropped(SURPLUS, FULL)
            for walk, own in zip(self._walks, features, strict=True):
                walk.keep(own.value)
        except Exception as error:  # noqa: BLE001 - as above
            return error
        return None


class _Features(NamedTuple):
    """The features of a row, or why there are none."""

    value: Any = None
    error: Exception | None = None


def _features(stage: Walks, rows: Sequence[BaseModel]) -> list[_Features]:
    """The features of rows; one by one if a stage raises about them together, so that only those have none that it raises about."""
    try:
        return [_Features(value) for value in _as_many(stage, rows)]
    except Exception as error:  # noqa: BLE001 - as above
        if len(rows) == 1:
            return [_Features(error=error)]
        return [found for row in rows for found in _features(stage, [row])]


def _as_many(stage: Walks, rows: Sequence[BaseModel]) -> Sequence[Any]:
    found = stage.features(rows)
    if len(found) != len(rows):
        raise TypeError(
            f"The stage {stage.name!r} gave the features of {len(found):,} rows where there are {len(rows):,}."
        )
    return found


def _without(row: dict[str, Any], place: str) -> dict[str, Any]:
    if place == METADATA and isinstance(row.get(METADATA), dict):
        return {**row, METADATA: {name: value for name, value in row[METADATA].items() if name != KEY}}
    return {name: value for name, value in row.items() if name != KEY}
