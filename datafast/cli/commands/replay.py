"""`datafast replay`: the rows of an output rebuilt from its ledger in another file, without any call."""

from __future__ import annotations

from pathlib import Path

import click

from datafast.cli import options

__all__ = ["command"]


@click.command("replay", short_help="Rebuild the rows of a manifest from recorded replies, without any call.")
@click.argument("manifest", metavar="FILE.jsonl.manifest.json", type=options.UserFile(path_type=Path))
@options.new_file("FILE.jsonl", "The file for the rows. By default FILE.replayed.jsonl beside the rows.")
@click.option("--force", is_flag=True, help="Replace the file if it is there already.")
@options.ledger
@options.allow_commands
@options.as_json
def command(
    manifest: Path, output: Path | None, force: bool, ledger: Path | None, allow_commands: bool, as_json: bool
) -> None:
    """Rebuild the rows of a manifest from recorded replies, without any call, and compare them with its hash, byte for byte.

    It needs the ledger beside the rows, the files that the config reads as they were, and a version of datafast that makes the same of the
    replies; it says which of them is not so. The rows themselves are neither needed nor touched.
    """
    from datafast.datasets.of_output import dataset_in
    from datafast.datasets.replaying import beside, paths_of_manifest, replay
    from datafast.store.manifest import read_manifest

    paths = paths_of_manifest(manifest, ledger)
    read_manifest(manifest)  # what is wrong with it is told first
    dataset = dataset_in(paths)
    made = replay(manifest, output or beside(manifest), dataset, ledger=ledger, commands=allow_commands, force=force)
    if as_json:
        options.print_json(
            {"output_file": str(made.output_file), "rows": made.rows, "bytes": made.size, "sha256": made.sha256}
        )
        return
    from rich.console import Console

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import labelled

    console = Console(highlight=False, soft_wrap=True)
    labelled(console, "file", plain_text(str(made.output_file)))
    labelled(console, "rows", f"{made.rows:,}, {made.size:,} bytes")
    labelled(console, "sha256", f"{made.sha256}, the same as in the manifest")
