"""Drops rows by patterns.

quality:
  - {stage: regex, deny: ['(?i)lorem ipsum', 'https?://']}
  - {stage: regex, field: answer, allow: ['^\\d+$'], reason: the answer is not a number}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field, model_validator

from datafast._util.linear_schema import check_patterns, matches
from datafast.quality.base import KEEP, NonBlank, TextStage, Verdict, drop

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["RegexStage"]


class RegexStage(TextStage):
    """Drops rows in which a pattern is found that must not be, or none is found of those of which one must be."""

    stage: Literal["regex"] = "regex"
    """Drops rows by patterns. They are matched in linear time, without look-around and back-references."""

    allow: list[NonBlank] = Field(default=[])
    """Patterns of which at least one is found in a text of the row."""
    deny: list[NonBlank] = Field(default=[])
    """Patterns of which none is found in any text of the row."""

    reason: NonBlank | None = None
    """What is said of rows that are dropped; the pattern where nothing is given."""

    @model_validator(mode="after")
    def _usable(self) -> RegexStage:
        if not self.allow and not self.deny:
            raise ValueError("There is no pattern in it. Give allow or deny.")
        for name, patterns in (("allow", self.allow), ("deny", self.deny)):
            for number, pattern in enumerate(patterns):
                try:
                    check_patterns({"pattern": pattern})
                except ValueError as error:
                    raise ValueError(f"{name}[{number}]: {error}") from None
        return self

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        texts = self.texts(row)
        for pattern in self.deny:
            if any(matches(pattern, text) for text in texts):
                return drop(self.reason or f"matches {pattern}")
        if self.allow and not any(matches(pattern, text) for pattern in self.allow for text in texts):
            return drop(self.reason or f"matches none of {', '.join(self.allow)}")
        return KEEP
