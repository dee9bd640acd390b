"""What was done to a run from outside, in words. The log and the console tell it."""

from __future__ import annotations

from datafast.amounts import duration
from datafast.engine.events import ConcurrencyChanged, RunPaused, RunResumed

__all__ = ["Steered", "steered_in_words"]

Steered = RunPaused | RunResumed | ConcurrencyChanged


def steered_in_words(event: Steered) -> str:
    """What was done to a run, in a sentence."""
    match event:
        case RunPaused():
            return "The run is paused: nothing new begins. Requests in flight land and are kept."
        case RunResumed():
            return f"The run goes on after a pause of {duration(event.paused_s)}."
        case ConcurrencyChanged():
            requests = f"{event.concurrency:,} request{'' if event.concurrency == 1 else 's'}"
            return f"{event.provider}: At most {requests} in flight from now on, as was asked for."
