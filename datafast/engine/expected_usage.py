"""What calls are expected to use: tokens, cost and time of one provider's share of a run.

`datafast.engine.estimate` tells the method.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from datafast.engine.settings import RunConfig
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.types import Usage

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.llms.provider import LLMProvider
    from datafast.store.reader import LedgerReader

__all__ = [
    "FIRST_TOKEN_S",
    "TOKENS_PER_S",
    "TOKENS_PER_TEXT",
    "Asked",
    "History",
    "ProviderEstimate",
    "Span",
    "expected",
    "longest",
]

_CHARS_PER_TOKEN = (5.0, 4.0, 3.0)
FIRST_TOKEN_S = 1.0
TOKENS_PER_S = 60.0
_HISTORY = 10_000
_FEW = 10
_EXACT = 2**53

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

    def within(self, few: float, many: float) -> Span:
        """The span of what may be so many times as much as expected."""
        return Span(self.low * few, self.expected, self.high * many)

    def shown(self, write: Callable[[float], str]) -> str:
        """What is expected, with the range in brackets where it does not come to the same."""
        low, expected, high = write(self.low), write(self.expected), write(self.high)
        return expected if low == expected == high else f"{expected} [{low} to {high}]"

    def whole(self) -> dict[str, float]:
        """Low, expected and high as whole numbers."""
        return {name: round(value) if value < _EXACT else value for name, value in asdict(self).items()}


TOKENS_PER_TEXT = Span(100.0, 300.0, 600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEstimate:
    """The work that is left for one provider.

    Attributes:
        calls: by role.
        output_basis: where the number of output tokens comes from; "guessed" if it is guessed for any role.
        cost_usd: in the config's `run.mode`; None if the price is not known.
        online_cost_usd, batch_cost_usd: what single requests cost, and what batches do; None if that is not known, or there are no batches.
        has_batches: whether the provider has batches, as far as that is known before it is asked.
        goes_in_batches: whether its calls do in this mode. Its time is then not estimated.
        latency_s, latency_basis: seconds a call, and where this number comes from.
        seconds: from start to end, if this provider had all slots of the run.
    """

    provider: str
    calls: dict[str, int]
    input_tokens: Span
    output_tokens: Span
    output_basis: Basis
    cost_usd: Span | None
    online_cost_usd: Span | None
    batch_cost_usd: Span | None
    has_batches: bool
    goes_in_batches: bool
    latency_s: Span
    latency_basis: Basis
    seconds: Span

    def times(self, factor: float) -> ProviderEstimate:
        """The estimate of so many times the work."""
        return replace(
            self,
            calls={role: round(count * factor) for role, count in self.calls.items()},
            input_tokens=self.input_tokens * factor,
            output_tokens=self.output_tokens * factor,
            cost_usd=_times(self.cost_usd, factor),
            online_cost_usd=_times(self.online_cost_usd, factor),
            batch_cost_usd=_times(self.batch_cost_usd, factor),
            seconds=self.seconds * factor,
        )

    def within(self, few: float, many: float) -> ProviderEstimate:
        """The estimate where the work may be so many times what is expected."""
        return replace(
            self,
            input_tokens=self.input_tokens.within(few, many),
            output_tokens=self.output_tokens.within(few, many),
            cost_usd=self.cost_usd and self.cost_usd.within(few, many),
            online_cost_usd=self.online_cost_usd and self.online_cost_usd.within(few, many),
            batch_cost_usd=self.batch_cost_usd and self.batch_cost_usd.within(few, many),
            seconds=self.seconds.within(few, many),
        )


def _times(span: Span | None, factor: float) -> Span | None:
    return None if span is None else span * factor


class Asked:
    """The calls of one role: how many, and the mean length of one."""

    def __init__(self) -> None:
        self.calls = 0.0
        self._characters = 0.0
        self._texts = 0.0

    def add(self, call: Call, count: float = 1.0) -> None:
        """Adds a call that stands for `count` ones."""
        self.calls += count
        self._characters += count * _characters(call)
        self._texts += count * _texts(call)

    @property
    def characters(self) -> float:
        """The characters of messages and reply schema of a call."""
        return self._characters / self.calls if self.calls else 0.0

    @property
    def texts(self) -> float:
        """The texts that a call asks for."""
        return self._texts / self.calls if self.calls else 0.0


def _characters(ask: Call) -> int:
    return sum(len(message["content"]) for message in ask.messages) + (len(ask.schema.wire) if ask.schema else 0)


def _texts(ask: Call) -> int:
    """The number of texts that a call asks for: the length of the list in its reply, or one."""
    if ask.schema is None or ask.schema.list_field is None:
        return 1
    return int(ask.schema.json_schema["properties"][ask.schema.list_field].get("minItems", 1)) or 1


@dataclass(frozen=True)
class History:
    """What earlier replies used: output tokens by provider and role, seconds by provider.

    Attributes:
        tokens_per_text: what is guessed where there are no earlier replies.
    """

    output_tokens: Mapping[tuple[str, str], Span] = field(default_factory=dict)
    latency_s: Mapping[str, Span] = field(default_factory=dict)
    tokens_per_text: Span = TOKENS_PER_TEXT

    @classmethod
    def read(cls, reader: LedgerReader, *, num_rows: int, tokens_per_text: Span) -> History:
        """From the replies to items of this number of rows."""
        tokens: dict[tuple[str, str], list[float]] = defaultdict(list)
        seconds: dict[str, list[float]] = defaultdict(list)
        for call in reader.past_calls(num_rows=num_rows, limit=_HISTORY):
            tokens[call.provider, call.role].append(call.output_tokens)
            if call.latency_s:  # a reply from a batch has none
                seconds[call.provider].append(call.latency_s)
        return cls(
            {who: _span_of(values) for who, values in tokens.items()},
            {who: _span_of(values) for who, values in seconds.items()},
            tokens_per_text,
        )


def _span_of(values: Sequence[float]) -> Span:
    mean = statistics.fmean(values)
    if len(values) < _FEW:
        return Span(min(mean / 2, *values), mean, max(mean * 2, *values))
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return Span(min(tenths[0], mean), mean, max(tenths[-1], mean))


def expected(
    label: str,
    provider: LLMProvider,
    calls: Mapping[str, float],
    asked: Mapping[str, Asked],
    past: History,
    settings: RunConfig,
) -> ProviderEstimate:
    """The share of one provider: `calls` by role, of which each is as `asked` says."""
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
    in_batches = settings.mode == "batch" and provider.has_batches
    discounted = _discounted(provider, cost)
    return ProviderEstimate(
        provider=label,
        calls={role: round(count) for role, count in calls.items()},
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        output_basis="guessed" if guessed else "recorded",
        cost_usd=discounted if in_batches else cost,
        online_cost_usd=cost,
        batch_cost_usd=discounted,
        has_batches=provider.has_batches,
        goes_in_batches=in_batches,
        latency_s=latency,
        latency_basis=latency_basis,
        seconds=_seconds(provider, num_calls, latency, tokens_in + tokens_out, settings)
        if num_calls and not in_batches
        else Span(),
    )


def _discounted(provider: LLMProvider, cost: Span | None) -> Span | None:
    """The cost in batches of what costs so much otherwise."""
    if cost is None or not provider.has_batches:
        return None
    if not cost.high:
        return cost  # of nothing, and of what is free, there is no cheaper
    return None if provider.batch_discount is None else cost * (1.0 - provider.batch_discount)


def _input(asked: Asked) -> Span:
    low, expected, high = _CHARS_PER_TOKEN
    return Span(asked.characters / low, asked.characters / expected, asked.characters / high)


def _output(label: str, role: str, provider: LLMProvider, asked: Asked, past: History) -> Span:
    found = past.output_tokens.get((label, role)) or past.tokens_per_text * asked.texts
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
    label: str, provider: LLMProvider, calls: Mapping[str, float], asked: Mapping[str, Asked], past: History
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
    return tokens * (1 / TOKENS_PER_S) + Span(FIRST_TOKEN_S, FIRST_TOKEN_S, FIRST_TOKEN_S), "guessed"


def _seconds(provider: LLMProvider, num_calls: float, latency: Span, tokens: Span, settings: RunConfig) -> Span:
    slots = min(settings.max_concurrency, provider.max_concurrency or settings.max_concurrency)
    spans = [latency, latency * (num_calls / slots)]
    if provider.rpm_limit:
        spans.append(Span(1, 1, 1) * (num_calls * 60 / provider.rpm_limit))
    if provider.tpm_limit:
        spans.append(tokens * (60 / provider.tpm_limit))
    return longest(spans)


def longest(spans: Sequence[Span]) -> Span:
    return Span(max(span.low for span in spans), max(span.expected for span in spans), max(span.high for span in spans))
