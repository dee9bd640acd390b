"""How long to wait before a request is sent again."""

from __future__ import annotations

import random

__all__ = ["backoff_s"]

_BASE_S = 0.5
_CAP_S = 60.0


def backoff_s(attempt: int, *, retry_after_s: float | None = None) -> float:
    """Seconds to wait before attempt `attempt` (the first repeat is 1): exponential with full jitter, capped at a minute.

    Never less than what the server asked for. Full jitter as in M. Brooker, "Exponential Backoff and Jitter" (AWS, 2015).
    """
    spread = min(_CAP_S, _BASE_S * 2.0 ** min(attempt, 16))
    wait = random.uniform(0.0, spread)  # not seeded: two runs must not send again at the same moments
    return wait if retry_after_s is None else retry_after_s + wait * 0.1
