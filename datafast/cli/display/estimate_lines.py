"""An estimate in lines of text: what is expected, and between what it should lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from datafast.amounts import duration, money
from datafast.engine.estimate import Estimate, ProviderEstimate, Span

__all__ = ["estimate_lines"]


def estimate_lines(estimate: Estimate) -> Iterator[tuple[str, str]]:
    """(name, text) of each line."""
    if not estimate.items:
        yield "left to do", "nothing: all rows are there, or failed for good"
        return
    yield "left to do", f"{estimate.rows:,} rows from {estimate.items:,} prompts, {estimate.calls:,} calls"
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
    cost = "unknown" if part.cost_usd is None else _shown(part.cost_usd, money)
    return (
        f"{_shown(part.input_tokens, _count)} tokens in, {_shown(part.output_tokens, _count)} out{guessed}, "
        f"cost {cost}, time {_shown(part.seconds, duration)}"
    )


def _shown(span: Span, write: Callable[[float], str]) -> str:
    """What is expected, with the range in brackets where it does not come to the same."""
    low, expected, high = write(span.low), write(span.expected), write(span.high)
    return expected if low == expected == high else f"{expected} [{low} to {high}]"


def _count(value: float) -> str:
    """A number in three figures: more of them would look like knowledge."""
    for unit, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}" if value < 1000 * unit else f"{value / unit:,.0f}{name}"
    return f"{value:.0f}"
