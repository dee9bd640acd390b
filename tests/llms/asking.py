"""Asking one provider over its own back end, and what came of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from datafast._util import background
from datafast.errors import ProviderError
from datafast.llms import LLMProvider
from datafast.llms.base import Completion, Request, Response
from datafast.llms.replies.formats import decode_reply
from datafast.types import Message

__all__ = ["asked", "completed", "refused", "send"]


def asked(text: str = "Hello", *, messages: list[Message] | None = None, **fields: Any) -> Request:
    """A request with one user message, or with these."""
    return Request(messages=messages or [Message(role="user", content=text)], **fields)


def send(provider: LLMProvider, *requests: Request) -> list[Response]:
    """Sends the requests at once over one back end."""

    async def all_of_them() -> list[Response]:
        backend = provider.open(max_connections=max(1, len(requests)))
        try:
            return await asyncio.gather(*map(backend.complete, requests))
        finally:
            await backend.aclose()

    return background.run(all_of_them())


def completed(provider: LLMProvider, request: Request | None = None) -> Completion:
    """The decoded reply."""
    (response,) = send(provider, request or asked())
    return decode_reply(response.raw, response.format)


def refused(provider: LLMProvider, request: Request | None = None) -> ProviderError:
    """The error with which a request ends."""
    with pytest.raises(ProviderError) as caught:
        send(provider, request or asked())
    return caught.value
