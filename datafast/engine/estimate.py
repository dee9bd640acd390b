"""Estimates tokens, cost and time of what is left to generate, before anything is sent.

Method:
* Some prompts, spread over the plan by its seed, are rendered by the kind's own `produce` with a simulated model. They stand for all.
* Input tokens: one for 4 characters of messages and reply schema, with a range from one for 5 to one for 3.
* Output tokens of a call: if this output's ledger has earlier replies of the same provider in the same role to items of this size,
  their mean, and the range of the middle 80 %, widened to half and double while there are fewer than ten replies. Otherwise they are
  guessed: 300 for each text that the call asks for, with a range from 100 to 600, within `max_completion_tokens`.
* Cost: `cost_usd` of each provider. If a price is not known, the cost is not known either; it never counts as 0.
* Time: seconds a call as in earlier replies, else 1 s and 60 output tokens a second; slots and limits per minute are fully used.
* Totals add up all low, all expected and all high values. They are a plausible range, not a confidence interval.

Guarantee: nothing is sent or written, and no key is needed. Items that are done, or failed and not retried, are not counted.
Limits: retries, hidden reasoning beyond the guess, discounts for cached prompts, and replies that are recorded for unfinished items
are not taken into account. In calls that quote earlier replies, the simulated ones count.
Cost: a few milliseconds for each rendered prompt.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datafast._util import background
from datafast._util.user_path import is_file
from datafast.amounts import duration, money
from datafast.engine.calls.budget import allowed_at_once, upper_bound
from datafast.engine.calls.reply_limits import ReplyLimits
from datafast.engine.dry_run import dry_run
from datafast.engine.routes import Route, labels_of, providers_of
from datafast.engine.settings import RunConfig
from datafast.errors import OutputError
from datafast.html import facts
from datafast.llms.base import Request
from datafast.llms.prices import nearest_model
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.plan.grid import spread
from datafast.plan.items import Plan, WorkItem
from datafast.store.matching import former_of, found_in, has_places_of
from datafast.store.reader import LedgerReader
from datafast.store.records import Spent
from datafast.types import Usage

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.engine.job import Produce
    from datafast.llms.provider import LLMProvider

__all__ = ["Estimate", "ProviderEstimate", "Span", "estimate"]

_SAMPLE = 24
_CHARS_PER_TOKEN = (5.0, 4.0, 3.0)
_TOKENS_PER_TEXT = (100.0, 300.0, 600.0)
_FIRST_TOKEN_S = 1.0
_TOKENS_PER_S = 60.0
_HISTORY = 10_000
_FEW = 10
_WALK_LIMIT = 200_000
_EXACT = 2**53
_NOTHING = Spent(0.0, 0, 0)

Basis = Literal["recorded", "guessed", "simulated"]


@dataclass(frozen=True, slots=True)
class Span:
    """An estimated number: the expected value and its range."""

    low: float = 0.0
    expected: float = 0.0
    high: float = 0.0

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def __mul__(self, factor: float) -> Span:
        return Span(self.low * factor, self.expected * factor, self.high * factor)

    def whole(self) -> dict[str, float]:
        """Low, expected and high as whole numbers."""
        return {name: round(value) if value < _EXACT else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEstimate:
    """The work that is left for one provider.

    Attributes:
        calls: by role.
        output_basis: where the number of output tokens comes from; "guessed" if it is guessed for any role.
        cost_usd: None if the price is not known.
        latency_s, latency_basis: seconds a call, and where this number comes from.
        seconds: from start to end, if this provider had all slots of the run.
    """

    provider: str
    calls: dict[str, int]
    input_tokens: Span
    output_tokens: Span
    output_basis: Basis
    cost_usd: Span | None
    latency_s: Span
    latency_basis: Basis
    seconds: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The work that is left, in total and for each provider.

    Attributes:
        rows, items: what is left of the plan; an item is one prompt with all its calls.
        cost_usd: None if the price of a provider that is still to be called is not known.
        seconds: from start to end, all providers at once within `run.max_concurrency`.
        in_flight: how many requests the budget lets be in flight at first, at most `run.max_concurrency`; None without a budget.
        rendered: the number of prompts that were rendered to measure their length.
        notes: the assumptions, in words.
    """

    rows: int
    items: int
    calls: int
    input_tokens: Span
    output_tokens: Span
    cost_usd: Span | None
    seconds: Span
    in_flight: int | None
    providers: tuple[ProviderEstimate, ...]
    rendered: int
    notes: tuple[str, ...]

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
        if not self.items:
            yield "left to do", "nothing: all rows are there, or failed for good"
            return
        yield "left to do", f"{self.rows:,} rows from {self.items:,} prompts, {self.calls:,} calls"
        called = [part for part in self.providers if any(part.calls.values())]
        several = len({role for part in called for role in part.calls}) > 1
        for part in called:
            roles = f" ({', '.join(part.calls)})" if several else ""
            yield "estimate", f"{part.provider}{roles}: {_usage(part)}"
        if len(called) > 1:
            yield "estimate in all", _usage(self)
        if self.in_flight is not None:
            requests = "1 request" if self.in_flight == 1 else f"{self.in_flight:,} requests"
            yield "budget", f"lets {requests} be in flight at first"
        for note in self.notes:
            yield "note", note

    def _repr_html_(self) -> str:
        """For notebooks."""
        return facts(self.lines())


def estimate(
    *,
    plan: Plan,
    produce: Produce,
    routes: Sequence[Route[LLMProvider]],
    settings: RunConfig,
    ledger: Path,
) -> Estimate:
    """Estimates what is left of a plan; see the module for the method.

    Args:
        routes: who answers, for each route of the plan.
        ledger: the ledger of the output, which may not exist yet.
    """
    sample = [plan[position] for position in spread(plan, _SAMPLE, seed=settings.seed)]
    providers = providers_of(routes)
    past = _Past.read(ledger, plan, sample, simulated=all(provider.simulated for provider in providers))
    asked = _ask(produce, sample)
    labels = labels_of(providers)
    work: dict[str, dict[str, float]] = {labels[id(provider)]: {} for provider in providers}
    for route, items in zip(routes, _deal(routes, past.left, settings), strict=True):
        for role, per_item in asked.items():
            label = labels[id(route.of(role))]
            work[label][role] = work[label].get(role, 0.0) + items * per_item.calls
    parts = [
        _for_provider(labels[id(provider)], provider, work[labels[id(provider)]], asked, past, settings)
        for provider in providers
    ]
    return Estimate(
        rows=past.rows_left,
        items=sum(past.left),
        calls=sum(sum(part.calls.values()) for part in parts),
        input_tokens=_sum(part.input_tokens for part in parts),
        output_tokens=_sum(part.output_tokens for part in parts),
        cost_usd=_total_cost(parts),
        seconds=_total_seconds(parts, settings),
        in_flight=_in_flight(routes, asked, past, settings),
        providers=tuple(parts),
        rendered=len(sample),
        notes=(*_notes(parts, past, settings), *_slips(providers)),
    )


def _in_flight(
    routes: Sequence[Route[LLMProvider]], asked: Mapping[str, _Asked], past: _Past, settings: RunConfig
) -> int | None:
    """By the dearest request that a role asks."""
    allowed = []
    for route in routes:
        for role, ask in asked.items():
            provider, call = route.of(role), ask.longest
            limits = ReplyLimits(provider)
            own = limits.limit(role, call.record.num_rows) if limits.are_ours else None
            bound = upper_bound(Request(call.messages, call.schema, token_limit=own), provider, limits)
            allowed.append(allowed_at_once(settings, past.spent, bound))
    found = [number for number in allowed if number is not None]
    return min(*found, settings.max_concurrency) if found else None


# -- the calls


@dataclass(frozen=True, slots=True)
class _Asked:
    """The calls of one role: how many an item makes, the mean length of one, and the longest that was looked at."""

    longest: Call
    calls: float
    characters: float
    texts: float


def _ask(produce: Produce, sample: Sequence[WorkItem]) -> dict[str, _Asked]:
    async def ask_all() -> list[Call]:
        return [ask for item in sample for ask in (await dry_run(produce, item)).asks]

    by_role: dict[str, list[Call]] = defaultdict(list)
    for ask in background.run(ask_all()):
        by_role[ask.role].append(ask)
    return {
        role: _Asked(
            max(asks, key=_characters),
            len(asks) / len(sample),
            statistics.fmean(_characters(ask) for ask in asks),
            statistics.fmean(_texts(ask) for ask in asks),
        )
        for role, asks in by_role.items()
    }


def _characters(ask: Call) -> int:
    return sum(len(message["content"]) for message in ask.messages) + (len(ask.schema.wire) if ask.schema else 0)


def _texts(ask: Call) -> int:
    """The number of texts that a call asks for: the length of the list in its reply, or one."""
    if ask.schema is None or ask.schema.list_field is None:
        return 1
    return int(ask.schema.json_schema["properties"][ask.schema.list_field].get("minItems", 1)) or 1


def _deal(routes: Sequence[Route[LLMProvider]], left: Sequence[int], settings: RunConfig) -> list[float]:
    """The number of items left for each route."""
    if settings.fan_out == "fallback":
        return [float(left[0]), *(0.0 for _ in routes[1:])]
    if settings.fan_out == "split":
        weights = [1.0 if route.sole is None else route.sole.weight for route in routes]
        return [left[0] * weight / sum(weights) for weight in weights]
    return [float(count) for count in left]


# -- what the ledger knows


@dataclass(frozen=True, slots=True)
class _Past:
    """What is left for each route of the plan, and what earlier replies used, by provider and role."""

    left: list[int]
    rows_left: int
    output_tokens: dict[tuple[str, str], Span]
    latency_s: dict[str, Span]
    note: str = ""
    spent: Spent = _NOTHING

    @classmethod
    def read(cls, ledger: Path, plan: Plan, sample: Sequence[WorkItem], *, simulated: bool) -> _Past:
        left = [len(range(route, len(plan), plan.num_routes)) for route in range(plan.num_routes)]
        everything = cls(left, plan.num_rows, {}, {})
        if not is_file(ledger):
            return everything
        try:
            with LedgerReader(ledger) as reader:
                if reader.meta("mode") != ("simulated" if simulated else "real"):
                    return everything  # a run on this output would be refused
                return replace(everything._less(reader, plan, sample), spent=reader.spent())
        except OutputError as error:
            return cls(everything.left, everything.rows_left, {}, {}, f"Nothing counts as done: {error}")

    def _less(self, reader: LedgerReader, plan: Plan, sample: Sequence[WorkItem]) -> _Past:
        tokens: dict[tuple[str, str], list[float]] = defaultdict(list)
        seconds: dict[str, list[float]] = defaultdict(list)
        for call in reader.past_calls(num_rows=sample[0].num_rows, limit=_HISTORY):
            tokens[call.provider, call.role].append(call.output_tokens)
            seconds[call.provider].append(call.latency_s)
        spans = {who: _span_of(values) for who, values in tokens.items()}
        latencies = {who: _span_of(values) for who, values in seconds.items()}
        former = former_of(plan, reader.key_versions)
        if has_places_of(reader.meta("plan"), plan, former):
            settled = reader.settled_by_route(plan.num_routes)
            left = [count - settled.get(route, 0) for route, count in enumerate(self.left)]
            return _Past(left, reader.counts(plan.num_rows).pending, spans, latencies)
        if len(plan) > _WALK_LIMIT:
            note = "Nothing counts as done: the config has changed since the last run, and its plan is too large to be compared."
            return _Past(self.left, self.rows_left, spans, latencies, note)
        left, rows_left = list(self.left), self.rows_left
        last = plan[len(plan) - 1]
        for position, rows in found_in(plan, former, reader.settled_rows()):
            # Only the last item of a plan may ask for fewer rows than it did, or be one that asks for more now.
            item = plan[position] if rows != last.most_rows or position == last.position else None
            rows_left -= rows if item is None else min(rows, item.num_rows)
            left[position % plan.num_routes] -= item is None or rows >= item.num_rows
        return _Past(left, rows_left, spans, latencies)


def _span_of(values: Sequence[float]) -> Span:
    mean = statistics.fmean(values)
    if len(values) < _FEW:
        return Span(min(mean / 2, *values), mean, max(mean * 2, *values))
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return Span(min(tenths[0], mean), mean, max(tenths[-1], mean))


# -- one provider


def _for_provider(
    label: str,
    provider: LLMProvider,
    calls: Mapping[str, float],
    asked: Mapping[str, _Asked],
    past: _Past,
    settings: RunConfig,
) -> ProviderEstimate:
    num_calls = sum(calls.values())
    latency, latency_basis = _latency(label, provider, calls, asked, past)
    tokens_in = tokens_out = Span()
    cost: Span | None = Span()
    for role, count in calls.items():
        sent, received = _input(asked[role]), _output(label, role, provider, asked[role], past)
        tokens_in += sent * count
        tokens_out += received * count
        price = _cost(provider, sent, received)
        cost = None if cost is None or price is None else cost + price * count
    guessed = any((label, role) not in past.output_tokens for role in calls)
    return ProviderEstimate(
        provider=label,
        calls={role: round(count) for role, count in calls.items()},
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        output_basis="guessed" if guessed else "recorded",
        cost_usd=cost,
        latency_s=latency,
        latency_basis=latency_basis,
        seconds=_seconds(provider, num_calls, latency, tokens_in + tokens_out, settings) if num_calls else Span(),
    )


def _input(asked: _Asked) -> Span:
    low, expected, high = _CHARS_PER_TOKEN
    return Span(asked.characters / low, asked.characters / expected, asked.characters / high)


def _output(label: str, role: str, provider: LLMProvider, asked: _Asked, past: _Past) -> Span:
    found = past.output_tokens.get((label, role)) or Span(*_TOKENS_PER_TEXT) * asked.texts
    most = provider.max_completion_tokens or float("inf")
    return Span(min(found.low, most), min(found.expected, most), min(found.high, most))


def _cost(provider: LLMProvider, sent: Span, received: Span) -> Span | None:
    """The cost of one call. It cannot be computed for several together, because prices may depend on a prompt's length."""
    prices = [
        provider.cost_usd(Usage(round(tokens_in), round(tokens_out)))
        for tokens_in, tokens_out in (
            (sent.low, received.low),
            (sent.expected, received.expected),
            (sent.high, received.high),
        )
    ]
    known = [price for price in prices if price is not None]
    return Span(*known) if len(known) == len(prices) else None


def _latency(
    label: str, provider: LLMProvider, calls: Mapping[str, float], asked: Mapping[str, _Asked], past: _Past
) -> tuple[Span, Basis]:
    if label in past.latency_s:
        return past.latency_s[label], "recorded"
    if isinstance(provider, SimulatedProvider):
        least, most = provider.latency_s, provider.latency_s + provider.latency_jitter_s
        return Span(least, (least + most) / 2, most), "simulated"
    num_calls = sum(calls.values())
    tokens = Span()
    for role, count in calls.items():
        tokens += _output(label, role, provider, asked[role], past) * (count / num_calls if num_calls else 0.0)
    return tokens * (1 / _TOKENS_PER_S) + Span(_FIRST_TOKEN_S, _FIRST_TOKEN_S, _FIRST_TOKEN_S), "guessed"


def _seconds(provider: LLMProvider, num_calls: float, latency: Span, tokens: Span, settings: RunConfig) -> Span:
    slots = min(settings.max_concurrency, provider.max_concurrency or settings.max_concurrency)
    spans = [latency, latency * (num_calls / slots)]
    if provider.rpm_limit:
        spans.append(Span(1, 1, 1) * (num_calls * 60 / provider.rpm_limit))
    if provider.tpm_limit:
        spans.append(tokens * (60 / provider.tpm_limit))
    return _longest(spans)


# -- totals


def _sum(spans: Iterable[Span]) -> Span:
    return sum(spans, Span())


def _longest(spans: Sequence[Span]) -> Span:
    return Span(max(span.low for span in spans), max(span.expected for span in spans), max(span.high for span in spans))


def _total_cost(parts: Sequence[ProviderEstimate]) -> Span | None:
    called = [part.cost_usd for part in parts if any(part.calls.values())]
    known = [cost for cost in called if cost is not None]
    return _sum(known) if len(known) == len(called) else None


def _total_seconds(parts: Sequence[ProviderEstimate], settings: RunConfig) -> Span:
    """The time of the slowest provider, or of all calls in the slots of the run, whichever is longer."""
    work = _sum(part.latency_s * sum(part.calls.values()) for part in parts)
    return _longest([*(part.seconds for part in parts), work * (1 / settings.max_concurrency)])


def _slips(providers: Sequence[LLMProvider]) -> list[str]:
    """Names of models that the price list does not know and that resemble one that it knows."""
    unpriced = [provider for provider in providers if provider.price is None and not provider.simulated]
    near = [
        (provider.label, nearest_model(*provider.label.split("/", 1))) for provider in unpriced if "/" in provider.label
    ]
    return [
        f"{label}: the price list does not know this model. Did you mean {found!r}?" for label, found in near if found
    ]


def _notes(parts: Sequence[ProviderEstimate], past: _Past, settings: RunConfig) -> list[str]:
    low, expected, high = _TOKENS_PER_TEXT
    called = [part for part in parts if any(part.calls.values())]
    notes = [past.note] if past.note else []
    notes.append("Input: a token for 4 characters (5 to 3) of prompt and reply schema.")
    if any(part.output_basis == "guessed" for part in called):
        notes.append(
            f"Output is guessed: {expected:.0f} tokens a text ({low:.0f} to {high:.0f}). After a preview it is known."
        )
    if any(part.latency_basis == "guessed" for part in called):
        notes.append(f"Time is guessed: {_FIRST_TOKEN_S:g} s a call and {_TOKENS_PER_S:g} output tokens a second.")
    if any(part.cost_usd is None for part in called):
        notes.append("The cost is unknown, because a price is. Give that provider a price.")
    if settings.fan_out == "fallback" and len(parts) > 1:
        notes.append("All prompts are counted for the first provider; those that it fails go to the next one.")
    notes.append("Retries are not included.")
    return notes


# -- in words


def _usage(part: Estimate | ProviderEstimate) -> str:
    guessed = " (guessed)" if isinstance(part, ProviderEstimate) and part.output_basis == "guessed" else ""
    cost = "unknown" if part.cost_usd is None else _span_words(part.cost_usd, money)
    return (
        f"{_span_words(part.input_tokens, _count)} tokens in, {_span_words(part.output_tokens, _count)} out{guessed}, "
        f"cost {cost}, time {_span_words(part.seconds, duration)}"
    )


def _span_words(span: Span, write: Callable[[float], str]) -> str:
    """What is expected, with the range in brackets where it does not come to the same."""
    low, expected, high = write(span.low), write(span.expected), write(span.high)
    return expected if low == expected == high else f"{expected} [{low} to {high}]"


def _count(value: float) -> str:
    """A number in three figures: more of them would look like knowledge."""
    for unit, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}" if value < 1000 * unit else f"{value / unit:,.0f}{name}"
    return f"{value:.0f}"
