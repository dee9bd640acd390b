"""How long a server asks to wait, from the usual headers.

`Retry-After` (seconds or an HTTP date), `retry-after-ms`, `x-ratelimit-reset-requests` and `-tokens` ("1s", "6m0s",
"120ms", seconds, or a Unix time), each also with the prefix that litellm gives to a provider's own headers. Unreadable
values are skipped.
"""

from __future__ import annotations

import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["retry_after_s"]

_LITELLM_PREFIX = "llm_provider-"
_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
# Bare numbers from here on are times, in seconds or in milliseconds.
_UNIX_S, _UNIX_MS = 1e9, 1e12


def retry_after_s(headers: Mapping[str, str], *, status: int, delay: str | None = None) -> float | None:
    """Seconds to wait, 0 or more; None if the server does not say.

    Args:
        headers: names in any case.
        status: of the answer. Some providers send reset times with every answer; they mean a wait only on 429.
        delay: a duration from the body, used if the headers say nothing.
    """
    given = {name.lower().removeprefix(_LITELLM_PREFIX): value for name, value in headers.items()}
    milliseconds = _number(given.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    asked = _seconds_or_date(given.get("retry-after"))
    if asked is None and delay is not None:
        asked = _duration(delay)
    if asked is None and status == 429:
        asked = _reset(given)
    return asked


def _reset(given: Mapping[str, str]) -> float | None:
    waits: dict[bool, list[float]] = {True: [], False: []}
    for what in ("requests", "tokens"):
        wait = _duration(given.get(f"x-ratelimit-reset-{what}"))
        if wait is not None:
            waits[_number(given.get(f"x-ratelimit-remaining-{what}")) in {None, 0.0}].append(wait)
    # A limit with something left is not the cause, unless every limit has something left.
    return max(waits[True] or waits[False], default=None)


def _seconds_or_date(value: str | None) -> float | None:
    if value is None:
        return None
    wait = _duration(value)
    if wait is not None:
        return wait
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _duration(value: str | None) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if number is None:
        text = value.strip()
        if not _WHOLE.fullmatch(text):
            return None
        return sum(float(part[1]) * _UNITS_S[part[2]] for part in _PART.finditer(text))
    if number >= _UNIX_S:
        return max(0.0, number / (1000 if number >= _UNIX_MS else 1) - time.time())
    return max(0.0, number)


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
