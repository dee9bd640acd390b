"""Finding how many requests a server should have in flight: `max_concurrency: auto`.

A server that batches, such as vLLM, llama.cpp or Ollama, answers more tokens a second the more requests it works on, up to a knee; beyond
it they only wait longer. The limit doubles while that brings clearly more, then it goes down as long as that costs nothing. From time to
time it tries a little more and a little less, so that it follows the knee where that moves.

What is compared is tokens a second over some replies each. A measurement begins when as many replies have come to requests sent
after a change as it allows in flight: by then, older ones have gone. Times in which fewer requests were in flight than allowed tell
nothing and do not count.
"""

from __future__ import annotations

import enum

__all__ = ["FIRST_LIMIT", "MOST_IN_FLIGHT", "Knee"]

FIRST_LIMIT = 8
MOST_IN_FLIGHT = 512
"""The most requests in flight where the run sets no limit of its own."""

_REPLIES = 24  # of a measurement, at least
_REPLIES_PER_SLOT = 2
_IDLE_PART = 0.2  # of a measurement
_DOUBLED = 1.2  # a doubled limit must bring so many times as much
_UP, _WORTH_IT = 1.25, 1.08  # a limit that is tried, and what it must bring
_DOWN, _NO_LOSS = 0.8, 0.97
_HOLD, _LONGEST_HOLD = 4, 32  # measurements between two tries


class _Try(enum.Enum):
    """What the current measurement is for."""

    DOUBLE = enum.auto()
    DOWN = enum.auto()
    UP = enum.auto()
    NOTHING = enum.auto()


class Knee:
    """The limit of requests in flight at one provider.

    Args:
        ceiling: it is never above this.

    Attributes:
        limit: the most requests in flight, now.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit = min(FIRST_LIMIT, ceiling)
        self._changed_at = float("-inf")
        self._trying = _Try.DOUBLE
        self._good = self.limit  # the limit that the tries start from
        self._good_rate = 0.0  # its tokens a second
        self._hold = _HOLD
        self._held = 0
        self._settling = self.limit
        self._begin(0.0)

    def replied(self, tokens: int, *, sent_at: float, now: float, in_flight: int) -> bool:
        """Takes a reply to a request that was sent at `sent_at`, both monotonic seconds. Says whether the limit has changed.

        Args:
            in_flight: requests in flight, this one included.
        """
        if self._settling:
            self._settling -= sent_at >= self._changed_at
            self._begin(now)
            return False
        self._replies += 1
        self._tokens += tokens
        self._idle += in_flight < self.limit
        if self._replies < max(_REPLIES, _REPLIES_PER_SLOT * self.limit):
            return False
        busy = self._idle <= _IDLE_PART * self._replies
        rate = self._tokens / max(now - self._from, 1e-6)
        self._begin(now)
        return busy and self._set(self._next(rate), now)

    def cap(self, ceiling: int) -> None:
        """Sets the ceiling."""
        self.ceiling = ceiling
        self.limit = self._good = min(self.limit, ceiling)
        self._settling = self.limit

    def _begin(self, now: float) -> None:
        """Begins a measurement."""
        self._from = now
        self._replies = self._tokens = self._idle = 0

    def _set(self, limit: int, now: float) -> bool:
        limit = max(1, min(limit, self.ceiling))
        if limit == self.limit:
            return False
        self.limit = limit
        self._changed_at = now
        self._settling = limit
        return True

    def _next(self, rate: float) -> int:
        """The limit to try next, after one has brought so many tokens a second."""
        match self._trying:
            case _Try.DOUBLE:
                return self._doubled(rate)
            case _Try.DOWN:
                if rate >= _NO_LOSS * self._good_rate:
                    self._accept(rate)
                    return self._lower()
                self._trying = _Try.UP
                return self._higher()
            case _Try.UP:
                if rate >= _WORTH_IT * self._good_rate:
                    self._hold = _HOLD
                    self._accept(rate)
                    return self._higher()
                self._trying = _Try.NOTHING
                return self._good
            case _Try.NOTHING:
                self._good_rate = rate
                self._held += 1
                if self._held < self._hold:
                    return self._good
                self._held = 0
                self._hold = min(2 * self._hold, _LONGEST_HOLD)
                self._trying = _Try.DOWN
                return self._lower()

    def _doubled(self, rate: float) -> int:
        if rate >= _DOUBLED * self._good_rate:
            self._accept(rate)
            if self.limit < self.ceiling:
                return 2 * self.limit
        self._trying = _Try.DOWN
        return self._lower()

    def _accept(self, rate: float) -> None:
        self._good, self._good_rate = self.limit, rate

    def _lower(self) -> int:
        return max(1, min(self._good - 1, int(self._good * _DOWN)))

    def _higher(self) -> int:
        return max(self._good + 1, int(self._good * _UP))
