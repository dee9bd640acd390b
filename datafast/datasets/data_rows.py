"""The row of each kind, as it stands in the JSONL.

Every row of a kind has the same keys. `metadata` holds the values that shaped the row: dimensions, placeholder values, the number of
the template. Everything else about a row's origin is in the ledger under its `uuid`.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

__all__ = [
    "LabelSource",
    "Metadata",
    "PreferenceRow",
    "PreferenceSource",
    "TextClassificationRow",
    "TextRow",
    "TextSource",
]

Metadata = dict[str, str | int | None]


class TextSource(StrEnum):
    """Where a text comes from."""

    SYNTHETIC = "synthetic"
    HUMAN = "human"
    CONSENSUS = "consensus"


class LabelSource(StrEnum):
    """Where a label comes from."""

    SYNTHETIC = "synthetic"
    VERIFIED = "verified"
    HUMAN = "human"
    CONSENSUS = "consensus"


class PreferenceSource(StrEnum):
    """Where a preference comes from."""

    SYNTHETIC = "synthetic"
    VERIFIED = "verified"
    HUMAN = "human"
    CONSENSUS = "consensus"


class TextRow(BaseModel):
    """A row of a raw text dataset."""

    text: str
    text_source: TextSource = TextSource.SYNTHETIC
    model_id: str
    language: str
    uuid: str
    metadata: Metadata = Field(default_factory=dict)


class TextClassificationRow(BaseModel):
    """A row of a classification dataset."""

    text: str
    label: str
    label_source: LabelSource = LabelSource.SYNTHETIC
    confidence_scores: dict[str, float] = Field(default_factory=dict)
    model_id: str
    language: str
    uuid: str
    metadata: Metadata = Field(default_factory=dict)


class PreferenceRow(BaseModel):
    """A row of a preference dataset. Scores and assessments are null where no judge was asked."""

    input_document: str
    question: str
    chosen_response: str
    rejected_response: str
    preference_source: PreferenceSource = PreferenceSource.SYNTHETIC
    chosen_model_id: str
    rejected_model_id: str
    chosen_response_score: int | None = None
    rejected_response_score: int | None = None
    chosen_response_assessment: str | None = None
    rejected_response_assessment: str | None = None
    question_model_id: str
    evolution_model_id: str | None = None
    judge_model_id: str | None = None
    language: str
    uuid: str
    metadata: Metadata = Field(default_factory=dict)
