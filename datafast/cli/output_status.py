"""What an output holds, from its ledger, as `datafast status` tells it: of a file, of a shard, and of a folder of shards in all."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from datafast.store.resuming import resume_command

if TYPE_CHECKING:
    from datafast.store.paths import OutputPaths
    from datafast.store.reader import LedgerReader

__all__ = ["output_status"]


def output_status(paths: OutputPaths, *, agreement: bool = True) -> dict[str, Any]:
    """What is in an output, and how to go on with it, as `--json` prints it.

    Args:
        agreement: whether rows are read for how far judges agree.

    Raises:
        OutputError: the ledger cannot be read.
    """
    from datafast.cli.display.agreement import told_agreement
    from datafast.engine.targets import noted_counts
    from datafast.store.lock import is_running, who_runs
    from datafast.store.reader import LedgerReader
    from datafast.store.records import by_provider, by_stage

    running = is_running(paths)
    with LedgerReader(paths.ledger) as ledger:
        return {
            "output_file": paths.name,
            "ledger": str(paths.ledger),
            "kind": ledger.meta("kind"),
            "simulated": ledger.meta("mode") == "simulated",
            **_rows(ledger),
            **_spent(ledger),
            "targets": noted_counts(ledger),
            "filtered_by_stage": by_stage(ledger.filtered.counts()),
            "changed_by_stage": dict(ledger.changed.counts().most_common()),
            "compared": ledger.is_compared,
            "agreement": told_agreement(paths.rows) if agreement else {},
            "failures": _failures(ledger),
            "failures_by_provider": by_provider(ledger.failure_counts()),
            "stop_reason": None if running else ledger.meta("stop_reason") or None,
            "batches": _batches(ledger),
            "running": running,
            "run_by": str(holder) if running and (holder := who_runs(paths)) else None,
            "unrecorded_replies": 0 if running else ledger.unrecorded_replies(paths.journal),
            "rows_file_exists": paths.rows.exists(),
            "may_lack_replies": ledger.calls.may_lack_replies,
            "manifest": None if running else _manifest(paths, ledger),
            "command": ledger.meta("command") or None,
            "directory": ledger.meta("directory") or None,
            "resume": resume_command(ledger),
        }


def _manifest(paths: OutputPaths, ledger: LedgerReader) -> str | None:
    """How its manifest stands; None where an earlier version has made the output, which writes none."""
    from datafast._util.user_path import is_file
    from datafast.errors import OutputError
    from datafast.store.manifest import ABOUT, is_newest, read_manifest

    if not ledger.meta(ABOUT):
        return None
    if not is_file(paths.manifest):
        return "missing"
    try:
        return "up to date" if is_newest(read_manifest(paths.manifest), ledger) else "outdated"
    except OutputError:
        return "damaged"


def _rows(ledger: LedgerReader) -> dict[str, int]:
    counts = ledger.counts()
    return {**asdict(counts), "pending": counts.pending}


def _spent(ledger: LedgerReader) -> dict[str, Any]:
    totals = ledger.calls.totals()
    return {
        "calls": totals.calls,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cost_usd": totals.cost_usd,
        "usage_by_provider": {name: asdict(used) for name, used in ledger.calls.usage_by_provider().items()},
    }


def _batches(ledger: LedgerReader) -> dict[str, Any]:
    """The batches that are under way."""
    from datafast.store.batches import under_way

    rows = ledger.batches.open()
    return {
        "open": len(rows),
        "calls": sum(row.num_calls for row in rows),
        "under_way": under_way(rows) if rows else None,
    }


def _failures(ledger: LedgerReader) -> dict[str, dict[str, Any]]:
    """Failed rows by category, most first, each with one error as an example."""
    from datafast.store.records import by_category

    examples = ledger.failure_examples()
    return {
        category: {"rows": count, **examples[category]}
        for category, count in by_category(ledger.failure_counts()).items()
    }
