"""What stages with `engine: embeddings` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from datafast.quality.base import TextStage

if TYPE_CHECKING:
    from datafast.quality.head import Head

__all__ = ["HeadStage"]


class HeadStage(TextStage):
    """Base of stages that find a fault by patterns or also by a head."""

    head_name: ClassVar[str]

    engine: Literal["patterns", "embeddings"] = "patterns"
    """What finds them: patterns, or patterns and embeddings of sentences, which find far more, and need the extra `semantic`."""
    min_score: float = Field(default=0, ge=-2, le=2)
    """For embeddings: how sure they have to be. Most faults score from 0.2 to 1.2, and most other texts from -1.4 to -0.4."""

    @model_validator(mode="after")
    def _by_engine(self) -> HeadStage:
        if self.engine == "patterns" and self.min_score != 0:
            raise ValueError("min_score: It is for the engine embeddings alone. Write engine: embeddings.")
        return self

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        if self.engine == "embeddings":
            self._head.load()

    def settings(self) -> dict[str, Any]:
        return super().settings() | (self._head.settings() if self.engine == "embeddings" else {})

    def head_score(self, passages: Sequence[str]) -> float | None:
        """The highest score of these passages, where it is high enough; None with patterns."""
        if self.engine == "patterns" or not passages:
            return None
        score = max(self._head.scores(passages))
        return round(score, 3) if score >= self.min_score else None

    @property
    def _head(self) -> Head:
        from datafast.quality.head import head  # it loads numpy

        return head(self.head_name)
