"""`datafast compare`: how two outputs, or any two files of rows, differ; on request, which one models prefer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.llms import LLMProvider
    from datafast.statistics import Comparison, Judging

__all__ = ["command"]

_LEDGER = "The ledger of {}, if `run: {{ledger: ...}}` put it somewhere else."
_OF_JUDGING = ("rubric", "max_pairs", "match", "field", "verdicts", "offline", "max_concurrency", "env_file")


@click.command("compare", short_help="Show how two files of rows differ, and which one models prefer.")
@click.argument("a", metavar="A", type=options.OutputName(path_type=Path))
@click.argument("b", metavar="B", type=options.OutputName(path_type=Path))
@click.option("--ledger-a", metavar="FILE", type=options.UserFile(path_type=Path), help=_LEDGER.format("A"))
@click.option("--ledger-b", metavar="FILE", type=options.UserFile(path_type=Path), help=_LEDGER.format("B"))
@click.option("--seed", metavar="N", type=int, default=0, help="Draw samples, intervals and pairs with another seed.")
@click.option(
    "--judge",
    "judges",
    metavar="PROVIDER/MODEL",
    multiple=True,
    help="Ask this model which rows are better. May be given several times.",
)
@click.option("--rubric", metavar="TEXT", help="With --judge: what makes a row good.")
@click.option(
    "--max-pairs",
    metavar="N",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="With --judge: judge at most N pairs of rows. It ends earlier if one file is clearly preferred.",
)
@click.option(
    "--match",
    type=click.Choice(["uuid", "values", "random"]),
    help="With --judge: pair rows with the same uuid, rows that were asked for with the same values, or any rows. By default the first "
    "way by which half of the rows have a partner.",
)
@click.option("--field", metavar="NAME", help="With --judge: judge this field alone. By default all that rows say.")
@click.option(
    "--verdicts",
    metavar="FILE.jsonl",
    type=options.UserFile(path_type=Path, dir_okay=False),
    help="With --judge: the file for the verdicts. By default A-vs-B.jsonl beside A, by the names of both.",
)
@options.offline
@options.concurrency
@options.env_file
@options.as_json
@options.verbose
@click.pass_context
def command(
    ctx: click.Context,
    /,
    a: str,
    b: str,
    ledger_a: Path | None,
    ledger_b: Path | None,
    seed: int,
    as_json: bool,
    verbose: bool,
    **how: Any,
) -> None:
    """Show how two files of rows differ: configs, rows, lengths, languages, labels and other values, diversity, cost.

    A and B are outputs of configs, or any files of rows: JSONL, JSON, CSV, TSV, Parquet, Arrow. With `--judge`, models say which rows are
    better. They do not see which file a row is from, and see each pair in both orders. The verdicts are recorded; the same command goes
    on where it was.

    \b
    datafast compare a.jsonl b.jsonl
    datafast compare a.jsonl b.jsonl --judge openai/gpt-6-luna --rubric "Clearer?"

    \b
    Exit codes: 0 compared, 2 wrong files or command, 4 judging stopped early
    (the same command goes on), 130 interrupted (likewise).
    """
    from datafast.datasets.opened import opened_output
    from datafast.errors import ConfigError, RunStopped
    from datafast.statistics import compare
    from datafast.types import StopCause

    if not how["judges"] and (given := next(filter(partial(_is_given, ctx), _OF_JUDGING), None)):
        raise ConfigError(f"--{given.replace('_', '-')} is about judging. Name a model with --judge.")
    try:
        with (
            opened_output(a, ledger_a) as one,
            opened_output(b, ledger_b) as other,
            _judging(one.place, other.place, seed, verbose=verbose, **how) as judging,
        ):
            found = compare(one, other, ledger_a=ledger_a, ledger_b=ledger_b, judging=judging, seed=seed)
    except RunStopped as stopped:
        click.echo(f"error: Stopped: {stopped.report.stop_reason}. The same command goes on.", err=True)
        ctx.exit(130 if stopped.report.stop_cause is StopCause.INTERRUPTED else 4)
    _show(found, as_json=as_json)


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


@contextmanager
def _judging(
    a: Path,
    b: Path,
    seed: int,
    *,
    judges: tuple[str, ...],
    rubric: str | None,
    max_pairs: int,
    match: Any,
    field: str | None,
    verdicts: Path | None,
    offline: bool,
    max_concurrency: int | None,
    env_file: Path | None,
    verbose: bool,
) -> Iterator[Judging | None]:
    """How pairs are judged, with what goes on on stderr as long as the context lasts; None without judges."""
    if not judges:
        yield None
        return
    from datafast.cli.display.progress import RunDisplay
    from datafast.cli.session import watched
    from datafast.config_files.loader import load_secrets
    from datafast.engine.settings import RunConfig
    from datafast.executors.local import LocalExecutor
    from datafast.statistics import Judging

    load_secrets(a, env_file)
    providers = _providers(judges, offline=offline)
    executor = LocalExecutor()
    display = RunDisplay(in_flight=lambda: executor.in_flight_by_provider, verbose=verbose)
    settings: dict[str, Any] = {} if max_concurrency is None else {"max_concurrency": max_concurrency}
    with watched(executor, display) as on_event:
        yield Judging(
            judges=providers,
            rubric=rubric,
            file=verdicts or a.with_name(f"{a.stem}-vs-{b.stem}.jsonl"),
            max_pairs=max_pairs,
            match=match,
            field=field,
            run=RunConfig(seed=seed, **settings),
            on_event=on_event,
            executor=executor,
        )


def _providers(judges: tuple[str, ...], *, offline: bool) -> list[LLMProvider]:
    from datafast.llms.simulated.provider import SimulatedProvider
    from datafast.llms.spec import named_provider

    providers = list(map(named_provider, judges))
    return [SimulatedProvider.standing_in_for(provider) for provider in providers] if offline else providers


def _show(found: Comparison, *, as_json: bool) -> None:
    if as_json:
        options.print_json(found.model_dump(mode="json"))
        return
    from datafast.cli.display.comparison import print_comparison

    print_comparison(found)
