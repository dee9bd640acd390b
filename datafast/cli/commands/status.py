"""`datafast status`: what is in an output, from its ledger. Reads only; works while a run writes and after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast._util.remote import remote_url
from datafast.cli import options
from datafast.cli.outputs import failures_command, output_command, output_of, retry_command, shards_at

if TYPE_CHECKING:
    from datafast.cli.display.lines import Step

__all__ = ["command"]


@click.command("status", short_help="Show what an output holds, and how to go on.")
@options.output_file
@options.ledger
@options.as_json
def command(file: str, ledger: Path | None, as_json: bool) -> None:
    """Show what an output holds: rows, calls, tokens, cost, what is pending or failed, and how to go on.

    FILE may be a URL, and a folder of shards. What these hold is then summed, also while they run, and there is a line for each shard.
    """
    from datafast.cli.folder_status import folder_status
    from datafast.cli.output_status import output_status

    with shards_at(file, ledger) as folder:
        if folder is not None:
            status = folder_status(folder, remote_url(file))
        else:
            with output_of(file, ledger, rows=False) as paths:
                status = output_status(paths)
    if as_json:
        options.print_json(status)
    else:
        _show(status)


def _show(status: dict[str, Any]) -> None:
    from rich.console import Console

    from datafast.amounts import money
    from datafast.cli.display.agreement import agreement_lines
    from datafast.cli.display.lines import labelled, print_steps
    from datafast.cli.display.shards import folder_steps, shard_lines
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
    for text in shard_lines(status):
        labelled(console, "shard", text)
    for note in _notes(status):
        labelled(console, "note", note)
    print_steps(console, folder_steps(status) if "shards" in status else _next_steps(status))


def _notes(status: dict[str, Any]) -> list[str]:
    from datafast.cli.display.shards import folder_notes

    if "shards" in status:
        return folder_notes(status)
    notes = []
    if status["running"]:
        notes.append(f"a run is writing to it now{f' ({by})' if (by := status['run_by']) else ''}")
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
        notes.append(f"the JSONL is gone; {_of_lost_rows(status)}")
    if status["manifest"] not in (None, "up to date"):
        notes.append(
            f"the manifest is {status['manifest']}; the next run writes it, at no cost where nothing is missing"
        )
    return notes


def _of_lost_rows(status: dict[str, Any]) -> str:
    if status["may_lack_replies"]:
        return "replies were dropped (run.ledger.replies), so put it back; a run with `ledger: {buy_again: true}` buys its rows once more"
    return "the next run writes its rows again from recorded replies, at no cost"


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
