"""`datafast replay`: the rows of an output rebuilt from its ledger, without any call, byte for byte.

A run over a copy of the ledger makes the rows again from recorded replies. Then they are put where they were, and compared with the
checksums of the ledger and the hash of the manifest. The output itself is only read.

Stages decide nothing anew: a row that is in the file has passed them. Only where they have changed rows, or rows were made again because of
them, they look at them once more, by recorded replies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from datafast._util.manifest import MANIFEST
from datafast._util.user_path import is_file
from datafast.datasets.digests import sources_now
from datafast.engine.manifest import versions_here
from datafast.engine.recorded_providers import RecordedProvider, recorded_routes
from datafast.engine.reviewing import Overruling, overruling
from datafast.errors import ConfigError, OutputError, OutputWriteError
from datafast.executors.local import LocalExecutor
from datafast.quality.base import allow_commands
from datafast.store.manifest import is_newest, read_manifest
from datafast.store.paths import OutputPaths, UsedFile, refuse_shared
from datafast.store.reader import LedgerReader
from datafast.store.rebuilding import Unlike, copy_for_rebuilding, rebuild
from datafast.store.shards import ShardNote

if TYPE_CHECKING:
    from datafast.datasets.config import DatasetConfig
    from datafast.engine.job import Job
    from datafast.engine.routes import Route
    from datafast.llms.provider import LLMProvider

__all__ = ["Replayed", "beside", "paths_of_manifest", "replay"]


class Made(Protocol):
    """The dataset that has made the rows."""

    @property
    def config(self) -> DatasetConfig: ...
    def other_ledgers(self) -> Sequence[Path]: ...
    def job_for(self, routes: Sequence[Route[LLMProvider]]) -> Job: ...


@dataclass(frozen=True)
class Replayed:
    """Rows that were rebuilt. Their hash is that of the manifest."""

    output_file: Path
    rows: int
    size: int
    sha256: str


def replay(
    manifest: Path,
    output: Path,
    dataset: Made,
    *,
    ledger: Path | None = None,
    commands: bool = False,
    force: bool = False,
) -> Replayed:
    """Rebuilds the rows of a manifest in another file. Sends nothing, and leaves the output as it is.

    Args:
        dataset: what has made them; `of_output.dataset_in` loads it from the ledger.
        ledger: where it is, if it is not beside the rows.
        commands: whether stages may run programs.
        force: whether a file that is there may be replaced.

    Raises:
        ConfigError: there is no such manifest, or a file is there already.
        OutputError: the ledger is not that of the manifest, replies are missing, sources have changed, or the rows would be others.
        OutputWriteError: the new file cannot be written.
    """
    paths = paths_of_manifest(manifest, ledger)
    told = read_manifest(manifest)
    read = (file for file in dataset.config.used_files() if not file.written)
    refuse_shared([*paths.used("the output", "its ledger"), *read, UsedFile("-o", output, written=True)])
    if output.exists() and not force:
        raise ConfigError(f"{output} is there already. Name another file, or replace it with --force.")
    _refuse_other_sources(told, dataset)
    allow_commands(dataset.config.quality, allowed=commands)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".datafast-", dir=output.parent) as folder:
            return _rebuilt(told, paths, dataset, Path(folder), output)
    except OSError as error:
        raise OutputWriteError(
            f"Cannot write {error.filename or output}: {error.strerror}. Choose another -o."
        ) from error


def paths_of_manifest(manifest: Path, ledger: Path | None = None) -> OutputPaths:
    """The files of the output that a manifest is about.

    Raises:
        ConfigError, OutputError: it is not beside rows, these are those of a shard, or there is no ledger.
    """
    if not manifest.name.endswith(MANIFEST):
        raise ConfigError(
            f"{manifest} is not named like a manifest. Give FILE.jsonl{MANIFEST}, which is beside the rows."
        )
    paths = OutputPaths.of(manifest.with_name(manifest.name.removesuffix(MANIFEST)), ledger)
    if not is_file(paths.ledger):
        raise OutputError(
            f"There is no ledger {paths.ledger}, and rows are rebuilt from the replies in it. Put it there, or name it with --ledger."
        )
    with LedgerReader(paths.ledger) as reader:
        if ShardNote.read(reader) is not None:
            raise ConfigError(
                f"{manifest} is that of a shard, and rows are rebuilt of a whole output. Make one with "
                f"`datafast merge {paths.rows.parent} -o FILE.jsonl`, and replay its manifest."
            )
    return paths


def beside(manifest: Path) -> Path:
    """Where rows are rebuilt if nobody says where."""
    rows = Path(manifest.name.removesuffix(MANIFEST))
    return manifest.with_name(f"{rows.stem}.replayed{rows.suffix}")


def _refuse_other_sources(told: Mapping[str, Any], dataset: Made) -> None:
    now = sources_now(dataset.config, dataset.other_ledgers())
    for name, source in told["sources"].items():
        found = now.get(name)
        if found == source:
            continue
        before = {file["sha256"]: file for file in source.get("files", ())}
        for file in (found or {}).get("files", ()):
            before.pop(file["sha256"], None)
        which = ", ".join(file["file"] for file in before.values()) or f"{source.get('rows', 0):,} rows"
        if before or (found or {}).get("digest") != source.get("digest"):
            raise OutputError(
                f"{name}: {which} is not what the rows were made of: it has changed since, or is missing. Put it back as it was "
                f"(the manifest has its digest)."
            )


def _rebuilt(told: Mapping[str, Any], paths: OutputPaths, dataset: Made, folder: Path, output: Path) -> Replayed:
    copy = OutputPaths.of(folder / "rows.jsonl")
    copy_for_rebuilding(paths.ledger, copy.ledger)
    routes, providers = recorded_routes(told)
    job = dataset.job_for(routes)
    with LedgerReader(copy.ledger) as reader:
        _refuse_other_state(told, reader, paths)
        if reader.calls.has_dropped:
            raise OutputError(
                f"The rows of {paths.rows} cannot be made again: the replies that they were made of were dropped (run.ledger.replies). "
                f"The manifest has the SHA-256 of the file, by which a copy can be checked."
            )
        if (reader.meta("plan") or b"") not in {plan.fingerprint for plan in (job.plan, *job.plan.former)}:
            raise OutputError(
                f"The config and the sources of {paths.rows} ask for something else than when its rows were made"
                f"{_other_version(told)}. Restore them as they were."
            )
        decides = not reader.changed.is_empty or reader.filtered.has_generations
        job = replace(job, reviews=_heard(reader, paths, dataset) if decides else None)
        job = _quiet(job, copy, decides=decides)
    LocalExecutor().run(job)
    found = rebuild(copy.ledger, copy.rows, output, told["output"]["sha256"])
    if isinstance(found, Unlike):
        raise OutputError(_why(found, told, paths, providers))
    if found.sha256 != told["output"]["sha256"]:
        raise OutputError(
            f"The rebuilt rows are as the ledger says, but have not the SHA-256 of the manifest. It is of another output: put the "
            f"manifest of {paths.rows.name} beside it, or run the config again, at no cost, which writes it."
        )
    return Replayed(output, found.rows, found.size, found.sha256)


def _refuse_other_state(told: Mapping[str, Any], reader: LedgerReader, paths: OutputPaths) -> None:
    """The manifest has to be the newest of this ledger."""
    if not is_newest(told, reader):
        raise OutputError(
            f"The ledger of {paths.rows} is not as it was when {paths.manifest.name} was written: a run goes on, was killed, or the files "
            f"are not of the same output. Run the config again: that costs nothing where nothing is missing, and writes the manifest anew."
        )


def _heard(reader: LedgerReader, paths: OutputPaths, dataset: Made) -> Overruling | None:
    """The decisions of reviewers that the rows were last decided by; None where there were none."""
    noted = reader.meta("reviewed")
    if not noted:
        return None
    found = overruling(paths.reviews, dataset.config.reasoning, dataset.config.disagreement)
    heard = None if found is None else found.as_of(str(noted))
    if heard is None:
        raise OutputError(
            f"{paths.reviews} has not the decisions of reviewers by which rows were changed or made again. Put it back as it was."
        )
    return heard


def _quiet(job: Job, copy: OutputPaths, *, decides: bool) -> Job:
    """The job that makes lost rows again, and nothing else, from recorded replies."""
    settings = job.settings.model_copy(
        update={
            "budget_usd": None,
            "max_calls": None,
            "max_tokens": None,
            "mode": "online",
            "removed": "keep",
            "ordered": False,
        }
    )
    job = replace(job, paths=copy, settings=settings, limit=0, about=None, on_report=None, alarms=None, also_spent=())
    return job if decides else replace(job, stages=(), regenerate=0, targets=None)


def _why(unlike: Unlike, told: Mapping[str, Any], paths: OutputPaths, providers: Sequence[RecordedProvider]) -> str:
    row = f"Line {unlike.line:,} of {paths.rows.name} (row {unlike.uuid})"
    if unlike.left_plan:
        return f"{row} is of an item that is not in the config any more (run.removed: keep). Only the config that asked for it rebuilds it."
    if unlike.is_made:
        same = ", although all versions are the same: a stage or a function is another one"
        return f"{row} would have other bytes{_other_version(told) or same}."
    if any(provider.asked for provider in providers):
        return (
            f"{row} cannot be rebuilt: a call that it takes has no recorded reply. The ledger is not whole: restore it."
        )
    return f"{row} cannot be rebuilt{_other_version(told)}. `datafast explain` shows what is recorded of it."


def _other_version(told: Mapping[str, Any]) -> str:
    """Which versions are others than those that have made the rows; empty where none are."""
    here = versions_here()
    others = [
        f"{name} {version} has made it, and {here.get(name, 'none')} is installed"
        for name, version in told["versions"].items()
        if name in ("datafast", *here) and here.get(name) != version
    ]
    return f": {'; '.join(others)}" if others else ""
