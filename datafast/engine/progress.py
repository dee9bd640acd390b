"""How a run goes: counts and rates, in all and for each provider, from its events. The console and notebooks show them.

Cost: an event adds to a few numbers. Written by the run's thread; read by one other thread, a few times a second.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

from datafast.amounts import duration, money, share
from datafast.engine.events import (
    CallFinished,
    Event,
    ItemDone,
    ItemFailed,
    LimitChanged,
    PreparationStarted,
    ProviderPaused,
    ProviderResumed,
    ProviderStopped,
    QualityFigures,
    Retry,
    RoundStarted,
    RowsDecided,
    RowsSettled,
    RunPaused,
    RunResumed,
    RunStarted,
)
from datafast.engine.open_batches import BatchEvent, OpenBatches

__all__ = ["Line", "Progress", "ProviderProgress", "Rates"]

_RATE_WINDOW_S = 30.0
_CATEGORIES = 3
_STATES = {"provider_paused": "waiting", "provider_resumed": "", "provider_stopped": "stopped"}


class Line(NamedTuple):
    """What is shown of one provider, or of all together. `done` are rows, or calls where a row needs several providers.

    Rates are those of the last half minute.
    """

    name: str
    done: str
    rate: str
    in_flight: str
    failed: str
    retries: str
    tokens: str
    cost: str
    note: str


@dataclass
class ProviderProgress:
    rows: int = 0
    calls: int = 0
    failed: int = 0
    retries: int = 0
    tokens: int = 0
    cost_usd: float | None = 0.0
    limit: int | None = None
    state: str = ""

    @property
    def counts(self) -> _Counts:
        return _Counts(self.rows, self.calls, self.tokens)

    @property
    def note(self) -> str:
        return self.state or (f"at most {self.limit} in flight" if self.limit is not None else "")


class _Counts(NamedTuple):
    """What one provider has done."""

    rows: int = 0
    calls: int = 0
    tokens: int = 0


class _Sample(NamedTuple):
    """Counts at a moment (monotonic seconds). Rows have ended that were written, were filtered or have failed."""

    at: float
    rows: int
    ended: int
    tokens: int
    by_provider: dict[str, _Counts]


class Rates(NamedTuple):
    """The same a second; 0 before the first ones came. `by_provider` are rows, calls and tokens a second."""

    rows: float
    ended: float
    tokens: float
    by_provider: dict[str, tuple[float, ...]]


@dataclass
class Progress:
    """The counts of a run so far.

    Attributes:
        max_rows: rows that this run can bring the file to at most (`limit`); None for all.
        new_rows: rows added by this run. `failed_before` are those that failed in earlier runs.
        target: rows that are to be accepted (`target_rows`); None if there are no targets.
        compares: whether rows are compared with each other before the run ends; `uncompared` are those that still have to be.
        preparing: what the run in front does, if there is one.
        is_paused: whether nothing new begins.
        figures: what became of the last rows.
        batches: the batches that it waits for.
        providers: the same for each provider, by its name.
        deciding: how far stages have decided about recorded rows, as long as they do.
    """

    max_rows: int | None = None
    target: int | None = None
    compares: bool = False
    uncompared: int = 0
    requested: int = 0
    written: int = 0
    new_rows: int = 0
    filtered: int = 0
    new_filtered: int = 0
    failed: int = 0
    failed_before: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    simulated: bool = False
    preparing: str = ""
    is_paused: bool = False
    deciding: str = ""
    failures: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    figures: QualityFigures | None = None
    batches: OpenBatches = field(default_factory=OpenBatches)
    providers: dict[str, ProviderProgress] = field(default_factory=dict)
    _unit: str = "rows"
    _samples: deque[_Sample] = field(default_factory=deque)
    _begins_anew: bool = False

    def take(self, event: Event) -> None:
        """Counts an event."""
        if isinstance(event, BatchEvent):
            self.batches.take(event)
        elif isinstance(event, QualityFigures):
            self.figures = event
        elif isinstance(event, RowsDecided):
            self.deciding = f"stages decide about recorded rows: {event.done:,} of {event.rows:,}"
        elif isinstance(event, RowsSettled):
            self.written, self.filtered, self.deciding = event.written, event.filtered, ""
            self.uncompared = 0
        elif isinstance(event, RunPaused | RunResumed):
            self.is_paused = isinstance(event, RunPaused)
            self._begins_anew = True  # the time of a pause would lower the rates
        else:
            self._count(event)

    def _count(self, event: Event) -> None:
        match event:
            case RunStarted() | RoundStarted():
                self._start(event)
            case PreparationStarted():
                self.preparing = event.what
            case CallFinished():
                self._take_call(event)
            case ItemDone():
                self._take_rows(event)
            case ItemFailed():
                self.failed += event.rows
                self.failures[event.category] += event.rows
                self._provider(event.provider).failed += event.rows
            case Retry():
                self.retries[event.reason] += 1
                self._provider(event.provider).retries += 1
            case LimitChanged():
                self._provider(event.provider).limit = event.limit
            case ProviderPaused() | ProviderResumed() | ProviderStopped():
                self._provider(event.provider).state = _STATES[event.type]

    def _start(self, event: RunStarted | RoundStarted) -> None:
        self.requested, self.written = event.requested, event.written
        self.filtered, self.failed, self.deciding = event.filtered, event.failed, ""
        if isinstance(event, RunStarted):
            self.failed_before, self.target, self.simulated = event.failed, event.target, event.simulated
            self.compares = event.compares
            for name in event.providers:
                self._provider(name)

    def _provider(self, name: str) -> ProviderProgress:
        return self.providers.setdefault(name, ProviderProgress())

    def _take_call(self, event: CallFinished) -> None:
        provider, tokens = self._provider(event.provider), event.input_tokens + event.output_tokens
        self.calls += 1
        self.input_tokens += event.input_tokens
        self.output_tokens += event.output_tokens
        self.cost_usd = _sum(self.cost_usd, event.cost_usd)
        provider.calls += 1
        provider.tokens += tokens
        provider.cost_usd = _sum(provider.cost_usd, event.cost_usd)

    def _take_rows(self, event: ItemDone) -> None:
        self.written += event.rows
        self.new_rows += event.rows
        self.uncompared += event.rows if self.compares else 0
        self.filtered += event.filtered
        self.new_filtered += event.filtered
        if event.provider in self.providers:
            self.providers[event.provider].rows += event.rows
        else:
            self._unit = "calls"  # several providers have a part in a row, so it is nobody's

    # -- what is shown

    @property
    def total(self) -> int:
        """Rows that the file will have at the end of this run, if all come."""
        wanted = self.requested if self.target is None else self.target
        return wanted if self.max_rows is None else min(wanted, self.max_rows)

    @property
    def unit(self) -> str:
        """What is counted for each provider: rows, or calls where a row needs several providers."""
        return self._unit if self.requested else "calls"

    def lines(self, in_flight: dict[str, int]) -> list[Line]:
        """A line for each provider, then one for all of them where there are several.

        Args:
            in_flight: requests without an answer, by provider.
        """
        rates, unit = self.rates(), _Counts._fields.index(self.unit)
        lines = []
        for name, provider in list(self.providers.items()):
            per_second = rates.by_provider.get(name, (0.0, 0.0, 0.0))
            lines.append(
                Line(
                    name,
                    f"{provider.counts[unit]:,}",
                    _rate(per_second[unit]),
                    f"{in_flight.get(name, 0):,}",
                    f"{provider.failed:,}",
                    f"{provider.retries:,}",
                    _rate(per_second[2]),
                    "" if self.simulated else money(provider.cost_usd),
                    provider.note,
                )
            )
        if len(lines) > 1:
            lines.append(
                Line(
                    "total",
                    f"{sum(provider.counts[unit] for provider in list(self.providers.values())):,}",
                    _rate(sum(per_second[unit] for per_second in rates.by_provider.values())),
                    f"{sum(in_flight.values()):,}",
                    f"{self.failures.total():,}",
                    f"{self.retries.total():,}",
                    _rate(rates.tokens),
                    "" if self.simulated else money(self.cost_usd),
                    "",
                )
            )
        return lines

    def state(self) -> str:
        """How far the run has come and how long the rest will take."""
        done, total = min(self.written, self.total), self.total
        parts = [f"{done:,} of {total:,} {self._what}", share(done, total) if total else "", self._uncompared_words]
        parts += [self.deciding] if self.deciding else [] if self.batches else [self._left(self.rates())]
        return ", ".join(part for part in parts if part)

    def remarks(self) -> list[str]:
        """What did not go smoothly, in sentences."""
        found = [f"{self.filtered:,} rows filtered."] if self.filtered else []
        if told := self.quality_words():
            found.append(f"Of the last rows: {told}.")
        if self.failed:
            found.append(f"{self.failed_words()}.".replace(" failed", " rows failed", 1))
        if self.retries:
            found.append(f"Requests sent again: {_words(self.retries)}.")
        return found

    def line(self, in_flight: int = 0) -> str:
        """How the run goes, in one line."""
        rates = self.rates()
        facts = [
            f"{self.filtered:,} filtered" if self.filtered else "",
            self.quality_words(),
            self.failed_words(),
            f"{rates.rows:,.1f} rows/s" if rates.rows else "",
            f"{self.calls:,} calls",
            f"{in_flight:,} in flight" if in_flight else "",
            f"{self.retries.total():,} retries ({_words(self.retries)})" if self.retries else "",
            f"{self.input_tokens + self.output_tokens:,} tokens",
            f"{rates.tokens:,.0f} tokens/s" if rates.tokens else "",
            "" if self.simulated else f"cost {money(self.cost_usd)}",
            self.deciding or self.batches.summary() or self._left(rates),
        ]
        done = min(self.written, self.total)
        facts.insert(0, self._uncompared_words)
        return ", ".join([f"{done:,}/{self.total:,} {self._what}", *(fact for fact in facts if fact)])

    @property
    def _what(self) -> str:
        return "rows" if self.target is None else "rows accepted"

    @property
    def _uncompared_words(self) -> str:
        """How many of the rows may still leave the file, because others are like them; nothing where none may."""
        return f"{self.uncompared:,} of them not compared yet" if self.uncompared else ""

    def before_the_run(self) -> str:
        """What happens before the number of rows is known."""
        told = f"{self.preparing}: {self.calls:,} calls" if self.preparing else "opening the output ..."
        return ", ".join(part for part in (self.deciding or told, self.batches.summary()) if part)

    def quality_words(self) -> str:
        """What became of the last rows; nothing where nothing was measured."""
        if self.figures is None:
            return ""
        accepted = "accepted before they are compared" if self.compares else "accepted"
        shares = (
            (self.figures.acceptance, accepted),
            (self.figures.duplicates, "duplicates (estimated)"),
            (self.figures.refused, "refusals"),
            (self.figures.truncated, "of replies cut"),
        )
        told = [
            f"{100 * found:.0f} % {what}" for found, what in shares if found is not None and (found or what == accepted)
        ]
        return ", ".join(told)

    def failed_words(self) -> str:
        """How many rows have failed and why, and the share that came well in this run; nothing while none has failed."""
        if not self.failed:
            return ""
        earlier = [f"{self.failed_before:,} in earlier runs"] if self.failed_before else []
        why = ", ".join([_words(self.failures), *earlier] if self.failures else earlier)
        now = self.new_rows + self.failures.total()
        good = f", {share(self.new_rows, now)} of this run's rows good" if self.failures else ""
        return f"{self.failed:,} failed ({why}){good}"

    def rates(self) -> Rates:
        """What happened a second over the last half minute. Each call takes a sample, so one reader alone asks, a few times a second."""
        if self._begins_anew:
            self._begins_anew = False
            self._samples.clear()
        now = self._sample()
        self._samples.append(now)
        while self._samples[0].at < now.at - _RATE_WINDOW_S:
            self._samples.popleft()
        then = self._samples[0]
        elapsed = now.at - then.at or 1.0  # of one and the same sample
        return Rates(
            (now.rows - then.rows) / elapsed,
            (now.ended - then.ended) / elapsed,
            (now.tokens - then.tokens) / elapsed,
            {name: _per_second(then.by_provider.get(name), now.by_provider[name], elapsed) for name in now.by_provider},
        )

    def _sample(self) -> _Sample:
        return _Sample(
            time.monotonic(),
            self.new_rows,
            self.new_rows + self.new_filtered + self.failures.total(),
            self.input_tokens + self.output_tokens,
            {name: provider.counts for name, provider in list(self.providers.items())},
        )

    def _left(self, rates: Rates) -> str:
        if self.is_paused:
            return "paused"
        left_s = self.left_s(rates)
        return f"about {duration(max(1.0, left_s))} left" if left_s else ""

    @property
    def left(self) -> int:
        """Rows that are still to end; with a target, to be accepted."""
        return max(0, self.total - self.written - (0 if self.target is not None else self.filtered + self.failed))

    def left_s(self, rates: Rates) -> float | None:
        """How long the rest will take at these rates; None where that is not known."""
        ended_per_s = rates.ended if self.target is None else rates.rows
        return self.left / ended_per_s if ended_per_s and self.left else None


def _per_second(then: _Counts | None, now: _Counts, elapsed: float) -> tuple[float, ...]:
    return tuple((count - before) / elapsed for count, before in zip(now, then or _Counts(), strict=True))


def _sum(total: float | None, more: float | None) -> float | None:
    return None if total is None or more is None else total + more


def _rate(value: float) -> str:
    if not value:
        return ""
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _words(counts: Counter[str]) -> str:
    """Counts by category, most first, the rarer ones added up."""
    most = counts.copy().most_common()  # the run's thread goes on counting
    shown = [f"{count:,} {name}" for name, count in most[:_CATEGORIES]]
    rest = sum(count for _, count in most[_CATEGORIES:])
    return ", ".join([*shown, f"{rest:,} other"] if rest else shown)
