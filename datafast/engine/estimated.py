"""The result of an estimate: what is left to do, in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from datafast.amounts import counted, duration, money
from datafast.engine.changes import Change
from datafast.engine.expected_usage import ProviderEstimate, Span
from datafast.html import facts

__all__ = ["Estimate", "total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The work that is left, in total and for each provider.

    Attributes:
        rows, items: what is left of the plan; an item is one prompt with all its calls.
        calls: those that will be made; `replayed` recorded replies take the place of further ones.
        cost_usd: None if the price of a provider that is still to be called is not known.
        seconds: from start to end, all providers at once within `run.max_concurrency`.
        rendered: the number of prompts that were rendered to measure their length.
        notes: the assumptions, in words.
        in_flight: how many requests the budget lets be in flight at first, at most `run.max_concurrency`; None without a budget.
        refusal: why the budget allows not a single request, in words; empty if it does.
        change: what the config changes in the output; None if it is the config of the last run.
    """

    rows: int
    items: int
    calls: int
    replayed: int
    input_tokens: Span
    output_tokens: Span
    cost_usd: Span | None
    seconds: Span
    providers: tuple[ProviderEstimate, ...]
    rendered: int
    notes: tuple[str, ...]
    in_flight: int | None = None
    refusal: str = ""
    change: Change | None = None

    def times(self, factor: float) -> Estimate:
        """The estimate of so many times the work, with the same calls in flight at once."""
        return replace(
            self,
            calls=round(self.calls * factor),
            replayed=round(self.replayed * factor),
            input_tokens=self.input_tokens * factor,
            output_tokens=self.output_tokens * factor,
            cost_usd=None if self.cost_usd is None else self.cost_usd * factor,
            seconds=self.seconds * factor,
            providers=tuple(part.times(factor) for part in self.providers),
        )

    def after(self, other: Estimate) -> Estimate:
        """This work with another one that has to come first. Rows, items and the change are those of this one."""
        costs = [part.cost_usd for part in (self, other) if part.calls]
        known = [cost for cost in costs if cost is not None]
        return replace(
            self,
            calls=self.calls + other.calls,
            replayed=self.replayed + other.replayed,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=total(known) if len(known) == len(costs) else None,
            seconds=self.seconds + other.seconds,
            providers=(*other.providers, *self.providers),
            rendered=self.rendered + other.rendered,
            notes=tuple(dict.fromkeys([*self.notes, *other.notes])),
        )

    def sentences(self) -> list[str]:
        """What the config changes in the output, and what is still to make, in words."""
        told = [] if self.change is None else self.change.sentences()
        if not self.rows and not self.calls:
            return told
        work = [counted(self.calls, "call")] if self.calls else []
        work += [f"{self.replayed:,} recorded {'reply' if self.replayed == 1 else 'replies'}"] if self.replayed else []
        cost = "unknown" if self.cost_usd is None else self.cost_usd.shown(money)
        price = f", cost {cost}" if self.calls else ""
        return [*told, f"To make: {counted(self.rows, 'row')} with {' and '.join(work) or 'no call'}{price}."]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        whole = {"input_tokens": self.input_tokens.whole(), "output_tokens": self.output_tokens.whole()}
        parts = [
            {**asdict(part), "input_tokens": part.input_tokens.whole(), "output_tokens": part.output_tokens.whole()}
            for part in self.providers
        ]
        return {**asdict(self), **whole, "providers": parts, "notes": list(self.notes)}

    def lines(self) -> Iterator[tuple[str, str]]:
        """It in words: (name, text) of each line."""
        if self.change is not None:
            for sentence in self.change.sentences():
                yield "change", sentence
        if not self.items:
            yield "left to do", "nothing: all rows are there, or failed for good"
            return
        todo = [counted(self.rows, "row"), counted(self.items, "prompt"), counted(self.calls, "call")]
        recorded = f"; {self.replayed:,} more are answered by recorded replies" if self.replayed else ""
        yield "left to do", f"{todo[0]} from {todo[1]}, {todo[2]}{recorded}"
        called = [part for part in self.providers if any(part.calls.values())]
        several = len({role for part in called for role in part.calls}) > 1
        for part in called:
            roles = f" ({', '.join(part.calls)})" if several else ""
            yield "estimate", f"{part.provider}{roles}: {_usage(part)}"
        if len(called) > 1:
            yield "estimate in all", _usage(self)
        if self.refusal:
            yield "budget", self.refusal
        elif self.in_flight is not None:
            yield "budget", f"lets {counted(self.in_flight, 'request')} be in flight at first"
        for note in self.notes:
            yield "note", note

    def _repr_html_(self) -> str:
        """For notebooks."""
        return facts(self.lines())


def total(spans: Iterable[Span]) -> Span:
    """The sum of spans: of their low, expected and high values."""
    return sum(spans, Span())


# -- in words


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
