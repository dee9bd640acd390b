"""Drops rows that are too short or too long.

quality:
  - {stage: length, min_words: 40}
  - {stage: length, field: question, max_characters: 300}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field, model_validator

from datafast.quality.base import KEEP, TextStage, Verdict, drop

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["LengthStage"]


class LengthStage(TextStage):
    """Drops rows by their number of words or characters, counted over all texts of a row or over one field."""

    stage: Literal["length"] = "length"
    """Drops rows by their number of words or characters."""

    min_words: int | None = Field(default=None, ge=1)
    """Fewer words are too few. Words are what spaces and line breaks part."""
    max_words: int | None = Field(default=None, ge=1)
    """More words are too many."""
    min_characters: int | None = Field(default=None, ge=1)
    """Fewer characters are too few."""
    max_characters: int | None = Field(default=None, ge=1)
    """More characters are too many."""

    @model_validator(mode="after")
    def _bounds(self) -> LengthStage:
        pairs = (("words", self.min_words, self.max_words), ("characters", self.min_characters, self.max_characters))
        if all(bound is None for _, *bounds in pairs for bound in bounds):
            raise ValueError(
                "min_words: No bound is given. Give min_words, max_words, min_characters or max_characters."
            )
        for what, least, most in pairs:
            if least is not None and most is not None and least > most:
                raise ValueError(
                    f"min_{what}: {least} is more than max_{what}, {most}, so no row would be left. Change one of them."
                )
        return self

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        texts = self.texts(row)
        if self.min_words is not None or self.max_words is not None:
            words = sum(len(text.split()) for text in texts)
            if verdict := _outside(words, self.min_words, self.max_words, "words"):
                return verdict
        if self.min_characters is not None or self.max_characters is not None:
            characters = sum(map(len, texts))
            if verdict := _outside(characters, self.min_characters, self.max_characters, "characters"):
                return verdict
        return KEEP


def _outside(count: int, least: int | None, most: int | None, what: str) -> Verdict | None:
    if least is not None and count < least:
        return drop(f"fewer than {least:,} {what}", count)
    if most is not None and count > most:
        return drop(f"more than {most:,} {what}", count)
    return None
