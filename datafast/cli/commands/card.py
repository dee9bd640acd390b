"""`datafast card`: the dataset card of a file of rows, as files on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from datafast.cli import options

__all__ = ["command"]


@click.command("card", short_help="Write the dataset card of a file, with its pictures.")
@click.argument("file", metavar="FILE", type=options.UserFile(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="README.md",
    default="README.md",
    show_default=True,
    type=options.UserFile(path_type=Path, dir_okay=False),
    help="The card. Its pictures are written into a folder `figures` beside it.",
)
@options.ledger
@options.as_json
def command(file: Path, output: Path, ledger: Path | None, as_json: bool) -> None:
    """Write the card that a push of FILE would write: what the rows are, how they were made, figures, limitations.

    FILE is the output of a config, or any file of rows (JSONL, JSON, CSV, TSV, Parquet, Arrow). Without a ledger beside it, only what the
    rows say is known. What you wrote into an earlier card outside of datafast's marks stays. Nothing is sent.

    \b
    datafast card notes.jsonl
    datafast card notes.jsonl -o cards/README.md
    """
    written = _written(file, ledger, output)
    if as_json:
        options.print_json({"card": str(output), "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(f"wrote {path}")


def _written(file: Path, ledger: Path | None, output: Path) -> list[Path]:
    from datafast._util.user_path import is_file
    from datafast.datasets.card.info import card_info
    from datafast.datasets.loaded import dataset_of, load
    from datafast.export.card_files import write_card
    from datafast.sources import open_source
    from datafast.store.paths import UsedFile, refuse_shared
    from datafast.store.reader import LedgerReader

    rows = load(file, ledger=ledger)
    dataset = None
    if is_file(rows.paths.ledger):
        with LedgerReader(rows.paths.ledger) as reader:
            dataset = dataset_of(reader)
    refuse_shared([*rows.used_files(), UsedFile("--output", output, written=True)])
    is_lines = file.suffix.lower() in {".jsonl", ".ndjson"} or dataset is not None
    info = card_info(rows.paths, dataset, rows=None if is_lines else open_source(file, field="FILE"))
    return write_card(info, rows.rows_to_export(), row_model=rows.written_model, file=file, output=output)
