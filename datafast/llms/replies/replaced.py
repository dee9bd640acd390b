"""Characters of a reply that nothing can hold, and that are read as U+FFFD: half a surrogate pair, bytes that are not UTF-8.

Cost: two searches for a character that hardly ever occurs; more only where it does.
"""

from __future__ import annotations

import re

from datafast.llms.base import Completion
from datafast.llms.replies.repair import whole_characters

__all__ = ["num_replaced"]

_MARK = "\ufffd"
_ESCAPES = re.compile(r"(?<!\\)(?:\\\\)*+((?:\\u[0-9a-fA-F]{4})++)")


def num_replaced(said: Completion, raw: bytes, *, is_json: bool) -> int:
    """How many characters of the answer were replaced.

    Args:
        raw: the reply as it came.
        is_json: the answer is JSON, in which characters may be written as escapes once more.
    """
    text = said.text or said.structured
    found = 0
    if _MARK in text:  # the model may have written it itself
        own = raw.count(_MARK.encode()) + raw.lower().count(b"\\ufffd")
        found += max(0, text.count(_MARK) - own)
    if is_json and "\\" in text and "\\u" in text:  # the first search takes a tenth of the second
        found += sum(_halves(escapes[1]) for escapes in _ESCAPES.finditer(text))
    return found


def _halves(escapes: str) -> int:
    """The halves of pairs in a run of escapes."""
    units = "".join(chr(int(unit, 16)) for unit in escapes.split("\\u")[1:])
    return whole_characters(units).count(_MARK) - units.count(_MARK)
