"""`datafast preview`: a few prompts and their rows on the screen; a later `generate` has them already."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from datafast.config_files.project import Project
    from datafast.datasets.base import Dataset

__all__ = ["command"]

_CALLS = 4  # shown where all have one role; of several roles the first of each is shown


@click.command("preview", short_help="Generate a few rows, and show them with their prompts.")
@options.config_file
@click.option(
    "-n", "number", metavar="N", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many prompts."
)
@options.offline
@options.local
@options.output
@options.allow_commands
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
    allow_commands: bool,
    yes: bool,
    env_file: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Generate a few rows, from different providers, languages and topics, and show them with their prompts.

    They are written to the output file: `datafast generate` goes on from there and does not pay for them again.
    """
    from datafast.cli.session import Settings, exit_code, run

    settings = Settings(
        config=config,
        offline=offline,
        local=local,
        output=output,
        limit=number,
        is_preview=True,
        allow_commands=allow_commands,
        yes=yes,
        env_file=env_file,
        verbose=verbose,
    )
    project, dataset, report = run(settings)
    prompts = _prompts(project, dataset, number)
    if as_json:
        rows = [row for prompt in prompts for row in prompt["rows"]]
        options.print_json({"report": report.to_dict(), "rows": rows, "prompts": prompts})
    else:
        _show(prompts)
    ctx.exit(exit_code(report))


def _prompts(project: Project, dataset: Dataset[Any, Any], number: int) -> list[dict[str, Any]]:
    """What each item asked that a limit of `number` chooses, and its rows, in its order, from the ledger and the output file."""
    from datafast._util import background
    from datafast._util.user_path import is_file
    from datafast.config_files.ahead import call_to_dict
    from datafast.plan.grid import spread
    from datafast.store.reader import LedgerReader
    from datafast.store.rows import rows_at

    config = project.config
    plan = dataset.whole_plan_for(project.routes)
    chosen = spread(plan, number, seed=config.run.seed)
    paths = dataset.paths
    prompts: list[dict[str, Any]] = []
    if not is_file(paths.ledger):
        return prompts  # stopped while its topics were grown
    with LedgerReader(paths.ledger) as reader:
        if reader.meta("plan") != plan.fingerprint:
            return prompts  # likewise; what it holds are rows of an earlier plan
        rows = dict(zip(chosen, rows_at(paths.rows, reader, chosen), strict=False))
        for position in chosen:
            asked = background.run(project.asked_before(dataset, plan[position], reader.replies_of(position)))
            calls = [{"provider": one.provider, **call_to_dict(one.call), "answered": one.answered} for one in asked]
            prompts.append({"values": plan[position].shown_values, "calls": calls, "rows": rows.get(position, [])})
    return prompts


def _show(prompts: list[dict[str, Any]]) -> None:
    """What each item asked and its first row: further ones differ in the text alone."""
    from rich.console import Console

    console = Console(highlight=False)
    for number, prompt in enumerate(prompts, start=1):
        console.rule(f"prompt {number} of {len(prompts)}", align="left")
        _show_calls(console, prompt["calls"])
        rows = prompt["rows"]
        console.rule(f"the first of its {len(rows)} rows" if len(rows) > 1 else "its row", align="left", characters="-")
        for name, value in rows[0].items() if rows else ():
            _show_field(console, name, value)
        if not rows:
            console.print("There is none: it failed, was filtered, or is still pending. The report above says which.")
    if prompts:
        console.rule()


def _show_calls(console: Console, calls: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.asked import show_messages
    from datafast.cli.display.lines import print_lines

    several = len({call["role"] for call in calls}) > 1
    seen: Counter[str] = Counter()
    for number, call in enumerate(calls):
        seen[call["role"]] += 1
        if seen[call["role"]] > (1 if several else _CALLS):
            continue
        role = f" as {call['role']}" if several else ""
        missing = "" if call["answered"] else " (no usable reply)"
        print_lines(console, Text(plain_text(f"asked {call['provider']}{role}{missing}"), style="bold"))
        before = calls[number - 1]["messages"] if number else []
        known = len(before) if call["messages"][: len(before)] == before else 0
        show_messages(console, call["messages"], call["json_schema"], known=known)
    if more := len(calls) - sum(min(count, 1 if several else _CALLS) for count in seen.values()):
        print_lines(console, Text(f"and {more} more {'call' if more == 1 else 'calls'}; --json has all of them"))


def _show_field(console: Console, name: str, value: object) -> None:
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import print_lines
    from datafast.cli.display.summary import in_words

    if value is None or value in ({}, ""):
        return
    shown = in_words(value)
    separator = "\n" if len(shown) > 100 or "\n" in shown else " "
    print_lines(console, Text.assemble((f"{name}:", "bold"), separator, plain_text(shown)))
