"""Reading a recorded reply by its wire format."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from datafast.errors import OutputError, ReplyError
from datafast.llms.base import Completion
from datafast.llms.replies.anthropic_messages import decode_message
from datafast.llms.replies.completion import decode_completion
from datafast.llms.replies.gemini_content import decode_content
from datafast.types import Usage

__all__ = ["DECODERS", "decode_reply", "usage_of"]

DECODERS: Mapping[str, Callable[[bytes], Completion]] = {
    "anthropic_messages": decode_message,
    "chat_completions": decode_completion,
    "gemini_generate_content": decode_content,
}
"""The decoder of each format. Formats are never removed, because a reply may be read again years later."""


def decode_reply(raw: bytes, wire_format: str) -> Completion:
    """Reads one reply.

    Raises:
        ReplyError: it does not match its format.
        OutputError: the format is not known.
    """
    decoder = DECODERS.get(wire_format)
    if decoder is None:
        raise OutputError(
            f"A reply is recorded in the format {wire_format!r}, and this version of datafast reads {', '.join(DECODERS)}. "
            f"Update datafast to the version that recorded it."
        )
    return decoder(raw)


def usage_of(raw: bytes, wire_format: str) -> Usage | None:
    """The usage that a reply states; None if it states none or cannot be read."""
    try:
        return decode_reply(raw, wire_format).usage
    except ReplyError:
        return None
