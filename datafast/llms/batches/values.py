"""Values in what services answer, where they are of the type that is expected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

__all__ = ["count", "fields", "moment_s", "objects", "text"]


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def count(value: object) -> int:
    """A count; Google writes them as texts."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    return value if type(value) is int and value >= 0 else 0


def moment_s(value: object) -> float:
    """Seconds since the epoch, of a number of them or of a time by RFC 3339; 0.0 for neither."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        moment = datetime.fromisoformat(text(value))
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def fields(value: object) -> dict[str, Any]:
    """An object, {} where it is none."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
