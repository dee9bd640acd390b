"""Text of models, servers and files made safe to show."""

from __future__ import annotations

import re

__all__ = ["plain_text"]

# Control characters except tab and newline, and those that change the direction of text.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain_text(text: str) -> str:
    """Text of a model, a server or a file, safe for a terminal and a page: control characters are shown escaped."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))
