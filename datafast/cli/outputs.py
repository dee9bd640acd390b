"""What the commands that look at an output share: finding and opening its ledger, and how to go on with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from datafast._util.remote import is_remote, remote_url
from datafast._util.user_path import is_file, is_folder
from datafast.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from datafast.store.paths import OutputPaths
    from datafast.store.shards import ShardFolder

__all__ = [
    "failures_command",
    "key_file_of",
    "need_ledger",
    "output_command",
    "output_of",
    "outputs_of",
    "retry_command",
    "shard_folder",
    "shards_at",
]


@contextmanager
def output_of(file: str, ledger: Path | None, *, rows: bool = True, replies: bool = True) -> Iterator[OutputPaths]:
    """The files of an output that has a ledger, as long as the context lasts; see `datafast.datasets.opened`.

    Args:
        rows, replies: whether rows and raw replies are looked at.

    Raises:
        ConfigError, OutputError: there is no such output, or no ledger that tells of it.
    """
    from datafast.datasets.opened import opened_output

    with opened_output(file, ledger, rows=rows, replies=replies) as paths:
        need_ledger(paths)
        yield paths


def shard_folder(file: str, ledger: Path | None) -> ShardFolder | None:
    """The shards of a folder; None if this is none with shards.

    Args:
        ledger: the folder with their ledgers, if they are not beside them.

    Raises:
        OutputError: the folder cannot be read, or it has shards of several divisions.
    """
    from datafast.store.shards import ShardFolder, is_shard_folder

    if not is_folder(Path(file)) or not is_shard_folder(file, ledger):
        return None
    return ShardFolder.open(file, ledger)


@contextmanager
def shards_at(file: str, ledger: Path | None) -> Iterator[ShardFolder | None]:
    """As `shard_folder`, and of a remote folder a copy of the ledgers, as long as the context lasts.

    Raises:
        ConfigError, OutputError: as `shard_folder`; a store does not answer.
    """
    from datafast.storage.copies import copied_shards, is_folder_of_shards
    from datafast.store.shards import ShardFolder

    if (url := remote_url(file)) is None:
        yield shard_folder(file, ledger)
    elif ledger is not None or not is_folder_of_shards(url):
        yield None
    else:
        with copied_shards(url, rows=False) as folder:
            yield ShardFolder.open(folder)


@contextmanager
def outputs_of(file: str, ledger: Path | None) -> Iterator[dict[str, OutputPaths]]:
    """The files of an output that has a ledger, under an empty name; or those of each shard of a folder, by names like 1/4.

    Raises:
        ConfigError, OutputError: as `output_of`; no shard of the folder has a ledger.
    """
    if (folder := shard_folder(file, ledger)) is None:
        with output_of(file, ledger) as paths:
            yield {"": paths}
        return
    found = {str(name): folder.paths(name.number) for name in folder.names}
    known = {name: paths for name, paths in found.items() if is_file(paths.ledger)}
    if not known:
        need_ledger(next(iter(found.values())))
    yield known


def need_ledger(paths: OutputPaths) -> None:
    """Sees to it that files have a ledger.

    Raises:
        ConfigError, OutputError: as `output_of`.
    """
    if is_file(paths.rows / "manifest.json") and is_folder(paths.rows / "rows"):  # as `datafast.storage` has it
        raise ConfigError(f"{paths.name} is an output in parts. Give it as file://{paths.rows.absolute()}.")
    if is_folder(paths.rows):
        raise ConfigError(f"{paths.name} is a folder. Give the output file in it, or a folder that has shards.")
    if is_file(paths.ledger):
        return
    if not is_file(paths.rows):
        raise ConfigError(f"There is no file {paths.name}. Give the output_file of a config.")
    if paths.rows.suffix in {".yaml", ".yml"}:
        raise ConfigError(
            f"{paths.name} looks like a config. Give the file with the rows, which it names as output_file."
        )
    raise OutputError(
        f"{paths.name} has no ledger beside it ({paths.ledger}), so nothing is known about it but its lines. "
        f"If `run: {{ledger: ...}}` put it elsewhere, name it with --ledger."
    )


def key_file_of(paths: OutputPaths) -> Path:
    """Where the command that made this output has read its keys, if a command has made it: --env-file, or beside the config."""
    from datafast.store.reader import LedgerReader

    with LedgerReader(paths.ledger) as reader:
        words = shlex.split(reader.meta("command") or "")
        folder = Path(reader.meta("directory") or ".")
    if "--env-file" in words[:-1]:
        return folder / words[words.index("--env-file") + 1]
    config = Path(words[2]) if len(words) > 2 else Path("config.yaml")
    return (folder / config).parent / "secrets.env"


def retry_command(command: str | None, *, kind: str | None) -> str:
    """How failed rows of a kind are tried again, after the command that goes on."""
    if kind == "topics":
        return (
            "datafast topics build CONFIG.yaml, or running again what asked for these topics, tries what failed again"
        )
    if kind == "personas":
        return "Running again what asked for these personas tries what failed again"
    return (
        "generate(..., retry_failed=True) tries failed rows again" if command is None else f"{command} --retry-failed"
    )


def failures_command(file: str | Path, ledger: Path | None) -> str:
    """The command that shows what failed."""
    return output_command("failures", file, ledger)


def output_command(name: str, file: str | Path, ledger: Path | None) -> str:
    """A command that looks at an output, with its ledger where that is not beside it."""
    from datafast.store.paths import OutputPaths

    elsewhere = not is_remote(file) and ledger is not None and ledger != OutputPaths.of(file).ledger
    option = "--ledgers" if name == "merge" else "--ledger"  # of a merge, --ledger is that of the new file
    return shlex.join(["datafast", name, str(file), *([option, str(ledger)] if elsewhere else [])])
