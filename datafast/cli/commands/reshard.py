"""`datafast reshard`: the shards of an output divided anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.datasets.resharding import Resharded

__all__ = ["command"]


@click.command("reshard", short_help="Divide the shards of an output into more or fewer of them.")
@options.shards_folder
@click.option("--shards", metavar="N", required=True, type=click.IntRange(min=1), help="How many there are to be.")
@click.option(
    "--config",
    metavar="CONFIG.yaml",
    type=options.UserFile(path_type=Path),
    help="The config, if it has changed since the shards were made.",
)
@options.shard_ledgers
@options.as_json
def command(folder: Path, shards: int, config: Path | None, ledgers: Path | None, as_json: bool) -> None:
    """Divide the shards of an output into more or fewer of them, with all rows and replies. Nothing is sent or bought.

    Unfinished shards go on under their new numbers. No shard may be running. The former files stay in a folder beside the new ones, and can
    be deleted.
    """
    from datafast._util.fd_limit import raise_limit
    from datafast.datasets.resharding import reshard
    from datafast.store.shards import MOST_SHARDS

    raise_limit(MOST_SHARDS)
    made = _with_config(folder, shards, config, ledgers) if config else reshard(folder, shards, ledger_folder=ledgers)
    if as_json:
        options.print_json(made)
    else:
        _show(made)


def _with_config(folder: Path, shards: int, config: Path, ledgers: Path | None) -> Resharded:
    from datafast.config_files.loader import load_project
    from datafast.datasets.resharding import reshard
    from datafast.datasets.shard_ledgers import Shards

    project = load_project(config, output=folder)
    if Shards.open(folder, ledgers).first.get("mode") == "simulated":
        project = project.simulated()
    return reshard(folder, shards, ledger_folder=ledgers, dataset=project.dataset(), routes=project.routes)


def _show(made: Resharded) -> None:
    from rich.console import Console

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import labelled

    console = Console(highlight=False, soft_wrap=True)
    labelled(console, "shards", f"{made.before:,} before, {made.after:,} now")
    labelled(console, "items", f"{made.items:,} moved with their rows and replies")
    if made.leaving:
        labelled(console, "leaving", f"{made.leaving:,} of them are not in the config any more")
    for path in (*made.aside, *made.set_aside):
        labelled(console, "aside", plain_text(path))
