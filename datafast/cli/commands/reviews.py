"""`datafast reviews`: how far people are with the rows of a file, and what they have decided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options
from datafast.errors import ConfigError

if TYPE_CHECKING:
    from datafast.reviews import Reviews

__all__ = ["command"]


@click.command("reviews", short_help="Show what people have decided about the rows of a file.")
@options.rows_file
@click.option(
    "--export",
    "output",
    metavar="FILE",
    type=options.UserFile(path_type=Path),
    help="Write the rows that were decided about, with the decisions, to a .jsonl or .csv file.",
)
@click.option("--accepted", is_flag=True, help="With --export: only accepted rows, as rows alone, with their edits.")
@click.option(
    "--import",
    "others",
    metavar="FILE.reviews",
    multiple=True,
    type=options.UserFile(path_type=Path),
    help="Add the decisions of another reviewer's file. May be given several times.",
)
@options.ledger
@options.as_json
def command(
    file: str, output: Path | None, accepted: bool, others: tuple[Path, ...], ledger: Path | None, as_json: bool
) -> None:
    """Show what people have decided about the rows of a file: how far they are, how far they agree, what they prefer.

    Decisions are made in `datafast view --review`, or in Python by `datafast.load(FILE).reviews()`. The next run folds them in.

    \b
    datafast reviews notes.jsonl
    datafast reviews notes.jsonl --import from-ann/notes.jsonl.reviews
    datafast reviews notes.jsonl --export accepted.jsonl --accepted
    """
    from datafast.datasets.loaded import load

    if accepted and output is None:
        raise ConfigError("--accepted: It says what --export writes. Add --export FILE.", key="--accepted")
    reviews = load(file, ledger=ledger).reviews()
    done: dict[str, Any] = {}
    if others:
        done["imported"] = sum(reviews.import_from(other) for other in others)
    if output is not None:
        done["exported"] = reviews.export(output, accepted=accepted)
    if as_json:
        options.print_json({"file": str(file), "reviews_file": str(reviews.path), **done, **_told(reviews)})
        return
    _show(reviews, done, output)


def _told(reviews: Reviews) -> dict[str, Any]:
    from datafast.errors import MissingExtraError

    progress, pairs = reviews.progress(), reviews.pairs()
    told: dict[str, Any] = {**progress.model_dump(), "reviewed": progress.reviewed, "pairs": pairs.model_dump()}
    agreement: dict[str, Any] = {"alpha": None, "rows": None, "pairs": {}, "note": None}
    if len(progress.by_reviewer) > 1:
        try:
            found = reviews.agreement()
            by_two = {f"{one}, {other}": alpha for (one, other), alpha in found.pairs.items()}
            agreement |= {"alpha": found.alpha, "rows": found.num_rows, "pairs": by_two}
        except MissingExtraError as error:
            agreement["note"] = str(error)
    told["agreement"] = agreement
    return told | {"stale_rows": _stale(reviews)}


def _stale(reviews: Reviews) -> list[str]:
    return [one.state.key.row for one in reviews.rows(dropped=True) if one.state.is_stale]


def _show(reviews: Reviews, done: dict[str, Any], output: Path | None) -> None:
    from rich.console import Console

    from datafast.amounts import counted
    from datafast.cli.display.reviews import print_reviews

    console = Console(highlight=False, soft_wrap=True)
    if "imported" in done:
        click.echo(f"{counted(done['imported'], 'decision')} added")
    if output is not None:
        click.echo(f"{counted(done['exported'], 'row')} written to {output}")
    print_reviews(console, _told(reviews))
