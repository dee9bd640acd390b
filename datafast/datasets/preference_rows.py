"""The rows of preference pairs."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, Field

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

    prompt_document: ClassVar[str] = "input_document"
    """What can stand before the prompt."""

    input_document: str
    question: str
    chosen_response: str
    rejected_response: str
    preference_source: PreferenceSource = PreferenceSource.SYNTHETIC
    chosen_model_id: str | None = None
    rejected_model_id: str | None = None
    chosen_response_score: int | None = None
    rejected_response_score: int | None = None
    chosen_response_assessment: str | None = None
    rejected_response_assessment: str | None = None
    question_model_id: str | None = None
    evolution_model_id: str | None = None
    judge_model_id: str | None = None
    language: str | None = None
    uuid: str = Field(default_factory=uuid_of_content)
    metadata: Metadata = Field(default_factory=dict)

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
    rejected_response_score: int | float | None = None  # type: ignore[assignment]
    margin: int | float
    steady: bool | None = None
    judgements: list[_Judged]
