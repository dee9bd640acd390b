"""How long to wait before a request is sent again."""

from __future__ import annotations

import random
from typing import NamedTuple

__all__ = ["Backoff"]


class Backoff(NamedTuple):
    """Exponential with full jitter: M. Brooker, "Exponential Backoff and Jitter" (AWS, 2015).

    Attributes:
        first_s: the longest wait before the first repeat; it doubles with each further one.
        longest_s: what it does not grow beyond.
    """

    first_s: float = 1.0
    longest_s: float = 60.0

    def wait_s(self, attempt: int, *, retry_after_s: float | None = None) -> float:
        """Seconds to wait before attempt `attempt` (the first repeat is 1); never less than what the server asked for."""
        spread = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 16))
        wait = random.uniform(0.0, spread)  # not seeded: two runs must not send again at the same moments
        return wait if retry_after_s is None else retry_after_s + wait * 0.1
