"""Stages over rows of any sort: those of a file of another tool, for instance. There is no item, and nothing is recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.plugins import blaming
from datafast.engine.stages import Decided, Decides, Verdict, Walks, drop, said_of_stage, verdict_of
from datafast.engine.walking import WalkInOrder
from datafast.errors import ConfigError
from datafast.quality.base import BaseStage

__all__ = ["RowFilter", "refuse_own_rows"]

_AT_ONCE = 256


def refuse_own_rows(stages: Sequence[BaseStage], source: Iterable[Path]) -> None:
    """Raises ConfigError if a stage compares the rows with the files that they are from, and so would drop all of them."""
    own = {path.resolve() for path in source}
    for number, stage in enumerate(stages):
        for path in stage.files():
            if path.resolve() in own:
                raise ConfigError(
                    f"quality[{number}].against: {path} is the source, in which each row would find itself. Leave it out: stages that find "
                    f"duplicates compare the rows of the source with each other without it.",
                    key="quality",
                )


class RowFilter:
    """Decides by stages about rows with these columns. Those that begin with an underscore are of the file's own and are not looked at.

    Stages that compare rows do so in the order in which they come; a few hundred of them are held at a time.

    Attributes:
        kept: how many rows were kept.
        dropped: how many were dropped, by stage and reason.
        changed: how many of those that were kept each stage has changed.

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
        self.changed: Counter[str] = Counter()

    def decided(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str, Verdict]]:
        """Each row as stages leave it, with the stage that drops it ('' for none) and its verdict.

        Raises:
            ConfigError: a stage has raised; names it and the number of the row.
        """
        each = self._by_each(rows)
        for row, decided in self._compared(each) if self._walks else each:
            if decided.verdict.keeps:
                self.kept += 1
                self.changed.update(set(decided.changed_by))
            else:
                self.dropped[decided.stage, decided.verdict.reason] += 1
            if decided.changed:
                row = {**row, **decided.row.model_dump(mode="json", include=set(decided.changed))}
            yield row, decided.stage, decided.verdict

    def _by_each(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Decided]]:
        for number, row in enumerate(rows, start=1):
            try:
                decided = verdict_of(self._stages, Decided(self._as_model(row)), None)  # type: ignore[arg-type]  # there is no item
            except (
                Exception
            ) as error:  # a stage of another package may raise anything: it ends the command, with the row
                raise _failed(number, error) from error
            yield row, decided

    def _compared(
        self, rows: Iterator[tuple[Mapping[str, Any], Decided]]
    ) -> Iterator[tuple[Mapping[str, Any], Decided]]:
        walk = WalkInOrder(self._walks)
        done = 0
        while batch := list(islice(rows, _AT_ONCE)):
            found = walk.verdicts([decided.row for _, decided in batch if decided.verdict.keeps])
            for number, (row, decided) in enumerate(batch, start=done + 1):
                dropped = next(found)() if decided.verdict.keeps else None
                if isinstance(dropped, Exception):
                    raise _failed(number, dropped) from dropped
                if dropped is not None:
                    decided = decided._replace(stage=dropped.stage, verdict=drop(dropped.reason, dropped.score))
                yield row, decided
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
    return ConfigError(f"Row {number:,}: {said_of_stage(error).removesuffix('.')}. Correct the stage, or leave it out.")
