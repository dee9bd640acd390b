"""`datafast batches`: the batch jobs of an output, how far they are, and giving them up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from datafast._util.user_path import is_file
from datafast.cli import options
from datafast.cli.outputs import key_file_of, output_command, outputs_of
from datafast.store.resuming import resume_command

if TYPE_CHECKING:
    from rich.console import Console

    from datafast.engine.batches.settling import GivenUp, Seen
    from datafast.llms.provider import LLMProvider
    from datafast.store.batches import BatchRow
    from datafast.store.paths import OutputPaths

__all__ = ["command"]

_ENDED_SHOWN = 10
_NONE = "{} has no batches. `datafast generate CONFIG.yaml --batch` sends the requests of a config in batches."


@click.command("batches", short_help="Show the batches of an output, or cancel them.")
@options.output_file
@click.option("--cancel", is_flag=True, help="Cancel those that are under way, and collect what was answered before.")
@options.no_wait
@click.option("--no-call", is_flag=True, help="Ask no provider: show what is recorded.")
@click.option(
    "--config",
    metavar="CONFIG.yaml",
    type=options.UserFile(path_type=Path),
    help="A config that has the providers, where the ledger does not say how they are reached.",
)
@options.ledger
@options.env_file
@options.as_json
@click.pass_context
def command(
    ctx: click.Context,
    file: str,
    cancel: bool,
    no_wait: bool,
    no_call: bool,
    config: Path | None,
    ledger: Path | None,
    env_file: Path | None,
    as_json: bool,
) -> None:
    """Show the batches of an output: what the providers say of those that are under way, and what came of the others.

    --cancel gives up those that are under way. What was answered before that is collected: it is paid for, and the next
    `datafast generate` uses it. Nothing else of them is charged. Then the others can be asked again, or the output started over.

    \b
    Exit codes:
      0    shown; with --cancel: no batch is under way any more
      2    the command is wrong, or the output cannot be used
      4    with --cancel: batches are still under way, the same command goes on
      130  interrupted, the same command goes on
    """
    if cancel and no_call:
        raise click.UsageError("--cancel asks the providers, so it cannot go with --no-call.")
    if no_wait and not cancel:
        raise click.UsageError("--no-wait belongs to --cancel: without it, nothing is waited for.")
    from datafast.logger_config import configure_logger

    configure_logger("WARNING", format_string="{level}: {message}", colorize=False)
    with outputs_of(file, ledger) as outputs:
        if cancel:
            ctx.exit(
                _cancel(
                    file, outputs, lambda paths: _providers(paths, config, env_file), wait=not no_wait, as_json=as_json
                )
            )
        listed = {
            name: _listed(paths, {} if no_call else _providers(paths, config, env_file), ask=not no_call)
            for name, paths in outputs.items()
        }
        if as_json:
            resume = {name: one.resume for name, one in listed.items()}
            batches = [_of_shard(name, told) for name, one in listed.items() for told in one.as_json()]
            options.print_json({"output_file": file, "batches": batches, "resume": resume.get("", resume)})
            return
        _show_all(file, outputs, listed)


def _providers(paths: OutputPaths, config: Path | None, env_file: Path | None) -> dict[str, LLMProvider]:
    """Those of the open batches, by name. Keys are read as those of a run: from the file that is given, or that beside the config."""
    from datafast.config_files.loader import load_project, load_secrets
    from datafast.engine.batches.settling import providers_of_batches
    from datafast.engine.routes import labels_of, providers_of

    given: dict[str, LLMProvider] = {}
    if config is not None:
        found = providers_of(load_project(config, env_file=env_file).routes)
        labels = labels_of(found)
        given = {labels[id(provider)]: provider for provider in found}
    else:
        noted = key_file_of(paths)
        load_secrets(noted, env_file or (noted if is_file(noted) else None))
    return providers_of_batches(paths.ledger, given)


# -- the list


class _Listed(NamedTuple):
    """The batches of an output, what providers say of those that are under way, and the command that collects them."""

    rows: Sequence[BatchRow]
    seen: Sequence[Seen]
    resume: str | None

    def as_json(self) -> list[dict[str, Any]]:
        found = {one.row.id: one for one in self.seen}
        return [_as_dict(row, found.get(row.id)) for row in self.rows]


def _of_shard(name: str, told: dict[str, Any]) -> dict[str, Any]:
    return {"shard": name, **told} if name else told


def _listed(paths: OutputPaths, providers: Mapping[str, LLMProvider], *, ask: bool) -> _Listed:
    from datafast._util import background
    from datafast.store.batches import BatchPhase
    from datafast.store.reader import LedgerReader

    with LedgerReader(paths.ledger) as reader:
        rows = reader.batches.all()
        resume = resume_command(reader)
    seen: list[Seen] = []
    is_open = [row for row in rows if row.phase is not BatchPhase.CLOSED]
    if is_open and ask:
        from datafast.engine.batches.settling import look

        seen = background.run(look(is_open, providers))
    return _Listed(rows, seen, resume)


def _show_all(file: str, outputs: Mapping[str, OutputPaths], listed: Mapping[str, _Listed]) -> None:
    """Those of an output, or of each shard that has any."""
    shown = {name: one for name, one in listed.items() if one.rows or not name}
    if not shown:
        click.echo(_NONE.format(file))
    for name, one in shown.items():
        if name:
            click.echo(f"shard {name}")
        _show(one.rows, one.seen, outputs[name], one.resume)


def _as_dict(row: BatchRow, seen: Seen | None) -> dict[str, Any]:
    """A batch as JSON. Times are seconds since the epoch, null for not yet; what the provider says is null where it was not asked."""
    status = seen.status if seen is not None else None
    return {
        "provider": row.provider,
        "batch": row.service_id or None,
        "phase": row.phase.name.lower(),
        "state": status.state.value if status is not None else None,
        "calls": row.num_calls,
        "done": status.done if status is not None else None,
        "answered": row.answered,
        "failed": row.failed,
        "cost_usd": row.cost_usd if row.ended_at else None,
        "submitted_at": row.submitted_at or None,
        "ended_at": row.ended_at or None,
        "problem": (seen.problem if seen is not None else "") or None,
    }


def _show(rows: Sequence[BatchRow], seen: Sequence[Seen], paths: OutputPaths, resume: str | None) -> None:
    from rich.console import Console

    from datafast.cli.display.lines import Step, labelled, print_lines, print_steps
    from datafast.store.batches import BatchPhase
    from datafast.store.lock import is_running

    console = Console(highlight=False)
    if not rows:
        from rich.text import Text

        print_lines(console, Text(_NONE.format(paths.name)))
        return
    ended = [row for row in rows if row.phase is BatchPhase.CLOSED]
    asked = {one.row.id: one for one in seen}
    for row in rows:
        if row.phase is not BatchPhase.CLOSED:
            labelled(console, "open", _open_line(row, asked.get(row.id)))
    for row in ended[-_ENDED_SHOWN:]:
        labelled(console, "ended", _ended_line(row))
    if len(ended) > 1:
        labelled(console, "", _sums(ended))
    if len(ended) < len(rows) and is_running(paths):
        labelled(console, "note", "a run is waiting for them now")
    elif len(ended) < len(rows):
        go_on = Step(resume or "run the same script again", "collect what is back, and go on")
        cancel = f"{output_command('batches', paths.name, paths.ledger)} --cancel"
        print_steps(console, [go_on, Step(cancel, "give them up; what was answered is kept")])


def _open_line(row: BatchRow, seen: Seen | None) -> str:
    from datafast.amounts import counted, duration

    since = row.submitted_at or row.announced_at
    age = duration(max(0.0, time.time() - since))
    name = f"batch {row.service_id}" if row.service_id else "a batch"
    where = f"{row.provider}: {name}, {counted(row.num_calls, 'call')}, submitted {age} ago"
    if seen is None:
        return where
    if seen.status is None:
        return f"{where}. {seen.problem}"
    return f"{where}: {_state(seen)}"


def _state(seen: Seen) -> str:
    from datafast.llms.batches.base import BatchState

    status = seen.status
    assert status is not None  # noqa: S101 - as the caller has seen
    if status.state is BatchState.ENDED:
        return "it has ended, and can be collected"
    if status.state is BatchState.REFUSED:
        return f"it was refused. {status.error or ''}".rstrip()
    total = status.total or seen.row.num_calls
    failed = f", {status.failed:,} with an error" if status.failed else ""
    return f"{status.state.value}, {status.done:,} of {total:,} answered{failed}"


def _ended_line(row: BatchRow) -> str:
    from datafast.amounts import counted, duration, money

    if not row.service_id:
        return f"{row.provider}: a batch with {counted(row.num_calls, 'call')} that was not submitted"
    failed = f", {row.failed:,} failed" if row.failed else ""
    left = row.num_calls - row.answered - row.failed
    unanswered = f", {left:,} not answered" if left else ""
    cost = f", cost {money(row.cost_usd)}" if row.answered else ""
    took = f", after {duration(row.ended_at - row.submitted_at)}" if row.submitted_at else ""
    calls = f"{row.answered:,} of {counted(row.num_calls, 'call')} answered{failed}{unanswered}"
    return f"{row.provider}: batch {row.service_id}, {calls}{took}{cost}"


def _sums(ended: Sequence[BatchRow]) -> str:
    from datafast.amounts import money

    costs = [row.cost_usd for row in ended]
    known = [cost for cost in costs if cost is not None]
    cost = money(sum(known) if len(known) == len(costs) else None)
    return f"{len(ended):,} ended batches in all: {sum(row.answered for row in ended):,} calls answered, cost {cost}"


# -- giving up


def _cancel(
    file: str,
    outputs: Mapping[str, OutputPaths],
    providers_of: Callable[[OutputPaths], Mapping[str, LLMProvider]],
    *,
    wait: bool,
    as_json: bool,
) -> int:
    """Cancels what is under way, in one shard after the other. Returns the exit code.

    Raises:
        OutputInUseError: a run on one of them is going on. The others are done.
    """
    from rich.console import Console

    from datafast.engine.stop import StopSignal
    from datafast.errors import OutputInUseError

    console, stop = Console(stderr=True, highlight=False), StopSignal()
    done: dict[str, list[GivenUp]] = {}
    in_use: list[str] = []
    for name, paths in outputs.items():
        paths.refuse_copy("--cancel writes into an output, and this is read from a copy.")
        if stop.reason is None:
            try:
                done[name] = _carried_out(paths, providers_of(paths), console, stop, wait=wait)
            except OutputInUseError as error:
                in_use.append(str(error))
    if in_use and not done:
        raise OutputInUseError("\n".join(in_use))
    is_open = [one for given_up in done.values() for one in given_up if one.problem]
    if as_json:
        batches = [
            _of_shard(name, {**_as_dict(one.row, None), "problem": one.problem or None})
            for name, given_up in done.items()
            for one in given_up
        ]
        options.print_json({"output_file": file, "batches": batches})
    else:
        for name, given_up in done.items():
            if name:
                click.echo(f"shard {name}")
            _show_given_up(given_up, outputs[name])
    if stop.reason is not None and (is_open or len(done) < len(outputs)):
        return 130
    if in_use:
        raise OutputInUseError("\n".join(in_use))
    return 4 if is_open else 0


def _carried_out(
    paths: OutputPaths, providers: Mapping[str, LLMProvider], console: Console, stop: Any, *, wait: bool
) -> list[GivenUp]:
    """Gives up and waits, until it is done or interrupted."""
    import concurrent.futures

    from rich.text import Text

    from datafast._util import background
    from datafast.cli.display.lines import print_lines
    from datafast.engine.batches.settling import give_up
    from datafast.engine.events import BatchProgress, Event
    from datafast.engine.open_batches import progress_in_words
    from datafast.errors import OutputInUseError
    from datafast.types import StopCause

    def tell(event: Event) -> None:
        if isinstance(event, BatchProgress):
            print_lines(console, Text(progress_in_words(event)))

    future = background.submit(give_up(paths, providers, stop=stop, on_event=tell, wait=wait))
    while True:
        try:
            while not concurrent.futures.wait((future,), timeout=0.2).done:
                pass
            return future.result()
        except OutputInUseError as error:
            raise OutputInUseError(
                f"A run on {paths.rows} is going on, and waits for its batches. Stop it first: Ctrl-C there cancels nothing. Then run "
                "this again."
            ) from error
        except KeyboardInterrupt:
            if stop.reason is not None:
                raise
            background.call_soon(lambda: stop.now(StopCause.INTERRUPTED, "interrupted"))


def _show_given_up(done: Sequence[GivenUp], paths: OutputPaths) -> None:
    from rich.console import Console
    from rich.text import Text

    from datafast.amounts import counted, money
    from datafast.cli.display.lines import Step, labelled, print_lines, print_steps

    console = Console(highlight=False)
    if not done:
        print_lines(console, Text(f"No batch is under way for {paths.name}."))
        return
    for one in done:
        if one.problem:
            labelled(console, "open", f"{_open_line(one.row, None)}. {one.problem}")
        else:
            labelled(console, "ended", _ended_line(one.row))
    closed = [one.row for one in done if not one.problem]
    if closed:
        costs = [row.cost_usd for row in closed if row.answered]
        known = [cost for cost in costs if cost is not None]
        paid = money(sum(known) if len(known) == len(costs) else None)
        answered = sum(row.answered for row in closed)
        told = f"{paid} for {counted(answered, 'call')} that {'was' if answered == 1 else 'were'} answered"
        told += "; the replies are kept, and the next run uses them"
        labelled(console, "paid", told if answered else "nothing: no call was answered")
    if len(closed) < len(done):
        cancel = f"{output_command('batches', paths.name, paths.ledger)} --cancel"
        print_steps(console, [Step(cancel, "go on with it")])
