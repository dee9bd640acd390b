"""Whether a provider works, told by its answers: a circuit breaker for each provider.

After three faults of the provider in a row, or ten among its last fifty answers, nothing is sent for a while. Then one request goes first,
as a probe. If it meets a fault too, the next one waits longer; if it is answered, the limit of requests in flight grows with each answer
until it is what it was. So an outage costs time and a few requests, and items wait for its end.

A request that is refused (HTTP 400, 401, 403, 404, ...) says nothing by itself: the prompt may be to blame, or the account. Refusals are
counted until something succeeds; many in a row are the provider's.

The pattern is the circuit breaker of M. Nygard, "Release It!" (2007); the growth afterwards is the slow start of TCP (RFC 5681).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable

from datafast.engine.calls.admission import Backoff, Gate
from datafast.errors import ErrorKind, ProviderError

__all__ = ["FAULTS", "Breaker"]

FAULTS = frozenset({ErrorKind.SERVER, ErrorKind.TIMEOUT, ErrorKind.CONNECTION, ErrorKind.NO_COMPLETION})
"""Errors that say something about the provider, not about what it was asked."""

_IN_A_ROW = 3
_WINDOW = 50
_OF_WINDOW = 10
_MOMENT_S = 0.05

Refusal = tuple[int | None, str | None, str | None]


class Breaker:
    """The health of one provider during one run. Moments are monotonic seconds.

    Args:
        gate: it is closed, and opened again.
        backoff: how long to wait before the first probe, and at most before later ones.
        max_stall_s: how long nothing may succeed.
        on_pause, on_resume: called with the seconds until the next probe and the fault; called after a probe was answered.

    Attributes:
        last_success: when the newest reply came.
        widespread: whether requests failed since then that are not known to fail.
        listeners: woken by each success.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        backoff: Backoff = Backoff(),  # noqa: B008 - it cannot be changed
        max_stall_s: float = 300.0,
        on_pause: Callable[[float, ProviderError], None] = lambda wait_s, error: None,
        on_resume: Callable[[], None] = lambda: None,
    ) -> None:
        self._gate = gate
        self._backoff = backoff
        self._max_stall_s = max_stall_s
        self._on_pause = on_pause
        self._on_resume = on_resume
        self.last_success = float("-inf")
        self.widespread = False
        self.listeners: deque[asyncio.Future[None]] = deque()
        self._on_wire = 0
        self._failing_since: float | None = None  # the first error since the last success
        self._earlier = 0  # requests in flight that were sent before that
        self._answers = 0
        self._faults: deque[int] = deque(maxlen=_OF_WINDOW)  # the numbers of the answers that were faults
        self._in_a_row = 0
        self._pauses = 0
        self._probe_from = 0.0
        self._refusals: dict[Refusal, Counter[int]] = {}

    @property
    def has_answered(self) -> bool:
        """Whether a reply came in this run."""
        return self.last_success > float("-inf")

    @property
    def is_down(self) -> bool:
        """Whether it is paused, and it is not the time for a probe."""
        return self._pauses > 0 and (self._on_wire > 0 or time.monotonic() < self._probe_from)

    @property
    def may_yet_succeed(self) -> bool:
        """Whether requests are in flight that were sent before the first error since the last success."""
        return self._earlier > 0

    @property
    def stalled(self) -> bool:
        """Whether nothing has succeeded for too long. Replies that are merely slow are waited for."""
        since = self._failing_since
        return since is not None and not self._earlier and time.monotonic() - since > self._max_stall_s

    # -- what becomes of its requests

    def sent(self) -> None:
        self._on_wire += 1

    def landed(self, sent_at: float) -> None:
        """A request is not in flight any more, whatever became of it."""
        self._on_wire -= 1
        if self._earlier and self._failing_since is not None and sent_at <= self._failing_since:
            self._earlier -= 1

    def succeeded(self, sent_at: float) -> None:
        """A reply came to the request that was sent at `sent_at`."""
        self.last_success = time.monotonic()
        self._answers += 1
        if self._failing_since is not None or self._pauses:
            self._recover(sent_at)
        self._gate.succeeded()

    def limited(self) -> None:
        """A request came too early (429)."""
        self._fails()

    def refused(self, refusal: Refusal, item: int) -> tuple[int, int, int]:
        """A request was refused.

        Args:
            refusal: what distinguishes this refusal from others.
            item: what the request was for.

        Returns:
            How many requests have been so refused since the last success, those of this item, and the number of items.
        """
        self._answers += 1
        self._in_a_row = 0
        self._fails()
        items = self._refusals.setdefault(refusal, Counter())
        items[item] += 1
        return items.total(), items[item], len(items)

    def faulted(self, error: ProviderError, sent_at: float) -> None:
        """The provider, or the way to it, did not work for the request that was sent at `sent_at`."""
        self._answers += 1
        self._fails()
        self._faults.append(self._answers)
        self._in_a_row += 1
        if self._pauses:
            if sent_at >= self._probe_from:
                self._pause(error)
            return  # a request that was sent before the pause says nothing new
        many = len(self._faults) == _OF_WINDOW and self._answers - self._faults[0] < _WINDOW
        if self._in_a_row >= _IN_A_ROW or many:
            self._pause(error)

    # -- pausing and going on

    def _fails(self) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            self._earlier = self._on_wire

    def _pause(self, error: ProviderError) -> None:
        self._pauses += 1
        now = time.monotonic()
        assert self._failing_since is not None  # noqa: S101 - a fault came just now
        # The last probe is not put off beyond the moment at which the provider is given up.
        left_s = max(0.0, self._failing_since + self._max_stall_s - now) + _MOMENT_S
        wait_s = max(min(self._backoff.probe_wait_s(self._pauses), left_s), error.retry_after_s or 0.0)
        self._probe_from = now + wait_s
        self._gate.close(self._probe_from)
        self._on_pause(wait_s, error)

    def _recover(self, sent_at: float) -> None:
        self._failing_since = None
        self._earlier = 0
        self._in_a_row = 0
        self.widespread = False
        self._refusals.clear()
        for listener in self.listeners:
            if not listener.done():
                listener.set_result(None)
        if self._pauses and sent_at >= self._probe_from:
            self._pauses = 0
            self._faults.clear()
            self._on_resume()
