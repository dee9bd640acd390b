"""The rate of requests that follows from what a server tells of its limits with each answer.

A limit is a bucket that is refilled evenly: of `limit` units `remaining` are left, and it is full again after `reset_s` seconds. So it
is refilled with (limit - remaining) / reset_s units a second; OpenAI, Anthropic and Groq describe their headers so. While more is left
than requests in flight may ask for, nothing is held back. Near its end, requests are spaced out a little below the rate of the refill.
So nearly the whole quota is used, and hardly one request is refused.

What is told need not be so: some servers and gateways send numbers that never move, or a limit that is not theirs. So the rate is never
so low that a run stands still, and it doubles where as many answers as would have changed a real bucket all tell the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datafast.types import RateLimit, RateLimits

__all__ = ["ToldRate", "is_nearly_used"]

_NEARLY_USED = 0.1  # the part of a limit that is left
_SELDOM = 100  # replies, between two looks at headers where much is left, or where there are none
_NEWEST = 0.1  # the weight of the newest reply in the average of tokens
_LATE_S = 0.05  # lateness of a timer that is caught up with
_PART = 0.97  # of the refill: times are rounded, and requests do not arrive evenly
_RESERVE = 3  # requests: answers tell what was left when they were asked for
_LEAST = 0.3  # requests a second; where a server takes fewer, its refusals tell
_PATIENCE = 12  # answers that all tell the same, before they are doubted
_MOST_PATIENCE = 48
_PATIENCE_ABOVE = 4  # the same where they are asked for faster than they could be used


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
        self._doubt = 1.0  # how many times faster than told
        self._patience = _PATIENCE
        self._left: list[int] = []  # as the newest answer told
        self._same = 0  # answers in a row that told it

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
        rates, near, spare = [], [], float(_SELDOM)
        for one, units in _each(limits, self._tokens):
            if one is None or one.limit is None or one.remaining is None or one.reset_s is None:
                continue
            left = one.remaining / units
            spare = min(spare, left - in_flight)
            if left <= in_flight + _RESERVE and one.limit > one.remaining and one.reset_s > 0.0:
                rates.append(_PART * (one.limit - one.remaining) / one.reset_s / units)
                near.append(one.remaining)
        rate = min(rates, default=_LEAST)
        self._compare(near, self._patience if rate >= _LEAST else _PATIENCE_ABOVE)
        self.per_s = max(_LEAST, rate) * self._doubt if rates else None
        self._unread = int(max(0.0, spare - in_flight) / 2)

    def refused(self) -> None:
        """Too many requests were refused. If that was near a limit that was told, there is one."""
        if self.per_s is not None:
            self._doubt = 1.0
            self._patience, self._same = min(2 * self._patience, _MOST_PATIENCE), 0

    def _compare(self, left: list[int], patience: int) -> None:
        """Doubts limits of which the same is left however much is used."""
        self._same = self._same + 1 if left and left == self._left else 0
        self._left = left
        if self._same >= patience:
            self._same = 0
            self._doubt *= 2.0


def is_nearly_used(limits: RateLimits | None) -> bool:
    """Whether little is left of a limit that was told."""
    return any(
        one is not None
        and one.limit is not None
        and one.remaining is not None
        and one.remaining <= _NEARLY_USED * one.limit
        for one, _ in _each(limits, 1.0)
    )


def _each(limits: RateLimits | None, tokens: float) -> list[tuple[RateLimit | None, float]]:
    """The limits, each with the units that one request takes of it."""
    if limits is None:
        return []
    each = [(limits.requests, 1.0)]
    if tokens:
        each += [(one, tokens) for one in (limits.tokens, limits.input_tokens, limits.output_tokens)]
    return each
