"""The result of an estimate: what is left to do, in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypedDict

from datafast.amounts import counted, duration, money
from datafast.engine.changes import Change
from datafast.engine.expected_usage import ProviderEstimate, Span
from datafast.html import facts

__all__ = ["Estimate", "costs_of", "total"]

_UP_TO = "up to 24 h"  # what every provider of batches promises


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The work that is left, in total and for each provider.

    Attributes:
        rows: what is left of the plan.
        items: the same in items; an item is one prompt with all its calls.
        calls: those that will be made; `replayed` recorded replies take the place of further ones.
        in_batches: calls in open batches, which count as made.
        mode: the config's `run.mode`.
        cost_usd: in this mode; None if the price of a provider that is still to be called is not known.
        online_cost_usd: the same if all is asked online.
        batch_cost_usd: the same if all that can goes in batches; None also if no provider has batches.
        seconds: from start to end, all providers at once within `run.max_concurrency`, without the time of batches.
        rendered: the number of prompts that were rendered to measure their length.
        notes: the assumptions, in words.
        in_flight: how many requests the budget lets be in flight (or in batches) at first, at most `run.max_concurrency` (or all);
            None without a budget.
        refusal: why the budget allows not a single request, in words; empty if it does.
        change: what the config changes in the output; None if it is the config of the last run.
    """

    rows: int
    items: int
    calls: int
    replayed: int
    in_batches: int
    input_tokens: Span
    output_tokens: Span
    mode: Literal["online", "batch"]
    cost_usd: Span | None
    online_cost_usd: Span | None
    batch_cost_usd: Span | None
    seconds: Span
    providers: tuple[ProviderEstimate, ...]
    rendered: int
    notes: tuple[str, ...]
    in_flight: int | None = None
    refusal: str = ""
    change: Change | None = None

    def times(self, factor: float) -> Estimate:
        """The estimate of so many times the work, with the same calls in flight at once."""
        parts = tuple(part.times(factor) for part in self.providers)
        return replace(
            self,
            calls=round(self.calls * factor),
            replayed=round(self.replayed * factor),
            input_tokens=self.input_tokens * factor,
            output_tokens=self.output_tokens * factor,
            in_batches=round(self.in_batches * factor),
            **costs_of(parts, self.mode),
            seconds=self.seconds * factor,
            providers=parts,
        )

    def within(self, few: float, many: float) -> Estimate:
        """The estimate where the work may be so many times what is expected."""
        parts = tuple(part.within(few, many) for part in self.providers)
        return replace(
            self,
            input_tokens=self.input_tokens.within(few, many),
            output_tokens=self.output_tokens.within(few, many),
            **costs_of(parts, self.mode),
            seconds=self.seconds.within(few, many),
            providers=parts,
        )

    def after(self, other: Estimate) -> Estimate:
        """This work with another one that has to come first. Rows, items and the change are those of this one."""
        parts = (*other.providers, *self.providers)
        return replace(
            self,
            calls=self.calls + other.calls,
            replayed=self.replayed + other.replayed,
            in_batches=self.in_batches + other.in_batches,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            **costs_of(parts, self.mode),
            seconds=self.seconds + other.seconds,
            providers=parts,
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
        work += [f"{counted(self.in_batches, 'call')} that batches under way will answer"] if self.in_batches else []
        cost = "unknown" if self.cost_usd is None else self.cost_usd.shown(money)
        price = f", cost {cost}{' in batches' if self._in_batches else ''}" if self.calls else ""
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
            yield "left to do", "nothing: all rows are there, were dropped, or failed for good"
            yield from (("note", note) for note in self.notes)
            return
        todo = [counted(self.rows, "row"), counted(self.items, "prompt"), counted(self.calls, "call")]
        recorded = f"; {self.replayed:,} more are answered by recorded replies" if self.replayed else ""
        waiting = f"; {self.in_batches:,} more are in batches under way" if self.in_batches else ""
        yield "left to do", f"{todo[0]} from {todo[1]}, {todo[2]}{recorded}{waiting}"
        called = [part for part in self.providers if any(part.calls.values())]
        several = len({role for part in called for role in part.calls}) > 1
        for part in called:
            roles = f" ({', '.join(part.calls)})" if several else ""
            yield "estimate", f"{part.provider}{roles}: {_usage(part)}"
        if len(called) > 1:
            yield "estimate in all", _usage(self)
        if told := self.batch_line():
            yield "batch", told
        if self.refusal:
            yield "budget", self.refusal
        elif self.in_flight is not None:
            yield "budget", self._budget_line(self.in_flight)
        for note in self.notes:
            yield "note", note

    def _budget_line(self, at_first: int) -> str:
        requests = counted(at_first, "request")
        if not self._in_batches:
            return f"lets {requests} be in flight at first"
        later = (
            ""
            if at_first >= self.calls
            else "; the others wait for these batches to end. A higher budget lets more go at once"
        )
        return f"lets {requests} be in batches at first, at the batch price{later}"

    @property
    def _in_batches(self) -> bool:
        return any(part.goes_in_batches for part in self.providers)

    def batch_line(self) -> str:
        """What batches cost instead, and how long they may take; empty if there is nothing to say about them."""
        called = [part for part in self.providers if any(part.calls.values())]
        able = [part for part in called if part.has_batches]
        if self.mode == "online" and (self.batch_cost_usd is None or not self.batch_cost_usd.expected):
            return ""
        if not able:
            return "none of the providers has batches, so all are asked online" if called else ""
        told = self._batch_cost(able) + f", {_UP_TO}{' for each step of a row' if self.calls > self.items else ''}"
        if others := [part.provider for part in called if not part.has_batches]:
            told += f"; {', '.join(others)}: no batches, asked online"
        return told + (" (with --batch, or run: {mode: batch})" if self.mode == "online" else "")

    def _batch_cost(self, able: Sequence[ProviderEstimate]) -> str:
        online, batch = self.online_cost_usd, self.batch_cost_usd
        if online is not None and not online.high:
            return "it costs nothing either way"
        if online is not None and batch is not None:
            return f"{money(batch.expected)} instead of {money(online.expected)}"
        unknown = [part.provider for part in able if part.batch_cost_usd is None]
        if not unknown:
            return "the cost is unknown"
        instead = "" if online is None else f" ({money(online.expected)} online)"
        return f"the batch price of {', '.join(unknown)} is not known{instead}"

    def _repr_html_(self) -> str:
        """For notebooks."""
        return facts(self.lines())


class Costs(TypedDict):
    """The costs of an estimate; see `Estimate`."""

    cost_usd: Span | None
    online_cost_usd: Span | None
    batch_cost_usd: Span | None


def costs_of(parts: Sequence[ProviderEstimate], mode: Literal["online", "batch"]) -> Costs:
    """What providers cost together."""
    called = [part for part in parts if any(part.calls.values())]
    online = _sum([part.online_cost_usd for part in called])
    batch = _sum([part.batch_cost_usd if part.has_batches else part.online_cost_usd for part in called])
    able = any(part.has_batches for part in called)
    return {
        "cost_usd": batch if mode == "batch" else online,
        "online_cost_usd": online,
        "batch_cost_usd": batch if able else None,
    }


def _sum(costs: Sequence[Span | None]) -> Span | None:
    known = [cost for cost in costs if cost is not None]
    return total(known) if len(known) == len(costs) else None


def total(spans: Iterable[Span]) -> Span:
    """The sum of spans: of their low, expected and high values."""
    return sum(spans, Span())


# -- in words


def _usage(part: Estimate | ProviderEstimate) -> str:
    guessed = " (guessed)" if isinstance(part, ProviderEstimate) and part.output_basis == "guessed" else ""
    cost = "unknown" if part.cost_usd is None else part.cost_usd.shown(money)
    return (
        f"{part.input_tokens.shown(_count)} tokens in, {part.output_tokens.shown(_count)} out{guessed}, "
        f"cost {cost}, time {_time(part)}"
    )


def _time(part: Estimate | ProviderEstimate) -> str:
    parts = part.providers if isinstance(part, Estimate) else [part]
    if not any(one.goes_in_batches for one in parts):
        return part.seconds.shown(duration)
    return f"{part.seconds.shown(duration)} and {_UP_TO} in batches" if part.seconds.high else f"{_UP_TO} in batches"


def _count(value: float) -> str:
    """A number in three figures: more of them would look like knowledge."""
    for unit, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}" if value < 1000 * unit else f"{value / unit:,.0f}{name}"
    return f"{value:.0f}"
