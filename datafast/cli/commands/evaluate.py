"""`datafast evaluate`: how near one column of a file comes to another."""

from __future__ import annotations

from pathlib import Path

import click

from datafast.cli import options

__all__ = ["command"]


@click.command("evaluate", short_help="Compare a column of a file with a reference.")
@click.argument("source", metavar="SOURCE")
@click.option("--prediction", metavar="COLUMN", required=True, help="The column that is looked at.")
@click.option("--reference", metavar="COLUMN", required=True, help="The column with what it should be.")
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    help="exact_match, edit_similarity, bleu, rouge or bertscore; may be given several times. By default all that need no model.",
)
@click.option(
    "--model",
    metavar="FOLDER",
    type=options.UserFile(path_type=Path, file_okay=False),
    help="The model for bertscore, on this machine.",
)
@click.option("--seed", metavar="N", type=int, default=0, help="The seed of the intervals.")
@options.as_json
def command(
    source: str,
    prediction: str,
    reference: str,
    metrics: tuple[str, ...],
    model: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Compare a column of SOURCE with a reference in another one, by several metrics, with intervals at 95 %.

    SOURCE is a file (JSONL, JSON, CSV, TSV, Parquet, Arrow), a pattern or folder of such files, or a dataset on the Hugging Face Hub. A
    reference may be a list of texts, of which the nearest one counts.
    """
    from datafast.datasets.opened import opened_source
    from datafast.sources import open_source
    from datafast.statistics.evaluation import DEFAULT_METRICS, evaluate

    with opened_source(source, field="SOURCE") as given:
        rows = open_source(given, field="SOURCE")
        rows.check([prediction, reference], field="SOURCE")
        found = evaluate(rows, reference, metrics or DEFAULT_METRICS, prediction=prediction, model=model, seed=seed)
    if as_json:
        options.print_json(found.to_dict())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from datafast._util.notify import plain_text

    table = Table("score", "value", "95 % interval", box=None)
    for name, one in found.scores.items():
        table.add_row(name, f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}")
    console = Console(highlight=False)
    console.print(Text(plain_text(str(found).partition("\n")[0])))
    console.print(table)
