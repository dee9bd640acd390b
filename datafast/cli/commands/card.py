"""`datafast card`: the dataset card of a file of rows, as files on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from datafast.cli import options

__all__ = ["command"]


@click.command("card", short_help="Write the dataset card of a file, with its pictures.")
@options.rows_file
@options.new_file(
    "README.md", "The card. Its pictures are written into a folder `figures` beside it.", default="README.md"
)
@click.option(
    "--pictures-as",
    "pictures",
    type=click.Choice(["svg", "png"]),
    help="The format of the pictures; PNG needs the extra `png`. By default what the config says, or SVG.",
)
@options.ledger
@options.as_json
def command(
    file: str, output: Path, pictures: Literal["svg", "png"] | None, ledger: Path | None, as_json: bool
) -> None:
    """Write the card that a push of FILE would write: what the rows are, how they were made, figures, limitations.

    FILE is the output of a config, or any file of rows (JSONL, JSON, CSV, TSV, Parquet, Arrow). Without a ledger beside it, only what the
    rows say is known. What you wrote into an earlier card outside of datafast's marks stays. Nothing is sent.

    \b
    datafast card notes.jsonl
    datafast card notes.jsonl -o cards/README.md
    """
    from datafast.datasets.loaded import load

    written = load(file, ledger=ledger).write_card(output, pictures=pictures)
    if as_json:
        options.print_json({"card": str(output), "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(f"wrote {path}")
