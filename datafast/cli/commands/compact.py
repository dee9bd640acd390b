"""`datafast compact`: the ledger of an output made smaller."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.datasets.compacting import Compacted
    from datafast.store.reply_conversion import Losing

__all__ = ["command"]

_LOST = (
    "Rows that are lost from the file cannot be built again without them, new stages cannot ask models about these rows, and `replay` is "
    "refused. Who was asked, when, the tokens and the cost stay."
)


@click.command("compact", short_help="Make the ledger of an output smaller: pack or drop replies.")
@options.output_file
@click.option(
    "--replies",
    type=click.Choice(["keep", "compress", "drop"]),
    help="The form of all recorded replies: as they came, packed with zstd, or dropped once the rows of their item are written. By "
    "default as run.ledger of the config says.",
)
@click.option("--drop-unused", is_flag=True, help="Drop the replies of items that have left the config, too.")
@options.ledger
@click.option("-y", "--yes", is_flag=True, help="Do not ask before replies are dropped.")
@options.as_json
@click.pass_context
def command(
    ctx: click.Context,
    file: str,
    replies: Literal["keep", "compress", "drop"] | None,
    drop_unused: bool,
    ledger: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Make the ledger of an output smaller: empty its journal, pack or drop replies, and give back what is not in use. Nothing is sent.

    No run may be going on. The rows stay as they are, and the next run buys nothing again. Of a folder of shards, each is done in turn.
    Killed at any moment, the same command goes on.

    \b
    Exit codes:
      0    done
      2    the command is wrong, or the output is in use or cannot be written;
           or replies would be dropped, and nobody has said yes
      130  interrupted, the same command goes on
    """
    from datafast.cli.outputs import need_ledger, shard_folder
    from datafast.datasets.compacting import compact
    from datafast.errors import ConfigError
    from datafast.logger_config import configure_logger
    from datafast.store.paths import OutputPaths

    configure_logger("WARNING", format_string="{level}: {message}", colorize=False)
    outputs: dict[str, tuple[str, Path | None]] = {"": (file, ledger)}
    if "://" not in file:
        if (folder := shard_folder(file, ledger)) is not None:
            each = {str(name): folder.paths(name.number) for name in folder.names}
            outputs = {name: (str(paths.rows), paths.ledger) for name, paths in each.items()}
        for rows, own in outputs.values():
            need_ledger(OutputPaths.of(rows, own))
    done: dict[str, Compacted] = {}
    try:
        for name, (rows, own) in outputs.items():
            made = compact(
                rows,
                ledger=own,
                replies=replies,
                drop_unused=drop_unused,
                approve=lambda losing, rows=rows: yes or _may_drop(rows, losing),  # type: ignore[misc]
            )
            if made is None:
                raise ConfigError("Nothing was dropped.")
            done[name] = made
            if not as_json:
                _show(name, made)
    except KeyboardInterrupt:
        click.echo("Interrupted. Nothing is lost; the same command goes on.", err=True)
        ctx.exit(130)
    if as_json:
        options.print_json(
            {"output_file": file, "outputs": [{"shard": name or None, **asdict(one)} for name, one in done.items()]}
        )


def _may_drop(rows: str, losing: Losing) -> bool:
    """Says what is lost, and asks. Without a terminal the answer has to be given beforehand."""
    from datafast.amounts import counted
    from datafast.errors import ConfigError

    what = f"{_replies(losing.replies)} of {counted(losing.items, 'item')} would be dropped ({losing.size:,} bytes)"
    told = f"{rows}: {what}. {_LOST}"
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError(f"{told} Nothing was dropped. Say --yes if that is meant.")
    click.echo(told, err=True)
    try:
        return click.confirm("Drop them?", err=True)
    except click.Abort:
        return False


def _replies(number: int) -> str:
    return f"{number:,} {'reply' if number == 1 else 'replies'}"


def _show(name: str, made: Compacted) -> None:
    from rich.console import Console

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import labelled

    console = Console(highlight=False, soft_wrap=True)
    if name:
        labelled(console, "shard", name)
    for path in made.set_aside:
        labelled(console, "aside", plain_text(path))
    packed = made.converted - made.dropped
    dropped = f", {_replies(made.dropped)} dropped" if made.dropped else ""
    labelled(console, "replies", f"{made.replies}: {_replies(packed)} converted{dropped}")
    labelled(console, "ledger", f"{made.ledger_before:,} bytes before, {made.ledger_after:,} now")
    labelled(console, "journal", f"{made.journal_before:,} bytes before, {made.journal_after:,} now")
