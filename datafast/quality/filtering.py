"""Stages over rows of any sort: those of a file of another tool, for instance. There is no item, and nothing is recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.plugins import blaming
from datafast.engine.stages import Decided, Verdict, verdict_of
from datafast.errors import ConfigError
from datafast.quality.base import Stage

__all__ = ["RowFilter"]


class RowFilter:
    """Decides by stages about rows with these columns. Those that begin with an underscore are of the file's own and are not looked at.

    Attributes:
        kept: how many rows were kept.
        dropped: how many were dropped, by stage and reason.
        changed: how many of those that were kept each stage has changed.

    Raises:
        ConfigError: a stage cannot decide about such rows; names it.
    """

    def __init__(self, stages: Sequence[Stage], columns: Iterable[str]) -> None:
        self._stages = stages
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
        for number, row in enumerate(rows, start=1):
            try:
                decided = verdict_of(self._stages, Decided(self._as_model(row)), None)  # type: ignore[arg-type]  # there is no item
            except (
                Exception
            ) as error:  # a stage of another package may raise anything: it ends the command, with the row
                raise ConfigError(f"Row {number:,}: {type(error).__name__} in a stage: {error}") from error
            if decided.verdict.keeps:
                self.kept += 1
                self.changed.update(set(decided.changed_by))
            else:
                self.dropped[decided.stage, decided.verdict.reason] += 1
            if decided.changed:
                row = {**row, **decided.row.model_dump(mode="json", include=set(decided.changed))}
            yield row, decided.stage, decided.verdict

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
