"""What a prompt template is.

summary: Questions about wine, answered by a sommelier.
guidance: |
  The user is <<guest>>. Each answer names two wines and says why they fit.
placeholders:
  guest: [planning a dinner, curious about natural wine]
requires:
  - {pattern: "\\b(19|20)\\d\\d\\b", reason: no vintage is named}
example: A Riesling of 2019 suits the fish, and a Silvaner of 2021 the asparagus.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator, model_validator

from datafast._util.config_model import Accepts, ConfigModel, NonBlank, default_of
from datafast._util.linear_schema import check_patterns, matches
from datafast._util.notify import did_you_mean

__all__ = ["PromptTemplate", "Requirement"]


class Requirement(ConfigModel):
    """What answers must have, checked on every reply. A reply without it is asked for again, with the reason."""

    pattern: NonBlank | None = None
    """A regular expression that is found in the answer; `(?m)` in front makes ^ and $ match at lines."""

    is_json: bool = False
    """The whole answer is a JSON object or array, fenced as code or not."""

    every: bool = False
    """Every answer of a conversation has it. Without it, one of them is enough."""

    reason: NonBlank
    """What is wrong with an answer that lacks it, for the model and for failures: `no code example`."""

    @model_validator(mode="after")
    def _one_check(self) -> Requirement:
        if (self.pattern is None) == (not self.is_json):
            raise ValueError("pattern: Give a pattern, or is_json: true, and not both.")
        if self.pattern is not None:
            check_patterns({"pattern": self.pattern})
        return self

    def is_met(self, answer: str) -> bool:
        """Whether an answer has it."""
        return matches(self.pattern, answer) if self.pattern is not None else _is_json(answer)


class PromptTemplate(ConfigModel):
    """What rows should be like, in words for prompts, with values that vary it."""

    summary: NonBlank
    """One line about it, for lists."""

    guidance: NonBlank
    """What the rows should be like. It goes into each prompt and may have `<<placeholders>>`."""

    placeholders: dict[str, list[NonBlank]] = Field(default_factory=dict)
    """Values for the placeholders of `guidance`. Those under `expansion.placeholders` in a config go before them."""

    user: NonBlank | None = None
    """The placeholder that says who the user is, if there is one. Where a config has personas, they take its place."""

    requires: Accepts[list[Requirement], Sequence[Any]] = default_of([])
    """What answers must have."""

    example: NonBlank | None = None
    """An answer that has all of it. Simulated models write it, and it shows that the requirements can be met. No real model sees it."""

    @field_validator("guidance")
    @classmethod
    def _stripped(cls, guidance: str) -> str:
        return guidance.strip()

    @model_validator(mode="after")
    def _placeholders_are_used(self) -> PromptTemplate:
        for name, values in self.placeholders.items():
            if f"<<{name}>>" not in self.guidance:
                raise ValueError(
                    f"placeholders.{name}: guidance has no <<{name}>>. Write it there, or leave it out here."
                )
            if not values:
                raise ValueError(f"placeholders.{name}: The list is empty. Give at least one value.")
        if self.user is not None and self.user not in self.placeholders:
            hint = did_you_mean(self.user, self.placeholders) or "Declare it there."
            raise ValueError(f"user: {self.user!r} is not one of the placeholders. {hint}")
        return self

    @model_validator(mode="after")
    def _example_is_one(self) -> PromptTemplate:
        if self.requires and self.example is None:
            raise ValueError("example: Answers have requirements. Give one that meets them.")
        if self.example is not None and (reason := self.missing_in([self.example])):
            raise ValueError(f"example: It does not meet the requirements: {reason}. Correct one of them.")
        return self

    @property
    def keyed(self) -> list[str]:
        """What rows depend on besides prompts: other requirements check recorded replies again. The same where there are none."""
        return [requirement.model_dump_json(exclude={"reason"}) for requirement in self.requires]

    def for_persona(self) -> PromptTemplate:
        """The template for prompts that describe the user."""
        if self.user is None:
            return self
        guidance = self.guidance.replace(f"<<{self.user}>>", "the person described in this prompt")
        others = {name: values for name, values in self.placeholders.items() if name != self.user}
        return self.model_copy(update={"guidance": guidance, "placeholders": others, "user": None})

    def missing_in(self, answers: Sequence[str]) -> str | None:
        """The reason why the answers of one row are not what the template requires; None if they are."""
        for requirement in self.requires:
            met = [requirement.is_met(answer) for answer in answers]
            if not (all(met) if requirement.every else any(met)):
                return requirement.reason
        return None


def _is_json(answer: str) -> bool:
    text = answer.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text.removesuffix("```").partition("\n")[2]
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False
