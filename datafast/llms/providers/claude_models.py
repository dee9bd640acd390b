"""What is known of Claude models by their names, as Anthropic's documentation of October 2026 says it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["ClaudeModel", "claude_model"]

# The numbers of a version stand before or behind the family: claude-3-5-haiku-latest, claude-sonnet-4-20250514.
_NAME = re.compile(r"claude-(?:([a-z]+)-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)(?:-([a-z]+))?")
# Tokens of the shortest prefix that the prompt cache takes, where it is not 1,024.
_LEAST_CACHED = {
    ("haiku", 3, 0): 2048,
    ("haiku", 3, 5): 2048,
    ("haiku", 4, 5): 4096,
    ("opus", 4, 5): 4096,
    ("opus", 4, 6): 4096,
    ("opus", 4, 7): 2048,
    ("fable", 5, 0): 512,
    ("mythos", 5, 0): 512,
    ("opus", 5, 0): 512,
}


class ClaudeModel(NamedTuple):
    """Facts about a model.

    Attributes:
        most_tokens: that it writes; None where that is not known.
        has_schemas: whether it has the schema mode. A server of other models may pass over it without a word, and takes tools.
        is_adaptive: whether it chooses itself how much it thinks; others are told how many tokens.
        thinks_unasked: whether it thinks if the request says nothing about it.
        least_cached: tokens of the shortest prefix that the prompt cache takes.
    """

    most_tokens: int | None = None
    has_schemas: bool = False
    is_adaptive: bool = False
    thinks_unasked: bool = False
    least_cached: int = 1024


@lru_cache(maxsize=256)
def claude_model(model_id: str) -> ClaudeModel:
    """What is known of a model; of one that is not Anthropic's, what is so of most."""
    found = _NAME.search(model_id)
    if found is None:
        return ClaudeModel(has_schemas="claude" in model_id.lower())
    version = (int(found[2]), int(found[3] or 0))
    family = found[1] or found[4] or ""
    return ClaudeModel(
        most_tokens=_most_tokens(version, family),
        has_schemas=version >= (4, 5),
        is_adaptive=version >= (4, 6),
        thinks_unasked=version >= (5, 0),
        least_cached=_LEAST_CACHED.get((family, *version), 1024),
    )


def _most_tokens(version: tuple[int, int], family: str) -> int:
    if version >= (4, 6):
        return 128_000
    if version >= (4, 0):
        return 32_000 if family == "opus" and version < (4, 5) else 64_000
    if version >= (3, 7):
        return 64_000
    return 8192 if version >= (3, 5) else 4096
