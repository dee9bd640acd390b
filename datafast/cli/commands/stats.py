"""`datafast stats`: what is in an output or any file of rows, in numbers. Reads only; works while a run writes and after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.statistics import Statistics

__all__ = ["command"]


@click.command("stats", short_help="Show how the rows of a file are, and what they cost.")
@options.rows_file
@click.option(
    "--by",
    metavar="FIELD",
    multiple=True,
    help="Only the groups by this field, all of them. May be given several times.",
)
@click.option(
    "--text",
    "texts",
    metavar="FIELD",
    multiple=True,
    help="Only the texts of this field. By default all that hold text.",
)
@click.option(
    "--sample",
    metavar="N",
    type=click.IntRange(1, 100_000),
    default=5_000,
    show_default=True,
    help="Look at the texts of N rows.",
)
@click.option(
    "--effects",
    "effect_texts",
    metavar="N",
    type=click.IntRange(0, 10_000),
    default=1_000,
    show_default=True,
    help="Look in N of these at which values shape the texts; 0 for not at all.",
)
@click.option(
    "--strength",
    metavar="N",
    type=click.IntRange(1, 3),
    default=2,
    show_default=True,
    help="Tell which pairs (2) or triples (3) of values have rows.",
)
@click.option("--seed", metavar="N", type=int, default=0, help="Draw these with another seed.")
@options.ledger
@options.as_json
def command(
    file: str, by: tuple[str, ...], texts: tuple[str, ...], ledger: Path | None, as_json: bool, **how: int
) -> None:
    """Show how the rows of a file are, in all and in groups: lengths, diversity, what was filtered or failed, tokens, cost.

    FILE is the output of a config, any file of rows (JSONL, JSON, CSV, TSV, Parquet, Arrow), or a file of topics. Without a ledger beside
    it, only what the rows say is known.

    \b
    datafast stats notes.jsonl
    datafast stats notes.jsonl --by language --by topic
    """
    statistics = _measured(file, ledger, by=by, text_fields=texts or None, **how)
    if as_json:
        options.print_json(statistics.model_dump(mode="json"))
    else:
        from datafast.cli.display.statistics import print_statistics

        print_statistics(statistics, by)


def _measured(
    file: str, ledger: Path | None, *, by: tuple[str, ...], text_fields: tuple[str, ...] | None, **how: Any
) -> Statistics:
    from datafast.cli.known_rows import known_rows
    from datafast.statistics import measure

    with known_rows(file, ledger) as known:
        fields = [name for name in by if name not in {"provider", "role"}]
        if (dataset := known.dataset) is not None:
            how |= {
                "row_model": dataset.written_model,
                "placeholders": dataset.placeholders,
                "plan_of": dataset.whole_plan,
            }
        rows = None if known.rows is None else known.rows()
        return measure(known.paths, rows=rows, by=fields, text_fields=text_fields, **how)
