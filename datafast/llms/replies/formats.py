"""Reading a recorded reply by the wire format that it is recorded in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from datafast.errors import OutputError, ReplyError
from datafast.llms.base import Completion
from datafast.llms.replies.completion import decode_completion
from datafast.types import Usage

__all__ = ["DECODERS", "decode_reply", "usage_of"]

DECODERS: Mapping[str, Callable[[bytes], Completion]] = {"chat_completions": decode_completion}
"""What reads each format. A reply may be asked for again years later, so no format ever leaves this table."""


def decode_reply(raw: bytes, wire_format: str) -> Completion:
    """Reads one reply.

    Raises:
        ReplyError: it is not what its format says.
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
    """The usage that a reply states, None where it states none or is not a reply at all."""
    try:
        return decode_reply(raw, wire_format).usage
    except ReplyError:
        return None
