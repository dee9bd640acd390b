"""What puts the streamed replies of each wire format together, by the format's name."""

from __future__ import annotations

from collections.abc import Mapping

from datafast.llms.streams.base import StreamedReply
from datafast.llms.streams.chat_completions import StreamedCompletion

__all__ = ["STREAMED"]

STREAMED: Mapping[str, type[StreamedReply]] = {"chat_completions": StreamedCompletion}
