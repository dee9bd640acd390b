"""How long a request may take: one number for all of it, or a mapping of the parts that are waited for apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from datafast.errors import ConfigError

__all__ = ["TIMEOUT_SCHEMA", "Timeouts", "checked_timeout"]

_TOTAL_S = 600.0
_CONNECT_S = 30.0
_IDLE_S = 300.0  # a model that thinks first may send nothing for minutes
_PARTS = ("connect_s", "idle_s", "total_s")

_SECONDS = {"type": "number", "exclusiveMinimum": 0}
TIMEOUT_SCHEMA: dict[str, Any] = {
    "anyOf": [
        _SECONDS,
        {"type": "object", "properties": dict.fromkeys(_PARTS, _SECONDS), "additionalProperties": False},
    ],
    "description": "Seconds for one request; or connect_s, total_s and, with stream, idle_s: seconds in which nothing comes.",
}


class Timeouts(NamedTuple):
    """Time limits of one request, in seconds.

    Attributes:
        connect_s: for making a connection.
        total_s: from sending to the last byte; None for no limit.
        idle_s: in which nothing comes of a streamed reply; None where replies are not streamed.
    """

    connect_s: float
    total_s: float | None
    idle_s: float | None

    @classmethod
    def of(cls, value: float | Mapping[str, float] | None, *, stream: bool) -> Timeouts:
        """The limits that were set, and the usual ones where none was.

        Raises:
            ConfigError: idle_s without streaming, where nothing comes until all comes.
        """
        parts = value if isinstance(value, Mapping) else {} if value is None else {"total_s": value}
        idle_s = parts.get("idle_s")
        if idle_s is not None and not stream:
            raise ConfigError(
                "timeout.idle_s: It counts between the bytes of a streamed reply. Set stream: true, or leave it out.",
                key="timeout",
            )
        total_s = parts.get("total_s", None if stream else _TOTAL_S)
        most_s = math.inf if total_s is None else total_s
        quiet_s = min(_IDLE_S, most_s) if idle_s is None else idle_s
        return cls(parts.get("connect_s", min(_CONNECT_S, most_s)), total_s, quiet_s if stream else None)


def checked_timeout(key: str, value: object) -> float | dict[str, float]:
    """A number of seconds, or a mapping of parts to such."""
    if not isinstance(value, Mapping):
        return _seconds(key, value, "a number above 0, or a mapping of connect_s, idle_s and total_s to such")
    for part in value:
        if part not in _PARTS:
            raise ConfigError(f"{key}: There is no {part!r}. It has {', '.join(_PARTS)}.", key=key)
    return {part: _seconds(f"{key}.{part}", seconds, "a number above 0") for part, seconds in value.items()}


def _seconds(place: str, value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{place}: expected {expected}, got {value!r}.", key="timeout")
    return value
