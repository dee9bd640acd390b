"""`datafast failures`: what failed for good in an output, one item a line, from its ledger. Reads only."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options
from datafast.cli.outputs import outputs_of, retry_command
from datafast.store.resuming import resume_command

if TYPE_CHECKING:
    from rich.console import Console

    from datafast.store.failures import ValuesOf
    from datafast.store.paths import OutputPaths
    from datafast.store.reader import LedgerReader
    from datafast.types import FailedItem

__all__ = ["command"]

_SHOWN = 20
_ERROR_LETTERS = 120
_VALUES_LETTERS = 60


def _as_text(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Bytes of a command line that are not UTF-8 come as halves of surrogate pairs, which no ledger holds."""
    return value and value.encode("utf-8", "replace").decode()


@click.command("failures", short_help="Show what failed for good, and how to try it again.")
@options.output_file
@click.option("--category", metavar="NAME", callback=_as_text, help="Only failures of this category.")
@click.option(
    "--provider", metavar="NAME", callback=_as_text, help="Only failures at this provider, as the table names it."
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="Show at most N items. By default 20, and all of them with --json.",
)
@options.ledger
@options.as_json
def command(
    file: str, category: str | None, provider: str | None, limit: int | None, ledger: Path | None, as_json: bool
) -> None:
    """Show what failed for good, item by item, and how to try it again.

    FILE may be a folder of shards. `--json` gives everything that is recorded: prompt and raw reply too.
    """
    from datafast.cli.folder_failures import in_all
    from datafast.store.failures import FailedItems
    from datafast.store.reader import LedgerReader

    with outputs_of(file, ledger) as outputs:
        summaries, parts = {}, {}
        for name, paths in outputs.items():
            with LedgerReader(paths.ledger) as reader:
                summaries[name] = _summary(paths, reader)
                values_of = _values_of(reader, paths.ledger)
            parts[name] = FailedItems(paths.ledger, values_of, category=category, provider=provider)
        summary = summaries[""] if "" in summaries else in_all(file, summaries)
        if as_json:
            items = islice(((name, item) for name, part in parts.items() for item in part), limit)
            listed = [({"shard": name} if name else {}) | item.to_dict() for name, item in items]
            options.print_json({**summary, "items": listed})
        else:
            shown = list(islice(chain.from_iterable(parts.values()), limit or _SHOWN))
            _show(summary, shown, sum(map(len, parts.values())))


def _summary(paths: OutputPaths, reader: LedgerReader) -> dict[str, Any]:
    from datafast.store.lock import is_running
    from datafast.store.records import by_category, by_provider

    return {
        "output_file": paths.name,
        "failed": reader.counts().failed,
        "failures": by_category(reader.failure_counts()),
        "failures_by_provider": by_provider(reader.failure_counts()),
        "retry": None if is_running(paths) else retry_command(resume_command(reader), kind=reader.meta("kind")),
    }


def _values_of(reader: LedgerReader, ledger: Path) -> ValuesOf:
    """What items are about, from the config that the last run left in the ledger."""
    from datafast.datasets.loaded import dataset_of
    from datafast.store.failures import values_of

    dataset = dataset_of(reader)
    return (lambda item: {}) if dataset is None else values_of(dataset.plan, ledger)


def _show(summary: dict[str, Any], items: list[FailedItem], found: int) -> None:
    from rich.console import Console

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import Step, labelled, print_steps
    from datafast.cli.folder_failures import retries

    console = Console(highlight=False, soft_wrap=True)
    if items:
        _show_items(console, items)
        if found > len(items):
            console.print(f"... and {found - len(items):,} more; --limit {found} shows all, --json in full")
        console.print()
    elif summary["failed"]:
        console.print("no failed rows of this category or provider; in all there are:")
    for provider, counts in summary["failures_by_provider"].items():
        words = ", ".join(f"{rows:,} {category}" for category, rows in counts.items())
        labelled(console, "rows", f"{provider}: {words}")
    if not summary["failed"]:
        console.print(f"no failed rows in {plain_text(summary['output_file'])}")
    elif commands := retries(summary):
        print_steps(console, list(map(Step, commands)))
    else:
        labelled(console, "note", "a run is writing to it now")


def _show_items(console: Console, items: list[FailedItem]) -> None:
    """A table; on a terminal that is too narrow for it, a few lines for each item."""
    from rich.cells import cell_len
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import print_lines

    table = [plain_text(line) for line in _table(items)]
    if not console.is_terminal or max(map(cell_len, table)) < console.width:
        for number, line in enumerate(table):
            console.print(Text(line, style="" if number else "bold"))
        return
    for item, (category, rows, attempts, provider, about, error) in zip(items, _cells(items), strict=True):
        asked = f"{rows} {'row' if item.rows == 1 else 'rows'}, {attempts} {'attempt' if item.attempts == 1 else 'attempts'}"
        heading = Text.assemble(
            (category, "bold"), plain_text(f"  {asked}, {provider}{f', about {about}' if about else ''}")
        )
        print_lines(console, heading, indent=2)
        print_lines(console, Text(f"  {plain_text(error)}"), indent=2)


def _table(items: list[FailedItem]) -> list[str]:
    """Lines of a table as wide as what stands in it, its header first."""
    cells = [("category", "rows", "attempts", "provider", "about", "error"), *_cells(items)]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    left = (str.ljust, str.rjust, str.rjust, str.ljust, str.ljust)
    return [
        "  ".join([*(align(cell, width) for align, cell, width in zip(left, row, widths, strict=False)), row[-1]])
        for row in cells
    ]


def _cells(items: list[FailedItem]) -> list[tuple[str, str, str, str, str, str]]:
    return [
        (
            item.category,
            f"{item.rows:,}",
            f"{item.attempts:,}",
            item.provider + (f" ({item.role})" if item.role else ""),
            _cut(", ".join(item.values.values()), _VALUES_LETTERS),
            _cut(item.error, _ERROR_LETTERS),
        )
        for item in items
    ]


def _cut(text: str, letters: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= letters else f"{line[: letters - 3]}..."
