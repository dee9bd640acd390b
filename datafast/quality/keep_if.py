"""Keeps the rows for which an expression is true.

quality:
  - {stage: keep_if, expression: "language == 'fr' or text | length < 2000"}
  - {stage: keep_if, expression: "metadata.topic != 'pumps'", reason: about pumps}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, PrivateAttr

from datafast.quality.base import KEEP, NonBlank, Stage, Verdict, drop
from datafast.templates.condition import Condition

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["KeepIfStage"]


class KeepIfStage(Stage):
    """Keeps the rows for which an expression over their fields is true."""

    stage: Literal["keep_if"] = "keep_if"
    """Keeps the rows for which an expression is true."""

    expression: NonBlank
    """An expression over the fields of a row, in the language of `where` and `when`: `score >= 4 and language == 'fr'`. An empty text and
    the text "false" are false."""

    reason: NonBlank | None = None
    """What is said of rows that are dropped; the expression itself where nothing is given."""

    _condition: Condition | None = PrivateAttr(default=None)

    def check(self, row_model: type[BaseModel]) -> None:
        names = list(row_model.model_fields)
        self._condition = Condition.parsed(self.expression, names=names, field="expression")

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        condition = self._condition
        if condition is None:
            self.check(type(row))
            condition = self._condition
            assert condition is not None  # noqa: S101 - check has just made it
        values = row.model_dump(mode="json", include=set(condition.names))
        return KEEP if condition.holds(values) else drop(self.reason or f"not {self.expression}")
