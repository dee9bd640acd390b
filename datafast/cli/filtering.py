"""`datafast filter` with stages that ask models: a run like that of a dataset, with a ledger beside the output."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from pydantic import ValidationError

from datafast._util.atomic_write import whole_file
from datafast._util.user_path import is_file
from datafast.cli.placing import placed_in
from datafast.cli.session import Settings, carried_out, log_to_terminal, with_stand_ins
from datafast.config_files.loader import load_secrets
from datafast.config_files.project import Project
from datafast.datasets.filtered import FilteredDataset, FilteredDatasetConfig
from datafast.datasets.opened import opened_source
from datafast.engine.routes import Route, providers_of, with_further
from datafast.errors import ConfigError, OutputWriteError
from datafast.quality.filtering import refuse_own_rows
from datafast.store.paths import OutputPaths, UsedFile, refuse_shared
from datafast.store.reader import LedgerReader

if TYPE_CHECKING:
    from datafast.engine.settings import RunConfig
    from datafast.llms.provider import LLMProvider
    from datafast.quality.base import BaseStage
    from datafast.types import RunReport

__all__ = ["Filtering", "filtered"]


@dataclass(frozen=True, kw_only=True)
class Filtering(Settings):
    """What the command line asks for. `config` is the file with the stages."""

    source: str
    output: Path
    dropped: Path | None = None

    @property
    def command(self) -> str:
        words = ["datafast", "filter", self.source, "--quality", str(self.config), "-o", str(self.output)]
        words += ["--dropped", str(self.dropped)] if self.dropped is not None else []
        words += ["--offline"] if self.offline else []
        words += ["--local", self.local] if self.local is not None else []
        words += ["--allow-commands"] if self.allow_commands else []
        words += ["--env-file", str(self.env_file)] if self.env_file is not None else []
        return shlex.join(words)


def filtered(settings: Filtering, stages: Sequence[BaseStage], run: RunConfig) -> RunReport:
    """Lets the stages decide about the rows that are not decided about yet, and writes those that are kept, in the order of the source.

    Raises:
        ConfigError: a file is there already that is no output of such a run; a stage, the source or a key is wrong; nothing was sent.
    """
    log_to_terminal(verbose=settings.verbose)
    with opened_source(settings.source, field="SOURCE") as source:
        project = with_stand_ins(_project(settings, source, stages, run), settings)
        project, _, report = carried_out(project, settings)
    if settings.dropped is not None:
        _write_dropped(project.config.paths, settings.dropped)
    return report


def _project(settings: Filtering, source: object, stages: Sequence[BaseStage], run: RunConfig) -> Project:
    secrets = load_secrets(settings.config, settings.env_file)
    paths = OutputPaths.of(settings.output)
    if not is_file(paths.ledger) and not settings.fresh:
        for path in (settings.output, settings.dropped):
            if path is not None and path.exists():
                raise ConfigError(f"{path} is there already. Name another file, or replace it with --force.")
    config = _config(settings, source, stages, run)
    with placed_in(settings.config):
        refuse_own_rows(stages, config.rows.files)
        for number, error in FilteredDataset(config).stage_problems():
            raise ConfigError(f"quality[{number}]: {error}", key="quality")
    asked = config.further_roles()
    nobody: Route[LLMProvider] = Route.by_role({})
    routes = with_further([nobody], asked)
    named = {id(routes[0].of(role.role)): role.place for role in reversed(asked)}
    places = [_place(settings.config, named[id(provider)]) for provider in providers_of(routes)]
    project = Project(settings.config, secrets, FilteredDataset, config, routes, places)
    also = [UsedFile("--dropped", settings.dropped, written=True)] if settings.dropped is not None else []
    refuse_shared([*project.used_files(), *also])
    return project


def _config(settings: Filtering, source: object, stages: Sequence[BaseStage], run: RunConfig) -> FilteredDatasetConfig:
    try:
        return FilteredDatasetConfig(
            source=source,
            output_file=settings.output,
            quality=list(stages),
            run=run.model_copy(update={"ordered": True, "fan_out": "all", "ledger": None}),
        )
    except ValidationError as error:
        told = "\n".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise ConfigError(told) from None


def _place(file: Path, place: Sequence[str | int]) -> str:
    return f"{file}: " + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(
        "."
    )


def _write_dropped(paths: OutputPaths, file: Path) -> None:
    try:
        with LedgerReader(paths.ledger) as reader, whole_file(file) as part, part.open("xb") as out:
            for row in reader.filtered.lines():
                told = {"stage": row.stage, "reason": row.reason, "score": row.score, "row": orjson.Fragment(row.row)}
                out.write(orjson.dumps(told) + b"\n")
    except OSError as error:
        raise OutputWriteError(f"Cannot write {error.filename or file}: {error.strerror}.") from error
