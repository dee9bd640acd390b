"""Money, time and shares in words."""

from __future__ import annotations

__all__ = ["counted", "duration", "money", "share"]


def counted(number: int, noun: str) -> str:
    """A number of things: 1 row, 1,200 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def money(cost_usd: float | None) -> str:
    """A cost in USD; an unknown one says so."""
    if cost_usd is None:
        return "unknown"
    if 0 < cost_usd < 0.0001:
        return "under $0.0001"
    return f"${cost_usd:.2f}" if cost_usd >= 1 or not cost_usd else f"${cost_usd:.4f}"


def share(part: int, whole: int) -> str:
    """A percentage that says 100 % (or 0 %) of nothing less (or more)."""
    percent = 100 * part / whole
    return f"{percent:.0f} %" if part in {0, whole} else f"{min(max(percent, 0.1), 99.9):.1f} %"


def duration(seconds: float) -> str:
    """A time in words: seconds below an hour, then minutes, then days."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours / 24:,.0f} days"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
