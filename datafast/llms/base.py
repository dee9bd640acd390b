"""The protocol between the engine and a model: one request, sent exactly once, and one reply.

Retries, limits, validation and cost are in the engine. A back end (`Backend`) is opened for each run inside the run's event loop, and
closed with it. A provider (`LLMProvider`) is only a description, and many runs may use it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from datafast.llms.schema import ReplyMode, ResponseSchema
from datafast.types import Message, RateLimits, Usage

__all__ = ["LIFTED_TOKENS", "Backend", "Completion", "ReplyMode", "Request", "Response", "SlowStart", "Widens"]

LIFTED_TOKENS = 16_384
"""The token limit after a truncated reply: above every common default, below most models' maximum."""


@dataclass(slots=True)
class Request:
    """One request.

    Attributes:
        messages: the conversation; a back end never changes it.
        schema: the structure of the reply; None for free text.
        mode: how the structure is asked for; the back end writes it in its wire format.
        token_limit: the most tokens of the reply; None for the provider's own limit, if it has one.
        text_bounds: send the schema's bounds on lengths of texts, if it has any.
        dropped_params: sampling parameters that the model has refused; they are left out.
        again: how often the same was asked before, for further things of the same sort. It is not sent; the simulated model needs it to
            tell such requests apart.
    """

    messages: Sequence[Message]
    schema: ResponseSchema | None = None
    mode: ReplyMode = ReplyMode.JSON_SCHEMA
    token_limit: int | None = None
    text_bounds: bool = False
    dropped_params: frozenset[str] = field(default_factory=frozenset)
    again: int = 0


@dataclass(slots=True)
class Response:
    """A reply as it came. `format` is a name in `datafast.llms.replies.formats`; if the server uses it, `raw` is byte for byte its answer.

    "chat_completions" is a chat completion as JSON in OpenAI's shape. `head` holds the headers of the answer, where there are any.
    """

    raw: bytes
    latency_s: float
    format: str = "chat_completions"
    head: Sequence[tuple[bytes, bytes]] = ()

    @property
    def rate_limits(self) -> RateLimits | None:
        """What the server told about its limits; None where it told nothing. Read anew each time, in about 10 us."""
        from datafast.llms.transport.rate_limits import rate_limits

        return rate_limits({name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.head})


@dataclass(slots=True)
class Completion:
    """A reply, decoded.

    Attributes:
        text: the answer as text, '' where there is none.
        finish_reason: why it ended, as the server says; `native_finish_reason` is what the model's own server said to a gateway.
        usage: None where it gave none, or none that can be true.
        model_id: the one the server says it used, or ''.
        structured: JSON that the model answered elsewhere than in its text: as an object, or as what it calls a tool with.
    """

    text: str
    finish_reason: str
    usage: Usage | None
    model_id: str = ""
    reasoning: str = ""
    refusal: str = ""
    structured: str = ""
    native_finish_reason: str = ""


class Backend(Protocol):
    """An open connection to one provider, for one event loop."""

    async def complete(self, request: Request) -> Response:
        """Sends exactly one request; a second time only where its connection turned out to be closed before the server had read it.

        Raises:
            ProviderError: no usable answer came.
        """
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Widens(Protocol):
    """A back end that has no more connections than it was opened with, and can have more."""

    def widen(self, max_connections: int) -> None:
        """Allows so many, if they are more."""
        ...


@runtime_checkable
class SlowStart(Protocol):
    """A back end that loads something before its first request."""

    async def prepare(self) -> None:
        """Loads it and sends nothing. If this was not called, `complete` loads it."""
        ...
