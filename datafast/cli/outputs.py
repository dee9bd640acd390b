"""What the commands that look at an output share: finding and opening its ledger, and how to go on with it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from datafast._util.user_path import is_file, is_folder
from datafast.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from datafast.store.paths import OutputPaths

__all__ = ["failures_command", "key_file_of", "output_command", "paths_of", "retry_command"]


def paths_of(file: Path, ledger: Path | None) -> OutputPaths:
    """The files of an output that has a ledger.

    Raises:
        ConfigError, OutputError: there is no such output, or no ledger that tells of it.
    """
    from datafast.store.paths import OutputPaths

    if is_folder(file):
        raise ConfigError(f"{file} is a folder. Give the output file in it.")
    paths = OutputPaths.of(file, ledger)
    if is_file(paths.ledger):
        return paths
    if not is_file(paths.rows):
        raise ConfigError(f"There is no file {paths.rows}. Give the output_file of a config.")
    if paths.rows.suffix in {".yaml", ".yml"}:
        raise ConfigError(
            f"{paths.rows} looks like a config. Give the file with the rows, which it names as output_file."
        )
    raise OutputError(
        f"{paths.rows} has no ledger beside it ({paths.ledger}), so nothing is known about it but its lines. "
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


def failures_command(file: Path, ledger: Path | None) -> str:
    """The command that shows what failed."""
    return output_command("failures", file, ledger)


def output_command(name: str, file: Path, ledger: Path | None) -> str:
    """A command that looks at an output, with its ledger where that is not beside it."""
    from datafast.store.paths import OutputPaths

    elsewhere = ledger is not None and ledger != OutputPaths.of(file).ledger
    return shlex.join(["datafast", name, str(file), *(["--ledger", str(ledger)] if elsewhere else [])])
