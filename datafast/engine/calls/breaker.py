"""Whether a provider works, told by its answers: a circuit breaker for each provider.

After three faults of the provider in a row, or ten among its last fifty answers, nothing is sent for a while. Then one request goes first,
as a probe. If it meets a fault too, the next one waits longer; if it is answered, the limit of requests in flight grows with each answer
until it is what it was. So an outage costs time and a few requests, and items wait for its end. Where one of the first two probes is
answered the provider was not down, only unreliable: from then on it takes twice as many faults, then four times.

A request that is refused (HTTP 400, 401, 403, 404, ...) says nothing by itself: the prompt may be to blame, or the account. Refusals are
counted until a request succeeds that was sent after the first of them. One that was sent before tells nothing: credit may have run out
in between. After ten nothing more is sent until those in flight have told.

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
_BRIEF = 2  # probes; after so few a provider was not down, only unreliable
_MOST_TOLERANT = 4  # times the numbers above
_REFUSED_IN_A_ROW = 10
_MOMENT_S = 0.05
_LATE_S = 5.0  # so late, the process was not running, or waited for other reasons


class Breaker:
    """The health of one provider during one run. Moments are monotonic seconds.

    Args:
        gate: it is closed, and opened again.
        backoff: how long to wait before the first probe, and at most before later ones.
        max_stall_s: how long nothing may succeed.
        on_pause, on_resume: called with the seconds until the next probe and the fault; called after a probe was answered.

    Attributes:
        last_success: when the newest reply came.
        answered: the newest moment at which a request was sent that has been answered.
        on_wire: the number of requests in flight.
        refused_items: how often each item was refused since a request succeeded that was sent after the first of them.
        refuses_all: whether so many in a row were refused that nothing more is sent until it is known whose fault that is.
        pauses: how often it was paused since it last worked: probes that were not answered, and one. 0 while it is not paused.
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
        self.answered = float("-inf")
        self.on_wire = 0
        self.refused_items: Counter[int] = Counter()
        self.refuses_all = False
        self.pauses = 0
        self.listeners: deque[asyncio.Future[None]] = deque()
        self._failing_since: float | None = None  # the first error since the last success
        self._earlier = 0  # requests in flight that were sent before that
        self._refused_since = 0.0
        self._answers = 0
        self._faults: deque[int] = deque(maxlen=_WINDOW)  # the numbers of the answers that were faults
        self._in_a_row = 0
        self._tolerance = 1
        self._probe_from = 0.0
        self._probing = False

    @property
    def has_answered(self) -> bool:
        """Whether a reply came in this run."""
        return self.last_success > float("-inf")

    @property
    def lets_all_through(self) -> bool:
        """Whether it is neither paused nor refuses everything."""
        return not (self.pauses or self.refuses_all)

    @property
    def is_paused(self) -> bool:
        """Whether it is paused, and it is not the time for a probe."""
        return self.pauses > 0 and (self._probing or time.monotonic() < self._probe_from)

    @property
    def is_down(self) -> bool:
        """Whether nothing is to be sent to it now: it is paused, or it refuses everything."""
        return self.is_paused or self.refuses_all

    @property
    def stalled(self) -> bool:
        """Whether nothing has succeeded for too long. Replies that are merely slow are waited for."""
        since = self._failing_since
        return since is not None and not self._earlier and time.monotonic() - since > self._max_stall_s

    def others_answered(self) -> None:
        """A reply came to somebody else who sends for the same run, so the provider is known to take the key."""
        if not self.has_answered:
            self.last_success = time.monotonic()

    def excuse(self, seconds: float) -> None:
        """For so long nothing was to be sent, which is no stall."""
        if self._failing_since is not None:
            self._failing_since += seconds

    # -- what becomes of its requests

    def sent(self, at: float) -> None:
        """A request is sent."""
        self.on_wire += 1
        if not self.pauses:
            return
        late_s = at - self._probe_from
        if not self._probing and late_s > _LATE_S and self._failing_since is not None:
            self._failing_since += late_s  # time in which nothing was tried is no stall
            self._probe_from = at
        self._probing = True

    def landed(self, sent_at: float) -> None:
        """A request is not in flight any more, whatever became of it."""
        self.on_wire -= 1
        if self._earlier and self._failing_since is not None and sent_at <= self._failing_since:
            self._earlier -= 1
        if self.pauses:
            if sent_at >= self._probe_from:
                self._probing = False
            else:
                self._gate.one_less()

    def succeeded(self, sent_at: float) -> None:
        """A reply came to the request that was sent at `sent_at`."""
        self.last_success = time.monotonic()
        self.answered = max(self.answered, sent_at)
        self._answers += 1
        if self._failing_since is not None:
            self._failing_since = None
            self._earlier = 0
            self._in_a_row = 0
        if self.refused_items and sent_at > self._refused_since:
            self.refused_items.clear()
            self.refuses_all = False
        for listener in self.listeners:
            if not listener.done():
                listener.set_result(None)
        if self.pauses:
            if sent_at < self._probe_from:
                return  # a request that was sent before the pause says nothing new
            self._resume()
        self._gate.succeeded(sent_at)

    def limited(self) -> None:
        """A request came too early (429)."""
        self._fails()

    def refused(self, item: int) -> None:
        """A request for an item was refused."""
        self._answers += 1
        self._in_a_row = 0
        self._fails()
        if not self.refused_items:
            self._refused_since = time.monotonic()
        self.refused_items[item] += 1
        self.refuses_all = self.refused_items.total() >= _REFUSED_IN_A_ROW

    def faulted(self, error: ProviderError, sent_at: float) -> None:
        """The provider, or the way to it, did not work for the request that was sent at `sent_at`."""
        self._answers += 1
        self._fails()
        self._faults.append(self._answers)
        self._in_a_row += 1
        if self.pauses:
            if sent_at >= self._probe_from:
                self._pause(error)
            return  # a request that was sent before the pause says nothing new
        enough = _OF_WINDOW * self._tolerance
        many = len(self._faults) >= enough and self._answers - self._faults[-enough] < _WINDOW
        if many or self._in_a_row >= _IN_A_ROW * self._tolerance:
            self._pause(error)

    # -- pausing and going on

    def _fails(self) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            self._earlier = self.on_wire

    def _pause(self, error: ProviderError) -> None:
        self.pauses += 1
        now = time.monotonic()
        assert self._failing_since is not None  # noqa: S101 - a fault came just now
        wait_s = self._backoff.probe_wait_s(self.pauses)
        left_s = self._failing_since + self._max_stall_s - now
        if left_s > 0.0:  # the last probe is not put off beyond the moment at which the provider is given up
            wait_s = min(wait_s, left_s + _MOMENT_S)
        wait_s = max(wait_s, error.retry_after_s or 0.0)
        self._probe_from = now + wait_s
        self._probing = False
        self._gate.close(self._probe_from, beside=self.on_wire)
        self._on_pause(wait_s, error)

    def _resume(self) -> None:
        if self.pauses <= _BRIEF:
            self._tolerance = min(2 * self._tolerance, _MOST_TOLERANT)
        self.pauses = 0
        self._faults.clear()
        self._on_resume()
