"""What puts the streamed replies of each wire format together, by the format's name."""

from __future__ import annotations

from collections.abc import Mapping

from datafast.llms.streams.anthropic_messages import StreamedMessage
from datafast.llms.streams.base import StreamedReply
from datafast.llms.streams.chat_completions import StreamedCompletion
from datafast.llms.streams.gemini_content import StreamedContent

__all__ = ["STREAMED"]

STREAMED: Mapping[str, type[StreamedReply]] = {
    "anthropic_messages": StreamedMessage,
    "chat_completions": StreamedCompletion,
    "gemini_generate_content": StreamedContent,
}
