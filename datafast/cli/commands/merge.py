"""`datafast merge`: one output of a folder of shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.datasets.shards import Merged

__all__ = ["command"]

_LACKS = 4


@click.command("merge", short_help="Put the shards of an output into one file with one ledger.")
@options.shards_folder
@options.new_file("FILE.jsonl", "The new file.", required=True)
@click.option(
    "--order",
    type=click.Choice(["plan", "completion"]),
    default="plan",
    help="Of the rows: that of the plan, as by default, or the one in which they were made.",
)
@click.option("--partial", is_flag=True, help="Merge what there is, also if shards are missing or not finished.")
@click.option("--fresh", is_flag=True, help="Start over. Existing files are moved aside (.bak).")
@options.shard_ledgers
@click.option(
    "--ledger",
    metavar="FILE",
    type=options.UserFile(path_type=Path, dir_okay=False),
    help="Where the new ledger goes. By default beside the new file.",
)
@options.allow_commands
@options.as_json
@click.pass_context
def command(
    ctx: click.Context,
    folder: Path,
    output: Path,
    order: Literal["plan", "completion"],
    partial: bool,
    fresh: bool,
    ledgers: Path | None,
    ledger: Path | None,
    allow_commands: bool,
    as_json: bool,
) -> None:
    """Put the shards of an output into one file with one ledger. Nothing is sent, and the shards stay as they are.

    Stages that compare rows, like near_duplicates, decide now, over the rows of all shards. What is merged is an output like any other:
    `datafast generate CONFIG.yaml --from FILE.jsonl` goes on with it, and buys what lacks.

    \b
    Exit codes:
      0    all rows are there, were filtered or have failed
      2    the shards do not belong together, one of them is running, or
           another file is there already; nothing was written
      4    something lacks: shards or rows of them (then nothing is written
           without --partial), rows of a target, or rows to be made again
    """
    from datafast._util.fd_limit import raise_limit
    from datafast.datasets.shards import merge
    from datafast.store.shards import MOST_SHARDS

    raise_limit(MOST_SHARDS)
    made = merge(
        folder,
        output,
        ledger=ledger,
        ledger_folder=ledgers,
        order=order,
        partial=partial,
        fresh=fresh,
        allow_commands=allow_commands,
    )
    if as_json:
        options.print_json(_told(made))
    else:
        _show(made)
    ctx.exit(_LACKS if made.lacks else 0)


def _told(made: Merged) -> dict[str, Any]:
    return {
        "output_file": made.output_file,
        "written": made.report is not None,
        "shards": made.shards,
        "missing": list(made.missing),
        "unfinished": dict(made.unfinished),
        "targets": made.targets,
        "to_remake": made.to_remake,
        "lacks": made.lacks,
        "next": made.next_command or None,
        "set_aside": list(made.set_aside),
        "report": None if made.report is None else made.report.to_dict(),
    }


def _show(made: Merged) -> None:
    from rich.console import Console

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import Step, labelled, print_steps
    from datafast.cli.display.summary import filtered_lines

    console = Console(highlight=False, soft_wrap=True)
    for path in made.set_aside:
        labelled(console, "aside", plain_text(path))
    if (report := made.report) is not None:
        labelled(console, "rows", report.counts_line())
        for text in filtered_lines(report.filtered_by_stage):
            labelled(console, "filtered", text)
        labelled(console, "file", plain_text(made.output_file))
    for text in made.lacks:
        labelled(console, "lacks", plain_text(text))
    if report is None:
        labelled(console, "file", "nothing was written; --partial merges what there is")
    if made.lacks and made.next_command:
        why = (
            "buys what lacks"
            if report is not None
            else "makes what the first of these shards lacks; likewise the others"
        )
        print_steps(console, [Step(made.next_command, why)])
