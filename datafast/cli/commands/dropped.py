"""`datafast dropped`: the rows that stages have dropped from an output, one a line, from its ledger. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options
from datafast.cli.outputs import output_of

if TYPE_CHECKING:
    from datafast.store.reader import LedgerReader
    from datafast.store.records import FilteredLine

__all__ = ["command"]

_SHOWN = 20
_ROW_LETTERS = 100
_ABOUT_ROWS = ("uuid", "model_id", "language", "metadata")


@click.command("dropped", short_help="Show the rows that stages have dropped, and why.")
@options.output_file
@click.option("--stage", metavar="NAME", help="Only rows that this stage has dropped.")
@click.option("--reason", metavar="TEXT", help="Only rows whose reason contains this text.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="Show at most N rows. By default 20, and all of them with --json.",
)
@options.ledger
@options.as_json
def command(
    file: str, stage: str | None, reason: str | None, limit: int | None, ledger: Path | None, as_json: bool
) -> None:
    """Show the rows that stages have dropped, and why.

    They are recorded in full and are never bought again. With other stages under `quality`, a run decides about them anew, at no cost.
    `--json` gives the rows in full.
    """
    from datafast.store.reader import LedgerReader
    from datafast.store.records import by_stage

    with output_of(file, ledger, replies=False) as paths, LedgerReader(paths.ledger) as reader:
        rows = _chosen(reader, stage, reason)
        if as_json:
            counts = reader.filtered.counts()
            options.print_json(
                {
                    "output_file": paths.name,
                    "filtered": counts.total(),
                    "filtered_by_stage": by_stage(counts),
                    "rows": [_as_mapping(row) for row in islice(rows, limit)],
                }
            )
            return
        _show(reader, paths.name, list(islice(rows, limit or _SHOWN)), more=sum(1 for _ in rows))


def _chosen(reader: LedgerReader, stage: str | None, reason: str | None) -> Iterator[FilteredLine]:
    for row in reader.filtered.lines():
        if not row.stage:
            continue  # an earlier generation of it is in the file
        if (stage is None or row.stage == stage) and (reason is None or reason.casefold() in row.reason.casefold()):
            yield row


def _as_mapping(row: FilteredLine) -> dict[str, Any]:
    from datafast.plan.items import row_uuid

    told = {"stage": row.stage, "reason": row.reason, "score": row.score}
    uuid = row_uuid(row.key, row.number)
    return {**told, "uuid": uuid, "generation": row.generation, "row": json.loads(row.row)}


def _show(reader: LedgerReader, name: str, rows: list[FilteredLine], *, more: int) -> None:
    from rich.console import Console
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import labelled
    from datafast.cli.display.summary import filtered_lines
    from datafast.store.records import by_stage

    console = Console(highlight=False, soft_wrap=True)
    counts = reader.filtered.counts()
    if not counts:
        console.print(f"no dropped rows in {plain_text(name)}")
        return
    if rows:
        for line in _table(rows):
            console.print(Text(plain_text(line)))
        if more:
            console.print(f"... and {more:,} more; --limit {len(rows) + more} shows all, --json in full")
    else:
        console.print("no dropped rows of this stage or reason; in all there are:")
    console.print()
    for text in filtered_lines(by_stage(counts)):
        labelled(console, "filtered", text)


def _table(rows: list[FilteredLine]) -> list[str]:
    told = ((row.stage, row.reason, "" if row.score is None else f"{row.score:g}", _in_words(row.row)) for row in rows)
    cells = [("stage", "reason", "score", "row"), *told]
    widths = [max(len(cell[column]) for cell in cells) for column in range(3)]
    return [
        f"{stage:{widths[0]}}  {reason:{widths[1]}}  {score:>{widths[2]}}  {row}" for stage, reason, score, row in cells
    ]


def _in_words(line: bytes) -> str:
    """The row without what is said about it, in one line, cut."""
    from datafast.cli.display.summary import in_words

    row: dict[str, Any] = json.loads(line)
    said = (in_words(value) for name, value in row.items() if name not in _ABOUT_ROWS and value not in (None, [], {}))
    text = " ".join(" | ".join(said).split())
    return text if len(text) <= _ROW_LETTERS else f"{text[: _ROW_LETTERS - 3]}..."
