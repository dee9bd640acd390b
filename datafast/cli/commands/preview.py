"""`datafast preview`: a few rows on the screen; a later `generate` has them already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from datafast.config_files.project import Project
    from datafast.datasets.base import Dataset

__all__ = ["command"]


@click.command("preview", short_help="Generate and show a few rows.")
@options.config_file
@click.option(
    "-n", "number", metavar="N", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many prompts."
)
@options.offline
@options.local
@options.output
@options.yes
@options.env_file
@options.as_json
@options.verbose
@click.pass_context
def command(
    ctx: click.Context,
    config: Path,
    number: int,
    offline: bool,
    local: str | None,
    output: Path | None,
    yes: bool,
    env_file: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Generate and show a few rows, from different providers, languages and topics.

    They are real rows in the output file: `datafast generate` goes on from there and does not pay for them again.
    """
    from datafast.cli.session import Settings, exit_code, run

    settings = Settings(
        config=config,
        offline=offline,
        local=local,
        output=output,
        limit=number,
        yes=yes,
        env_file=env_file,
        verbose=verbose,
    )
    project, dataset, report = run(settings)
    prompts = _rows_by_prompt(project, dataset, number)
    if as_json:
        options.print_json({"report": report.to_dict(), "rows": [row for rows in prompts for row in rows]})
    else:
        _show(prompts)
    ctx.exit(exit_code(report))


def _rows_by_prompt(project: Project, dataset: Dataset[Any, Any], number: int) -> list[list[dict[str, Any]]]:
    """The rows of each item that a limit of `number` chooses, in its order, read from the output file."""
    from datafast.plan.grid import spread
    from datafast.store.paths import OutputPaths
    from datafast.store.reader import LedgerReader
    from datafast.store.rows import rows_at

    config = project.config
    chosen = spread(dataset.plan_for(project.routes), number, seed=config.run.seed)
    paths = OutputPaths.of(config.output_file, config.run.ledger)
    with LedgerReader(paths.ledger) as reader:
        return [rows for rows in rows_at(paths.rows, reader, chosen) if rows]


def _show(prompts: list[list[dict[str, Any]]]) -> None:
    """The first row of each prompt: further ones differ in the text alone."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    for number, rows in enumerate(prompts, start=1):
        more = f", the first of {len(rows)} rows" if len(rows) > 1 else ""
        console.rule(f"prompt {number} of {len(prompts)}{more}", align="left")
        for name, value in rows[0].items():
            _show_field(console, name, value)
    if prompts:
        console.rule()


def _show_field(console: Console, name: str, value: object) -> None:
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.summary import in_words

    if value is None or value in ({}, ""):
        return
    shown = in_words(value)
    separator = "\n" if len(shown) > 100 or "\n" in shown else " "
    console.print(Text.assemble((f"{name}:", "bold"), separator, plain_text(shown)))
