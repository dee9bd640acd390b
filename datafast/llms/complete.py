"""`LLMProvider.generate`: sends a prompt or a list of prompts to a model, outside any dataset.

Guarantee: the caller's messages are never changed, results are in the order of the inputs, errors keep their class.
Cost: one connection pool per call. Limits: no retries, rate limits or ledger, which datasets have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from datafast._util import background
from datafast.errors import ConfigError, ErrorKind, ProviderError
from datafast.llms.base import Backend, ReplyMode, Request
from datafast.llms.replies.formats import decode_reply
from datafast.llms.replies.parse import parse_reply, parse_text
from datafast.llms.schema import ResponseSchema
from datafast.types import Message

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["generate"]

_MAX_IN_FLIGHT = 32


class Openable(Protocol):
    """The part of `LLMProvider` that is used here."""

    max_concurrency: int | None

    @property
    def takes_text_bounds(self) -> bool: ...
    def require_ready(self) -> None: ...
    def open(self, *, max_connections: int) -> Backend: ...


def generate(
    provider: Openable,
    *,
    prompt: str | list[str] | None,
    messages: Sequence[Any] | None,
    response_format: type[BaseModel] | None,
) -> Any:
    """See `LLMProvider.generate`."""
    if (prompt is None) == (messages is None):
        raise ConfigError("Give exactly one of prompt and messages.")
    conversations, many = _from_prompts(prompt) if prompt is not None else _from_messages(messages)
    if response_format is not None and not hasattr(response_format, "model_json_schema"):
        raise ConfigError(f"response_format: expected a pydantic model, got {response_format!r}.")
    provider.require_ready()
    schema = ResponseSchema.of(response_format) if response_format is not None else None
    results = background.run(_complete_all(provider, conversations, schema)) if conversations else []
    return results if many else results[0]


def _from_prompts(prompt: object) -> tuple[list[list[Message]], bool]:
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, (list, tuple)):
        raise ConfigError(f"prompt: expected a text or a list of texts, got {type(prompt).__name__}.")
    for number, text in enumerate(prompts):
        if not isinstance(text, str):
            raise ConfigError(f"prompt[{number}]: expected a text, got {type(text).__name__}.")
    return [[Message(role="user", content=text)] for text in prompts], not isinstance(prompt, str)


def _from_messages(messages: object) -> tuple[list[list[Message]], bool]:
    if not isinstance(messages, (list, tuple)):
        raise ConfigError(f"messages: expected a list of messages or of conversations, got {type(messages).__name__}.")
    many = bool(messages) and all(isinstance(entry, (list, tuple)) for entry in messages)
    if many:
        return [_conversation(entry, f"messages[{number}]") for number, entry in enumerate(messages)], True
    return [_conversation(messages, "messages")], False


def _conversation(entries: Sequence[object], where: str) -> list[Message]:
    if not entries:
        raise ConfigError(f"{where}: expected at least one message.")
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("role"), str) or "content" not in entry:
            raise ConfigError(
                f"{where}[{number}]: expected a message with role and content, got {type(entry).__name__}."
            )
        if not isinstance(entry["content"], str):
            raise ConfigError(f"{where}[{number}].content: expected a text, got {type(entry['content']).__name__}.")
    return [dict(entry) for entry in entries]  # type: ignore[call-overload]


async def _complete_all(
    provider: Openable, conversations: list[list[Message]], schema: ResponseSchema | None
) -> list[Any]:
    in_flight = min(len(conversations), provider.max_concurrency or _MAX_IN_FLIGHT)
    slots = asyncio.Semaphore(in_flight)
    backend = provider.open(max_connections=in_flight)

    async def one(conversation: list[Message]) -> Any:
        async with slots:
            return await _complete(backend, conversation, schema, text_bounds=provider.takes_text_bounds)

    try:
        # Waits for all even if one fails, because each is paid for and none may outlive the connection pool.
        results = await asyncio.gather(*map(one, conversations), return_exceptions=True)
    finally:
        await backend.aclose()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def _complete(
    backend: Backend, conversation: list[Message], schema: ResponseSchema | None, *, text_bounds: bool
) -> Any:
    if schema is None:
        response = await backend.complete(Request(messages=conversation))
        return parse_text(decode_reply(response.raw, response.format))
    refused: ProviderError | None = None
    modes = [(mode, False) for mode in ReplyMode]
    if text_bounds and schema.bounded_wire is not None:
        modes.insert(0, (ReplyMode.JSON_SCHEMA, True))
    for mode, bounds in modes:
        try:
            request = Request(messages=conversation, schema=schema, mode=mode, text_bounds=bounds)
            response = await backend.complete(request)
        except ProviderError as error:
            if error.kind is not ErrorKind.BAD_REQUEST:
                raise
            refused = refused or error  # servers refuse reply modes that they do not know
            continue
        return parse_reply(decode_reply(response.raw, response.format), schema)
    assert refused is not None  # noqa: S101 - every mode was refused, or the loop had returned
    raise refused
