"""What scores mean: their bounds, and what earns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, WithJsonSchema, model_validator

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


_AS_WRITTEN = {
    "anyOf": [
        {"enum": ["integer", "number"], "type": "string"},
        {"items": {"type": "number"}, "maxItems": 2, "minItems": 2, "type": "array"},
    ]
}


class JudgeFields(ConfigModel):
    """The config fields of what is scored by a rubric."""

    rubric: NonBlank | dict[int, NonBlank] | None = None
    """What the scores mean: a text (a template), or a mapping of scores to what earns them."""

    scale: Annotated[Literal["integer", "number"], WithJsonSchema(_AS_WRITTEN)] = "integer"
    """Whole scores, or any number. In the place of scale, min and max also the lowest and the highest score: `[1, 5]`, with a decimal point
    for any number between: `[0.0, 1.0]`."""
    min: int | float = Field(default=1, allow_inf_nan=False)
    """The lowest score."""
    max: int | float = Field(default=5, allow_inf_nan=False)
    """The highest score."""

    @model_validator(mode="before")
    @classmethod
    def _as_bounds(cls, data: Any) -> Any:
        given = data.get("scale") if isinstance(data, Mapping) else None
        if not isinstance(given, list | tuple):
            return data
        if len(given) != 2 or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in given):
            raise ValueError(f"scale: expected the lowest and the highest score, as in [1, 5], got {list(given)!r}.")
        if "min" in data or "max" in data:
            raise ValueError("min: The scale names the lowest and the highest score already. Leave min and max out.")
        kind = "integer" if all(isinstance(one, int) for one in given) else "number"
        return {**data, "scale": kind, "min": given[0], "max": given[1]}

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
