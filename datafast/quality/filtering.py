"""Stages over rows of any sort: those of a file of another tool, for instance. There is no item, and nothing is recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, create_model

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.plugins import blaming
from datafast.engine.deciding import WalkInOrder
from datafast.engine.stages import KEEP, Decides, Verdict, Walks, drop, verdict_of
from datafast.errors import ConfigError
from datafast.quality.base import BaseStage

__all__ = ["RowFilter"]

_AT_ONCE = 256


class _Decided(NamedTuple):
    row: Mapping[str, Any]
    model: BaseModel
    stage: str
    verdict: Verdict


class RowFilter:
    """Decides by stages about rows with these columns. Those that begin with an underscore are of the file's own and are not looked at.

    Stages that compare rows do so in the order in which they come; a few hundred of them are held at a time.

    Attributes:
        kept: how many rows were kept.
        dropped: how many were dropped, by stage and reason.

    Raises:
        ConfigError: a stage cannot decide about such rows; names it.
    """

    def __init__(self, stages: Sequence[BaseStage], columns: Iterable[str]) -> None:
        self._stages = [stage for stage in stages if isinstance(stage, Decides)]
        self._walks = [stage for stage in stages if isinstance(stage, Walks)]
        with foreign_warnings_ignored():  # a column may be called `json` or `copy`
            fields: Any = {name: (Any, None) for name in columns if not name.startswith("_")}
            self._model = create_model("Row", __config__=ConfigDict(protected_namespaces=(), extra="allow"), **fields)
        for number, stage in enumerate(stages):
            try:
                with blaming(stage, "check()"):
                    stage.check(self._model)
            except ConfigError as error:
                raise ConfigError(f"quality[{number}]: {error}", key="quality") from None
        self.kept = 0
        self.dropped: Counter[tuple[str, str]] = Counter()

    def decided(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str, Verdict]]:
        """Each row with the stage that drops it ('' for none) and its verdict.

        Raises:
            ConfigError: a stage has raised; names it and the number of the row.
        """
        each = self._by_each(rows)
        for row, _, stage, verdict in self._compared(each) if self._walks else each:
            if verdict.keeps:
                self.kept += 1
            else:
                self.dropped[stage, verdict.reason] += 1
            yield row, stage, verdict

    def _by_each(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[_Decided]:
        for number, row in enumerate(rows, start=1):
            model = self._as_model(row)
            try:
                stage, verdict = verdict_of(self._stages, model, None)  # type: ignore[arg-type]  # there is no item
            except (
                Exception
            ) as error:  # a stage of another package may raise anything: it ends the command, with the row
                raise _failed(number, error) from error
            yield _Decided(row, model, stage, verdict)

    def _compared(self, rows: Iterator[_Decided]) -> Iterator[_Decided]:
        walk = WalkInOrder(self._walks)
        done = 0
        while batch := list(islice(rows, _AT_ONCE)):
            found = iter(walk.verdicts([one.model for one in batch if one.verdict.keeps]))
            for number, one in enumerate(batch, start=done + 1):
                dropped = next(found) if one.verdict.keeps else None
                if isinstance(dropped, Exception):
                    raise _failed(number, dropped) from dropped
                verdict = KEEP if dropped is None else drop(dropped.reason, dropped.score)
                yield one if dropped is None else one._replace(stage=dropped.stage, verdict=verdict)
            done += len(batch)

    def _as_model(self, row: Mapping[str, Any]) -> BaseModel:
        # Without the values, because a column may be called like one of its parameters.
        made: BaseModel = self._model.model_construct()
        more = made.__pydantic_extra__
        for name, value in row.items():
            if name in self._model.model_fields:
                made.__dict__[name] = value
            elif more is not None:
                more[name] = value
        return made


def _failed(number: int, error: Exception) -> ConfigError:
    return ConfigError(f"Row {number:,}: {type(error).__name__} in a stage: {error}")
