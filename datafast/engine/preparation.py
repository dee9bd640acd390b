"""Runs in front of a dataset's run, which bring what its plan depends on.

They have ledgers of their own, so other datasets can use their results too. For the user they are a part of the dataset's run: its
events and its report contain their calls, tokens and costs, and a budget holds for both together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datafast._util.user_path import is_file
from datafast.engine.events import Event, EventCallback, ItemDone, ItemFailed, PreparationStarted, RunEnded, RunStarted
from datafast.store.reader import LedgerReader
from datafast.store.records import Counts, by_category, by_provider, by_stage
from datafast.types import ProviderUsage, RunReport, StopCause

if TYPE_CHECKING:
    from datafast.engine.estimated import Estimate
    from datafast.engine.expected_usage import Span
    from datafast.engine.job import Job
    from datafast.store.paths import OutputPaths

__all__ = ["Preparation", "combined", "stopped_early"]


@dataclass(frozen=True)
class Preparation:
    """A run in front of another one.

    Attributes:
        what: what it does, in a few words for the user.
        job: the run; its `on_event` gets every event.
        done: takes its result; raises if there is none.
        calls: the number of its calls if every reply is usable.
        measured: a job like it from which its cost is estimated; the job itself if it is small.
        tokens_per_text: what is guessed for a text that it asks for.
    """

    what: str
    job: Job
    done: Callable[[RunReport], None]
    calls: int
    measured: Job
    tokens_per_text: Span

    def estimate(self) -> Estimate:
        """What it will use and cost."""
        from datafast.engine.estimate import estimate  # most runs begin without one

        found = estimate(self.measured, tokens_per_text=self.tokens_per_text)
        return found.times(self.calls / max(1, found.calls + found.replayed))

    def announced(self, on_event: EventCallback | None) -> Job:
        """The job, with its events passed on as far as they concern the dataset."""
        if on_event is None:
            return self.job
        watcher = on_event

        def hand_on(event: Event) -> None:
            if isinstance(event, RunStarted):
                watcher(PreparationStarted(what=self.what))
            elif not isinstance(event, ItemDone | ItemFailed | RunEnded):
                watcher(event)

        return replace(self.job, on_event=hand_on)


def combined(report: RunReport, before: Sequence[RunReport]) -> RunReport:
    """The report of a dataset's run with the calls and costs of the runs in front of it, or of its earlier rounds."""
    cost = report.cost_usd
    used: dict[str, ProviderUsage] = {}
    for other in before:
        cost = None if cost is None or other.cost_usd is None else cost + other.cost_usd
    for part in (*before, report):
        for provider, more in part.usage_by_provider.items():
            used.setdefault(provider, ProviderUsage()).add(more)
    return replace(
        report,
        calls=report.calls + sum(other.calls for other in before),
        retries=report.retries + sum(other.retries for other in before),
        replayed=report.replayed + sum(other.replayed for other in before),
        input_tokens=report.input_tokens + sum(other.input_tokens for other in before),
        output_tokens=report.output_tokens + sum(other.output_tokens for other in before),
        cost_usd=cost,
        usage_by_provider=used,
        elapsed_s=report.elapsed_s + sum(other.elapsed_s for other in before),
        paused_s=report.paused_s + sum(other.paused_s for other in before),
        dropped_again=report.dropped_again + sum(other.dropped_again for other in before),
        returned=report.returned + sum(other.returned for other in before),
        changed_again=report.changed_again + sum(other.changed_again for other in before),
        dropped_at_end=report.dropped_at_end + sum(other.dropped_at_end for other in before),
        returned_at_end=report.returned_at_end + sum(other.returned_at_end for other in before),
        set_aside=[*(path for other in before for path in other.set_aside), *report.set_aside],
    )


def stopped_early(report: RunReport, reason: str, paths: OutputPaths, *, requested: int) -> RunReport:
    """The report of a dataset whose own run did not begin, because the one in front of it has ended early.

    Args:
        report: the report of the run in front.
        reason: why it ended, in words for the user.
        paths: the dataset's files, which may have rows of earlier runs.
        requested: rows that the dataset's plan asks for.
    """
    counts = Counts(requested=requested, written=0, filtered=0, failed=0)
    failures: Counter[tuple[str, str]] = Counter()
    filtered: Counter[tuple[str, str]] = Counter()
    changed: Counter[str] = Counter()
    if is_file(paths.ledger):
        with LedgerReader(paths.ledger) as reader:
            counts = reader.counts(requested)
            failures, filtered, changed = reader.failure_counts(), reader.filtered.counts(), reader.changed.counts()
    return replace(
        report,
        requested=counts.written + counts.filtered + counts.failed + counts.pending,
        written=counts.written,
        filtered=counts.filtered,
        failed=counts.failed,
        pending=counts.pending,
        removed=counts.removed,
        filtered_by_stage=by_stage(filtered),
        changed_by_stage=dict(changed.most_common()),
        failures=by_category(failures),
        failures_by_provider=by_provider(failures),
        output_file=paths.name,
        stop_reason=report.stop_reason if report.stop_cause is StopCause.INTERRUPTED else reason,
        stop_cause=report.stop_cause or StopCause.PREPARATION,
    )
