"""The rate of requests that a provider takes, learned from its refusals (HTTP 429).

Nothing limits the rate at first. Sparse refusals, under a fifth of the last fifty requests, change nothing: servers that are
shared refuse some by chance. Where more are refused, requests are spaced out evenly. The rate is what was accepted since the last
time that the rate was set: a token bucket that is empty at both ends of an interval has accepted exactly what it was refilled with.
From there it rises with each request that had to wait for its turn, slowly at first and then faster, until too many are refused again;
each refusal that says how long to wait takes a little of that back.

A burst, most of the newest requests refused, means that nothing more is accepted for now. After a pause one request goes as a probe, and
the rate then grows quickly until it is just under the last one that worked.

Where lowering the rate time and again does not help, the refusals have another reason, and the rate is left alone for a while, until
nothing is accepted any more.

The increase and decrease are those of TCP, on a rate instead of a window (D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease
Algorithms for Congestion Avoidance in Computer Networks", 1989); the slow rise next to a known limit is that of CUBIC (RFC 9438).
"""

from __future__ import annotations

import enum
from collections import deque

__all__ = ["LearnedRate", "Refusal"]

_WINDOW = 50  # requests
_MANY = 10  # refused ones of a window
_MANY_AT_LIMIT = 5  # the same where the limit is known
_NEWEST = 8
_BURST = 5  # refused ones of the newest
_TOO_FAST = 4  # the same, where the rate was learned
_NEAR = 3  # requests before and after another one
_NONE_ACCEPTED = 3  # so many refused and none accepted are a burst, too
_GROWTH = 0.002  # with each request; grows with the number of requests since the rate was lowered
_GROWTH_DOUBLES = 50
_START_GROWTH = 1.5
_START_STEP_S = 0.1  # the time for which a growth waits for refusals
_CUT = 0.7
_BACK = 0.96  # the part of a known rate that is left after one refusal that says how long to wait
_UNDER = 0.95  # just under the last good rate
_START = 0.25  # the part of it that is begun with after a burst
_SAME = 0.05  # estimates that differ by less are of the same limit
_LEAST = 0.05  # requests a second
_FIRST = 1.0  # the same to begin with where nothing is known
_MINUTE_S = 60.0
_LATE_S = 0.05  # lateness of a timer that is caught up with
_NOT_BINDING = 200  # requests in a row that did not have to wait for their turn: nothing limits it any more
_FUTILE = 5  # times that the rate was lowered in a row
_LEFT_ALONE = 1000  # requests; twice as many each time


class Refusal(enum.Enum):
    """What a refusal means: one by chance, a rate that is too high, or that nothing more is accepted for now."""

    SPARSE = enum.auto()
    TOO_FAST = enum.auto()
    BURST = enum.auto()


class LearnedRate:
    """The rate of one provider. Moments are monotonic seconds, and numbers those of its requests, in the order in which they are sent.

    Attributes:
        per_s: requests a second; None while nothing limits them.
        free_at: the moment from which the next one may go.
        bursts: bursts since a request was accepted.
    """

    def __init__(self) -> None:
        self.per_s: float | None = None
        self.free_at = 0.0
        self.bursts = 0
        self._sent = 0
        self._refused: deque[int] = deque(maxlen=_MANY)
        self._burst_at = float("-inf")
        self._burst_number = 0  # the newest request at that moment; older ones say nothing new
        # What was accepted since the rate was set, to estimate the limit from.
        self._set_at = 0.0
        self._set_number = 0
        self._accepted = 0
        self._unbound = 0  # requests in a row that did not wait for their turn
        self._minute_from = 0.0
        self._minute_accepted = 0
        self._starting = False
        self._good: float | None = None  # the last good rate
        self._grown_at = 0.0
        self._estimate: float | None = None
        self._at_limit = False
        self._lowered_to: float | None = None
        self._lowered_in_a_row = 0
        self._left_alone_until = 0
        self._left_alone = _LEFT_ALONE

    @property
    def is_left_alone(self) -> bool:
        """Whether to send less has not helped against the refusals, so that it is not tried for a while."""
        return self._sent < self._left_alone_until

    @property
    def is_settled(self) -> bool:
        """Whether the rate is known, and not being looked for after a burst."""
        return self.per_s is not None and not self._starting

    def sent(self, now: float) -> int:
        """One request is sent. Returns its number."""
        self._sent = number = self._sent + 1
        self._accepted += 1
        if number == 1:
            self._set_at = now
        if now - self._minute_from > _MINUTE_S:
            self._minute_from, self._minute_accepted = now, 0
        self._minute_accepted += 1
        if self.per_s is not None:
            self._space_out(self.per_s, now)
        return number

    def taken_back(self) -> None:
        """The newest request was not sent after all."""
        self._accepted -= 1
        self._minute_accepted -= 1
        if self.per_s is not None:
            self.free_at -= 1.0 / self.per_s

    def accepted(self, sent_at: float) -> None:
        """A reply came to the request that was sent at a moment."""
        if self.bursts and sent_at > self._burst_at:
            self.bursts = 0

    def refused(self, number: int, now: float, *, told_to_wait: bool = False) -> Refusal:
        """A request came too early. `told_to_wait`: the server said how long to wait."""
        self._minute_accepted -= 1
        if number <= self._burst_number:
            return Refusal.SPARSE
        self._accepted -= 1
        self._refused.append(number)
        newest = self._among_newest(number, _NEWEST)
        if self.is_left_alone:
            if newest < _NEWEST:
                return Refusal.SPARSE
            self._left_alone_until = 0  # no chance refuses them all
        none_accepted = self.per_s is not None and self._accepted <= 0 and newest >= _NONE_ACCEPTED
        if (newest >= _BURST and self._among_newest(number, _WINDOW) >= _MANY) or none_accepted:
            self._burst(now)
            return Refusal.BURST
        if self._starting:
            if self._among_newest(number, 5) < (2 if told_to_wait else 3):
                return Refusal.SPARSE
            assert self.per_s is not None  # noqa: S101 - it starts with a rate
            estimate = self._estimated(now, least=2)
            self._set(min(self.per_s, estimate) if estimate else _UNDER * self.per_s / _START_GROWTH, now, estimate)
        elif number > self._set_number and (self._are_many(number) or (self.per_s and newest >= _TOO_FAST)):
            self._lower(now)
        else:
            if told_to_wait and self.is_settled and number > self._set_number:
                self.per_s = _BACK * (self.per_s or 0.0)
            return Refusal.SPARSE
        return Refusal.TOO_FAST

    def refused_near(self, number: int) -> int:
        """How many requests that were sent just before or after a refused one were refused too."""
        return sum(refused != number and abs(number - refused) <= _NEAR for refused in self._refused)

    def close(self, until: float) -> None:
        """Nothing goes before this moment."""
        self.free_at = max(self.free_at, until)

    # -- what refusals say

    def _among_newest(self, number: int, last: int) -> int:
        """How many of the last so many requests before `number` were refused, it included."""
        return sum(refused > number - last for refused in self._refused)

    def _are_many(self, number: int) -> bool:
        many = _MANY_AT_LIMIT if self._at_limit else _MANY
        return len(self._refused) >= many and self._refused[-many] > number - _WINDOW

    def _estimated(self, now: float, *, least: int = _NEWEST) -> float | None:
        """Requests a second that were accepted since the rate was set; None if those are too few to tell."""
        passed_s = now - self._set_at
        return self._accepted / passed_s if passed_s > 0 and self._accepted >= least else None

    # -- the rate

    def _space_out(self, rate: float, now: float) -> None:
        late_s = now - self.free_at
        self.free_at = (self.free_at if late_s < _LATE_S else now) + 1.0 / rate
        since = self._sent - self._set_number
        if late_s >= max(0.5 / rate, _LATE_S):
            # It did not wait for its turn, so a higher rate would change nothing.
            self._unbound += 1
            if self._unbound >= _NOT_BINDING:
                self._forget(now)
            return
        self._unbound = 0
        if not self._starting:
            self.per_s = rate * (1.0 + _GROWTH * (1.0 + (since / _GROWTH_DOUBLES) ** 2))
        elif now - self._grown_at >= _START_STEP_S:
            self._grown_at = now
            self.per_s = rate * _START_GROWTH
            if self._good is not None and self.per_s >= _UNDER * self._good:
                self.per_s, self._starting = _UNDER * self._good, False

    def _burst(self, now: float) -> None:
        self.bursts += 1
        self._burst_at, self._burst_number = now, self._sent
        self._refused.clear()
        estimate = self._estimated(now)
        if self.per_s is None:
            # Most limits are those of a minute. What it has accepted in this one says little, but never too much.
            self._good = None
            self._set(max(_FIRST, self._minute_accepted / _MINUTE_S), now, None)
        elif self.bursts == 1:
            self._good = min(self.per_s, estimate) if estimate else self.per_s / 2.0
            self._set(self._good, now, estimate)
            begin = _START * self._good
            self.per_s = None if self.per_s is None else begin
        else:  # the probe was refused; the next one comes later, and that is enough
            self._count_from(now)
        self._starting = self.per_s is not None
        self._at_limit = True

    def _lower(self, now: float) -> None:
        estimate = self._estimated(now)
        if self.per_s is None:
            if estimate is not None:
                self._set(estimate, now, estimate)
        else:
            self._set(max(_CUT * self.per_s, min(self.per_s, estimate or 0.0)), now, estimate)

    def _set(self, rate: float, now: float, estimate: float | None) -> None:
        """Sets the rate, from which it grows."""
        lower = self._lowered_to is not None and rate < (1.0 - _SAME) * self._lowered_to
        self._lowered_in_a_row = self._lowered_in_a_row + 1 if lower else 0
        self._lowered_to = rate
        if estimate is not None and self._estimate is not None:
            self._at_limit = abs(estimate - self._estimate) < _SAME * self._estimate
        else:
            self._at_limit = False
        self._estimate = estimate
        self.per_s = max(_LEAST, rate)
        self._starting = False
        self._count_from(now)
        if self._lowered_in_a_row >= _FUTILE:
            self._forget(now)
            self._left_alone_until = self._sent + self._left_alone
            self._left_alone *= 2

    def _forget(self, now: float) -> None:
        """Nothing limits the rate any more."""
        self.per_s = self._estimate = self._lowered_to = None
        self._starting = self._at_limit = False
        self._lowered_in_a_row = 0
        self._count_from(now)

    def _count_from(self, now: float) -> None:
        self._set_at, self._set_number, self._accepted, self._unbound = now, self._sent, 0, 0
        self._refused.clear()
