"""The values that one call is made of: what is asked, how it is being tried, and what was replied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from datafast.engine.calls.endpoint import Endpoint
from datafast.errors import CallFailed, ErrorKind, ProviderError, ReplyError
from datafast.llms.base import Completion, Request, StructuredStep
from datafast.llms.replies.formats import decode_reply
from datafast.llms.schema import ResponseSchema
from datafast.store.records import ItemRecord
from datafast.types import Message, Usage

__all__ = ["Ask", "Reply", "Tally", "Trial", "decode"]


class Ask(NamedTuple):
    """What a kind asks for: one call's identity and content."""

    key: bytes
    role: str
    messages: Sequence[Message]
    schema: ResponseSchema | None

    @property
    def prompt(self) -> str:
        return next((m["content"] for m in reversed(self.messages) if m["role"] == "user"), "")


@dataclass(slots=True)
class Tally:
    """This run's own counts."""

    calls: int = 0
    retries: int = 0
    replayed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0


class Reply(NamedTuple):
    """A raw reply, and what it says: a completion, or why it is none."""

    raw: bytes
    content: Completion | ReplyError

    @property
    def usage(self) -> Usage | None:
        return self.content.usage if isinstance(self.content, Completion) else None


@dataclass(slots=True)
class Trial:
    """The state of one call while it is being answered.

    Attributes:
        request: what is sent next; it changes as the endpoint and the reply teach.
        waiting: told +1 and -1 around a wait without a slot.
        unusable: replies of this generation that were not what was asked.
        sent: requests sent in this run; `sent_before` of them before the newest reply.
        steps_tried: ways of asking for structure that have failed this call.
    """

    ask: Ask
    record: ItemRecord
    endpoint: Endpoint
    request: Request
    waiting: Callable[[int], None]
    unusable: int = 0
    sent: int = 0
    sent_before: int = 0
    last_raw: bytes = b""
    steps_tried: set[StructuredStep] = field(default_factory=set)

    @property
    def sends_bounds(self) -> bool:
        """Whether the request says how long texts may be."""
        request = self.request
        by_schema = request.schema is not None and request.step is StructuredStep.JSON_SCHEMA
        return by_schema and request.text_bounds and request.schema.bounded_wire is not None  # type: ignore[union-attr]

    def other_step(self, error: ProviderError | None = None) -> StructuredStep | None:
        """Learns that this way of asking brought an unusable reply, or an error; another way for this call, or None."""
        step, steps = self.request.step, self.endpoint.steps
        refused = error is not None and error.kind is ErrorKind.BAD_REQUEST
        if step not in self.steps_tried:  # a call that fails again says nothing new
            self.steps_tried.add(step)
            if error is None:
                steps.failed(step)
            else:
                steps.met_error(step, refused=refused)
        return steps.next_after(step, self.steps_tried, refused=refused)

    def failed(self, message: str, category: str) -> CallFailed:
        return CallFailed(
            message,
            category=category,
            provider=self.endpoint.label,
            role=self.ask.role,
            attempts=self.sent,
            prompt=self.ask.prompt,
            raw=self.last_raw,
        )


def decode(raw: bytes, wire_format: str) -> Reply:
    try:
        return Reply(raw, decode_reply(raw, wire_format))
    except ReplyError as error:
        return Reply(raw, error)
