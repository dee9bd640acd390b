"""Keeps the rows for which an expression is true.

quality:
  - {stage: keep_if, expression: "language == 'fr' or text | length < 2000"}
  - {stage: keep_if, expression: "metadata.topic != 'pumps'", reason: about pumps}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, PrivateAttr

from datafast.quality.base import KEEP, NonBlank, Stage, Verdict, drop
from datafast.templates.parse import parse_expression

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem
    from datafast.templates.base import Expression

__all__ = ["KeepIfStage"]


class KeepIfStage(Stage):
    """Keeps the rows for which an expression over their fields is true."""

    stage: Literal["keep_if"] = "keep_if"
    """Keeps the rows for which an expression is true."""

    expression: NonBlank
    """An expression over the fields of a row, in the language of `where` and `when`: `score >= 4 and language == 'fr'`."""

    reason: NonBlank | None = None
    """What is said of rows that are dropped; the expression itself where nothing is given."""

    _parsed: Expression | None = PrivateAttr(default=None)

    def check(self, row_model: type[BaseModel]) -> None:
        self._parsed = parse_expression(self.expression, names=list(row_model.model_fields), field="expression")

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        if self._parsed is None:
            self.check(type(row))
        assert self._parsed is not None  # noqa: S101 - check has just made it
        values: dict[str, Any] = {name: _plain(getattr(row, name)) for name in self._parsed.names}
        return KEEP if self._parsed.evaluate(values) else drop(self.reason or f"not {self.expression}")


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value
