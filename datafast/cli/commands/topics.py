"""`datafast topics`: the topic model of a config, built ahead of the rows, or shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.topics.model import TopicModel
    from datafast.topics.supply import TopicSupply
    from datafast.types import RunReport

__all__ = ["command"]

_SHOWN = 20


@click.group("topics")
def command() -> None:
    """Build or show the topics that conversations and chats are about.

    \b
    datafast topics build chat.yaml   grow them now (`generate` does it too)
    datafast topics show chat.yaml    print them
    """


@command.command("build", short_help="Grow the topics of a config into their file.")
@options.config_file
@options.offline
@options.local
@options.output
@options.batch
@options.no_wait
@click.option("--fresh", is_flag=True, help="Grow them again. Existing files are moved aside (.bak).")
@options.env_file
@options.as_json
@options.verbose
@click.pass_context
def build(
    ctx: click.Context,
    config: Path,
    offline: bool,
    local: str | None,
    output: Path | None,
    batch: bool | None,
    no_wait: bool,
    fresh: bool,
    env_file: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Grow the topics of a config into their file, or those that are missing.

    \b
    Exit codes: 0 all there, 2 wrong config, 3 some topics could not be divided,
    4 stopped early, or batches are under way (the same command goes on),
    130 interrupted (likewise).
    """
    from datafast.cli.display.progress import RunDisplay
    from datafast.cli.session import Settings, opened, watched
    from datafast.errors import RunStopped, TopicsError
    from datafast.executors.local import LocalExecutor
    from datafast.types import StopCause

    project = opened(
        Settings(
            config=config,
            offline=offline,
            local=local,
            output=output,
            batch=batch,
            env_file=env_file,
            verbose=verbose,
        )
    )
    executor = LocalExecutor()
    dataset = project.dataset(executor)
    supply = _supply(dataset, config)
    steps = supply.preparations(
        project.routes[0],
        {"wait": not no_wait},
        executor=executor,
        ledger=dataset.paths.ledger,
        fresh=fresh,
    )
    display = RunDisplay(in_flight=lambda: executor.in_flight_by_provider, verbose=verbose)
    report: RunReport | None = None
    code, problem = 0, ""
    with watched(executor, display) as on_event:
        for step in steps:
            report = executor.run(step.announced(on_event))
            try:
                step.done(report)
            except RunStopped:
                code = 130 if report.stop_cause is StopCause.INTERRUPTED else 4
                problem = f"Stopped: {report.stop_reason}. The same command goes on, and nothing is paid for twice."
            except TopicsError as error:
                code, problem = 3, str(error)
    if as_json:
        topics = supply.model.to_dict() if not code else None
        shown = {"file": str(supply.path), "report": report and report.to_dict(), "topics": topics}
        options.print_json({**shown, "error": problem or None})
    elif not code:
        _show_built(display, supply, report)
    if problem:
        display.say(f"error: {problem}")
    ctx.exit(code)


@command.command("show")
@click.argument("source", metavar="CONFIG.yaml|TOPICS.json", type=options.UserFile(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "paths", "json"]),
    default="text",
    show_default=True,
    help="An indented list, a Mermaid flowchart, one path a line, or all there is to know.",
)
@options.output
def show(source: Path, form: str, output: Path | None) -> None:
    """Print the topics of a config, or of a file that holds topics."""
    from datafast._util.notify import plain_text

    model = _model_of(source, output)
    if form == "json":
        options.print_json(model.to_dict())
        return
    if form == "paths":
        text = "\n".join(" > ".join(" ".join(topic.split()) for topic in path) for path in model.paths())
    else:
        text = model.to_mermaid() if form == "mermaid" else model.to_text()
    click.echo(plain_text(text))


def _model_of(source: Path, output: Path | None) -> TopicModel:
    from datafast.config_files.loader import load_project
    from datafast.errors import ConfigError
    from datafast.topics import load_topics

    if source.suffix in {".json", ".jsonl"}:
        return load_topics(source)
    supply = _supply(load_project(source, output=output).dataset(), source)
    if not supply.is_grown:
        raise ConfigError(f"The topics are not grown yet. `datafast topics build {source}` grows them.")
    return supply.model


def _supply(dataset: Any, config: Path) -> TopicSupply:
    from datafast.errors import ConfigError

    supply: TopicSupply | None = getattr(dataset, "topic_supply", None)
    if supply is None:
        raise ConfigError(
            f"{config}: This config of the kind {dataset.kind!r} has no topic model. Conversations, chats and instructions about topics "
            f"have one."
        )
    return supply


def _show_built(display: Any, supply: TopicSupply, report: RunReport | None) -> None:
    from datafast.amounts import money
    from datafast.cli.display.lines import labelled

    model = supply.model
    lines = [
        ("topics", f"{model.num_topics:,} topics, {model.num_leaves:,} leaves, depth {model.depth}"),
        ("merged", f"{model.merged:,} duplicates" if model.merged else ""),
        ("refused", "; ".join(f"{one} -> {other}" for one, other in model.refused_links[:_SHOWN])),
        *(("undivided", f"{' > '.join(path)}: {error}") for path, error in list(model.failed.items())[:_SHOWN]),
    ]
    if report is not None:
        lines.append(("calls", report.calls_line()))
        lines.append(("cost", money(report.cost_usd)))
    lines.append(("file", str(supply.path) if supply.path else "given in the config, nothing to grow"))
    for name, value in lines:
        if value:
            labelled(display.console, name, value)
