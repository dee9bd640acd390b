"""What tells the replies of a wire format from errors that come with HTTP 200."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["CHAT_COMPLETIONS", "WireFormat"]


class WireFormat(NamedTuple):
    """The form of replies.

    Attributes:
        name: the format's name in `datafast.llms.replies.formats`.
        pattern: what nearly every reply holds; a reply with it, and without what names errors, is not parsed here.
        part: the part of a decoded body in which a reply stands, None where there is none.
    """

    name: str
    pattern: re.Pattern[bytes]
    part: Callable[[dict[str, Any]], dict[str, Any] | None]


def _choice(data: dict[str, Any]) -> dict[str, Any] | None:
    """The first choice of a chat completion."""
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else None


CHAT_COMPLETIONS = WireFormat("chat_completions", re.compile(rb'"choices"\s*+:\s*+\[\s*+\{'), _choice)
