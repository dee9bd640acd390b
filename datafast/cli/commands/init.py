"""`datafast init`: a commented config to start from, and a place for the keys; or a package that adds to datafast."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import click

from datafast.cli.commands.plugin_package import plugin_files
from datafast.cli.options import as_json as json_option
from datafast.cli.options import print_json
from datafast.config_files.starting import starter
from datafast.errors import ConfigError

__all__ = ["command"]


@click.command("init", short_help="Write KIND.yaml, a commented config to start from.")
@click.argument("kind", default="raw")
@click.argument("name", required=False)
@click.option(
    "--force", is_flag=True, help="Write a new config even if there is one. The old one is moved aside (.bak)."
)
@json_option
def command(kind: str, name: str | None, force: bool, as_json: bool) -> None:
    """Write KIND.yaml, a commented config that works at once, and secrets.env for the keys.

    KIND is raw (the default), classification, mcq, document_qa, instruction, preference, conversation, ultrachat,
    columns, judgement or generic_pipeline. Nothing is overwritten.

    `datafast init plugin NAME` writes a package of that name instead, with a kind, a provider, and a test of each.
    """
    if kind == "plugin":
        written, kept = _write_plugin(Path.cwd(), name, force=force)
        hints = [
            f"\ncd {name}",
            "pip install -e '.[test]'   install it",
            "pytest                    run its tests",
            "datafast plugins          see what it adds",
        ]
    elif name is not None:
        raise ConfigError(f"There is no use for {name!r}: only `datafast init plugin NAME` takes a name. Leave it out.")
    else:
        written, kept = _write(Path.cwd(), kind, force=force)
        hints = [
            "secrets.env holds keys: keep it out of version control.\n",
            f"datafast plan {kind}.yaml                 what it will ask",
            f"datafast generate {kind}.yaml --offline   try it with simulated models, no key needed",
        ]
    if as_json:
        print_json({"written": written, "kept": kept})
        return
    for line in [*(f"wrote {path}" for path in written), *(f"kept {path}" for path in kept), *hints]:
        click.echo(line)


def _write(folder: Path, kind: str, *, force: bool) -> tuple[list[str], list[str]]:
    """Writes the files; returns the names of those that are new and of those that were there."""
    config = folder / f"{kind}.yaml"
    text = starter(kind)
    kept = _out_of_the_way(config, force=force)
    _create(config, text, mode=0o666)
    written = [config.name]
    secrets = folder / "secrets.env"
    if secrets.exists():
        kept.append(secrets.name)
    else:
        _create(secrets, _read("secrets.env.example"), mode=0o600)  # keys are nobody else's business
        written.append(secrets.name)
    return written, kept


def _write_plugin(folder: Path, name: str | None, *, force: bool) -> tuple[list[str], list[str]]:
    """Writes a package into a folder of its name; returns what `_write` does."""
    texts = plugin_files(name)
    package = folder / str(name)
    kept = _out_of_the_way(package, force=force)
    for place, text in texts.items():
        _create(package / place, text, mode=0o666)
    return [(package / place).relative_to(folder).as_posix() for place in texts], kept


def _out_of_the_way(path: Path, *, force: bool) -> list[str]:
    """Moves what is there aside; returns its new name, if there was something."""
    if not path.exists():
        return []
    if not force:
        raise ConfigError(f"{path.name} is there already. Edit it, or move it aside and write a new one with --force.")
    return [_move_aside(path).name]


def _read(name: str) -> str:
    return (files("datafast.cli.commands") / "templates" / name).read_text(encoding="utf-8")


def _move_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path.with_name(f"{path.name}.{stamp}.bak")
    if target.exists():
        raise ConfigError(f"{target.name} is there already. Wait a second and try again.")
    return path.rename(target)


def _create(path: Path, text: str, *, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(
            f"Cannot write {path}: {error.strerror}. Run this in a folder that you may write to."
        ) from error
