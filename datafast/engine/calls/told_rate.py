"""The rate of requests that follows from what a server tells of its limits with each answer.

A limit is a bucket that is refilled evenly: of `limit` units `remaining` are left, and it is full again after `reset_s` seconds. So it
is refilled with (limit - remaining) / reset_s units a second; OpenAI, Anthropic and Groq describe their headers so. While more is left
than requests in flight may ask for, nothing is held back. Near its end, requests are spaced out a little below the rate of the refill.
So nearly the whole quota is used, and hardly one request is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datafast.types import RateLimit, RateLimits

__all__ = ["ToldRate"]

_SELDOM = 100  # replies, between two looks at headers where much is left, or where there are none
_NEWEST = 0.1  # the weight of the newest reply in the average of tokens
_LATE_S = 0.05  # lateness of a timer that is caught up with
_PART = 0.97  # of the refill: times are rounded, and requests do not arrive evenly
_RESERVE = 3  # requests: answers tell what was left when they were asked for
_LEAST = 0.01  # requests a second


class ToldRate:
    """The rate that one provider tells. Moments are monotonic seconds.

    Attributes:
        per_s: requests a second; None while more is left than is asked for.
        free_at: the moment from which the next one may go.
    """

    def __init__(self) -> None:
        self.per_s: float | None = None
        self.free_at = 0.0
        self._unread = 0  # replies whose headers need not be read
        self._tokens = 0.0  # of one request, on average

    def sent(self, now: float) -> None:
        """One request is sent."""
        if self.per_s is not None:
            on_time = now - self.free_at < _LATE_S
            self.free_at = (self.free_at if on_time else now) + 1.0 / self.per_s

    def is_due(self) -> bool:
        """Whether the headers of a reply that has come are worth reading: not while much more is left than is asked for."""
        self._unread -= 1
        return self._unread < 0

    def told(self, limits: RateLimits | None, *, tokens: int, in_flight: int) -> None:
        """Takes what came with a reply.

        Args:
            tokens: what the request used.
            in_flight: requests that the server may not have counted yet.
        """
        self._tokens += (tokens - self._tokens) * (_NEWEST if self._tokens else 1.0)
        rates, spare = [], float(_SELDOM)
        for one, units in _each(limits, self._tokens):
            if one is None or one.limit is None or one.remaining is None or one.reset_s is None:
                continue
            left = one.remaining / units
            spare = min(spare, left - in_flight)
            if left <= in_flight + _RESERVE and one.limit > one.remaining and one.reset_s > 0.0:
                rates.append(_PART * (one.limit - one.remaining) / one.reset_s / units)
        self.per_s = max(_LEAST, min(rates)) if rates else None
        self._unread = int(max(0.0, spare - in_flight) / 2)


def _each(limits: RateLimits | None, tokens: float) -> list[tuple[RateLimit | None, float]]:
    """The limits, each with the units that one request takes of it."""
    if limits is None:
        return []
    each = [(limits.requests, 1.0)]
    if tokens:
        each += [(one, tokens) for one in (limits.tokens, limits.input_tokens, limits.output_tokens)]
    return each
