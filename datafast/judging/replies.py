"""What a judge replies. The reason stands first: a score that is written before it would not follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, Field, create_model

from datafast.judging.scale import Scale
from datafast.llms.reply_model import ReplyModel, with_first_words

__all__ = ["WHY", "comparison_model", "judgement_model"]

WHY = "why, in one to three sentences"


@lru_cache(maxsize=256)
def judgement_model(
    scale: Scale, *, reason: str = "reason", about: str = WHY, first_docstring: str = ""
) -> type[BaseModel]:
    """A reply with a reason and a score.

    Args:
        reason, about: the name of the reason's field, and what stands there.
        first_docstring: the docstring of the class in keys of version 1.
    """
    fields = {reason: _reason(about), "score": _score(scale)}
    model = create_model("Judgement", __base__=ReplyModel, **fields)
    words = {reason: about, "score": str(scale)}
    return with_first_words(model, {"": first_docstring, **words} if first_docstring else words)


@lru_cache(maxsize=256)
def comparison_model(scale: Scale) -> type[BaseModel]:
    """A reply about two texts, with a reason and a score for each."""
    fields: Mapping[str, Any] = {
        "first_reason": _reason(f"about the first: {WHY}"),
        "first_score": _score(scale),
        "second_reason": _reason(f"about the second: {WHY}"),
        "second_score": _score(scale),
    }
    return create_model("Comparison", __base__=ReplyModel, **fields)


def _reason(about: str) -> Any:
    return str, Field(min_length=1, description=about)


def _score(scale: Scale) -> Any:
    return int if scale.whole else float, Field(ge=scale.lowest, le=scale.highest, description=str(scale))
