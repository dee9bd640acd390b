"""`datafast filter`: stages over the rows of any file, into a new one."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.engine.settings import RunConfig
    from datafast.quality.base import BaseStage
    from datafast.quality.filtering import RowFilter
    from datafast.sources import SourceRows

__all__ = ["command"]


@click.command("filter", short_help="Let stages decide about the rows of any file.")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--quality",
    metavar="FILE.yaml",
    required=True,
    type=options.UserFile(path_type=Path),
    help="A file with `quality:`, a list of stages; a config of a dataset is one.",
)
@options.new_file("FILE.jsonl", "The file for the rows that are kept.", required=True)
@click.option(
    "--dropped",
    metavar="FILE.jsonl",
    type=options.LocalFile(path_type=Path, dir_okay=False),
    help="A file for the rows that are dropped, each with its stage, reason and score.",
)
@click.option(
    "--force",
    "--fresh",
    "force",
    is_flag=True,
    help="Replace files that are there already; where models are asked, they are moved aside (.bak).",
)
@options.offline
@options.local
@click.option("--retry-failed", is_flag=True, help="Ask again about rows about which models gave no usable answer.")
@options.env_file
@options.allow_commands
@options.as_json
@options.verbose
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    quality: Path,
    output: Path,
    dropped: Path | None,
    force: bool,
    offline: bool,
    local: str | None,
    retry_failed: bool,
    env_file: Path | None,
    allow_commands: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Let the stages of a file decide about the rows of SOURCE, and write those that are kept.

    SOURCE is a file (JSONL, JSON, CSV, TSV, Parquet, Arrow), a pattern or folder of such files, or a dataset on the Hugging Face Hub. It is
    not changed. Stages that look at the prompt of a row see none here.

    Stages that ask models (`judge`) have a ledger beside the output. Run the command again after an interruption, with other stages, or
    with more rows in SOURCE: no answer is paid for twice. `run:` in FILE.yaml says how they are asked, as in a config: its budget,
    for instance.

    \b
    datafast filter rows.parquet --quality curated.yaml -o kept.jsonl
    datafast filter old.jsonl --quality q.yaml -o new.jsonl --dropped out.jsonl
    """
    from datafast.cli.placing import placed_in
    from datafast.datasets.opened import opened_source
    from datafast.quality.base import ModelStage
    from datafast.quality.base import allow_commands as let_run
    from datafast.quality.filtering import RowFilter, refuse_own_rows
    from datafast.sources import open_source

    stages, run = _settings(quality)
    with placed_in(quality):
        let_run(stages, allowed=allow_commands)
    if any(isinstance(stage, ModelStage) for stage in stages):
        from datafast.cli.filtering import Filtering, filtered
        from datafast.cli.session import exit_code

        settings = Filtering(
            config=quality,
            source=source,
            output=output,
            dropped=dropped,
            offline=offline,
            local=local,
            fresh=force,
            retry_failed=retry_failed,
            env_file=env_file,
            allow_commands=allow_commands,
            verbose=verbose,
            yes=True,
        )
        report = filtered(settings, stages, run)
        if as_json:
            counts = _counts(report.written, report.filtered_by_stage, report.changed_by_stage, output, dropped)
            options.print_json({**counts, "report": report.to_dict()})
        ctx.exit(exit_code(report))
    _refuse_existing(source, [path for path in (output, dropped) if path is not None], force=force)
    with opened_source(source, field="SOURCE") as given:
        rows = open_source(given, field="SOURCE")
        rows.check(rows.columns, field="SOURCE")  # all of a row is written
        _refuse_files_of(stages, output, dropped)
        with placed_in(quality):
            refuse_own_rows(stages, rows.files)
            decides = RowFilter(stages, rows.columns)
        _write(rows, decides, output, dropped)
    _tell(decides, output, dropped, as_json=as_json)


def _settings(path: Path) -> tuple[list[BaseStage], RunConfig]:
    """The stages of a file, and how the models are asked that they ask."""
    from pydantic import Field, ValidationError, create_model

    from datafast._util.config_model import ConfigModel
    from datafast._util.yaml_file import YamlFile
    from datafast._util.yaml_problems import Problems
    from datafast.engine.settings import RunConfig
    from datafast.errors import ConfigError
    from datafast.quality.registry import AnyStage

    file = YamlFile(
        path, what="a list of stages under `quality:`", hint="It looks like `quality: [{stage: refusals}]`."
    )
    if "quality" not in file.data:
        raise ConfigError(f"{path}:1: quality: The field is missing. Write `quality: [{{stage: refusals}}]`.")
    listed: Any = (list[AnyStage], Field(min_length=1))
    model = create_model("Stages", __base__=ConfigModel, quality=listed, run=(RunConfig, RunConfig()))
    given = {name: file.data[name] for name in ("quality", "run") if file.data.get(name) is not None}
    try:
        found: Any = model.model_validate(given, context={"folder": path.parent})
    except ValidationError as error:
        problems = Problems(file)
        problems.add_errors(error, model)
        raise problems.refusal() from None
    return list(found.quality), found.run


def _refuse_existing(source: str, files: list[Path], *, force: bool) -> None:
    from datafast.errors import ConfigError

    for path in files:
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise ConfigError(f"{path}: It is the source, which is not changed. Name another file.")
        if path.exists() and not force:
            raise ConfigError(f"{path} is there already. Name another file, or replace it with --force.")
    if len(files) == 2 and files[0].absolute() == files[1].absolute():
        raise ConfigError(f"{files[0]}: Kept and dropped rows need a file each. Name another one for --dropped.")


def _refuse_files_of(stages: list[BaseStage], output: Path, dropped: Path | None) -> None:
    """Raises ConfigError if a stage reads a file that would be written."""
    from datafast.store.paths import UsedFile, refuse_shared

    read = [UsedFile(f"quality[{n}]", path, written=False) for n, stage in enumerate(stages) for path in stage.files()]
    written = [UsedFile("--output", output, written=True)]
    written += [UsedFile("--dropped", dropped, written=True)] if dropped is not None else []
    refuse_shared([*read, *written])


def _write(rows: SourceRows, decides: RowFilter, output: Path, dropped: Path | None) -> None:
    import contextlib

    import orjson

    from datafast._util.atomic_write import whole_file
    from datafast.errors import OutputWriteError

    with contextlib.ExitStack() as stack:
        try:
            kept_file: IO[bytes] = stack.enter_context(stack.enter_context(whole_file(output)).open("xb"))
            other = (
                None if dropped is None else stack.enter_context(stack.enter_context(whole_file(dropped)).open("xb"))
            )
            for row, stage, verdict in decides.decided(rows):
                if verdict.keeps:
                    kept_file.write(orjson.dumps(row) + b"\n")
                elif other is not None:
                    told = {"stage": stage, "reason": verdict.reason, "score": verdict.score, "row": row}
                    other.write(orjson.dumps(told) + b"\n")
        except OSError as error:
            raise OutputWriteError(f"Cannot write {error.filename or output}: {error.strerror}.") from error


def _tell(decides: RowFilter, output: Path, dropped: Path | None, *, as_json: bool) -> None:
    from datafast.store.records import by_stage

    counts = by_stage(decides.dropped)
    if as_json:
        options.print_json(_counts(decides.kept, counts, dict(decides.changed.most_common()), output, dropped))
        return
    from rich.console import Console

    from datafast.cli.display.lines import labelled
    from datafast.cli.display.summary import changed_line, filtered_lines

    console = Console(highlight=False, soft_wrap=True)
    labelled(console, "rows", f"{decides.kept:,} kept, {decides.dropped.total():,} filtered")
    for text in filtered_lines(counts):
        labelled(console, "filtered", text)
    if decides.changed:
        labelled(console, "changed", changed_line(dict(decides.changed.most_common())))
    labelled(console, "file", str(output))
    if dropped is not None:
        labelled(console, "dropped", str(dropped))


def _counts(
    kept: int,
    filtered: dict[str, dict[str, int]],
    changed: dict[str, int],
    output: Path,
    dropped: Path | None,
) -> dict[str, Any]:
    return {
        "kept": kept,
        "filtered": sum(sum(reasons.values()) for reasons in filtered.values()),
        "filtered_by_stage": filtered,
        "changed_by_stage": changed,
        "output_file": str(output),
        "dropped_file": None if dropped is None else str(dropped),
    }
