"""Limits of the loopback server, like those of real ones: what it refuses, and how its replies slow down."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

__all__ = ["Limits"]

_HEAD = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\n"
_BODY = '{"error": {"message": "Too many requests.", "code": "rate_limit_exceeded"}}'


@dataclass(kw_only=True)
class Limits:
    """What the server takes. Without any limit it takes everything.

    Attributes:
        bucket: requests that it takes at once; None for no limit.
        per_minute: with how many the bucket is refilled.
        says_when: whether it says in Retry-After when the next one is taken, in whole seconds as HTTP has it.
        refuses: the share of requests that it refuses by chance.
        knee: requests in flight beyond which replies take longer, in proportion.
    """

    bucket: int | None = None
    per_minute: float = 60.0
    says_when: bool = False
    refuses: float = 0.0
    knee: int | None = None

    def __post_init__(self) -> None:
        self._left = float(self.bucket or 0)
        self._at = 0.0

    def refusal(self, now: float) -> bytes | None:
        """The answer to a request that comes at a moment (seconds) if it is refused; None if it is taken."""
        if self.refuses and random.random() < self.refuses:
            return _refusal(None)
        if self.bucket is None:
            return None
        per_s = self.per_minute / 60.0
        self._left = min(self.bucket, self._left + (now - self._at) * per_s)
        self._at = now
        if self._left >= 1.0:
            self._left -= 1.0
            return None
        return _refusal(math.ceil((1.0 - self._left) / per_s) if self.says_when else None)

    def slowdown(self, in_flight: int) -> float:
        """By what the time of a reply is multiplied."""
        return 1.0 if self.knee is None else max(1.0, in_flight / self.knee)


def _refusal(wait_s: int | None) -> bytes:
    when = "" if wait_s is None else f"Retry-After: {wait_s}\r\n"
    return f"{_HEAD}{when}Content-Length: {len(_BODY)}\r\n\r\n{_BODY}".encode()
