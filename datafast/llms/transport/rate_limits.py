"""The limits that servers tell with their answers, in one form for all vendors.

Read are the headers of OpenAI (and of the many that copy them), Anthropic, Mistral, and the standard ones (`ratelimit-remaining`,
also with `x-` before them, which speak of requests). Times are durations ("6m0s", seconds), Unix times or dates; the latter two are
measured against the answer's own `Date`, since the server's clock may differ from ours. Unreadable values are skipped. Gemini tells none.
"""

from __future__ import annotations

import math
import re
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from datafast.types import RateLimit, RateLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["duration_s", "moment_of", "number_of", "rate_limits"]

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
# Bare numbers from here on are times, in seconds or in milliseconds.
_UNIX_S, _UNIX_MS = 1e9, 1e12
_FIELDS = {"limit": "limit", "remaining": "remaining", "reset": "reset_s"}


def _names() -> dict[str, tuple[str, str]]:
    """What each header tells: of which limit, and which field of it."""
    found: dict[str, tuple[str, str]] = {}
    for told, field in _FIELDS.items():
        for what in ("requests", "tokens"):
            found[f"x-ratelimit-{told}-{what}"] = (what, field)
        for what in ("requests", "tokens", "input-tokens", "output-tokens"):
            found[f"anthropic-ratelimit-{what}-{told}"] = (what.replace("-", "_"), field)
        for short, what in (("req", "requests"), ("tokens", "tokens")):
            found[f"x-ratelimit-{told}-{short}-minute"] = (what, field)
        for prefix in ("", "x-"):
            found[f"{prefix}ratelimit-{told}"] = ("requests", field)
    return found


_NAMES = _names()


def rate_limits(headers: Mapping[str, str]) -> RateLimits | None:
    """The limits in an answer's headers, whose names are in lower case; None where there are none."""
    found: dict[str, dict[str, Any]] = {}
    now: float | None = None
    for name, value in headers.items():
        told = _NAMES.get(name)
        if told is None:
            continue
        what, field = told
        if field == "reset_s":
            now = _now(headers) if now is None else now
            number = _wait_s(value, now)
        else:
            number = number_of(value)
            number = None if number is None else int(number)
        if number is not None and number >= 0:
            found.setdefault(what, {})[field] = number
    return RateLimits(**{what: RateLimit(**fields) for what, fields in found.items()}) if found else None


def _wait_s(value: str, now: float) -> float | None:
    wait = duration_s(value, now)
    if wait is not None:
        return wait
    moment = moment_of(value)
    return None if moment is None else max(0.0, moment - now)


def _now(headers: Mapping[str, str]) -> float:
    """The Unix time of an answer, by its server's clock."""
    moment = moment_of(headers.get("date"))
    return time.time() if moment is None else moment


def moment_of(value: str | None) -> float | None:
    """A date, of HTTP or of RFC 3339, as a Unix time."""
    if value is None:
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return read(value.strip()).timestamp()
        except (ValueError, OverflowError):
            continue
    return None


def duration_s(value: str | None, now: float) -> float | None:
    """A duration in seconds; a Unix time counts from `now`."""
    if value is None:
        return None
    number = number_of(value)
    if number is None:
        text = value.strip()
        if not _WHOLE.fullmatch(text):
            return None
        return sum(float(part[1]) * _UNITS_S[part[2]] for part in _PART.finditer(text))
    if number >= _UNIX_S:
        return max(0.0, number / (1000 if number >= _UNIX_MS else 1) - now)
    return max(0.0, number)


def number_of(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
