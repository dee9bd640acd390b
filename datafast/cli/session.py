"""Carrying out a run for the command line: keys, display, signals, report, exit code.

The first Ctrl-C (or SIGTERM) stops sending and lets what is in flight land; the second leaves at once. Either way
everything that was paid for is on the disk, and the same command goes on.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from datafast._util.fd_limit import raise_limit
from datafast._util.jsonl import last_line
from datafast._util.notify import plain_text
from datafast._util.remote import remote_url
from datafast._util.user_path import is_file, is_folder
from datafast.cli.display.agreement import agreement_lines, told_agreement
from datafast.cli.display.event_file import EventFile
from datafast.cli.display.lines import Step
from datafast.cli.display.progress import RunDisplay
from datafast.cli.display.question import Question
from datafast.cli.display.summary import show_report, show_sample, show_start
from datafast.cli.outputs import failures_command, output_command
from datafast.cli.placing import placed_in
from datafast.config_files.loader import load_project
from datafast.engine.events import Event, EventCallback, PreparationStarted, RunStarted
from datafast.errors import ConfigError, MissingKeyError, RunStopped
from datafast.executors.local import LocalExecutor
from datafast.logger_config import configure_logger
from datafast.store.paths import OutputPaths, UsedFile, refuse_shared
from datafast.store.shards import ShardName
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.cli.shown import ShownRun
    from datafast.config_files.project import Project
    from datafast.datasets.base import Dataset
    from datafast.executors.base import Executor
    from datafast.types import RunReport

__all__ = ["Settings", "carried_out", "exit_code", "log_to_terminal", "opened", "run", "watched", "with_stand_ins"]

_LOG_FORMATS = {False: "{level}: {message}", True: "{time:HH:mm:ss} {level: <7} {message}"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command line asks for beside the config. A preview asks online, and waits for no batch."""

    config: Path
    offline: bool = False
    local: str | None = None
    output: Path | None = None
    merged: Path | None = None
    limit: int | None = None
    shard: ShardName | None = None
    max_concurrency: int | None = None
    batch: bool | None = None
    no_wait: bool = False
    is_preview: bool = False
    fresh: bool = False
    retry_failed: bool = False
    decide_only: bool = False
    fill: bool = False
    allow_commands: bool = False
    yes: bool = False
    events: Path | None = None
    view: bool = False
    no_open: bool = False
    env_file: Path | None = None
    verbose: bool = False

    @property
    def command(self) -> str:
        """The command that goes on with this run."""
        words = ["datafast", "generate", str(self.config)]
        words += ["--offline"] if self.offline else []
        for option, value in (
            ("--local", self.local),
            ("--output", None if self.output is None else remote_url(self.output) or self.output),
            ("--from", self.merged),
            ("--shard", self.shard),
            ("--max-concurrency", self.max_concurrency),
            ("--env-file", self.env_file),
            ("--events", self.events),
        ):
            words += [option, str(value)] if value is not None else []
        if self.batch is not None:
            words.append("--batch" if self.batch else "--online")
        words += ["--no-wait"] if self.no_wait else []
        words += ["--allow-commands"] if self.allow_commands else []
        return shlex.join(words)


def run(settings: Settings, *, guided: bool = False) -> tuple[Project, Dataset[Any, Any], RunReport]:
    """Carries out a run and shows how it goes and ends.

    Args:
        guided: say what is going to be made as soon as it is known, and show a row and what else can be done at the end.

    Raises:
        ConfigError: the config is wrong or keys are missing; nothing was sent.
        OutputError: the output cannot be used.
    """
    return carried_out(opened(settings), settings, guided=guided)


def carried_out(
    project: Project, settings: Settings, *, guided: bool = False
) -> tuple[Project, Dataset[Any, Any], RunReport]:
    """`run`, of a project that is there already."""
    if settings.events is not None and str(settings.events) != "-":
        refuse_shared([*project.used_files(), UsedFile("--events", settings.events, written=True)])
    if not settings.decide_only:
        _require_keys(project)
    raise_limit(settings.max_concurrency or project.config.run.max_concurrency)
    executor = LocalExecutor()
    dataset = project.dataset(executor)
    dataset.shard = settings.shard
    per_item = project.config.rows_per_item
    max_rows = settings.limit * per_item if settings.limit is not None else None
    display = RunDisplay(in_flight=lambda: executor.in_flight_by_provider, max_rows=max_rows, verbose=settings.verbose)
    if guided:
        _show_start(display, project, dataset, settings)
    with _shown(dataset.paths, settings, display, max_rows) as shown:
        with contextlib.ExitStack() as stack:
            events = stack.enter_context(EventFile(settings.events)) if settings.events is not None else None
            on_event = stack.enter_context(watched(executor, display, events))
            question = Question(display, is_answered=settings.yes)
            report = _generate(project, dataset, settings, on_event, question, shown)
        if events is not None and events.error is not None:
            display.say(f"error: {events.error}")
        _show_end(report, display, settings, dataset.paths, guided=guided)
        if shown is not None and guided:
            shown.stay()
    return project, dataset, report


def _shown(
    paths: OutputPaths, settings: Settings, display: RunDisplay, max_rows: int | None
) -> contextlib.AbstractContextManager[ShownRun | None]:
    """Shows the run in the browser, with `--view`."""
    if not settings.view:
        return contextlib.nullcontext()
    from datafast.cli.shown import ShownRun

    beside = paths.ledger == OutputPaths.of(paths.rows).ledger
    return ShownRun(
        paths.rows, None if beside else paths.ledger, say=display.say, opens=not settings.no_open, max_rows=max_rows
    )


def _show_end(report: RunReport, display: RunDisplay, settings: Settings, paths: OutputPaths, *, guided: bool) -> None:
    steps = _next_steps(report, settings, paths)
    agreement: tuple[str, ...] = ()
    if guided:
        agreement = tuple(agreement_lines(told_agreement(paths.rows)))
        steps += _further_steps(report, settings, paths)
        if (row := _last_row(paths.rows)) is not None:
            show_sample(display.console, row)
    show_report(display.console, report, new_rows=display.progress.new_rows, next_steps=steps, agreement=agreement)


def opened(settings: Settings) -> Project:
    """The project of a config, with simulated models or a local one where the command line asks for them; turns the log on."""
    log_to_terminal(verbose=settings.verbose)
    project = load_project(settings.config, env_file=settings.env_file, output=settings.merged or settings.output)
    if settings.merged is not None:
        project = _from_merged(project, settings, settings.merged)
    if settings.batch is not None or settings.is_preview:
        project = project.in_mode("batch" if settings.batch else "online")
    return with_stand_ins(project, settings)


def _from_merged(project: Project, settings: Settings, merged: Path) -> Project:
    """The project with a merged output as its own."""
    from datafast.store.merging import is_merged

    for option, given in (("--output", settings.output), ("--shard", settings.shard), ("--fresh", settings.fresh)):
        if given:
            raise ConfigError(
                f"--from goes on with what was merged, and {option} with something else. Leave one of them out."
            )
    if is_folder(merged):
        raise ConfigError(
            f"--from: {merged} is a folder. `datafast merge {merged} -o FILE.jsonl` makes the file to go on with, of its shards."
        )
    beside = OutputPaths.of(merged)
    if is_file(beside.ledger):  # `run.ledger` is where the ledgers of the shards are
        project = project.with_ledger(None)
    if not is_file(merged) and not is_file(project.config.paths.ledger):
        raise ConfigError(f"--from: There is no file {merged}. `datafast merge FOLDER -o {merged}` makes it of shards.")
    if not is_merged(project.config.paths):
        raise ConfigError(
            f"--from: {merged} was not merged from shards: `datafast merge FOLDER -o {merged}` does that. To go on with another output, "
            f"use --output."
        )
    return project


def with_stand_ins(project: Project, settings: Settings) -> Project:
    """The project with simulated models or a local one where the command line asks for them."""
    if settings.offline and settings.local is not None:
        raise ConfigError(
            "--offline and --local exclude each other. Give one of them: --offline simulates every model; --local runs one."
        )
    if settings.local is not None:
        return project.on_local_model(settings.local)
    return project.simulated() if settings.offline else project


def log_to_terminal(*, verbose: bool) -> None:
    """Turns the log on."""
    level = "DEBUG" if verbose else "WARNING"
    configure_logger(level, format_string=_LOG_FORMATS[verbose], colorize=False)


@contextlib.contextmanager
def watched(executor: Executor, display: RunDisplay, events: EventFile | None = None) -> Iterator[EventCallback]:
    """Shows what goes on and ends it in order on Ctrl-C, as long as the context lasts; gives what takes the events."""
    with _collecting_rarely(), display, _Signals(executor, display, events) as signals:
        yield signals.on_event


@contextlib.contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Looks for reference cycles less often: rows make none, and with many requests in flight it takes a fifth of the time.

    Only here, where the process is ours; a library leaves its host's collector alone.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def exit_code(report: RunReport) -> int:
    """0 all there or filtered, 3 failed rows, none at all, or a target that is given up, 4 stopped early, 130 interrupted."""
    if report.stop_cause is StopCause.INTERRUPTED and report.pending:
        return 130
    if report.stop_cause not in {None, StopCause.INTERRUPTED}:
        return 4
    is_empty = report.shard is not None and not report.requested  # few items, and none of them in this shard
    return 3 if report.is_short or not (report.written or report.filtered or is_empty) else 0


def _generate(
    project: Project,
    dataset: Dataset[Any, Any],
    settings: Settings,
    on_event: EventCallback,
    question: Question,
    shown: ShownRun | None,
) -> RunReport:
    options: Any = {
        "fresh": settings.fresh,
        "retry_failed": settings.retry_failed,
        "limit": settings.limit,
        "decide_only": settings.decide_only,
        "fill": settings.fill,
        "allow_commands": settings.allow_commands,
        "wait": not (settings.no_wait or settings.is_preview),
        "on_event": on_event,
        "on_change": question.ask,
        # Names of files need not be text.
        "notes": {"command": plain_text(settings.command), "directory": plain_text(str(Path.cwd()))},
    }
    if question.can_be_asked:
        options["on_alarm"] = question.goes_on
    if shown is not None:
        options |= {"control": shown.control, "on_event": shown.also(on_event)}
    if settings.shard is not None:
        options["shard"] = settings.shard
    if settings.max_concurrency is not None:
        options["max_concurrency"] = settings.max_concurrency
    try:
        with placed_in(project.path):
            return project.generate(dataset, options)
    except RunStopped as stopped:
        return stopped.report


def _require_keys(project: Project) -> None:
    """Names every missing key at once; the run itself would stop at the first."""
    missing: dict[str, str] = {}
    for place, provider in project.all_providers():
        try:
            provider.require_ready()
        except MissingKeyError as error:
            missing.setdefault(
                error.variable, f"{place}: {provider.label} needs an API key, and {error.variable} is not set."
            )
    if missing:
        raise ConfigError(
            "\n".join(missing.values())
            + f"\nPut {' and '.join(f'{variable}=...' for variable in missing)} into {project.secrets}, "
            f"or set {'it' if len(missing) == 1 else 'them'} in the environment. "
            f"To try without a key, add --offline, or --local MODEL.gguf."
        )


def _next_steps(report: RunReport, settings: Settings, paths: OutputPaths) -> list[Step]:
    steps = []
    file, ledger = report.output_file, paths.ledger
    if report.pending:
        what = "go on" if report.stop_cause else "make the rest"
        what = "collect what is back" if report.stop_cause is StopCause.BATCH else what
        steps.append(Step(settings.command, f"{what}; nothing is paid for twice"))
    elif report.stop_cause is StopCause.UPLOAD:
        steps.append(Step(settings.command, "upload the rest; nothing is bought"))
    if _has_batches(ledger):
        batches = output_command("batches", file, ledger)
        steps.append(Step(batches, "how far they are; with --cancel, they are given up"))
    if report.failed and (report.is_short or not report.targets):
        steps.append(Step(f"{settings.command} --retry-failed", "try the failed rows again"))
    if report.failed:
        steps.append(Step(failures_command(file, ledger), "each of them, with why"))
    return steps


def _has_batches(ledger: Path) -> bool:
    """Whether batches are under way for an output."""
    from datafast.store.reader import LedgerReader

    if not is_file(ledger):
        return False
    with LedgerReader(ledger) as reader:
        return bool(reader.batches.open())


def _further_steps(report: RunReport, settings: Settings, paths: OutputPaths) -> list[Step]:
    """What else can be done with rows that are there."""
    if not report.written:
        return []
    file, ledger = report.output_file, paths.ledger
    steps = [Step(output_command("status", file, ledger), "rows, calls and cost of all runs")]
    if settings.shard is not None:
        folder, ledgers = _folder_of(file, paths)
        steps = [Step(output_command("status", folder, ledgers), "how far all shards are")]
    steps.append(Step(output_command("report", file, ledger), "a page with charts, duplicates and rows"))
    if not report.pending and settings.offline:
        real = shlex.join(["datafast", "plan", str(settings.config)])
        do_it = ["datafast", "generate", str(settings.config)]
        do_it += [] if settings.shard is None else ["--shard", str(settings.shard)]
        steps.append(Step(real, "what the real models will be asked, and its cost"))
        if settings.output is None and settings.merged is None:
            steps.append(Step(shlex.join([*do_it, "--fresh"]), "do it; the simulated rows are moved aside"))
        elif settings.merged is None:
            steps.append(Step(shlex.join(do_it), "do it, into the file of the config"))
    elif not report.pending and settings.shard is not None:
        name = Path(folder).name  # a folder on this machine may be called like a file
        merged = f"{name.removesuffix('.jsonl')}-merged.jsonl" if name.endswith(".jsonl") else f"{name}.jsonl"
        merge = f"{output_command('merge', folder, ledgers)} -o {shlex.quote(merged)}"
        what = f"one file, when all {settings.shard.of:,} shards are there"
        steps.append(
            Step(
                merge, f"{what}; {', '.join(report.decided_at_merge)} decide then" if report.decided_at_merge else what
            )
        )
    elif not report.pending and not report.simulated:
        steps.append(
            Step(f"{output_command('push', file, ledger)} OWNER/NAME", "publish the rows, private unless --public")
        )
    return steps


def _folder_of(file: str, paths: OutputPaths) -> tuple[str, Path | None]:
    """The folder that a shard is in, and that of the ledgers, if they are not beside the shards."""
    if paths.url:
        return file.rpartition("/")[0], None
    return str(Path(file).parent), None if paths.ledger.parent == paths.rows.parent else paths.ledger.parent


def _show_start(display: RunDisplay, project: Project, dataset: Dataset[Any, Any], settings: Settings) -> None:
    show_start(
        display.console,
        rows=dataset.expected_rows(dataset.plan_of_run(project.routes, fresh=settings.fresh)),
        are_accepted=dataset.targets is not None,
        kind=dataset.kind,
        providers=[provider.label for _, provider in project.all_providers()],
        file=dataset.paths.name,
        limit=settings.limit,
        in_batches=project.config.run.mode == "batch"
        and any(provider.has_batches for _, provider in project.all_providers()),
    )


def _last_row(file: Path) -> dict[str, Any] | None:
    """The row that was written last; None where there is none."""
    import orjson

    try:
        with file.open("rb") as rows:
            line = last_line(rows)
    except FileNotFoundError:
        return None
    row: dict[str, Any] | None = None if line is None else orjson.loads(line)
    return row


class _Signals:
    """Turns Ctrl-C and SIGTERM into an orderly end while a run goes on."""

    def __init__(self, executor: Executor, display: RunDisplay, events: EventFile | None) -> None:
        self._executor = executor
        self._display = display
        self._events = events
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_event(self, event: Event) -> None:
        if self._asked and isinstance(event, RunStarted | PreparationStarted):
            self._executor.stop()  # asked for before there was a run that could be stopped
        self._display.on_event(event)
        if self._events is not None:
            self._events(event)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            self._display.restore_terminal()
            os._exit(130)  # replies are in the journal already, and waiting is what the user does not want
        self._asked = True
        calls = self._executor.in_flight
        self._executor.stop()
        landing = f"Letting {calls} call{'' if calls == 1 else 's'} in flight land." if calls else "Stopping."
        batches = " Nothing that is in a batch is cancelled." if self._display.progress.batches else ""
        self._display.say(f"{landing}{batches} Ctrl-C again leaves now.")
