"""Tasks for an assistant, and the rows that are made of them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from datafast.datasets.config import Metadata
from datafast.datasets.row import uuid_of_content
from datafast.types import Pair

__all__ = ["EvolutionStep", "InstructionRow", "InstructionSource", "Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """What an assistant is asked to do, and what it is to be done with, if that is given. Equal to one with the same words."""

    instruction: str = field(compare=False)
    input: str | None = field(default=None, compare=False)
    same: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        told = unicodedata.normalize("NFKC", f"{self.instruction}\n{self.input or ''}").casefold()
        object.__setattr__(self, "same", " ".join(told.split()))

    @property
    def text(self) -> str:
        """All of it, as an assistant is asked."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    @property
    def shown(self) -> str:
        """All of it, as those see it who change or judge it."""
        return f"{self.instruction}\n\n<input>\n{self.input}\n</input>" if self.input else self.instruction

    @property
    def name(self) -> str:
        """What stands for it in tables."""
        return self.instruction


class InstructionSource(StrEnum):
    """Where an instruction and its response come from."""

    SYNTHETIC = "synthetic"
    VERIFIED = "verified"
    HUMAN = "human"
    CONSENSUS = "consensus"


class EvolutionStep(BaseModel):
    """One evolution of an instruction.

    Attributes:
        operation: how it was changed.
        instruction, input: what came of it.
        dropped: why it was dropped, so that what was there before stands; null for one that stands.
    """

    operation: str
    instruction: str
    input: str | None = None
    dropped: str | None = None


class InstructionJudgement(BaseModel):
    """What one judge says about a response."""

    judge: str
    model_id: str
    score: int | float
    reason: str


class InstructionRow(BaseModel):
    """A row of an instruction dataset. `original_instruction` and `original_input` are what the evolutions began with; null where nothing
    evolves. `score` is the mean of the judges' scores; null where nobody judges. `instruction_model_id` is null where the instructions
    were given."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    answer_part: ClassVar[str] = "response"
    """Whose reasoning, of those who made the row, is that of the answer."""

    instruction: str
    """What is asked for."""
    input: str | None = None
    """What the instruction is to be carried out on; null where it needs nothing."""
    response: str
    """The response to it."""
    instruction_source: InstructionSource = InstructionSource.SYNTHETIC
    """Where the instruction comes from; `synthetic` as it was generated."""
    original_instruction: str | None = None
    """What the evolutions began with; null where nothing evolves."""
    original_input: str | None = None
    """The input that they began with; null where nothing evolves."""
    evolutions: list[EvolutionStep] = Field(default_factory=list)
    """The rounds of evolution: the operation, what came of it, and why it was dropped."""
    score: int | float | None = None
    """The mean of the judges' scores; null where nobody judges."""
    judgements: list[InstructionJudgement] = Field(default_factory=list)
    """What each judge says: its score and the reason."""
    instruction_model_id: str | None = None
    """The model that wrote the instruction; null where it was given."""
    evolution_model_id: str | None = None
    """The model that evolved it; null where nothing evolves."""
    response_model_id: str | None = None
    """The model that wrote the response."""
    language: str | None = None
    """The code of the language that the row was asked for in."""
    uuid: str = Field(default_factory=uuid_of_content)
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""

    def as_pair(self) -> Pair:
        return Pair(Task(self.instruction, self.input).text, self.response)
