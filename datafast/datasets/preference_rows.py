"""The rows of preference pairs."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from datafast.datasets.config import Metadata
from datafast.datasets.row import uuid_of_content
from datafast.types import Pair, Preference

__all__ = ["JudgedPreferenceRow", "PreferenceRow", "PreferenceSource"]


class PreferenceSource(StrEnum):
    """Where a preference comes from."""

    SYNTHETIC = "synthetic"
    VERIFIED = "verified"
    HUMAN = "human"
    CONSENSUS = "consensus"


class PreferenceRow(BaseModel):
    """A row of a preference dataset. Scores and assessments are null where no judge was asked."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    prompt_document: ClassVar[str] = "input_document"
    """What can stand before the prompt."""

    input_document: str
    """The text that the question is about."""
    question: str
    """What both responses answer."""
    chosen_response: str
    """The response that is preferred."""
    rejected_response: str
    """The other response."""
    preference_source: PreferenceSource = PreferenceSource.SYNTHETIC
    """Where the preference comes from; `synthetic` as it was generated."""
    chosen_model_id: str | None = None
    """The model that wrote the chosen response."""
    rejected_model_id: str | None = None
    """The model that wrote the rejected response."""
    chosen_response_score: int | None = None
    """The judge's score of the chosen response; null where no judge was asked."""
    rejected_response_score: int | None = None
    """The judge's score of the rejected response; null where no judge was asked."""
    chosen_response_assessment: str | None = None
    """What the judge says about the chosen response; null where no judge was asked."""
    rejected_response_assessment: str | None = None
    """What the judge says about the rejected response; null where no judge was asked."""
    question_model_id: str | None = None
    """The model that wrote the question."""
    evolution_model_id: str | None = None
    """The model that rewrote question or response; null where nothing was rewritten."""
    judge_model_id: str | None = None
    """The model that judged the responses; null where no judge, or several, were asked."""
    language: str | None = None
    """The code of the language that the row was asked for in."""
    uuid: str = Field(default_factory=uuid_of_content)
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""

    def as_pair(self) -> Pair:
        return Pair(self.question, self.chosen_response)

    def as_preference(self) -> Preference:
        return Preference(self.question, self.chosen_response, self.rejected_response)


class _Judged(BaseModel):
    judge: str
    model_id: str
    chosen_score: int | float
    chosen_assessment: str
    rejected_score: int | float
    rejected_assessment: str


class JudgedPreferenceRow(PreferenceRow):
    """The row where there are several judges, where both orders are judged, or with `min_margin` or best_of_n. Scores are means. `margin`
    is by how much the chosen response is better. `steady` says whether each judge preferred the same one in both orders."""

    chosen_response_score: int | float | None = None  # type: ignore[assignment]  # a mean may have a fraction
    """The mean of the judges' scores of the chosen response."""
    rejected_response_score: int | float | None = None  # type: ignore[assignment]
    """The mean of the judges' scores of the rejected response."""
    margin: int | float
    """By how much the score of the chosen response is higher."""
    steady: bool | None = None
    """Whether each judge preferred the same response in both orders; null unless both were judged."""
    judgements: list[_Judged]
    """What each judge says of both responses."""
