"""Stages that compare rows with those before them, over rows in their order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from pydantic import BaseModel

from datafast.engine.stages import StageRaised, Verdict, Walk, Walks, checked
from datafast.engine.targets import FULL, SURPLUS, Room
from datafast.store.verdicts import Dropped

__all__ = ["WalkInOrder"]


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

    def verdicts(
        self, rows: Sequence[BaseModel], positions: Sequence[int] = (), accepted: Collection[int] = ()
    ) -> Iterator[Callable[[], Dropped | Exception | None]]:
        """For each of the next rows what, when it is called, says what drops it, or gives the error that a stage has raised about it. A row
        about which it is not called is compared with none.

        Args:
            positions: where rows have targets: of their items in the plan.
            accepted: the places of rows that nothing drops; those after them are compared with them all the same.
        """
        if self._error is None and self._walks is None:
            self._begin()
        if self._error is not None:
            return iter([lambda: self._error] * len(rows))
        features = [_features(stage, rows) for stage in self._stages]
        by_row: Iterable[Sequence[_Features]] = zip(*features, strict=True) if features else itertools.repeat(())
        places = zip(by_row, positions or range(len(rows)), strict=False)
        return (
            partial(self._verdict, own, at, is_accepted=place in accepted) for place, (own, at) in enumerate(places)
        )

    def is_full(self, position: int) -> bool:
        """Whether there is no room any more for rows of an item, after those that were decided about so far."""
        return self._room is not None and self._room.is_full(position)

    def _begin(self) -> None:
        walks = []
        for stage in self._stages:
            try:
                walks.append(stage.walk())
            except Exception as error:  # noqa: BLE001 - of a stage, which may raise anything: it concerns all rows
                self._error = StageRaised.by(stage, error)
                return
        self._walks = walks

    def _verdict(
        self, features: Sequence[_Features], position: int, *, is_accepted: bool
    ) -> Dropped | Exception | None:
        assert self._walks is not None  # noqa: S101 - made by the caller
        for own in features:
            if own.error is not None:
                return own.error
        walked = list(zip(self._stages, self._walks, features, strict=True))
        for stage, walk, own in () if is_accepted else walked:
            verdict = _said(stage, walk, own.value)
            if isinstance(verdict, Exception):
                return verdict
            if not verdict.keeps:
                return Dropped(stage.name, verdict.reason, verdict.score)
        if self._room is not None and not self._room.take(position) and not is_accepted:
            return Dropped(SURPLUS, FULL)
        for stage, walk, own in walked:
            try:
                walk.keep(own.value)
            except Exception as error:  # noqa: BLE001 - as above
                return StageRaised.by(stage, error)
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
    try:
        found = stage.features(rows)
        number = len(found)
    except Exception as error:
        raise StageRaised(stage, error) from error
    if number != len(rows):
        raise TypeError(f"The stage {stage.name!r} gave the features of {number:,} rows where there are {len(rows):,}.")
    return found


def _said(stage: Walks, walk: Walk[Any], features: Any) -> Verdict | Exception:
    """What a stage says about the next row, or why it says nothing."""
    try:
        given = walk.decide(features)
    except Exception as error:  # noqa: BLE001 - as above
        return StageRaised.by(stage, error)
    try:
        return _compared(stage, given)
    except TypeError as error:
        return error


def _compared(stage: Walks, given: object) -> Verdict:
    """The verdict of a stage that compares rows."""
    verdict = checked(stage, given)
    if verdict.fields or verdict.notes:
        raise TypeError(f"The stage {stage.name!r} compares rows, and changes none. Return KEEP, or drop(reason).")
    return verdict
