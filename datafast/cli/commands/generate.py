"""`datafast generate`: make the rows that are missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.store.shards import ShardName

__all__ = ["command"]


@click.command("generate")
@options.config_file
@options.offline
@options.local
@options.output
@click.option(
    "--from",
    "merged",
    metavar="FILE",
    type=options.UserFile(path_type=Path),
    help="Go on with the output that `datafast merge` has made of shards, and make what it lacks.",
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="Stop at N prompts in all, spread over the plan. Without it the same command makes the rest.",
)
@options.shard
@options.concurrency
@options.batch
@options.no_wait
@click.option("--fresh", is_flag=True, help="Start over. Existing files are moved aside (.bak).")
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Try again the rows that failed for good; with --limit, those of the prompts that it takes.",
)
@click.option(
    "--fill",
    is_flag=True,
    help="Buy again combinations of values that have lost all their rows because these were filtered or have failed.",
)
@click.option(
    "--decide-only",
    is_flag=True,
    help="Let the stages under `quality` decide about the rows that there are, and make no others. Needs no key.",
)
@click.option(
    "--events",
    metavar="FILE",
    type=options.UserFile(path_type=Path, allow_dash=True),
    help="Append what happens to this file, one JSON object a line. Use - for stdout.",
)
@click.option(
    "--view",
    is_flag=True,
    help="Show the run in the browser, with buttons that pause, resume and stop it. In a terminal the pages stay until Ctrl-C.",
)
@click.option("--no-open", is_flag=True, help="With --view: only print the address, and open no browser.")
@options.allow_commands
@options.yes
@options.env_file
@options.as_json
@options.verbose
@click.pass_context
def command(
    ctx: click.Context,
    config: Path,
    offline: bool,
    local: str | None,
    output: Path | None,
    merged: Path | None,
    limit: int | None,
    shard: ShardName | None,
    max_concurrency: int | None,
    batch: bool | None,
    no_wait: bool,
    fresh: bool,
    retry_failed: bool,
    fill: bool,
    decide_only: bool,
    events: Path | None,
    view: bool,
    no_open: bool,
    allow_commands: bool,
    yes: bool,
    env_file: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Generate the rows that are missing.

    Run it again after an interruption, a crash or a change of the config. Existing rows stay, and nothing is paid for
    twice. Rows that a changed config no longer asks for are moved to a file of their own; you are told so first.

    \b
    Exit codes:
      0    all rows are written or filtered, or as many as --limit asks for
      2    the config or the command is wrong, another run has the output, or you
           said no; nothing was sent
      3    finished, but rows failed for good or a target is given up, or no row
      4    stopped early, or batches are under way; the same command goes on
      130  interrupted, the same command goes on
    """
    if as_json and str(events) == "-":
        raise click.UsageError("--events - and --json would both write to stdout. Give --events a file.")
    if no_open and not view:
        raise click.UsageError("--no-open goes with --view. Add --view, or leave it out.")
    if not as_json:  # before anything that takes its time: imports, a long config, sources
        click.echo(f"{'reading':<10}{config}", err=True)
    from datafast.cli.session import Settings, exit_code, run

    settings = Settings(
        config=config,
        offline=offline,
        local=local,
        output=output,
        merged=merged,
        limit=limit,
        shard=shard,
        max_concurrency=max_concurrency,
        batch=batch,
        no_wait=no_wait,
        fresh=fresh,
        retry_failed=retry_failed,
        fill=fill,
        decide_only=decide_only,
        events=events,
        view=view,
        no_open=no_open,
        allow_commands=allow_commands,
        yes=yes,
        env_file=env_file,
        verbose=verbose,
    )
    _, _, report = run(settings, guided=not as_json)
    if as_json:
        options.print_json(report.to_dict())
    ctx.exit(exit_code(report))
