"""What scores mean: their bounds, and what earns them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from datafast._util.config_model import ConfigModel, NonBlank
from datafast.templates.values import to_text

__all__ = ["JudgeFields", "Scale"]


class Scale(NamedTuple):
    """The bounds of scores, and what they are called."""

    lowest: float
    highest: float
    whole: bool = True
    worst: str = "worst"
    best: str = "best"

    def __str__(self) -> str:
        return f"{to_text(self.lowest)} ({self.worst}) to {to_text(self.highest)} ({self.best})"

    @property
    def instruction(self) -> str:
        """What a judge of one text is told at the end of its prompt."""
        return f"Judge this. Give your reason in one to three sentences, then the score: {self._from_to}."

    @property
    def comparison(self) -> str:
        """What a judge of two texts is told at the end of its prompt."""
        return (
            "Judge both, whatever their order. For the first, then for the second, give your reason in one to three sentences and then "
            f"the score: {self._from_to}."
        )

    @property
    def _from_to(self) -> str:
        number = "whole number" if self.whole else "number"
        return f"a {number} from {to_text(self.lowest)} ({self.worst}) to {to_text(self.highest)} ({self.best})"


class JudgeFields(ConfigModel):
    """The config fields of what is scored by a rubric."""

    rubric: NonBlank | dict[int, NonBlank] | None = None
    """What the scores mean: a text (a template), or a mapping of scores to what earns them."""

    scale: Literal["integer", "number"] = "integer"
    """Whole scores, or any number."""
    min: int | float = Field(default=1, allow_inf_nan=False)
    """The lowest score."""
    max: int | float = Field(default=5, allow_inf_nan=False)
    """The highest score."""

    @model_validator(mode="after")
    def _range(self) -> JudgeFields:
        if self.min >= self.max:
            raise ValueError(f"min: {self.min} is not below max, {self.max}. Exchange them, or choose others.")
        if self.scale == "integer" and not (isinstance(self.min, int) and isinstance(self.max, int)):
            raise ValueError("scale: min and max have fractions, and scores are whole numbers. Write scale: number.")
        for score in self.rubric if isinstance(self.rubric, dict) else ():
            if not self.min <= score <= self.max:
                raise ValueError(
                    f"rubric: {score} is not between min, {self.min}, and max, {self.max}. Leave it out, or widen the scale."
                )
        return self

    @property
    def bounds(self) -> Scale:
        return Scale(self.min, self.max, self.scale == "integer")

    def judged(self, prompt: str, rubric: str | None, *, both: bool = False) -> str:
        """A prompt with what a judge has to know below it. `both`: it is about two texts."""
        told = self.bounds.comparison if both else self.bounds.instruction
        parts = [prompt, f"What the scores mean:\n{rubric}" if rubric else "", told]
        return "\n\n".join(part for part in parts if part)

    @property
    def rubric_text(self) -> str | None:
        """The rubric as a judge reads it."""
        if isinstance(self.rubric, dict):
            return "\n".join(f"{score}: {meaning}" for score, meaning in sorted(self.rubric.items()))
        return self.rubric
