"""`LLMProvider.generate`: sends a prompt or a list of prompts to a model, outside any dataset.

Guarantee: the caller's messages are never changed, results stand in the order of their inputs, errors keep their class, and
what came is never lost to what failed beside it. Limits per minute hold over all calls of a provider.
Cost: one connection pool per call. Limits: no retry (but for a parameter that the model refuses), no ledger; datasets have them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from datafast._util import background
from datafast.errors import ConfigError, ErrorKind, PartialResults, ProviderError
from datafast.llms.base import Backend, ReplyMode, Request, Response
from datafast.llms.pace import Pace, tokens_upper
from datafast.llms.refused_params import RefusedParams
from datafast.llms.replies.formats import decode_reply, usage_of
from datafast.llms.replies.parse import parse_reply, parse_text
from datafast.llms.schema import ResponseSchema
from datafast.llms.transport.redaction import without_keys, written_keys
from datafast.types import Message

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["generate", "without_refused"]

_MAX_IN_FLIGHT = 32


class Openable(Protocol):
    """The part of `LLMProvider` that is used here."""

    max_concurrency: int | None
    max_completion_tokens: int | None
    pace: Pace

    @property
    def label(self) -> str: ...
    @property
    def wire_names(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def droppable_params(self) -> frozenset[str]: ...
    @property
    def takes_text_bounds(self) -> bool: ...
    @property
    def secrets(self) -> tuple[str, ...]: ...
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
    # These sentences, and the first ones below, are those of the first datafast: scripts look for them.
    if prompt is None and messages is None:
        raise ConfigError("Either prompts or messages must be provided. Give prompt=... or messages=[...].")
    if prompt is not None and messages is not None:
        raise ConfigError("Provide either prompts or messages, not both. Leave one of them out.")
    conversations, many = _from_prompts(prompt) if prompt is not None else _from_messages(messages)
    if response_format is not None and not hasattr(response_format, "model_json_schema"):
        raise ConfigError(f"response_format: expected a pydantic model, got {response_format!r}.")
    provider.require_ready()
    schema = ResponseSchema.of(response_format) if response_format is not None else None
    results = background.run(_complete_all(provider, conversations, schema))
    failed = any(isinstance(result, Exception) for result in results)
    if failed and many:
        raise PartialResults(results)
    if failed:
        raise results[0]
    return results if many else results[0]


def _from_prompts(prompt: object) -> tuple[list[list[Message]], bool]:
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, (list, tuple)):
        raise ConfigError(f"prompt must be a string or list of strings. It is of type {type(prompt).__name__}.")
    if not prompts:
        raise ConfigError("prompt cannot be empty. Give a text, or a list of at least one text.")
    for number, text in enumerate(prompts):
        if not isinstance(text, str):
            raise ConfigError(
                f"prompt must be a string or list of strings. prompt[{number}] is of type {type(text).__name__}."
            )
    return [[Message(role="user", content=text)] for text in prompts], not isinstance(prompt, str)


def _from_messages(messages: object) -> tuple[list[list[Message]], bool]:
    if not isinstance(messages, (list, tuple)):
        raise ConfigError(
            f"Invalid messages format. messages is of type {type(messages).__name__}; give a list of messages, or of such lists."
        )
    many = bool(messages) and all(isinstance(entry, (list, tuple)) for entry in messages)
    if many:
        return [_conversation(entry, f"messages[{number}]") for number, entry in enumerate(messages)], True
    return [_conversation(messages, "messages")], False


def _conversation(entries: Sequence[object], where: str) -> list[Message]:
    if not entries:
        raise ConfigError(f"messages cannot be empty. Give {where} at least one message.")
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("role"), str) or "content" not in entry:
            raise ConfigError(
                f"Invalid messages format. {where}[{number}] is not a message with role and content ({type(entry).__name__})."
            )
        if not isinstance(entry["content"], str):
            raise ConfigError(
                f"Invalid messages format. {where}[{number}].content is not a text ({type(entry['content']).__name__})."
            )
    return [dict(entry) for entry in entries]  # type: ignore[call-overload]


async def _complete_all(
    provider: Openable, conversations: list[list[Message]], schema: ResponseSchema | None
) -> list[Any]:
    in_flight = min(len(conversations), provider.max_concurrency or _MAX_IN_FLIGHT)
    slots = asyncio.Semaphore(in_flight)
    refused = RefusedParams(provider.label, provider.droppable_params, provider.wire_names)
    backend = provider.open(max_connections=in_flight)
    keys = written_keys(provider.secrets)

    async def send(request: Request) -> Response:
        tokens = tokens_upper(request.messages, provider.max_completion_tokens)
        await asyncio.sleep(provider.pace.book(tokens))
        async with slots:
            response = await without_refused(backend, request, refused)
        usage = usage_of(response.raw, response.format)
        if usage is not None:
            provider.pace.correct_tokens(usage.input_tokens + usage.output_tokens - tokens)
        return replace(response, raw=without_keys(response.raw, keys)) if keys else response

    async def one(conversation: list[Message]) -> Any:
        return await _complete(send, conversation, schema, text_bounds=provider.takes_text_bounds)

    try:
        # Waits for all even if one fails, because each is paid for and none may outlive the connection pool.
        results = await asyncio.gather(*map(one, conversations), return_exceptions=True)
    finally:
        await backend.aclose()
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result  # an interruption
    return results


async def without_refused(backend: Backend, request: Request, refused: RefusedParams) -> Response:
    """The reply to a request, sent again without a parameter that a refusal names, if there is one."""
    dropped, on_trial = refused.dropped, None
    while True:
        try:
            response = await backend.complete(replace(request, dropped_params=dropped))
        except ProviderError as error:
            dropped, on_trial = refused.after(error, dropped, on_trial)
            if on_trial is None:
                raise
        else:
            refused.leave_out(dropped)
            return response


async def _complete(
    send: Callable[[Request], Awaitable[Response]],
    conversation: list[Message],
    schema: ResponseSchema | None,
    *,
    text_bounds: bool,
) -> Any:
    if schema is None:
        response = await send(Request(messages=conversation))
        return parse_text(decode_reply(response.raw, response.format))
    refused: ProviderError | None = None
    modes = [(mode, False) for mode in ReplyMode]
    if text_bounds and schema.bounded_wire is not None:
        modes.insert(0, (ReplyMode.JSON_SCHEMA, True))
    for mode, bounds in modes:
        try:
            request = Request(messages=conversation, schema=schema, mode=mode, text_bounds=bounds)
            response = await send(request)
        except ProviderError as error:
            if error.kind is not ErrorKind.BAD_REQUEST:
                raise
            refused = refused or error  # servers refuse reply modes that they do not know
            continue
        return parse_reply(decode_reply(response.raw, response.format), schema)
    assert refused is not None  # noqa: S101 - every mode was refused, or the loop had returned
    raise refused
