"""How long a server asks to wait, from the usual headers.

`Retry-After` (seconds or an HTTP date), `retry-after-ms`, and the times of `rate_limits`, each also below the prefix that litellm gives to
a provider's own headers. Points in time are measured against the answer's own `Date`, since the server's clock may differ from ours.
Unreadable values are skipped.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from datafast.llms.transport.rate_limits import duration_s, moment_of, number_of, rate_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datafast.types import RateLimits

__all__ = ["own_names", "retry_after_s"]

_LITELLM_PREFIX = "llm_provider-"


def own_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by the names that the server gave them, in lower case."""
    return {name.lower().removeprefix(_LITELLM_PREFIX): value for name, value in headers.items()}


def retry_after_s(headers: Mapping[str, str], *, status: int, delay: str | None = None) -> float | None:
    """Seconds to wait, 0 or more; None if the server does not say.

    Args:
        headers: names in any case.
        status: of the answer. Some providers send reset times with every answer; they mean a wait only on 429.
        delay: a duration from the body, used if the headers say nothing.
    """
    given = own_names(headers)
    milliseconds = number_of(given.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    now = moment_of(given.get("date"))
    now = time.time() if now is None else now
    asked = _seconds_or_date(given.get("retry-after"), now)
    if asked is None and delay is not None:
        asked = duration_s(delay, now)
    if asked is None and status == 429 and (limits := rate_limits(given)) is not None:
        asked = _reset(limits)
    return asked


def _reset(limits: RateLimits) -> float | None:
    waits: dict[bool, list[float]] = {True: [], False: []}
    for limit in (limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens):
        if limit is not None and limit.reset_s is not None:
            waits[not limit.remaining].append(limit.reset_s)
    # A limit with something left is not the cause, unless every limit has something left.
    return max(waits[True] or waits[False], default=None)


def _seconds_or_date(value: str | None, now: float) -> float | None:
    wait = duration_s(value, now)
    if wait is None:
        moment = moment_of(value)
        wait = None if moment is None else max(0.0, moment - now)
    return wait
