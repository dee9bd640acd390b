"""`datafast pack`: one archive with the rows, the ledger and the manifest of an output, for an appendix or a colleague."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from datafast.cli import options
from datafast.cli.outputs import key_file_of, output_of

if TYPE_CHECKING:
    from datafast.store.paths import OutputPaths

__all__ = ["command"]


@click.command("pack", short_help="Put rows, ledger and manifest into one archive.")
@options.output_file
@options.new_file("FILE.zip", "The archive. By default FILE.zip beside the rows.")
@click.option("--force", is_flag=True, help="Replace the archive if it is there already.")
@click.option(
    "--env-file",
    metavar="FILE",
    type=options.UserFile(path_type=Path),
    help="A file with keys, none of which may be packed. By default those that the run has read, and secrets.env beside FILE.",
)
@options.ledger
@options.as_json
def command(
    file: str, output: Path | None, force: bool, env_file: Path | None, ledger: Path | None, as_json: bool
) -> None:
    """Put rows, ledger and manifest into one archive: for the appendix of a paper, or a colleague who goes on.

    It is one state of the output, also while a run goes on and after a crash, and the same state gives the same bytes. Nothing is packed in
    which a key of the environment or of secrets.env stands. Unpacked, all commands work on it, and the same config goes on without buying
    anything twice.
    """
    from datafast.engine.packing import pack

    with output_of(file, ledger) as paths:
        paths.refuse_copy("An archive is made of an output with its raw replies.")
        made = pack(paths, output or paths.rows.with_suffix(".zip"), force=force, variables=_variables(paths, env_file))
    if as_json:
        options.print_json({"archive": str(made.path), "rows": made.rows, "files": made.files})
        return
    from rich.console import Console

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import labelled

    console = Console(highlight=False, soft_wrap=True)
    labelled(console, "archive", plain_text(str(made.path)))
    for name, told in made.files.items():
        labelled(console, "file", plain_text(f"{name}, {told['bytes']:,} bytes, sha256 {told['sha256']}"))


def _variables(paths: OutputPaths, env_file: Path | None) -> dict[str, dict[str, str]]:
    """What the files of keys hold, by the names of the files."""
    from datafast._util.user_path import is_file
    from datafast.config_files.key_file import read_keys
    from datafast.errors import ConfigError

    if env_file is not None and not is_file(env_file):
        raise ConfigError(f"There is no file {env_file} (--env-file). Check its name and its folder.")
    files = [env_file] if env_file else [key_file_of(paths), paths.rows.with_name("secrets.env")]
    return {str(file): read_keys(file) for file in files if is_file(file)}
