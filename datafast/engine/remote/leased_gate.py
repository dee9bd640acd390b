"""The gate of one provider in a worker: it lets through what the worker's lease allows, and notes what the broker has to know.

It learns no pace. What comes back goes to the broker, which learns from all workers and closes the gates of all. Only pauses after
faults are its own (`Breaker`), since it may be the worker's own network that does not work.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from datafast.engine.calls.admission import Backoff, Gate, Waiting
from datafast.engine.calls.knee import Knee
from datafast.engine.calls.told_rate import ToldRate
from datafast.engine.remote.terms import Answered, Lease, Pause, Refused, Told, Use

if TYPE_CHECKING:
    from datafast.types import RateLimits

__all__ = ["LeasedGate"]

_SOON_S = 0.3  # requests that land within this time are followed by others, whose turns have to be there by then
_NEWEST = 0.3  # the weight of the newest measurement
_MOST_AHEAD = 1000  # turns


class _Held(NamedTuple):
    """A turn that can be used between two moments."""

    start: float
    end: float
    number: int
    tokens: int


class LeasedGate(Gate):
    """The limits of one provider in one worker.

    Args:
        most: the most requests in flight that it can ever be allowed.
        tells_tokens: whether the broker paces tokens.
        auto: whether the broker looks for the number in flight that the server can use.
        on_news: called when there is something that the broker should know soon.

    Attributes:
        landing_per_s: requests that land in a second, lately.
    """

    def __init__(
        self,
        most: int,
        *,
        tells_tokens: bool = False,
        auto: bool = False,
        backoff: Backoff = Backoff(),  # noqa: B008 - it cannot be changed
        on_news: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._turns: deque[_Held] = deque()
        self._opens_at = 0.0
        self._sends_until = float("-inf")
        self._is_paced = True
        super().__init__(0, backoff=backoff, clock=clock)
        self.most = most
        self.knee = Knee(1) if auto else None  # so that it is told what replies have
        self.told_rate = _Heads(self)
        self.on_news = on_news
        self.reads_heads = False
        self.landing_per_s = 0.0
        self._tells_tokens = tells_tokens
        self._shut_until = 0.0
        self._newest: _Held | None = None
        self._ordinal = 0
        self._taken = 0
        self._in_flight_before = 0
        self._asked_at = clock()
        self._clear()

    def _clear(self) -> None:
        self._sent = 0
        self._tokens_off = 0
        self._unused: list[int] = []
        self._answered: list[tuple[float, int]] = []
        self._refused: list[Refused] = []  # with moments for `ago_s`
        self._told: list[Told] = []
        self._paused_until: float | None = None

    # -- what the lease says

    def lease(self, lease: Lease, *, asked_at: float, sends_until: float) -> None:
        """Takes a further lease.

        Args:
            asked_at: when the ask was made that it answers; `sends_until`: when to stop, if no further one comes.
        """
        now = self._clock()
        self._sends_until = sends_until
        self._is_paced = lease.paced
        self._shut_until = now + lease.closed_s
        self.reads_heads = lease.reads_heads
        for turn in lease.turns:
            self._turns.append(_Held(now + turn.in_s, asked_at + turn.until_s, turn.number, turn.tokens))
        if len(self._turns) > 1:
            self._turns = deque(sorted(self._turns))
        self.set_limit(lease.slots)

    def set_limit(self, limit: int) -> None:
        self.limit = limit if self.limit >= self.setting else min(self.limit, limit)
        self.setting = limit

    def tell(self) -> Use:
        """What has happened since it was told last, and what is needed."""
        now = self._clock()
        self._measure(now)
        is_closed = self.closed_for() > 0.0
        self._drop_lapsed(math.inf if is_closed else now)
        waiting = [] if is_closed else [one for one in self.waiting if not one.slot.done()]
        use = Use(
            in_flight=self.in_flight,
            waiting=self._in_need(waiting),
            num_waiting=len(waiting),
            unused=tuple(self._unused),
            sent=self._sent,
            answered=tuple(Answered(now - sent_at, tokens) for sent_at, tokens in self._answered),
            refused=tuple(one._replace(ago_s=now - one.ago_s) for one in self._refused),
            told=tuple(self._told),
            tokens=self._tokens_off,
            pause=None if self._paused_until is None else Pause(max(0.0, self._paused_until - now)),
        )
        self._clear()
        return use

    def _measure(self, now: float) -> None:
        passed_s = now - self._asked_at
        if passed_s < 0.01:
            return
        landed = self._in_flight_before + self._taken - self.in_flight
        self.landing_per_s += _NEWEST * (landed / passed_s - self.landing_per_s)
        self._in_flight_before, self._taken, self._asked_at = self.in_flight, 0, now

    def _in_need(self, waiting: list[Waiting]) -> tuple[int, ...]:
        """The tokens of those who wait for a turn and may have a slot soon, without those whose turns are here."""
        if not self._is_paced or not waiting:
            return ()
        soon = max(0, self.setting - self.in_flight) + math.ceil(_SOON_S * self.landing_per_s)
        count = min(len(waiting), soon, _MOST_AHEAD)
        return tuple(one.tokens for one in heapq.nsmallest(count, waiting)[len(self._turns) :])

    def _drop_lapsed(self, now: float) -> None:
        while self._turns and self._turns[0].end <= now:
            self._unused.append(self._turns.popleft().number)

    # -- as a gate

    @property
    def opens_at(self) -> float:
        now = self._clock()
        if now >= self._sends_until:
            return math.inf
        opens_at = max(self._opens_at, self._shut_until)
        if not self._is_paced:
            return opens_at
        self._drop_lapsed(now)
        return max(opens_at, self._turns[0].start) if self._turns else math.inf

    @opens_at.setter
    def opens_at(self, moment: float) -> None:
        self._opens_at = moment

    @property
    def paces_tokens(self) -> bool:
        return self._tells_tokens

    @property
    def paced_by(self) -> str | None:
        return None  # the broker's gate knows

    def closed_for(self) -> float:
        return max(self._shut_until - self._clock(), super().closed_for())

    def take(self, tokens: int, now: float) -> int:
        self.in_flight += 1
        self._taken += 1
        if not self._is_paced:
            self._newest = None
            self._sent += 1
            self._ordinal += 1
            return -self._ordinal
        self._newest = held = self._turns.popleft()
        self._tokens_off += tokens - held.tokens
        return held.number

    def take_back(self, tokens: int) -> None:
        self.in_flight -= 1
        self._taken -= 1
        held, self._newest = self._newest, None
        if held is not None:
            self._tokens_off -= tokens - held.tokens
            self._turns.appendleft(held)
        elif self._sent:
            self._sent -= 1
            self._ordinal -= 1

    def correct_tokens(self, difference: int) -> None:
        self._tokens_off += difference

    def refused(
        self, number: int, sent_at: float, retry_after_s: float | None, *, limits: RateLimits | None = None
    ) -> None:
        self._refused.append(Refused(number, sent_at, retry_after_s, limits))
        self.on_news()

    def told(self, limits: RateLimits | None, *, tokens: int) -> None:
        if limits is not None:
            self._told.append(Told(limits, tokens))

    def answered(self, tokens: int, sent_at: float) -> None:
        if self._answered and self._answered[-1] == (sent_at, 0):
            self._answered.pop()
        self._answered.append((sent_at, tokens))

    def succeeded(self, sent_at: float) -> None:
        self._answered.append((sent_at, 0))
        super().succeeded(sent_at)

    def close(self, until: float, *, beside: int) -> None:
        super().close(until, beside=beside)
        self._paused_until = until
        self.on_news()

    @property
    def has_told(self) -> bool:
        """Whether what a server says of limits goes into the next ask already."""
        return bool(self._told)


class _Heads(ToldRate):
    """Says which replies' headers are worth reading: all near a limit, otherwise one for each ask."""

    def __init__(self, gate: LeasedGate) -> None:
        super().__init__()
        self._gate = gate

    def is_due(self) -> bool:
        return self._gate.reads_heads or not self._gate.has_told
