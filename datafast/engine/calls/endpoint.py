"""A provider during one run: its open connection, its limits, and what was learned about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datafast.engine.calls.admission import Gate
from datafast.engine.calls.breaker import FAULTS, Breaker
from datafast.engine.calls.reply_limits import ReplyLimits
from datafast.engine.calls.reply_modes import ReplyModes
from datafast.errors import ErrorKind, ProviderError
from datafast.llms.base import Backend, SlowStart, Widens
from datafast.llms.refused_params import RefusedParams
from datafast.llms.transport.redaction import without_keys, written_keys
from datafast.types import Message, Usage

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["Endpoint"]


class Endpoint:
    """One provider during one run.

    Attributes:
        label: its name for users: `provider/model_id`, numbered if two would look the same.
        identity: its part of the keys of its calls.
        stopped: why nothing more is sent to it; None while it works.
        params: which parameters its model refuses.
        modes: which reply modes work here.
        text_bounds: whether schemas are sent with bounds on lengths of texts; `bounds_worked`: whether one got a reply.
        breaker: whether it works, told by its answers.
        known_good: messages that it has answered, in this run or an earlier one; None if it never has.
        has_known_good: whether they are of this run.
        is_proving: whether they are being sent again.
        reply_limits: how long its replies may be, under a budget.
    """

    def __init__(
        self, provider: LLMProvider, *, label: str, identity: str, gate: Gate, breaker: Breaker, backend: Backend
    ) -> None:
        self.provider = provider
        self.label = label
        self.identity = identity
        self.gate = gate
        self.breaker = breaker
        self.reply_limits = ReplyLimits(provider)
        self.backend = backend
        self.stopped: str | None = None
        self.known_good: Sequence[Message] | None = None
        self.has_known_good = False
        self.is_proving = False
        self.params = RefusedParams(label, provider.droppable_params, provider.wire_names)
        self.modes = ReplyModes()
        self.text_bounds = provider.takes_text_bounds
        self.bounds_worked = False
        self._slow_start = backend if isinstance(backend, SlowStart) else None
        self._keys = written_keys(provider.secrets)

    @property
    def waits_for_proof(self) -> bool:
        """Whether nothing else is sent before it is known whose fault it is that requests fail."""
        return self.breaker.refuses_all or (self.breaker.pauses > 0 and self.is_proving)

    @property
    def starts_slowly(self) -> bool:
        """Whether its back end has to load something first."""
        return self._slow_start is not None

    async def prepare(self) -> None:
        """Lets the back end load what it needs, before pacing begins, so that no requests queue up behind it."""
        if self._slow_start is not None:
            await self._slow_start.prepare()
            self._slow_start = None

    def choose(self, concurrency: int) -> None:
        """Allows so many requests in flight from now on."""
        self.gate.choose(concurrency)
        self.widen(concurrency)

    def widen(self, concurrency: int) -> None:
        """Lets the back end have so many connections, if they are more."""
        if isinstance(self.backend, Widens):
            self.backend.widen(concurrency)

    # -- its answers

    def cost_usd(self, usage: Usage | None) -> float | None:
        """The cost of a reply; None if it states no usage, or the price is not known."""
        return self.provider.cost_usd(usage) if usage is not None else None

    def without_keys(self, raw: bytes) -> bytes:
        """The reply without keys that the server may have repeated."""
        return without_keys(raw, self._keys)

    def met(self, error: ProviderError, number: int, sent_at: float) -> None:
        """Records an error in place of a reply to a request: which it was, and when it was sent (monotonic seconds)."""
        if error.kind is ErrorKind.RATE_LIMITED:
            self.gate.refused(number, sent_at, error.retry_after_s, limits=error.rate_limits)
            self.breaker.limited()
        elif error.kind in FAULTS:
            self.breaker.faulted(error, sent_at)
