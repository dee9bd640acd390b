"""The report of a run: what was done, and why it ended early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from datafast.amounts import counted
from datafast.store.records import by_category, by_provider, by_stage
from datafast.types import ProviderUsage, RunReport, StopCause

if TYPE_CHECKING:
    from datafast.engine.assembly import Parts
    from datafast.engine.calls.sender import Tally
    from datafast.engine.job import Job
    from datafast.engine.stop import StopSignal
    from datafast.engine.targets import Standing

__all__ = ["not_begun", "remarks", "report_of", "why_stopped"]


def report_of(parts: Parts, elapsed_s: float, paused_s: float, standing: Sequence[Standing] = ()) -> RunReport:
    """The report of a run that has ended after so many seconds, of which it was paused so many, and how its targets stand."""
    output, store, tally = parts.output, parts.output.store, parts.sender.tally
    counts = store.counts
    used = ProviderUsage()
    for usage in tally.used.values():
        used.add(usage)
    stop_cause, stop_reason = why_stopped(parts)
    targets = parts.job.targets if standing else None
    return RunReport(
        requested=counts.requested,
        written=counts.written,
        filtered=counts.filtered,
        failed=counts.failed,
        pending=counts.pending,
        removed=counts.removed,
        dropped_again=store.redecided.dropped,
        returned=store.redecided.returned,
        changed_again=store.redecided.changed,
        changed_by_stage=dict(store.changed.most_common()),
        dropped_at_end=0 if store.settled is None else store.settled.dropped,
        returned_at_end=0 if store.settled is None else store.settled.returned,
        calls_missing=parts.decider.missing_calls.total(),
        calls=tally.calls,
        retries=tally.retries,
        replayed=tally.replayed,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_usd=used.cost_usd,
        elapsed_s=elapsed_s,
        paused_s=paused_s,
        output_file=parts.job.paths.name,
        simulated=parts.job.simulated,
        shard=None if parts.job.shard is None else str(parts.job.shard),
        decided_at_merge=[stage.name for stage in parts.job.deferred],
        stop_reason=stop_reason,
        stop_cause=stop_cause,
        filtered_by_stage=by_stage(store.filtered),
        failures=by_category(store.failures),
        failures_by_provider=by_provider(store.failures),
        usage_by_provider={name: replace(usage) for name, usage in tally.used.items()},
        targets=[] if targets is None else targets.counts(standing),
        stopped_providers=_stopped_providers(parts),
        set_aside=[str(path) for path in (*output.set_aside, *store.saved)],
    )


def not_begun(job: Job, stop: StopSignal) -> RunReport:
    """The report of a run that was stopped before it could open its output."""
    return RunReport(
        requested=0,
        written=0,
        filtered=0,
        failed=0,
        pending=0,
        calls=0,
        retries=0,
        replayed=0,
        input_tokens=0,
        output_tokens=0,
        cost_usd=0.0,
        elapsed_s=0.0,
        output_file=job.paths.name,
        simulated=job.simulated,
        stop_reason=stop.reason,
        stop_cause=stop.cause,
        filtered_by_stage={},
        failures={},
        failures_by_provider={},
        stopped_providers={},
        set_aside=[],
    )


def why_stopped(parts: Parts) -> tuple[StopCause | None, str | None]:
    """What ended a run early, and why in words. A stopped provider is the reason if rows are pending because of it, or not judged."""
    stop, stopped = parts.stop, _stopped_providers(parts)
    under_way = parts.desk.under_way if parts.desk is not None else None
    store = parts.output.store
    if stop.reason is None and (store.counts.pending or store.has_unasked):
        if stopped:
            return StopCause.PROVIDER, "; ".join(why.rstrip(".") for why in stopped.values())
        if under_way is not None:
            return StopCause.BATCH, under_way
    if stop.cause is StopCause.INTERRUPTED and under_way is not None:
        return stop.cause, f"{stop.reason}; {under_way}"
    return stop.cause, stop.reason


def _stopped_providers(parts: Parts) -> dict[str, str]:
    endpoints = dict.fromkeys(endpoint for share in parts.shares for endpoint in share.endpoints)
    return {endpoint.label: endpoint.stopped for endpoint in endpoints if endpoint.stopped}


def remarks(report: RunReport, tally: Tally) -> Iterator[str]:
    """What the counts alone do not tell."""
    if report.filtered == report.requested > 0:
        yield (
            f"All {report.filtered:,} rows were filtered, so {report.output_file} has none of them. Check the stages under quality."
        )
    for target in report.given_up:
        there = f"{target.accepted:,} of {target.target:,}"
        yield f"target_rows: No more rows are drawn for {target.name}, of which there are {there}: {target.given_up}."
    if report.shard is not None and report.stop_cause is StopCause.BUDGET:
        yield (
            f"run: The limits of the config hold for all shards together, and shard {report.shard} has used its part. What others leave of "
            f"theirs is not its to use: raise the limit, or merge the shards and go on with the merged file."
        )
    if report.calls_missing:
        yield (
            f"quality: {counted(report.calls_missing, 'call')} of stages {'is' if report.calls_missing == 1 else 'are'} missing, so rows "
            f"that were made before keep the verdicts that they had. A run without --decide-only (decide_only=True) makes them."
        )
    if tally.cut:
        yield (
            f"{tally.cut:,} texts were cut at the output-token limit and kept, as run.on_truncation says. "
            "Raise max_completion_tokens to have them whole."
        )
    if tally.replaced:
        yield (
            f"{'1 reply has' if tally.replaced == 1 else f'{tally.replaced:,} replies have'} characters that no text can hold "
            "(half a surrogate pair, bytes that are not UTF-8). "
            "The rows have U+FFFD in their place. Search them for it."
        )
