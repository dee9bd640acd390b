"""When a run waits for batches no longer."""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["moment_of"]


def moment_of(deadline: str, since: float) -> float:
    """The moment (seconds since the epoch) of `run.batch_deadline`.

    Args:
        since: the moment from which hours count, and after which a time of day comes next.
    """
    if ":" not in deadline:
        return since + float(deadline[:-1]) * (3600.0 if deadline.endswith("h") else 60.0)
    hour, minute = map(int, deadline.split(":"))
    begun = datetime.fromtimestamp(since)
    found = begun.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (found if found > begun else found + timedelta(days=1)).timestamp()
