"""Requests and tokens a minute, spaced out evenly.

One request goes every 60.5/rpm seconds (the generic cell rate algorithm without a burst allowance, ITU-T I.371), so no window of a
minute ever exceeds the limit and nothing stalls for a minute either. The half second is for the way: requests that leave a minute apart
may arrive a little closer together.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datafast.types import Message

__all__ = ["MINUTE_S", "Pace", "Pacer", "tokens_upper"]

MINUTE_S = 60.5  # with the half second for the way
_LATE_S = 0.05  # lateness of a timer that is caught up with
_TOKENS_GUESSED = 500


def tokens_upper(messages: Sequence[Message], max_completion_tokens: int | None) -> int:
    """An estimate of a request's tokens, for pacing only: four characters a token, and the bound on the output."""
    return sum(len(message["content"]) for message in messages) // 4 + (max_completion_tokens or _TOKENS_GUESSED)


class Pacer:
    """Spaces out units (requests, tokens) evenly: `per_minute` of them a minute.

    Attributes:
        free_at: the moment (monotonic seconds) from which the next one may go.
    """

    def __init__(self, per_minute: float) -> None:
        self._interval = MINUTE_S / per_minute
        # Timers wake a little late each time. That little is caught up with, or fast paces would never be reached.
        self._lateness = min(_LATE_S, self._interval / 2)
        self.free_at = 0.0

    def forget_after(self, moment: float) -> None:
        """Whatever was booked, from `moment` (monotonic seconds) on the next one may go."""
        self.free_at = min(self.free_at, moment)

    def book(self, units: float, now: float) -> float:
        """Books `units`; returns the moment (monotonic seconds) from which they may go."""
        start = max(now, self.free_at)
        counted_from = self.free_at if now - self.free_at < self._lateness else start
        self.free_at = counted_from + units * self._interval
        return start

    def correct(self, units: float) -> None:
        """Books more (or gives back) once it is known how many units it really were."""
        self.free_at += units * self._interval


class Pace:
    """The limits of one provider outside of runs. They hold over all its calls, since it keeps one of these.

    Args:
        rpm, tpm: requests and tokens per minute, None for no limit.
    """

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        self._requests = Pacer(rpm) if rpm else None
        self._tokens = Pacer(tpm) if tpm else None

    def book(self, tokens: int) -> float:
        """Books one request; returns for how many seconds it has to wait."""
        now = moment = time.monotonic()
        if self._requests:
            moment = max(moment, self._requests.book(1, now))
        if self._tokens:
            moment = max(moment, self._tokens.book(tokens, now))
        return moment - now

    def correct_tokens(self, difference: int) -> None:
        """The reply used `difference` more tokens than were booked."""
        if self._tokens:
            self._tokens.correct(difference)
