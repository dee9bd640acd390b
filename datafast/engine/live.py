"""How a run goes, in figures: one typed snapshot of what its events and its limits tell, for whoever shows it while it works.

    live = LiveRun(control)
    dataset.generate(providers, on_event=live.take, control=control)
    live.figures()  # in any other thread

Cost: an event adds to a few numbers. A snapshot is made at most four times a second, however often and by however many it is asked for.
Limits: in memory are a few numbers for each provider, reason and alarm, whatever the number of rows.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from datafast.engine.control import LimitUsed, ProviderLimits, RunControl
from datafast.engine.events import (
    AlarmRaised,
    CallFinished,
    Event,
    QualityFigures,
    Retry,
    RunEnded,
    RunPaused,
    RunResumed,
    RunStarted,
)
from datafast.engine.progress import Progress, ProviderProgress
from datafast.types import RunReport

__all__ = ["LiveFigures", "LiveRun", "Phase", "ProviderFigures"]

_EVERY_S = 0.25
_ALARMS = 5
_REASONS = 50  # told apart at most, at each provider


class Phase(StrEnum):
    """What a run does."""

    OPENING = "opening"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFigures:
    """How it goes with one provider in this run. Rates `_per_s` are those of the last half minute, `mean_` ones those of the whole run
    without its pauses. `waited_s` are the seconds that its requests were told to wait before they were sent again."""

    name: str
    rows: int
    calls: int
    failed: int
    tokens: int
    cost_usd: float | None
    rows_per_s: float
    calls_per_s: float
    tokens_per_s: float
    mean_rows_per_s: float
    mean_calls_per_s: float
    mean_tokens_per_s: float
    latency_s: float | None
    retries: dict[str, int]
    waited_s: float
    note: str
    limits: ProviderLimits | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFigures:
    """How a run goes. Rows are counted over the whole output, calls, tokens and cost over this run.

    Attributes:
        what: what it does before the number of rows is known, or while stages decide about recorded rows; else empty.
        unit: what is counted for each provider: rows, or calls where a row needs several providers.
        total: rows that the file will have at the end of this run, if all come; `are_accepted`: with `target_rows`, accepted ones.
        left_s: how long the rest will take; None where that is not known.
        expected_cost_usd: what this run will have cost, if the rest costs as much as what has ended; None where that is not known.
        budget: what is used of limits of the config, over all runs.
        shares: what became of the last rows (`QualityFigures`); None where nothing was measured.
        alarms: the newest ones, in words, oldest first; `paused_by` is the name of the one that holds the run.
        report: how it ended; None before.
        error: why it ended without a report.
    """

    phase: Phase
    what: str
    unit: str
    output_file: str
    simulated: bool
    requested: int
    total: int
    are_accepted: bool
    written: int
    new_rows: int
    filtered: int
    failed: int
    elapsed_s: float
    paused_s: float
    left_s: float | None
    rows_per_s: float
    mean_rows_per_s: float
    tokens_per_s: float
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    expected_cost_usd: float | None
    budget: tuple[LimitUsed, ...]
    failures: dict[str, int]
    shares: QualityFigures | None
    alarms: tuple[str, ...]
    paused_by: str | None
    batches: tuple[tuple[str, ...], ...]
    providers: tuple[ProviderFigures, ...]
    report: RunReport | None
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _More:
    """What `Progress` does not count of a provider."""

    replies: int = 0
    latency_s: float = 0.0
    retries: Counter[str] = field(default_factory=Counter)
    waited_s: float = 0.0


class LiveRun:
    """The figures of one run, from its events.

    Args:
        control: of the run, which knows its limits.
        max_rows: rows that it can bring the file to at most (`limit`); None for all.
    """

    def __init__(self, control: RunControl, *, max_rows: int | None = None) -> None:
        self.control = control
        self._progress = Progress(max_rows=max_rows)
        self._lock = threading.Lock()
        self._began = self._ended = 0.0
        self._paused_s = 0.0
        self._paused_at: float | None = None
        self._paused_by: str | None = None
        self._more: dict[str, _More] = {}
        self._alarms: deque[str] = deque(maxlen=_ALARMS)
        self._output_file = ""
        self._report: RunReport | None = None
        self._error: str | None = None
        self._newest: LiveFigures | None = None
        self._made_at = 0.0

    def take(self, event: Event) -> None:
        """Counts an event, on the run's thread."""
        self._progress.take(event)
        self._began = self._began or time.monotonic()
        match event:
            case CallFinished():
                more = self._of(event.provider)
                more.replies += 1
                more.latency_s += event.latency_s
            case Retry():
                more = self._of(event.provider)
                more.waited_s += event.wait_s
                more.retries[event.reason if len(more.retries) < _REASONS else "other"] += 1
            case RunPaused():
                self._paused_at, self._paused_by = time.monotonic(), event.alarm
            case RunResumed():
                self._paused_s += event.paused_s
                self._paused_at = self._paused_by = None
            case AlarmRaised():
                self._alarms.append(f"{event.reason[0].upper()}{event.reason[1:]}.")
            case RunStarted():
                self._output_file = event.output_file
            case RunEnded():
                self.end(event.report)

    def end(self, report: RunReport | None, error: str | None = None) -> None:
        """Says that the run is over: with a report, or with the error that it ended with."""
        with self._lock:
            self._ended = self._ended or time.monotonic()
            self._report = report or self._report
            self._error = self._error or error
            self._newest = None

    def figures(self) -> LiveFigures:
        """How the run goes now."""
        with self._lock:
            now = time.monotonic()
            if self._newest is None or now - self._made_at >= _EVERY_S:
                self._newest, self._made_at = self._made(now), now
            return self._newest

    def _of(self, provider: str) -> _More:
        found = self._more.get(provider)
        if found is None:
            found = self._more[provider] = _More()
        return found

    @property
    def _phase(self) -> Phase:
        if self._ended:
            return Phase.ENDED
        if self.control.is_stopped:
            return Phase.STOPPING
        if self._paused_at is not None:
            return Phase.PAUSED
        if not self._progress.requested:
            return Phase.PREPARING if self._progress.preparing else Phase.OPENING
        return Phase.RUNNING

    def _made(self, now: float) -> LiveFigures:
        progress, phase = self._progress, self._phase
        until = self._ended or now
        paused_s = self._paused_s + (until - self._paused_at if self._paused_at is not None else 0.0)
        elapsed_s = until - self._began if self._began else 0.0
        worked_s = max(elapsed_s - paused_s, 1e-3)
        rates, limits = progress.rates(), self.control.limits
        by_name = {one.name: one for one in limits.providers}
        is_working = phase is Phase.RUNNING
        return LiveFigures(
            phase=phase,
            what=progress.deciding or ("" if progress.requested or phase is Phase.ENDED else progress.before_the_run()),
            unit=progress.unit,
            output_file=self._output_file,
            simulated=progress.simulated,
            requested=progress.requested,
            total=progress.total,
            are_accepted=progress.target is not None,
            written=progress.written,
            new_rows=progress.new_rows,
            filtered=progress.filtered,
            failed=progress.failed,
            elapsed_s=elapsed_s,
            paused_s=paused_s,
            left_s=progress.left_s(rates) if is_working and not progress.batches else None,
            rows_per_s=rates.rows if is_working else 0.0,
            mean_rows_per_s=progress.new_rows / worked_s,
            tokens_per_s=rates.tokens if is_working else 0.0,
            calls=progress.calls,
            input_tokens=progress.input_tokens,
            output_tokens=progress.output_tokens,
            cost_usd=progress.cost_usd,
            expected_cost_usd=self._expected_cost_usd(),
            budget=limits.budget,
            failures=dict(progress.failures.copy()),
            shares=progress.figures,
            alarms=tuple(self._alarms),
            paused_by=self._paused_by,
            batches=tuple(tuple(line) for line in progress.batches.lines()),
            providers=tuple(
                self._provider(
                    name,
                    one,
                    rates.by_provider.get(name, (0.0, 0.0, 0.0)) if is_working else (0.0, 0.0, 0.0),
                    worked_s,
                    by_name.get(name),
                )
                for name, one in list(progress.providers.items())
            ),
            report=self._report,
            error=self._error,
        )

    def _provider(
        self,
        name: str,
        one: ProviderProgress,
        per_s: tuple[float, ...],
        worked_s: float,
        limits: ProviderLimits | None,
    ) -> ProviderFigures:
        more = self._more.get(name) or _More()
        return ProviderFigures(
            name=name,
            rows=one.rows,
            calls=one.calls,
            failed=one.failed,
            tokens=one.tokens,
            cost_usd=one.cost_usd,
            rows_per_s=per_s[0],
            calls_per_s=per_s[1],
            tokens_per_s=per_s[2],
            mean_rows_per_s=one.rows / worked_s,
            mean_calls_per_s=one.calls / worked_s,
            mean_tokens_per_s=one.tokens / worked_s,
            latency_s=more.latency_s / more.replies if more.replies else None,
            retries=dict(more.retries.copy()),
            waited_s=more.waited_s,
            note=one.note,
            limits=limits,
        )

    def _expected_cost_usd(self) -> float | None:
        """What the whole run costs, if the rest costs as much a row as what has ended."""
        progress = self._progress
        ended = progress.new_rows + progress.new_filtered + progress.failures.total()
        if progress.target is not None:
            ended = progress.new_rows
        if progress.cost_usd is None or not ended or not progress.requested:
            return None
        return progress.cost_usd * (ended + progress.left) / ended
