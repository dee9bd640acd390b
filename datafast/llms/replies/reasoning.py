"""What a model thought before it answered."""

from __future__ import annotations

from datafast.llms.base import Completion
from datafast.llms.replies.framing import reasoning_in

__all__ = ["reasoning_of"]


def reasoning_of(completion: Completion, *, is_json: bool) -> str:
    """What a model thought, as the server gives it apart from the answer, or else as it stands in the text in front of the answer; ''
    where neither does.

    Args:
        is_json: an object was asked for.
    """
    return completion.reasoning.strip() or reasoning_in(completion.text, is_json=is_json)
