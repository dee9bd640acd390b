"""An estimate in lines of text: what is expected, and between what it should lie."""

from __future__ import annotations

from collections.abc import Iterator

from datafast.amounts import counted, duration, money
from datafast.engine.estimate import Estimate, ProviderEstimate

__all__ = ["estimate_lines"]


def estimate_lines(estimate: Estimate) -> Iterator[tuple[str, str]]:
    """(name, text) of each line."""
    if not estimate.items:
        yield "left to do", "nothing: all rows are there, or failed for good"
        return
    todo = [counted(estimate.rows, "row"), counted(estimate.items, "prompt"), counted(estimate.calls, "call")]
    recorded = f"; {estimate.replayed:,} more are answered by recorded replies" if estimate.replayed else ""
    yield "left to do", f"{todo[0]} from {todo[1]}, {todo[2]}{recorded}"
    called = [part for part in estimate.providers if any(part.calls.values())]
    several = len({role for part in called for role in part.calls}) > 1
    for part in called:
        roles = f" ({', '.join(part.calls)})" if several else ""
        yield "estimate", f"{part.provider}{roles}: {_usage(part)}"
    if len(called) > 1:
        yield "estimate in all", _usage(estimate)
    for note in estimate.notes:
        yield "note", note


def _usage(part: Estimate | ProviderEstimate) -> str:
    guessed = " (guessed)" if isinstance(part, ProviderEstimate) and part.output_basis == "guessed" else ""
    cost = "unknown" if part.cost_usd is None else part.cost_usd.shown(money)
    return (
        f"{part.input_tokens.shown(_count)} tokens in, {part.output_tokens.shown(_count)} out{guessed}, "
        f"cost {cost}, time {part.seconds.shown(duration)}"
    )


def _count(value: float) -> str:
    """A number in three figures: more of them would look like knowledge."""
    for unit, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}" if value < 1000 * unit else f"{value / unit:,.0f}{name}"
    return f"{value:.0f}"
