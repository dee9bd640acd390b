"""A request to a loaded model, and the reply to it: what passes between the event loop and the model's thread."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from datafast.errors import ErrorKind, ProviderError
from datafast.types import Message, Usage

__all__ = ["Generated", "Job"]


class Generated(NamedTuple):
    """A reply: its text, what it used, and whether it ended by itself ("stop") or at a limit ("length")."""

    text: str
    usage: Usage
    finish_reason: str


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One request.

    Attributes:
        label: whose request it is, for errors.
        template: arguments of the chat template. arguments: of `generate`; only jobs with equal ones share a batch.
        penalty: what is taken from a token's score for each time that it stands in the reply already.
        grammar: JSON Schema that the reply must match, None for free text.
        max_tokens: of the reply; None for the usual number, or, with `whole_context`, for all that the context has left.
        future: gets the reply, or a `ProviderError`. Cancelled where nobody waits any more.
        prompt, most: the prompt's tokens, and the most that the reply may have; filled in by the model's thread.
        matcher: follows the grammar; likewise.
    """

    label: str
    messages: Sequence[Message]
    template: Mapping[str, Any]
    arguments: Mapping[str, Any]
    penalty: float
    grammar: bytes | None
    max_tokens: int | None
    whole_context: bool
    batch_size: int
    timeout_s: float
    future: concurrent.futures.Future[Generated] = field(default_factory=concurrent.futures.Future)
    prompt: list[int] = field(default_factory=list)
    most: int = 0
    matcher: Any = None
    deadline: float = 0.0
    kind: bytes = b""

    def __post_init__(self) -> None:
        self.kind = orjson.dumps(self.arguments, option=orjson.OPT_SORT_KEYS)

    def begin(self) -> None:
        """Its batch begins: from now on its timeout counts."""
        self.deadline = time.monotonic() + self.timeout_s

    @property
    def is_late(self) -> bool:
        return time.monotonic() >= self.deadline

    def succeed(self, reply: Generated) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(reply)

    def fail(self, kind: ErrorKind, message: str, *, status: int | None = None, code: str | None = None) -> None:
        """Ends it with an error that the engine knows what to do about."""
        if self.future.done():
            return
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(ProviderError(f"{self.label}: {message}", kind=kind, status=status, code=code))
