"""Reading a recorded reply by its wire format."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from datafast.errors import OutputError, ReplyError
from datafast.llms.base import Completion
from datafast.llms.replies.anthropic_messages import decode_message
from datafast.llms.replies.completion import decode_completion
from datafast.llms.replies.endings import Ending, ending_of, is_fault
from datafast.llms.replies.gemini_content import decode_content
from datafast.types import Usage

__all__ = ["DECODERS", "decode_reply", "model_of", "usage_of"]

_MODEL = {"gemini_generate_content": "modelVersion"}
"""Where a reply names its model, in formats that do not call it `model`."""

DECODERS: Mapping[str, Callable[[bytes], Completion]] = {
    "anthropic_messages": decode_message,
    "chat_completions": decode_completion,
    "gemini_generate_content": decode_content,
}
"""The decoder of each format. Formats are never removed, because a reply may be read again years later."""


def decode_reply(raw: bytes, wire_format: str) -> Completion:
    """Reads one reply.

    Raises:
        ReplyError: it does not match its format, or nothing came and the server says itself that it failed.
        OutputError: the format is not known.
    """
    decoder = DECODERS.get(wire_format)
    if decoder is None:
        raise OutputError(
            f"A reply is recorded in the format {wire_format!r}, and this version of datafast reads {', '.join(DECODERS)}. "
            f"Update datafast to the version that recorded it."
        )
    reply = decoder(raw)
    if not (reply.text or reply.structured or reply.reasoning or reply.refusal):
        _check_empty(reply)
    return reply


def _check_empty(reply: Completion) -> None:
    """Tells what a model leaves empty from a server that brought nothing: every prompt would meet that."""
    if is_fault(reply.finish_reason, reply.native_finish_reason):
        reason = reply.native_finish_reason or reply.finish_reason
        raise ReplyError(f"The server broke the reply off before anything came (finish_reason: {reason}).")
    costs_nothing = reply.usage is None or not reply.usage.output_tokens
    if costs_nothing and ending_of(reply.finish_reason, reply.native_finish_reason) is Ending.WHOLE:
        raise ReplyError("The server's answer is empty, and no tokens are counted for it.")


def model_of(raw: bytes, wire_format: str) -> str:
    """The model that a reply says has made it; empty if it says none, or cannot be read."""
    try:
        found = orjson.loads(raw).get(_MODEL.get(wire_format, "model"))
    except (orjson.JSONDecodeError, AttributeError):
        return ""
    return found if isinstance(found, str) else ""


def usage_of(raw: bytes, wire_format: str) -> Usage | None:
    """The usage that a reply states; None if it states none or cannot be read."""
    try:
        return decode_reply(raw, wire_format).usage
    except ReplyError:
        return None
