"""`datafast schema`: the JSON Schema of a config file, for editors that complete and check YAML."""

from __future__ import annotations

import click

from datafast.cli.options import print_json

__all__ = ["command"]


@click.command("schema")
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """Print the JSON Schema of a YAML config: of one KIND, or of all.

    \b
    datafast schema > datafast.schema.json
    and as the first line of a config, for editors with the YAML language server:
    # yaml-language-server: $schema=datafast.schema.json
    """
    from datafast.config_files.json_schema import config_schema

    print_json(config_schema([kind] if kind else []))
