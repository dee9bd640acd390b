"""What has to be asked before it can be planned, as runs of their own in front of a dataset's.

Their replies are in ledgers of their own, so what they bring serves other datasets too. To whoever watches the dataset, they are a part
of it: their calls, tokens and costs are in its events and its report, and a budget holds for both together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datafast.engine.events import Event, EventCallback, ItemDone, ItemFailed, PreparationStarted, RunEnded, RunStarted
from datafast.store.reader import LedgerReader
from datafast.store.records import Counts, by_category, by_provider, by_stage
from datafast.types import RunReport, StopCause

if TYPE_CHECKING:
    from datafast.engine.job import Job
    from datafast.store.paths import OutputPaths

__all__ = ["Preparation", "combined", "stopped_early"]


@dataclass(frozen=True)
class Preparation:
    """A run in front of another one.

    Attributes:
        what: what it does, in a few words, for the one who waits.
        job: the run; its `on_event` gets every event.
        done: takes what has come of it; raises what kept it from coming.
        calls: how many calls it makes, where every reply is what was asked for.
    """

    what: str
    job: Job
    done: Callable[[RunReport], None]
    calls: int

    def announced(self, on_event: EventCallback | None) -> Job:
        """The job, with those of its events that concern a watcher of the dataset handed on."""
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
    """The report of a dataset's run with the calls and costs of the runs in front of it."""
    cost = report.cost_usd
    for other in before:
        cost = None if cost is None or other.cost_usd is None else cost + other.cost_usd
    return replace(
        report,
        calls=report.calls + sum(other.calls for other in before),
        retries=report.retries + sum(other.retries for other in before),
        replayed=report.replayed + sum(other.replayed for other in before),
        input_tokens=report.input_tokens + sum(other.input_tokens for other in before),
        output_tokens=report.output_tokens + sum(other.output_tokens for other in before),
        cost_usd=cost,
        elapsed_s=report.elapsed_s + sum(other.elapsed_s for other in before),
        set_aside=[*(path for other in before for path in other.set_aside), *report.set_aside],
    )


def stopped_early(report: RunReport, reason: str, paths: OutputPaths, *, requested: int) -> RunReport:
    """The report of a dataset that did not come to its own run, because the one in front of it has ended early.

    Args:
        report: of the run in front.
        reason: why it ended, for the one who asked for the dataset.
        paths: where the dataset's rows are, if there are any from earlier runs.
        requested: rows that its plan asks for.
    """
    counts = Counts(requested=requested, written=0, filtered=0, failed=0)
    failures: Counter[tuple[str, str]] = Counter()
    filtered: Counter[tuple[str, str]] = Counter()
    if paths.ledger.is_file():
        with LedgerReader(paths.ledger) as reader:
            counts = reader.counts(requested)
            failures, filtered = reader.failure_counts(), reader.filtered_counts()
    return replace(
        report,
        requested=counts.written + counts.filtered + counts.failed + counts.pending,
        written=counts.written,
        filtered=counts.filtered,
        failed=counts.failed,
        pending=counts.pending,
        filtered_by_stage=by_stage(filtered),
        failures=by_category(failures),
        failures_by_provider=by_provider(failures),
        output_file=str(paths.rows),
        stop_reason=report.stop_reason if report.stop_cause is StopCause.INTERRUPTED else reason,
        stop_cause=report.stop_cause or StopCause.PREPARATION,
    )
