"""`datafast status`: what is in an output, from its ledger. Reads only; works while a run writes and after a crash."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options
from datafast.cli.outputs import failures_command, output_command, output_of, retry_command
from datafast.store.resuming import resume_command

if TYPE_CHECKING:
    from datafast.cli.display.lines import Step
    from datafast.store.paths import OutputPaths
    from datafast.store.reader import LedgerReader

__all__ = ["command"]


@click.command("status", short_help="Show what an output holds, and how to go on.")
@options.output_file
@options.ledger
@options.as_json
def command(file: str, ledger: Path | None, as_json: bool) -> None:
    """Show what an output holds: rows, calls, tokens, cost, what is pending or failed, and how to go on."""
    with output_of(file, ledger) as paths:
        status = _status(paths)
    if as_json:
        options.print_json(status)
    else:
        _show(status)


def _status(paths: OutputPaths) -> dict[str, Any]:
    from datafast.cli.display.agreement import told_agreement
    from datafast.engine.targets import noted_counts
    from datafast.store.lock import is_running
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
            "agreement": told_agreement(paths.rows),
            "failures": _failures(ledger),
            "failures_by_provider": by_provider(ledger.failure_counts()),
            "stop_reason": None if running else ledger.meta("stop_reason") or None,
            "batches": _batches(ledger),
            "running": running,
            "unrecorded_replies": 0 if running else ledger.unrecorded_replies(paths.journal),
            "rows_file_exists": paths.rows.exists(),
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


def _show(status: dict[str, Any]) -> None:
    from rich.console import Console

    from datafast.amounts import money
    from datafast.cli.display.agreement import agreement_lines
    from datafast.cli.display.lines import labelled, print_steps
    from datafast.cli.display.summary import changed_line, filtered_lines
    from datafast.types import ProviderUsage, target_lines

    console = Console(highlight=False)

    labelled(console, "file", status["output_file"] + (" (these rows are simulated)" if status["simulated"] else ""))
    labelled(console, "kind", status["kind"] or "unknown")
    labelled(
        console,
        "rows",
        f"{status['requested']:,} requested: {status['written']:,} written, {status['filtered']:,} filtered, "
        f"{status['failed']:,} failed, {status['pending']:,} pending",
    )
    if status["removed"]:
        labelled(
            console,
            "removed",
            f"{status['removed']:,} rows in the file, of items that are not in the config any more (run.removed: keep)",
        )
    labelled(console, "calls", f"{status['calls']:,}")
    labelled(console, "tokens", f"{status['input_tokens']:,} in, {status['output_tokens']:,} out")
    labelled(console, "cost", money(status["cost_usd"]))
    for name, used in status["usage_by_provider"].items() if len(status["usage_by_provider"]) > 1 else ():
        labelled(console, "used", f"{name}: {ProviderUsage(**used).in_words()}")
    for text in target_lines(status["targets"]):
        labelled(console, "target", text)
    for text in filtered_lines(status["filtered_by_stage"]):
        labelled(console, "filtered", text)
    if status["changed_by_stage"]:
        labelled(console, "changed", changed_line(status["changed_by_stage"]))
    for text in agreement_lines(status["agreement"]):
        labelled(console, "agreement", text)
    for category, failure in status["failures"].items():
        labelled(
            console,
            "failed",
            f"{failure['rows']:,} {category}, for example at {failure['provider']}: {failure['example']}",
        )
    for note in _notes(status):
        labelled(console, "note", note)
    print_steps(console, _next_steps(status))


def _notes(status: dict[str, Any]) -> list[str]:
    notes = []
    if status["running"]:
        notes.append("a run is writing to it now")
    if status["batches"]["open"]:
        notes.append(status["batches"]["under_way"])
    elif status["stop_reason"]:
        notes.append(f"the last run stopped early: {status['stop_reason']}")
    if count := status["unrecorded_replies"]:
        notes.append(
            f"the last run was cut off; {count:,} paid replies wait in its journal and the next run takes them in"
        )
    if not status["running"] and not status["compared"]:
        notes.append("not all rows were compared with each other yet; the next run does that, at no cost")
    if not status["rows_file_exists"] and status["written"]:
        notes.append("the JSONL is gone; the next run writes its rows again from recorded replies, at no cost")
    if status["manifest"] not in (None, "up to date"):
        notes.append(
            f"the manifest is {status['manifest']}; the next run writes it, at no cost where nothing is missing"
        )
    return notes


def _next_steps(status: dict[str, Any]) -> list[Step]:
    from datafast.cli.display.lines import Step

    to_do = status["pending"] or status["failed"] or status["unrecorded_replies"] or not status["compared"]
    if status["running"] or not to_do:
        return []
    command = status["resume"]
    steps = []
    if status["pending"] or not status["compared"]:
        steps.append(Step(command or "run the same script again: it goes on, and nothing is paid for twice"))
    if status["batches"]["open"]:
        batches = output_command("batches", status["output_file"], Path(status["ledger"]))
        steps.append(Step(batches, "how far the batches are; with --cancel, they are given up"))
    if status["failed"]:
        failures = failures_command(status["output_file"], Path(status["ledger"]))
        steps.append(Step(failures, "each of them, with why"))
        steps.append(Step(retry_command(command, kind=status["kind"])))
    return steps
